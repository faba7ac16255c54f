"""`sasmamba-demo run` for a folder: arguments become a batch, its report a table or JSON and an exit code. No logic."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.table import Table

from sasmamba.app.batch.run_batch import BatchReport, run_batch
from sasmamba.app.cli import console
from sasmamba.app.cli.bars import FolderBars
from sasmamba.app.cli.options import IMPLAUSIBLE
from sasmamba.app.config import RENDER_SUFFIXES, Settings
from sasmamba.common.errors import UserError


def run_folder(
    folder: Path,
    out: Path | None,
    settings: Settings,
    *,
    save_poses: bool,
    jobs: int | None,
    cluster: str | None,
    quiet: bool,
    as_json: bool,
    strict: bool,
) -> None:
    """Does every video of a folder, shows how far it is, and ends with a table.

    Raises:
        UserError: as `run_batch`, the disk became full, or --out must be told.
        typer.Exit: 1 where a video failed, 3 where a self-check found something and `strict` was asked for, 130 where
            the user stopped it.
    """
    out = out or _beside(folder)
    if out.suffix.lower() in RENDER_SUFFIXES:
        raise UserError(f"{folder} is a folder, so --out must be one, too, not {out.name!r}.", exit_code=2)
    with FolderBars(quiet or as_json) as bars:
        report = run_batch(
            folder, out, settings, save_poses=save_poses, jobs=jobs, cluster=cluster, watch=bars, told_total=bars.total
        )
    if as_json:
        _print_json(report, out)
    else:
        _print_table(report, out, quiet)
    if report.interrupted:
        console.note(f"Stopped: {report.untried} not done yet; the same command goes on from here.")
        raise typer.Exit(130)
    if report.stopped:
        raise UserError(report.stopped)
    if report.count("failed"):
        raise typer.Exit(1)
    if strict and any(e.report.get("findings") for e in report.clips):
        raise typer.Exit(IMPLAUSIBLE)


def _beside(folder: Path) -> Path:
    """Where renders go when nobody says.

    Raises:
        UserError: nothing lies beside the root of a disk (exit code 2).
    """
    name = folder.resolve().name
    if not name:
        raise UserError(f"Nothing can lie beside {folder}: say with --out where renders go.", exit_code=2)
    # "." and ".." have no name that another could stand for
    return (folder.resolve() if folder.name in ("", "..") else folder).with_name(f"{name}_3d")


def _print_json(report: BatchReport, out: Path) -> None:
    videos = [{"video": e.clip.name, "state": e.state, "error": e.error} | e.report for e in report.clips]
    told = {
        "out": str(out),
        "untried": report.untried,
        "problems": report.problems,
        "stopped": report.stopped,
        "videos": videos,
    }
    console.print_json(told)


def _print_table(report: BatchReport, out: Path, quiet: bool) -> None:
    shown = Table("video", "", "frames", "people", "findings", "frames/s", box=None, padding=(0, 2, 0, 0))
    for e in report.clips:
        r = e.report
        cells = (
            (str(r["written"]), str(len(r["people"])), str(len(r.get("findings", ()))), f"{r['fps']:.1f}")
            if r
            else ("", "", "", "")
        )
        shown.add_row(console.line(e.clip.name), e.state, *cells)
    if not quiet:
        console.out.print(shown, highlight=False)
        counts = ", ".join(f"{report.count(s)} {s}" for s in ("done", "kept", "failed"))
        console.say(f"{counts}; renders in {out}")
    for e in report.clips:
        if e.error:
            failed = f"[red]{console.line(e.clip.name)}:[/] {console.line(e.error)}"
            console.err.print(failed, highlight=False, soft_wrap=True)
    for problem in report.problems:
        console.problem(problem)
