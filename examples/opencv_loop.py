"""A loop of your own with OpenCV: who has a hand above the head right now.

    python examples/opencv_loop.py 0            # the first camera, until Ctrl-C
    python examples/opencv_loop.py VIDEO        # a file

Frames may be left out where the machine is too slow for all: their times tell.
"""

import sys
import time

import cv2
import numpy as np

import sasmamba
from sasmamba import H36M


def main(source: str) -> None:
    camera = source.isdigit()
    capture = cv2.VideoCapture(int(source) if camera else source)
    fps = capture.get(cv2.CAP_PROP_FPS) or 30.0
    frame = 0
    with sasmamba.PoseStream(fps=fps) as stream:
        while True:
            there, bgr = capture.read()
            if not there:
                break
            time_s = time.monotonic() if camera else frame / fps
            for pose in stream.push(bgr.astype(np.uint8, copy=False), time_s):
                height_m = pose.world_m[:, 2]
                hand = max(height_m[H36M.LEFT_WRIST], height_m[H36M.RIGHT_WRIST])
                waves = "has a hand up" if hand > height_m[H36M.HEAD_TOP] else "is there"
                x_m, y_m = pose.world_m[H36M.PELVIS, :2]
                print(f"frame {frame}: person {pose.track_id} {waves}, {x_m:+.2f} m across, {y_m:.2f} m away")
            frame += 1
    capture.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
