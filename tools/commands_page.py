"""Writes docs/commands.md from the commands themselves: what `--help` says is said once.

python tools/commands_page.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer.main

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
HEAD = """\
# Commands and options

This page is written by `python tools/commands_page.py` from what `--help` says. A file's name alone means `run`, a
camera or a stream alone means `live`; `sasmamba-demo` alone shows six commands to begin with. Exit codes: 0 done, 1
failed, 2 asked for something that there is not, 3 a self-check found something (`--strict`), 130 stopped. `--json`
prints results for other programs.
"""


def page() -> str:
    """The whole page."""
    from sasmamba.app.cli.main import app
    from sasmamba.training.__main__ import app as training

    parts = [HEAD, *_commands(typer.main.get_command(app), "sasmamba-demo")]
    parts += _commands(typer.main.get_command(training), "python -m sasmamba.training")
    return "\n".join(parts)


def _commands(group: Any, program: str) -> list[str]:
    parts = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            parts += _commands(command, f"{program} {name}")
        else:
            parts.append(_described(command, f"{program} {name}"))
    return parts


def _described(command: Any, name: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    words = [f"{p.metavar or p.name}".strip("{}[].") + ("" if p.required else "?") for p in arguments]
    lines = [f"## {' '.join([name, *words])}", _plain(command.help), ""]
    rows = [(f"`{word}`", "", _plain(p.help)) for word, p in zip(words, arguments, strict=True)]
    for p in command.params:
        if p.param_type_name == "option" and p.name != "help":
            flags = ", ".join(f"`{flag}`" for flag in (*p.opts, *p.secondary_opts))
            rows.append((flags, _default(p), _plain(p.help)))
    if rows:
        lines += ["| option | default | what it does |", "| --- | --- | --- |"]
        lines += [f"| {flags} | {default} | {what} |" for flags, default, what in rows]
        lines.append("")
    return "\n".join(lines)


def _default(option: Any) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    if option.required:
        return "required"
    if option.is_flag:
        return {True: f"`{option.opts[0]}`", False: ""}.get(option.default, "")
    return "" if option.default in (None, "", ()) else f"`{option.default}`"


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("[bold]", "").replace("[/]", "").split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
