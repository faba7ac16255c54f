"""`sasmamba-demo fix`: arguments become a FixJob, what came of it a few lines. No logic."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sasmamba.app.cli import console, options


def fix(
    video: Annotated[Path, typer.Argument(help="The video that the poses are of.")],
    poses: Annotated[Path, typer.Argument(metavar="POSES.npz", help="Its poses, as --save-poses writes them.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The corrected poses.", show_default="POSES_fixed.npz")
    ] = None,
    fixes: Annotated[
        Path | None,
        typer.Option(help="Where corrections are kept; those in it are gone on with.", show_default="POSES.fixes.json"),
    ] = None,
    apply: Annotated[
        Path | None, typer.Option(help="Apply this file of corrections and write the poses, without a page.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the page on this machine; 0: any free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Correct poses by hand, in a page on this machine: drag joints, exchange sides or people, set the floor."""
    from sasmamba.app.cli.bars import Bars
    from sasmamba.app.fix.run_fix import FixJob, run_fix

    job = FixJob(video, poses, out, fixes, apply)
    console.show_messages(quiet or as_json)

    def served(url: str) -> None:
        console.note(f"Corrections are made at {url}")
        console.note("Ctrl-C saves them and ends.")
        if browser:
            import webbrowser

            webbrowser.open(url)

    with Bars(quiet or as_json) as bars:
        report = run_fix(job, port=port, device=device, served=served, progress=bars)
    if as_json:
        console.print_json(asdict(report))
        return
    for problem in report.problems:
        console.problem(problem)
    if not quiet:
        console.say(f"{report.corrections} correction{'s' * (report.corrections != 1)} applied")
        console.print_files(report.files)
        if report.files:
            console.say(f"render it with  {report.again}")
