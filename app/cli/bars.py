"""Progress on standard error: bars for one video, and for a folder of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sasmamba.app.cli import console

if TYPE_CHECKING:
    from sasmamba.app.batch.clips import Clip

_LABELS = {"analyse": "finding people", "render": "drawing", "lift": "lifting"}


class Bars:
    """Of one video, or one file of 2D: one bar per stage with speed and time left. Call it as `progress.Progress`."""

    def __init__(self, quiet: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} frames"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console.err,
        )
        self._quiet = quiet
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._tasks:
            self._progress.stop()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if self._quiet:
            return
        if stage not in self._tasks:
            self._progress.start()
            for task in self._progress.tasks:
                self._progress.update(task.id, total=task.completed)
            self._tasks[stage] = self._progress.add_task(_LABELS[stage], total=total, rate="")
        task = self._progress.tasks[self._tasks[stage]]
        rate = f"{task.speed:.1f} frames/s" if task.speed else ""
        self._progress.update(self._tasks[stage], completed=done, total=max(total, done) if total else None, rate=rate)


class FolderBars:
    """Of a folder: one bar for all videos, and one for each that is being done. Call it as `batch.run_batch.Watch`."""

    def __init__(self, quiet: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console.err,
            disable=quiet,
        )
        self._whole = self._progress.add_task("videos", total=None)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> FolderBars:
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def total(self, videos: int) -> None:
        """Tells how many videos there are; nothing is shown before."""
        self._progress.start()
        self._progress.update(self._whole, total=videos)

    def __call__(self, clip: Clip, stage: str, done: int, frames: int | None) -> None:
        if stage in ("done", "kept", "failed"):
            self._progress.advance(self._whole)
            if clip.name in self._tasks:
                self._progress.remove_task(self._tasks.pop(clip.name))
            return
        if clip.name not in self._tasks:
            self._tasks[clip.name] = self._progress.add_task("", total=None)
        description = f"{console.line(clip.name)}: {_LABELS[stage]}"
        self._progress.update(self._tasks[clip.name], description=description, completed=done, total=frames)
