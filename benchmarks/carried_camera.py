"""What is decided of a camera that is carried: parallax before a scene whose depth is made up and known.

    python benchmarks/carried_camera.py VIDEO

The video's first picture is laid over a floor 1.6 m below the camera, a wall 15 m away and, on the right, a thing 4 m
away. The camera shakes by 0.4 % of the width and pans a little, and walks, sways or does neither for two seconds.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from virtual_camera import VirtualCamera, angle_deg

from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.motion.background_motion import BackgroundMotion
from sasmamba.app.motion.camera_decision import decide
from sasmamba.app.types import Frame, VideoMeta

FRAMES = 60
#: name: metres a second to the right, downwards and forwards, and by how many metres it sways.
STEPS = {
    "turns where it stands": ((0, 0, 0), 0.0),
    "in hands, 1 cm of sway": ((0, 0, 0), 0.01),
    "in hands, 3 cm of sway": ((0, 0, 0), 0.03),
    "slides to the side, 0.2 m/s": ((0.2, 0, 0), 0.01),
    "walks to the side, 0.6 m/s": ((0.6, 0, 0), 0.02),
    "walks ahead, 1.2 m/s": ((0, 0, 1.2), 0.03),
}


def depth_of(camera: VirtualCamera, size: tuple[int, int]) -> NDArray:
    """Metres ahead of what every pixel of the larger picture shows."""
    width, height = size
    y = np.arange(height)[:, None] - 0.45 * height + np.zeros((1, width))
    depth = np.minimum(15, camera.big.fy * 1.6 / np.maximum(y, 1))
    depth[:, int(0.8 * width) :] = np.minimum(depth[:, int(0.8 * width) :], 4)
    return depth.astype(np.float32)


def film(camera: VirtualCamera, frame: int, picture: NDArray, depth: NDArray, place: NDArray) -> NDArray:
    """What it sees from a place (3,) metres from where the picture was taken."""
    w, h = camera.size
    f, big = camera.focal_px * camera.zoom[frame], camera.big
    x, y = np.meshgrid((np.arange(w) + 0.5 - w / 2) / f, (np.arange(h) + 0.5 - h / 2) / f)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ camera.rotations(camera.times_s[frame : frame + 1])[0].T
    rays /= rays[..., 2:]
    far = np.full(x.shape, 10.0)
    for _ in range(4):  # how far it is depends on where in the picture it is, and that on how far
        at = rays * (far - place[2])[..., None] + place
        u, v = (at[..., k] / at[..., 2] * focal + c for k, focal, c in ((0, big.fx, big.cx), (1, big.fy, big.cy)))
        u, v = u.astype(np.float32), v.astype(np.float32)
        far = cv2.remap(depth, u, v, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return cv2.remap(picture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    options = parser.parse_args()
    with VideoFile(options.video, max_frames=1) as source:
        picture = next(iter(source)).bgr
    times, size = np.arange(FRAMES) / 30, (picture.shape[1], picture.shape[0])
    print("| camera | parallax | decided | rotation off, degrees: median / max |")
    print("| --- | --- | --- | --- |")
    for name, (speed, sway) in STEPS.items():
        camera = VirtualCamera.over(
            size, 70, times, 105, pan_deg=2, tilt_deg=1, roll_deg=1, zoom=1, shake=0.004, readout_s=0
        )
        places = times[:, None] * np.array(speed)
        places += sway * np.stack([np.sin(2 * np.pi * times), np.sin(4 * np.pi * times), 0 * times], 1)
        meta, depth = VideoMeta(*camera.size, Fraction(30), FRAMES), depth_of(camera, size)
        background = BackgroundMotion(meta, camera.intrinsics)
        for i in range(FRAMES):
            background.see(Frame(i, Fraction(i, 30), film(camera, i, picture, depth, places[i])), [])
        chained = background.chained()
        kind = decide(chained, [range(FRAMES)], meta, camera.intrinsics).kind
        off = angle_deg(np.stack([s.R_start_cam for s in chained]), camera.R_first_cam)
        parallax = np.mean([s.parallax for s in chained[1:]])
        print(f"| {name} | {parallax:.3f} | {kind} | {np.median(off):.2f} / {off.max():.2f} |", flush=True)


if __name__ == "__main__":
    main()
