"""`sasmamba-demo bench`: how fast everything is on this machine, as a table or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sasmamba.app.cli import console, options


def bench(
    video: Annotated[
        Path | None, typer.Argument(help="The clip to run on, its first 300 frames.", show_default="the demo clip")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few frames of everything: rough figures.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Measure how fast everything is on this machine, in about two minutes."""
    from sasmamba.app.cli.measuring import measure, rows

    console.show_messages(as_json)
    results = measure(video, quick=quick)
    if as_json:
        console.print_json(results)
        return
    table = console.table()
    for what, figure in rows(results):
        table.add_row(what, escape(figure))
    console.out.print(table, highlight=False)
