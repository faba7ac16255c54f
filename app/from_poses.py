"""What a run takes from files instead of finding it: people of saved poses, and corrections made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sasmamba.app.config import Job, Settings
from sasmamba.app.fix.applying import corrected
from sasmamba.app.fix.fixes_file import read_fixes
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.take import Take
from sasmamba.common.device import resolve_device
from sasmamba.common.errors import UserError

if TYPE_CHECKING:
    from sasmamba.app.lifting.lifter import Lifter

#: A container may promise so many frames too many or too few, or this share of them.
_FRAMES, _SHARE = 2, 0.02
#: Rates of one video differ by no more than this share, however they were rounded.
_RATE = 0.002


def check_belongs(take: Take, poses: Path, video: VideoFile) -> None:
    """Refuses a video that saved poses are not of.

    Raises:
        UserError: it has another size, rate or number of frames (exit code 2).
    """
    has, wanted = video.meta, take.meta
    missing = 0 if has.frames is None else take.frames - has.frames
    if (has.width, has.height) != (wanted.width, wanted.height):
        of_video, of_poses = f"{has.width}×{has.height} pixels", f"{wanted.width}×{wanted.height}"
    elif abs(has.fps - wanted.fps) > _RATE * wanted.fps:
        of_video, of_poses = f"{float(has.fps):.4g} frames a second", f"{float(wanted.fps):.4g}"
    elif (missing if take.cut_short else abs(missing)) > max(_FRAMES, _SHARE * take.frames):
        of_video, of_poses = f"{has.frames} frames", f"{take.frames}"
    else:
        return
    raise UserError(
        f"{poses} is not of {video.path}: the video has {of_video}, the poses are of one with {of_poses}.", exit_code=2
    )


def correction(job: Job, video: VideoFile, problems: list[str]) -> Callable[[Take], Take]:
    """What a job's file of corrections makes of a take's 2D; what does not apply is told in `problems` then.

    Raises:
        UserError: the file breaks the format, or is for another video.
    """
    if job.fixes is None:
        return lambda take: take
    fixes = read_fixes(job.fixes)
    fixes.check(video.meta, job.fixes)

    def correct(take: Take) -> Take:
        done = corrected(take, fixes.corrections, float(video.start_s))
        problems.extend(done.problems)
        return done.take

    return correct


def lifter_of(settings: Settings) -> Lifter:
    """The lifter of settings.

    Raises:
        UserError: it cannot be had or used.
    """
    from sasmamba.app.lifting.lifter import Lifter  # brings torch

    device = resolve_device(settings.device)
    flip, refine, threads = settings.flip, settings.refine, settings.threads
    return Lifter.load(settings.lifter, device, flip, refine=refine, threads=threads, detected=True)
