"""`python -m sasmamba.training`: train, evaluate, average, grow, uncertainty, check, convert; what torchrun starts."""

from __future__ import annotations

import sys

import typer

from sasmamba.common.errors import UserError
from sasmamba.training import commands

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
for command in (
    commands.train,
    commands.evaluate,
    commands.average,
    commands.grow,
    commands.uncertainty,
    commands.check,
    commands.convert,
):
    app.command()(command)


def main() -> None:
    """Runs the command and turns a UserError into its sentence and exit code."""
    try:
        app()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
