"""How fast everything is on this machine: `sasmamba-demo bench`, and what the scripts in benchmarks/ measure with.

The lifter and the scan are timed on one thread, as the pipeline runs them; drawing is timed in CPU time of one thread;
2D, frames per second and peak memory are those of the command itself, run on a clip in a process of its own. Run it on
a quiet machine: threads that wait for each other on busy cores measure the waiting.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import torch

from sasmamba.app import weights
from sasmamba.app.cli.start_up import TORCH, start_up
from sasmamba.app.cli.yardsticks import YARDSTICKS, stage_costs, whole_against
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.render.renderer import Renderer
from sasmamba.app.render.scene import Scene
from sasmamba.app.types import Frame, Person2D, Pose3D, VideoMeta
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models import kernels
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.sasmamba import SasMamba
from sasmamba.models.scan import Backend, resolve, selective_scan
from sasmamba.models.skeletons import coco17_to_h36m17

#: Frames of the lifter's window, and joints of each.
FRAMES, JOINTS = 243, 17
#: A clip is cut here: the whole of `bench` is to take about two minutes.
_CLIP_FRAMES = 300
#: What takes longer is there to be compared with, and timed once.
_LONG_S = 0.3
_PACKAGES = ("sasmamba-demo", "torch", "numpy", "opencv-contrib-python", "mediapipe", "av")


def measure(video: Path | None = None, *, quick: bool = False) -> dict[str, Any]:
    """Measures everything.

    Args:
        video: what the whole chain runs on, its first 300 frames; None for the demo clip, fetched if it is not here.
        quick: a few frames of everything, to see that it works; the figures are rough.

    Returns:
        "date"; "machine": see `machine`; "lifter": its name, frames of the window, ms_per_frame by scan, and
        times_as_fast, the reference's milliseconds over each one's; "scan": tokens, ms by scan, times_as_fast;
        "render": see `render_speed`; "video": file, frames, people seen (summed over frames), 2d_ms_per_person (for
        each person in each frame, None where nobody was seen), fps, stage_ms, cpu_percent of one core, seconds,
        times_yardsticks (how many times the wall time of each yardstick, see `yardsticks`) and peak_mb (None where the
        system does not tell), or None; "stages": CPU ms per frame of each stage and yardstick, or None;
        "first_frame": see `start_up`, or None; "left_out": sentences on what could not be measured.

    Raises:
        UserError: `video` is not a video that can be read.
    """
    if video is not None:
        with VideoFile(video):  # said now, not after half a minute
            pass
    left_out: list[str] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        lifter = _lifter(runs=1 if quick else 5)
        scan = _scan(tokens=27 * JOINTS if quick else FRAMES * JOINTS, runs=1 if quick else 5)
    finally:
        torch.set_num_threads(threads)
    render = render_speed(frames=3 if quick else 60, rounds=1 if quick else 5)
    clip: dict[str, Any] | None = None
    stages: dict[str, float] | None = None
    first: dict[str, dict[str, float]] | None = None
    try:
        clip = _clip(video or weights.ensure("demo-clip"), frames=6 if quick else _CLIP_FRAMES)
    except UserError as error:
        left_out.append(f"2D, frames per second and peak memory were left out: {error}")
    if clip and clip["people"]:
        costs = stage_costs(Path(clip["file"]), frames=6 if quick else 60, rounds=1 if quick else 3)
        stages = dict(costs.ms)
        with tempfile.TemporaryDirectory() as folder:
            first = start_up(Path(clip["file"]), clip["pose2d"], Path(folder), rounds=1 if quick else 3)
    if clip and clip["2d_ms_per_person"] is None:
        left_out.append(f"2D milliseconds per person were left out: nobody was found in {clip['file']}.")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "lifter": lifter,
        "scan": scan,
        "render": render,
        "video": clip,
        "stages": stages,
        "first_frame": first,
        "left_out": left_out,
    }


def rows(results: dict[str, Any]) -> list[tuple[str, str]]:
    """What `measure` found, as lines of a table: what was measured, and the figure."""
    about, lifter, scan, render, clip, costs = (
        results[k] for k in ("machine", "lifter", "scan", "render", "video", "stages")
    )

    def against(times: float) -> str:
        return "" if times == 1 else f", {times:.3g} times as fast as the reference"

    out = [
        (results["date"], f"{about['processor']}, {about['cores']} cores, GPU: {about['gpu']}"),
        ("", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
        ("", about["kernels"]),
    ]
    out += [
        (f"{lifter['name']}, {name} scan", f"{ms:.3g} ms per frame{against(lifter['times_as_fast'][name])}")
        for name, ms in lifter["ms_per_frame"].items()
    ]
    out += [
        (f"{name} scan of {scan['tokens']} tokens", f"{ms:.3g} ms{against(scan['times_as_fast'][name])}")
        for name, ms in scan["ms"].items()
    ]
    drawn, resizes = render["ms_per_frame"], render["resizes"]
    out.append(("drawing", f"{drawn:.3g} ms of CPU per frame, {resizes:.2g} times one resize of the video"))
    if clip:
        if clip["2d_ms_per_person"] is not None:
            out.append(("2D", f"{clip['2d_ms_per_person']:.3g} ms per person and frame"))
        stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in clip["stage_ms"].items())
        out.append(("whole chain", f"{clip['fps']:.1f} frames/s over {clip['frames']} frames; ms per frame: {stages}"))
        times = ", ".join(f"{x:.2g} times {name}" for name, x in clip["times_yardsticks"].items())
        out.append(("", f"{clip['seconds']:.1f} s at {clip['cpu_percent']:.0f} % of a core: {times}"))
        if clip["peak_mb"] is not None:
            out.append(("peak memory", f"{clip['peak_mb']:.0f} MB"))
    for name, ms in (costs or {}).items():
        times = "; ".join(f"{ms / costs[y]:.2g} times {y}" for y in YARDSTICKS if y != name)
        out.append((f"CPU: {name}", f"{ms:.3g} ms per frame; {times}"))
    for kind, taken in (results["first_frame"] or {}).items():
        times = taken["wall_s"] / results["first_frame"][TORCH]["wall_s"]
        if kind != TORCH:
            out.append(
                (f"first frame, {kind}", f"{taken['wall_s']:.2f} s, {times:.2g} times what importing torch takes")
            )
    return out + [("left out", sentence) for sentence in results["left_out"]]


def machine() -> dict[str, Any]:
    """The machine: system, processor, cores, gpu ("none" without), kernels (a sentence), versions of what matters."""
    processor = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "none"
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor,
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "kernels": kernels.load()[1],
        "versions": versions,
    }


# Lifter and scan


def median_ms(call: Callable[[], object], runs: int) -> float:
    """Milliseconds of one call: the median of `runs` after one to warm up, or of one where a call takes long.

    A GPU's work is waited for.
    """

    def timed() -> float:
        start = time.perf_counter()
        call()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        return time.perf_counter() - start

    timed()
    times = [timed()]
    if times[0] < _LONG_S:
        times += [timed() for _ in range(runs - 1)]
    return 1000 * statistics.median(times)


def lifter_ms_per_frame(model: SasMamba, runs: int) -> float:
    """Milliseconds per video frame of one 243-frame window, float32, on the model's device."""
    x = torch.randn(1, FRAMES, JOINTS, model.config.in_channels, device=next(model.parameters()).device)
    with torch.inference_mode():
        return median_ms(lambda: model(x), runs) / FRAMES


def scan_ms(backend: Backend, L: int, backward: bool, runs: int, device: str = "cpu") -> float:
    """Milliseconds of one scan of the paper's size: four routes, 128 channels, 16 states, L tokens."""
    E, K, N, R = 128, 4, 16, 4
    with torch.device(device):
        u = torch.randn(1, L, E, requires_grad=backward)
        wide = torch.randn(1, L, K, R + 2 * N)
        dt, B, C = wide.split([R, N, N], 3)
        A, D = -torch.rand(K, E, N), torch.ones(K, E)
        weight, bias = torch.randn(K, E, R) * 0.1, torch.full((K, E), -4.0)
        routes = torch.arange(L).expand(K, L).contiguous()

    def call() -> None:
        y = selective_scan(u, dt, B, C, A, D, weight, bias, routes, backend)
        if backward:
            torch.autograd.grad(y.sum(), u)

    with torch.set_grad_enabled(backward):
        return median_ms(call, runs)


def scans() -> dict[str, tuple[Backend, str]]:
    """Backend and device of every scan that can run here, by name; "reference" first, which is the CPU's."""
    out: dict[str, tuple[Backend, str]] = {}
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        for backend in get_args(Backend):
            try:
                can = backend != "auto" and resolve(backend, torch.device(device), torch.float32) == backend
            except RuntimeError:
                continue
            if can:
                out[backend if device == "cpu" else f"{backend} {device}"] = backend, device
    return out


def _times_as_fast(ms: dict[str, float]) -> dict[str, float]:
    return {name: ms["reference"] / m for name, m in ms.items()}


def _lifter(runs: int) -> dict[str, Any]:
    path = weights.ensure(DEFAULT_LIFTER)
    ms = {
        name: lifter_ms_per_frame(load_lifter(path, device, backend), runs)
        for name, (backend, device) in scans().items()
    }
    return {"name": DEFAULT_LIFTER, "frames": FRAMES, "ms_per_frame": ms, "times_as_fast": _times_as_fast(ms)}


def _scan(tokens: int, runs: int) -> dict[str, Any]:
    ms = {name: scan_ms(backend, tokens, False, runs, device) for name, (backend, device) in scans().items()}
    return {"tokens": tokens, "ms": ms, "times_as_fast": _times_as_fast(ms)}


# Drawing: two made-up people move over a grey picture of 1768 × 994, drawn 720 pixels high.

_WIDTH, _HEIGHT, _FPS = 1768, 994, Fraction(30)


def render_speed(frames: int, rounds: int) -> dict[str, float]:
    """Cost of drawing on one thread, the best of several rounds.

    Returns:
        ms_per_frame: milliseconds of CPU; resize_ms: of a single cv2.resize of the video to the size it is shown at,
        measured in turns with the drawing; resizes: their quotient, which can be compared between machines, and between
        quiet and busy ones; width, height: of the picture drawn.
    """
    calls = _moving_scene(frames)
    renderer = Renderer(VideoMeta(_WIDTH, _HEIGHT, _FPS, None), scene=Scene(((-0.5, 0.3), (1.1, 0.6))))
    width, height = renderer.size
    shown = round(_WIDTH * height / _HEIGHT), height
    target = np.empty((*shown[::-1], 3), np.uint8)

    def draw() -> None:
        for call in calls:
            renderer.draw(*call)

    def resize() -> None:
        for call in calls:
            cv2.resize(call[0].bgr, shown, dst=target, interpolation=cv2.INTER_LINEAR)

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        drawn, resized = np.min([(_cpu_ms(draw), _cpu_ms(resize)) for _ in range(rounds)], 0) / frames
    finally:
        cv2.setNumThreads(threads)
    return {
        "ms_per_frame": float(drawn),
        "resize_ms": float(resized),
        "resizes": float(drawn / resized),
        "width": width,
        "height": height,
    }


def _cpu_ms(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def _moving_scene(frames: int) -> list[tuple]:
    """Arguments of `Renderer.draw` for every frame."""
    bgr = np.full((_HEIGHT, _WIDTH, 3), 128, np.uint8)
    people = [_walking_on_the_spot(frames, phase) for phase in (0.0, 2.0)]
    shapes = [coco17_to_h36m17(p, np.ones(p.shape[:2], np.float32))[0] for p in people]
    calls = []
    for i in range(frames):
        people2d, poses, roots = [], [], {}
        for track, (person, joints) in enumerate(zip(people, shapes, strict=True), start=1):
            x, y = -1.5 + track + 0.01 * i, 0.3 * track
            pixels = (person[i, :, :2] + (x, 0)) * 280 + (_WIDTH / 2, _HEIGHT / 2) + person[i, :, 2:] * 60
            box = np.array([*pixels.min(0), *pixels.max(0)], np.float32)
            people2d.append(Person2D(track, box, pixels.astype(np.float32), np.ones(17, np.float32)))
            poses.append(Pose3D(i, track, np.asarray(joints[i], np.float32)))
            roots[track] = np.array([x, y, 0.95], np.float32)
        calls.append((Frame(i, i / _FPS, bgr), tuple(people2d), tuple(poses), None, roots))
    return calls


def _walking_on_the_spot(frames: int, phase: float) -> FloatArray:
    """COCO-17 joints (frames, 17, 3) of somebody, metres from the pelvis, x right, y down."""
    # nose, then eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: left and right
    across = np.array([0, *(side * x for x in (0.03, 0.07, 0.17, 0.2, 0.22, 0.12, 0.12, 0.12) for side in (1, -1))])
    down = np.array([-0.62, *np.repeat([-0.65, -0.63, -0.45, -0.2, 0.05, 0, 0.43, 0.85], 2)])
    stride = np.array([0, *(side * z for z in (0, 0, 0, -0.1, -0.25, 0, 0.15, 0.3) for side in (1, -1))])
    swing = np.sin(2 * np.pi * np.arange(frames) / 30 + phase)[:, None]
    still = np.zeros((frames, 17))
    return np.stack([across + still, down + still, stride * swing], -1).astype(np.float32)


# The whole chain


def whole_run(video: Path, *options: object, render: Path | None = None) -> dict[str, Any]:
    """The command's own summary of a run in a process of its own, and `peak_mb`, the most memory it held, or None.

    Args:
        render: where the render goes; None for nowhere that outlives the run.

    Raises:
        UserError: with the command's sentence, where it failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        render, said = render or Path(temporary) / "render.mp4", Path(temporary) / "said.txt"
        arguments = [str(video), "--out", str(render), "--json", *map(str, options)]
        with said.open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "sasmamba.app.cli.main", *arguments],
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
            try:
                assert process.stdout is not None
                summary = process.stdout.read()
                peak_mb = _wait(process)
            finally:
                if process.poll() is None:  # we were interrupted; so it is, and cleans up
                    process.terminate()
                    process.wait()
        if process.returncode:
            last = (said.read_text().strip().splitlines() or ["it says nothing; try it by itself"])[-1]
            raise UserError(last.removeprefix("Error: "))
        return json.loads(summary) | {"peak_mb": peak_mb}


def _wait(process: subprocess.Popen[str]) -> float | None:
    """Waits for a process; the peak of its resident memory in MB, None on systems without wait4."""
    if not hasattr(os, "wait4"):
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def _clip(video: Path, frames: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        render = Path(temporary) / "render.mp4"
        summary = whole_run(video, "--max-frames", frames, render=render)
        beside = whole_against(video, summary["frames"], render, Path(temporary))
    people = sum(summary["people"].values())
    ms_2d = summary["stage_ms"]["2d"] * summary["frames"]
    return {
        "file": str(video),
        "frames": summary["frames"],
        "people": people,
        "2d_ms_per_person": ms_2d / people if people else None,
        "cpu_percent": 100 * summary["cpu_s"] / summary["seconds"],
        "times_yardsticks": {name: summary["seconds"] / seconds for name, seconds in beside.items()},
        **{k: summary[k] for k in ("fps", "seconds", "stage_ms", "peak_mb", "pose2d")},
    }
