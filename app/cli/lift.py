"""`sasmamba-demo lift`: 2D poses of a file to 3D poses in another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sasmamba.app.cli import console, options


def lift(
    source: Annotated[Path, typer.Argument(metavar="IN.npz", help="keypoints (F, J, 3), fps, width, height, skeleton")],
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Where joints3d (F, 17, 3) goes.")],
    lifter: options.Lifter = "",
    flip: options.Flip = True,
    refine: options.Refine = True,
    smooth: options.Smooth = True,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Lift 2D poses of your own to 3D."""
    from sasmamba.app.cli.bars import Bars
    from sasmamba.app.lift_file import lift_file
    from sasmamba.app.lifting.lifter import Lifter
    from sasmamba.app.weights.lifters import DEFAULT_LIFTER
    from sasmamba.common.device import resolve_device

    console.show_messages(quiet)
    chosen = Lifter.load(lifter or DEFAULT_LIFTER, resolve_device(device), flip, refine=refine)
    with Bars(quiet) as bars:
        frames = lift_file(source, out, chosen, smooth, bars)
    if not quiet:
        console.say(f"{frames} frames lifted to {out}")
