"""What is done with a damaged file: what the product does with it, without the networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sasmamba.common.errors import UserError


def video(path: Path) -> str:
    """Reads a video and renders what was read, sound and all, into a folder of its own; both whole or not at all."""
    from sasmamba.app.io.mp4 import Mp4Sink
    from sasmamba.app.io.video_file import VideoFile

    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    with VideoFile(path, max_frames=200) as source:
        frames = list(source)
        if not frames:
            raise AssertionError("a file that was opened has a frame")
        height, width = (min(side // 2 * 2 or 2, 256) for side in frames[0].bgr.shape[:2])
        end_s = frames[-1].time_s + 1 / source.meta.fps + source.clock_s
        audio = path if source.has_audio else None
        with Mp4Sink(out / "r.mp4", width, height, source.meta.fps, audio, source.clock_s, end_s) as sink:
            for frame in frames:
                sink.write(_cut(frame.bgr, width, height), frame.time_s)
    left = [each.name for each in out.iterdir()]
    if left != ["r.mp4"]:
        raise AssertionError(f"want one render, got {left}")
    with VideoFile(out / "r.mp4") as render:
        seen = sum(1 for _ in render)
        if seen < len(frames) or render.problems:
            raise AssertionError(f"{seen} of {len(frames)} frames are in the render; {render.problems}")
    (out / "r.mp4").unlink()
    return f"{len(frames)} frames"


def _cut(bgr, width: int, height: int):  # type: ignore[no-untyped-def]
    import cv2
    import numpy as np

    small = bgr[:height, :width]
    return np.ascontiguousarray(
        cv2.copyMakeBorder(small, 0, height - small.shape[0], 0, width - small.shape[1], cv2.BORDER_CONSTANT)
    )


def keypoints(path: Path) -> str:
    """Reads 2D poses."""
    import numpy as np

    from sasmamba.app.io.keypoints import read_keypoints

    given = read_keypoints(path)
    if not np.isfinite(given.xyc).all():
        raise AssertionError("positions that are no numbers")
    return f"{given.xyc.shape}"


def weights(path: Path) -> str:
    """Loads a lifter, or reads a manifest, whose one error is ValueError."""
    if path.suffix == ".toml":
        from sasmamba.app.weights.manifest import read_manifest

        try:
            return f"{len(read_manifest(path))} entries"
        except ValueError as error:
            raise UserError(str(error)) from error
    from sasmamba.app.lifting.lifter import Lifter

    return f"{Lifter.load(str(path)).frames} frames"


def take(path: Path) -> str:
    """Reads saved poses and the settings in them, or corrections, and corrects."""
    from helpers_fix import walkers

    from sasmamba.app.config import Settings
    from sasmamba.app.export.saved_take import read_take
    from sasmamba.app.fix.applying import corrected
    from sasmamba.app.fix.fixes_file import read_fixes

    if path.suffix == ".json":
        done = corrected(walkers(12), read_fixes(path).corrections)
        return f"{len(done.take.tracks)} people, {len(done.problems)} corrections left out"
    saved = read_take(path)
    Settings.of_kept(saved.settings)
    return f"{len(saved.tracks)} people"


TARGETS: dict[str, Callable[[Path], str]] = {
    "videos": video,
    "keypoints": keypoints,
    "weights": weights,
    "takes": take,
}
