"""Videos to renders beside their people in 3D: what the command does, for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from sasmamba.app.batch.run_batch import BatchReport, Watch, run_batch
from sasmamba.app.config import Job, Settings
from sasmamba.app.pipeline import run
from sasmamba.app.run_report import Report
from sasmamba.common.progress import Progress
from sasmamba.keyword_settings import FileName, RenderSettings


def render(
    video: FileName,
    out: FileName,
    *,
    poses: FileName | None = None,
    progress: Progress = lambda stage, done, total: None,
    **settings: Unpack[RenderSettings],
) -> Report:
    """Renders a video beside its people in 3D, as `sasmamba-demo VIDEO --out OUT` does.

    Args:
        video: The file.
        out: The render, .mp4 or .gif; it appears whole or not at all.
        poses: Also save the poses here, .npz.
        progress: Told the stage, how many frames are done, and how many there are (None where that is not known).
        **settings: See `RenderSettings`; unsaid ones are those of the command.

    Returns:
        What was done: frames, people, files, times, and sentences about losses.

    Raises:
        UserError: Anything a person can mend, in one sentence that says what to do.
    """
    job = Job(Path(video), Path(out), None if poses is None else Path(poses))
    return run(job, Settings(**settings), progress)


def render_folder(
    folder: FileName,
    out: FileName,
    *,
    save_poses: bool = False,
    jobs: int | None = None,
    cluster: str | None = None,
    watch: Watch | None = None,
    **settings: Unpack[RenderSettings],
) -> BatchReport:
    """Renders every video below a folder into another, as `sasmamba-demo FOLDER --out OUT` does.

    The same call goes on where an earlier one stopped. Videos are done in processes of their own: a script that calls
    this must keep what it does under `if __name__ == "__main__":`.

    Args:
        folder: Where the videos are, in folders of any depth.
        out: Where renders go; the tree of folders is kept.
        save_poses: Also save the poses of every video, .npz, beside its render.
        jobs: Videos at the same time; None for as many as cores and memory allow, on a cluster all its CPUs.
        cluster: Do them on this Ray cluster, HOST:PORT of its head; None for this machine.
        watch: Told the clip, its stage, how many frames are done, and how many there are (or None).
        **settings: See `RenderSettings`; unsaid ones are those of the command.

    Returns:
        How each video ended: "done", "kept" (it was done before) or "failed" with the reason.

    Raises:
        UserError: What stops the whole batch, in one sentence that says what to do.
    """
    return run_batch(
        Path(folder), Path(out), Settings(**settings), save_poses=save_poses, jobs=jobs, cluster=cluster, watch=watch
    )
