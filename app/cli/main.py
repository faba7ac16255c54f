"""The command: puts its parts together, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from sasmamba.app.cli import console, weights
from sasmamba.app.cli.bench import bench
from sasmamba.app.cli.command_group import CommandGroup
from sasmamba.app.cli.demo import demo
from sasmamba.app.cli.doctor import doctor
from sasmamba.app.cli.export_onnx import export_onnx
from sasmamba.app.cli.first_words import print_first_words
from sasmamba.app.cli.fix import fix
from sasmamba.app.cli.lift import lift
from sasmamba.app.cli.live import live
from sasmamba.app.cli.run import run
from sasmamba.common import native_output
from sasmamba.common.errors import UserError, memory_error
from sasmamba.training.commands import evaluate, train, train_2d

app = typer.Typer(
    cls=CommandGroup,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Point it at a video of people, get their motion in 3D.\n\n"
    "[bold]sasmamba-demo VIDEO.mp4 --out RENDER.mp4[/] draws the video and the people in 3D side by side; "
    "[bold]sasmamba-demo run --help[/] lists its options.\n\n"
    "[bold]sasmamba-demo 0[/] shows what the first camera sees, while it happens; "
    "[bold]sasmamba-demo VIDEO.mp4 --live[/] shows a file so.",
)
# names and help of the commands are those of their functions
COMMANDS = {
    "See people in 3D": (run, live, demo, fix),
    "This machine": (doctor, bench),
    "Poses and networks of your own": (lift, export_onnx, train, train_2d, evaluate),
}
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(weights.app, name="weights", rich_help_panel="This machine")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        console.say(f"sasmamba-demo {version('sasmamba-demo')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print_first_words()


def main() -> None:
    """Entry point: runs the command and turns a UserError into its sentence and exit code."""
    try:
        console.settle_streams()
        native_output.silence()
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that clean-up takes place
        app(prog_name="sasmamba-demo")
    except KeyboardInterrupt:
        console.note("Stopped before anything began.")
        sys.exit(130)
    except UserError as error:
        console.fail(str(error), error.exit_code)
    except OSError as error:  # a full disk behind standard output, say
        console.fail(f"The system refuses to go on: {error}. Mend that and run the command again.", 1)
    except (MemoryError, RuntimeError) as error:
        told = memory_error(error)
        if told is None:
            raise
        console.fail(str(told), told.exit_code)


if __name__ == "__main__":
    main()
