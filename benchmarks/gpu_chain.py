"""HRNet by batches of people, and the whole command, on a GPU: parts of `benchmarks/gpu.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from gpu_timing import attempt, median_ms

from sasmamba.app import weights
from sasmamba.app.config import Job, Settings
from sasmamba.app.pipeline import run
from sasmamba.common.errors import UserError
from sasmamba.models import heatmap_codec
from sasmamba.models.hrnet import HRNet, HRNetConfig


def hrnet(device: torch.device, runs: int, small: bool) -> None:
    """HRNet-W32's crops per second by how many people are looked at together, from pinned memory and not.

    The weights are chance numbers: what is measured is the time.
    """
    network = HRNet(HRNetConfig(width=8 if small else 32)).eval().to(device).to(memory_format=torch.channels_last)
    width, height = (32, 32) if small else (192, 256)
    with torch.inference_mode():
        for people in (1, 2) if small else (1, 2, 4, 8, 16, 32):
            crops = torch.randint(0, 256, (people, height, width, 3), dtype=torch.uint8).numpy()

            def whole(crops=crops) -> object:  # type: ignore[no-untyped-def]
                images = heatmap_codec.normalised(crops, device)
                return heatmap_codec.decode(heatmap_codec.heatmaps(network, images), "dark")

            ms = median_ms(whole, device, runs)
            print(f"  {people:2d} people: {ms:.3f} ms, {1000 * people / ms:.0f} crops/s, crops in and joints out")
        bytes_ = torch.randint(0, 256, (8, height, width, 3), dtype=torch.uint8)
        attempt("  8 crops moved", lambda: median_ms(lambda: bytes_.to(device), device, runs), "ms")
        if device.type == "cuda":
            pinned = bytes_.pin_memory()
            attempt("  8 crops moved, pinned", lambda: median_ms(lambda: pinned.to(device), device, runs), "ms")


def command(device: torch.device, small: bool, video: Path | None) -> None:
    """Frames per second of the whole chain on a clip, by what finds joints, on this device and on the CPU."""
    clip = video or weights.default_store().locate("demo-clip")
    if clip is None:
        print("  left out: there is no clip; name one with --video")
        return
    for pose2d, file in (("hrnet", "hrnet-w32"), ("movenet", "movenet"), ("mediapipe", "pose-landmarker-full")):
        if weights.default_store().locate(file) is None:
            print(f"  {pose2d}: left out, {file} is not here (`sasmamba-demo weights fetch {file}`)")
            continue
        for where in ("cpu",) if small else ("cuda", "cpu"):
            settings = Settings(pose2d=pose2d, device=where, max_frames=2 if small else 120)  # type: ignore[arg-type]
            with tempfile.TemporaryDirectory() as folder:
                try:
                    report = run(Job(clip, Path(folder) / "render.mp4"), settings)
                except UserError as error:
                    print(f"  {pose2d} on {where}: FAILED, {error}")
                    continue
            stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in report.stage_ms.items())
            print(f"  {pose2d}, device {where}: {report.fps:.1f} frames/s; ms per frame: {stages}", flush=True)
        if small:
            return
