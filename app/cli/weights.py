"""`sasmamba-demo weights list`, `fetch`, `verify` and `where`: model files."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.measure import Measurement

from sasmamba.app.cli import console

app = typer.Typer(no_args_is_help=True, help="Model files: what there is, where it lies, fetch and verify.")


@app.command("list")
def list_() -> None:
    """All model files with size, licence, how they are checked and whether they are here."""
    from sasmamba.app import weights

    table = console.table("name", "state", "MB", "check", "licence", "purpose")
    for entry in weights.entries():
        state = weights.verify(entry.name).state
        size = "" if entry.size is None else f"{entry.size / 1e6:.1f}"
        table.add_row(entry.name, state, size, entry.sources[0].check, entry.licence, entry.purpose)
    # on lines as long as they are: whoever is to type a name must see all of it
    needed = Measurement.get(console.out, console.out.options.update(max_width=1000), table).maximum
    Console(width=max(console.out.width, needed)).print(table, highlight=False)


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all when none is named.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Touch no network: only say what is missing.")] = False,
) -> None:
    """Get model files that are not here yet."""
    from sasmamba.app import weights

    for name in names or [e.name for e in weights.entries()]:
        console.say(f"{name}: {weights.ensure(name, offline=offline or None, tell=console.note)}")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all when none is named.")] = None,
) -> None:
    """Check the files that are here against their checksums; exit code 1 if one is damaged."""
    from sasmamba.app import weights

    states = [weights.verify(name) for name in names or [e.name for e in weights.entries()]]
    for status in states:
        console.say(f"{status.entry.name}: {status.state}")
    if any(s.state == "damaged" or (names and s.state != "ok") for s in states):
        raise typer.Exit(1)


@app.command()
def where(name: Annotated[str, typer.Argument(help="Which.")]) -> None:
    """Print where a file lies or would lie."""
    from sasmamba.app import weights

    console.say(str(weights.verify(name).path))
