"""`sasmamba-demo demo`: the demo clip, fetched and rendered wherever one is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sasmamba.app.cli import console, options
from sasmamba.app.cli.run import run


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The render, .mp4 or .gif.")] = Path("park_3d.mp4"),
    pose2d: options.Pose2D = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Fetch a clip of two people in a park and render it, as a first try."""
    from sasmamba.app import weights

    clip = weights.ensure("demo-clip", tell=(lambda sentence: None) if quiet else console.note)
    run(clip, out=out, pose2d=pose2d, quiet=quiet)
