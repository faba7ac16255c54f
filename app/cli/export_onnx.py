"""`sasmamba-demo export-onnx`: a lifter as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sasmamba.app.cli import console


def export_onnx(
    lifter: Annotated[str, typer.Argument(help="A name from `weights list` or a .safetensors file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="Where the ONNX file goes.")],
    frames: Annotated[
        int | None,
        typer.Option(
            help="Frames of a window, fixed in the file; the batch is free.", show_default="the lifter's longest"
        ),
    ] = None,
) -> None:
    """Write a lifter as ONNX: joints in pixels in, metres out; for other languages and runtimes."""
    from sasmamba.app.lifting.export_onnx import export_lifter

    console.say(f"{export_lifter(lifter, out, frames)} written")
