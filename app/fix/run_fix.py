"""Corrects a file of poses by hand, in a page, or by a file of corrections, without one; writes what comes of it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from sasmamba.app.config import Settings, default_out
from sasmamba.app.export.saved_take import read_take
from sasmamba.app.fix.desk import Desk
from sasmamba.app.fix.fix_server import FixServer
from sasmamba.app.fix.fixes_file import beside, new_fixes, read_fixes, write_fixes
from sasmamba.app.fix.frame_pictures import FramePictures
from sasmamba.app.fix.relifting import RememberingLifter
from sasmamba.app.from_poses import check_belongs, lifter_of
from sasmamba.app.io.video_file import VideoFile
from sasmamba.common.errors import UserError
from sasmamba.common.files import check_writable, claimed, same_file
from sasmamba.common.interrupts import Stop
from sasmamba.common.numbers import check_between
from sasmamba.common.progress import Progress

#: Ctrl-C is looked for so often while the page is there.
_TURN_S = 0.2


@dataclass(frozen=True, slots=True)
class FixJob:
    """One file of poses to correct.

    Attributes:
        video: that the poses are of.
        poses: as `--save-poses` writes them.
        out: the corrected poses; NAME_fixed.npz where nobody says.
        fixes: where corrections are kept, and read from if they are there; NAME.fixes.json where nobody says.
        apply: apply this file of corrections and end, without a page.

    Raises:
        UserError: files of another kind, or one that would overwrite another (exit code 2).
    """

    video: Path
    poses: Path
    out: Path | None = None
    fixes: Path | None = None
    apply: Path | None = None

    def __post_init__(self) -> None:
        for path in (self.poses, self.written):
            if path.suffix.lower() != ".npz":
                raise UserError(f"Poses are kept as .npz, not {path.name!r}.", exit_code=2)
        if self.apply is not None and self.fixes is not None:
            raise UserError("--apply names the file of corrections already; leave --fixes out.", exit_code=2)
        read = (self.poses, self.video)
        for path, option, others in ((self.written, "--out", read), (self.kept, "--fixes", (*read, self.written))):
            for other in others:
                if path == other or same_file(path, other):
                    raise UserError(f"{path} would be overwritten; choose another {option}.", exit_code=2)

    @property
    def written(self) -> Path:
        """Where the corrected poses go."""
        return self.out or self.poses.with_name(f"{self.poses.stem}_fixed.npz")

    @property
    def kept(self) -> Path:
        """The file of corrections."""
        return self.apply or self.fixes or beside(self.poses)


@dataclass(slots=True)
class FixReport:
    """What came of it.

    Attributes:
        corrections: how many apply.
        files: that were written.
        problems: a sentence for each correction that does not apply, and for what the disk refused.
        again: the command that renders the corrected poses.
    """

    corrections: int = 0
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    again: str = ""


def run_fix(
    job: FixJob,
    *,
    port: int = 0,
    device: str = "auto",
    threads: int | None = None,
    served: Callable[[str], None] = lambda url: None,
    progress: Progress = lambda stage, done, total: None,
) -> FixReport:
    """Serves the page until Ctrl-C and then saves, or applies a file of corrections and saves.

    Args:
        job: the files.
        port: of the page; 0 is any free one.
        device: for the lifter.
        threads: of the lifter; None for as many as there are cores.
        served: told the page's address once it answers.
        progress: of the first lifting.

    Raises:
        UserError: anything a person can mend; corrections that were made are kept.
    """
    check_between("--port", port, 0, 65535)
    take = read_take(job.poses)
    settings = replace(Settings.of_kept(take.settings), device=device, threads=threads)
    fixes = read_fixes(job.kept) if job.apply is not None or job.kept.exists() else None
    with Stop.on_interrupt() as stop, _part(job.video, settings) as video, claimed(job.written):
        check_belongs(take, job.poses, video)
        if fixes is None:
            fixes = new_fixes(job.video, take.meta)
        fixes.check(take.meta, job.kept)
        for path in (job.written, job.kept):
            check_writable(path)
        report = FixReport()

        def save() -> str:
            work = desk.save(job.written)
            report.files = [str(job.written)]
            if job.apply is None:
                write_fixes(new_fixes(job.video, take.meta, work.corrections), job.kept)
                report.files.append(str(job.kept))
            report.corrections = len(work.corrections) - len(work.problems)
            report.problems = list(work.problems)
            return f"Written: {' and '.join(report.files)}."

        with ExitStack() as page:
            server = None
            if job.apply is None:  # whether the video is there to its end, and the port, is known before the lifting
                pictures = FramePictures(lambda start: _part(job.video, settings, start), take.times_s)
                page.callback(pictures.close)
                pictures.jpeg(take.frames - 1)
                server = page.enter_context(FixServer(pictures, job.video.name, save, port))
            desk = Desk(
                take,
                settings,
                RememberingLifter(lifter_of(settings)),
                fixes,
                start_s=float(video.start_s),
                autosave=None if server is None else job.kept,
                progress=progress,
            )
            if server is not None and not stop.asked:
                server.open(desk)
                served(server.url)
                while not stop.asked:
                    time.sleep(_TURN_S)
        if desk.unsaved or job.apply is not None:
            save()
        report.again = _again(job)
        return report


def _part(video: Path, settings: Settings, start_s: Fraction | None = None) -> VideoFile:
    """The part of a video that the poses are of, or what follows a time in it."""
    if start_s is not None:
        return VideoFile(video, start_s=start_s, stream=settings.stream)
    return VideoFile(
        video,
        start_s=settings.start_s,
        end_s=settings.end_s,
        max_frames=settings.max_frames,
        stream=settings.stream,
    )


def _again(job: FixJob) -> str:
    """The command that draws the corrected poses; those options that the poses were made with are in their file."""
    render = default_out(job.video)
    return shlex.join(
        [
            "sasmamba-demo",
            str(job.video),
            "--from-poses",
            str(job.written),
            "--out",
            str(render.with_stem(f"{render.stem}_fixed")),
        ]
    )
