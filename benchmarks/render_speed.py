"""Cost of drawing: `python benchmarks/render_speed.py`.

Two made-up people move over a grey picture of 1768 × 994, drawn 720 pixels high. Prints milliseconds of CPU per frame,
on one thread, and their ratio to a single cv2.resize of that picture to the size it is shown at, measured in turns with
the drawing: the ratio can be compared between machines, and between quiet and busy ones. The best of several rounds
counts.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np

from sasmamba.app.rendering import Renderer, Scene
from sasmamba.app.types import FloatArray, Frame, Person2D, Pose3D, VideoMeta
from sasmamba.models.skeletons import coco17_to_h36m17

WIDTH, HEIGHT, FPS = 1768, 994, Fraction(30)


def moving_person(frames: int, phase: float) -> FloatArray:
    """COCO-17 joints (frames, 17, 3) of somebody walking on the spot: metres from the pelvis, x right, y down."""
    # nose, then eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: left and right
    across = np.array([0, *(side * x for x in (0.03, 0.07, 0.17, 0.2, 0.22, 0.12, 0.12, 0.12) for side in (1, -1))])
    down = np.array([-0.62, *np.repeat([-0.65, -0.63, -0.45, -0.2, 0.05, 0, 0.43, 0.85], 2)])
    stride = np.array([0, *(side * z for z in (0, 0, 0, -0.1, -0.25, 0, 0.15, 0.3) for side in (1, -1))])
    swing = np.sin(2 * np.pi * np.arange(frames) / 30 + phase)[:, None]
    still = np.zeros((frames, 17))
    return np.stack([across + still, down + still, stride * swing], -1).astype(np.float32)


def scene_of(frames: int) -> list[tuple]:
    """Arguments of `Renderer.draw` for every frame."""
    bgr = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    people = [moving_person(frames, phase) for phase in (0.0, 2.0)]
    shapes = [coco17_to_h36m17(p, np.ones(p.shape[:2], np.float32))[0] for p in people]
    calls = []
    for i in range(frames):
        people2d, poses, roots = [], [], {}
        for track, (person, joints) in enumerate(zip(people, shapes, strict=True), start=1):
            x, y = -1.5 + track + 0.01 * i, 0.3 * track
            pixels = (person[i, :, :2] + (x, 0)) * 280 + (WIDTH / 2, HEIGHT / 2) + person[i, :, 2:] * 60
            box = np.array([*pixels.min(0), *pixels.max(0)], np.float32)
            people2d.append(Person2D(track, box, pixels.astype(np.float32), np.ones(17, np.float32)))
            poses.append(Pose3D(i, track, np.asarray(joints[i], np.float32)))
            roots[track] = np.array([x, y, 0.95], np.float32)
        calls.append((Frame(i, i / FPS, bgr), tuple(people2d), tuple(poses), None, roots))
    return calls


def cpu_ms(call: Callable[[], object]) -> float:
    """Milliseconds of CPU of one call."""
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    calls = scene_of(args.frames)
    renderer = Renderer(VideoMeta(WIDTH, HEIGHT, FPS, None), scene=Scene(((-0.5, 0.3), (1.1, 0.6))))
    shown = round(WIDTH * renderer.size[1] / HEIGHT), renderer.size[1]
    target = np.empty((shown[1], shown[0], 3), np.uint8)

    def draw() -> None:
        for call in calls:
            renderer.draw(*call)

    def resize() -> None:
        for call in calls:
            cv2.resize(call[0].bgr, shown, dst=target, interpolation=cv2.INTER_LINEAR)

    rounds = [(cpu_ms(draw) / args.frames, cpu_ms(resize) / args.frames) for _ in range(args.rounds)]
    drawn, resized = np.min(rounds, 0)
    print(f"{platform.machine()}, OpenCV {cv2.__version__}, {renderer.size[0]}×{renderer.size[1]}")
    print(f"drawing {drawn:.2f} ms of CPU a frame, {drawn / resized:.2f} times one resize ({resized:.2f} ms)")


if __name__ == "__main__":
    main()
