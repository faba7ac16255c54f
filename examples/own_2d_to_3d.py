"""2D poses of your own to 3D, one person: COCO's 17 joints in, Human3.6M's 17 out.

    python examples/own_2d_to_3d.py IN.npy OUT.npy

IN.npy holds (frames, 17, 3): x px, y px, score 0 to 1; a score of 0 marks a joint that was not found.
"""

import sys

import numpy as np

import sasmamba


def main(source: str, out: str) -> None:
    lifter = sasmamba.Lifter.load()  # the slow part: keep it for all your sequences
    joints3d = sasmamba.lift(lifter, np.load(source, allow_pickle=False), skeleton="coco17")
    np.save(out, joints3d)  # (frames, 17, 3) metres from the pelvis: x right, y down, z forward
    there = np.isfinite(joints3d).all((1, 2))
    print(f"{there.sum()} of {len(joints3d)} frames lifted")


if __name__ == "__main__":
    main(*sys.argv[1:])
