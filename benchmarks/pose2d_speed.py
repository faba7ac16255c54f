"""How fast the 2D stage's parts are on a CPU: `python benchmarks/pose2d_speed.py VIDEO`.

Milliseconds per person and frame of every backend that can run here, and per frame of every detector whose weights are
here, on the same frames of one video and in the same run, each beside MediaPipe following people through those frames.
MediaPipe goes first and says where people are; the others get its boxes, so that all see the same people. Whole
backends that follow people come last. Figures are medians over frames, of these means (finding people takes some frames
longer); other work on the machine disturbs the milliseconds more than the ratios.

Where weights are not here the network gets random ones, and the row says so: speed does not depend on them. Random
weights find nobody, so HRNet is timed on its own, without its detector.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sasmamba.app import weights
from sasmamba.app.cli.measuring import machine
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.pose2d.detector_choice import YOLOX_WEIGHTS
from sasmamba.app.pose2d.detectors import Detector, MediaPipeDetector, YoloxDetector, has_onnxruntime
from sasmamba.app.pose2d.hrnet_estimator import HRNetEstimator
from sasmamba.app.pose2d.mediapipe import MediaPipePose2D
from sasmamba.app.pose2d.movenet import MoveNetPose2D
from sasmamba.app.pose2d.movenet_networks import open_lightning, open_multipose, open_thunder
from sasmamba.app.pose2d.protocol import Pose2D
from sasmamba.app.pose2d.topdown import DETECT_EVERY_S
from sasmamba.app.types import Frame
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models.hrnet import HRNET_W32, HRNET_W48, HRNet, HRNetConfig, load_hrnet

#: By the name of their weights: the network and its input, width and height.
HRNETS: dict[str, tuple[HRNetConfig, tuple[int, int]]] = {
    "hrnet-w32": (HRNET_W32, (192, 256)),
    "hrnet-w32-384x288": (HRNET_W32, (288, 384)),
    "hrnet-w48": (HRNET_W48, (192, 256)),
    "hrnet-w48-384x288": (HRNET_W48, (288, 384)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--start", type=float, default=1.5, help="seconds; in the demo clip people are there by then")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    frames = list(islice(VideoFile(args.video, start_s=args.start), args.frames))
    first, boxes = mediapipe(frames)
    frames = frames[1:]
    people = statistics.mean(map(len, boxes))
    rows = [first, *(hrnet(name, frames, boxes, args.threads) for name in HRNETS)]
    rows += detectors(frames, args.threads, max(1, round(people)))
    rows += [row for most in (1, 2) for row in following(frames, args.threads, most)]
    for row in rows:
        row["times_mediapipe"] = row["ms"] / rows[0]["ms"]
    result = {"machine": machine(), "threads": args.threads, "frames": len(frames), "people": people, "rows": rows}
    if args.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{len(frames)} frames of {frames[0].bgr.shape[1]}×{frames[0].bgr.shape[0]}, {people:.1f} people a frame")
    for row in rows:
        print(f"{row['what']:58s} {row['ms']:7.1f} ms per {row['per']:16s} {row['times_mediapipe']:6.2f} × MediaPipe")
    print(f"While somebody is followed, a detector runs every {DETECT_EVERY_S:g} seconds.")


def timed(work: Callable[..., Any], *arguments: object) -> float:
    """Milliseconds of one call."""
    begin = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - begin)


def mediapipe(frames: list[Frame]) -> tuple[dict[str, Any], list[FloatArray]]:
    """MediaPipe's row, and where it saw people in every frame but the first, in which it takes them on."""
    boxes, ms = [], []
    with MediaPipePose2D() as backend:
        backend(frames[0])
        for frame in frames[1:]:
            begin = time.perf_counter()
            people = backend(frame)
            if people:
                ms.append(1000 * (time.perf_counter() - begin) / len(people))
                boxes.append(np.stack([p.box_px for p in people]))
            else:
                boxes.append(np.zeros((0, 4), np.float32))
    if not ms:
        raise SystemExit("MediaPipe sees nobody in these frames: choose others with --start.")
    row = {"what": "MediaPipe, full, searching for newcomers", "ms": statistics.median(ms), "per": "person and frame"}
    return row, boxes


def hrnet(name: str, frames: list[Frame], boxes: list[FloatArray], threads: int) -> dict[str, Any]:
    """HRNet's row, in the runtime that it takes here."""
    config, input_px = HRNETS[name]
    path = weights.locate(name)
    network = HRNet(config).eval() if path is None else load_hrnet(path)
    some = [(f, b) for f, b in zip(frames, boxes, strict=True) if len(b)][:: max(1, len(frames) // 10)]
    with HRNetEstimator(network, input_px=input_px, threads=threads) as estimator:
        estimator(*some[0])
        ms = [timed(estimator, frame, boxes_px) / len(boxes_px) for frame, boxes_px in some]
        what = f"{name} in {estimator.runtime}{'' if path else ', random weights'}"
    return {"what": what, "ms": statistics.median(ms), "per": "person and frame"}


def following(frames: list[Frame], threads: int, most: int) -> list[dict[str, Any]]:
    """Rows for whole backends that find people and follow at most so many, milliseconds of a frame."""
    backends: dict[str, Pose2D] = {"MediaPipe": MediaPipePose2D(max_people=most)}
    if weights.locate("movenet") is not None:
        for name, opened, mirror in (
            ("Thunder", open_thunder, False),
            ("Thunder, mirrored, too", open_thunder, True),
            ("Lightning", open_lightning, False),
        ):
            backends[f"MoveNet {name}"] = MoveNetPose2D(
                opened(), open_multipose(), max_people=most, mirror=mirror, threads=threads
            )
    rows = []
    for name, backend in backends.items():
        with backend:
            ms = [timed(backend, frame) for frame in frames]
        rows.append({"what": f"{name}, at most {most}", "ms": statistics.mean(ms), "per": "frame"})
    return rows


def detectors(frames: list[Frame], threads: int, people: int) -> list[dict[str, Any]]:
    """A row for every detector that can run here."""
    found: dict[str, Detector] = {"MediaPipe as a detector": MediaPipeDetector(max_people=people)}
    for name in YOLOX_WEIGHTS.values() if has_onnxruntime() else []:
        if (path := weights.locate(name)) is not None:
            found[name] = YoloxDetector(path, threads=threads)
    rows = []
    for name, detector in found.items():
        ms = [timed(detector, frame) for frame in frames[:: max(1, len(frames) // 10)]]
        detector.close()
        rows.append({"what": f"detector: {name}", "ms": statistics.median(ms), "per": "frame"})
    return rows


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from None
