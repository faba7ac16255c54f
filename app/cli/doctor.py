"""`sasmamba-demo doctor`: what works on this machine, as a table or JSON; exit code 1 where nothing can be rendered."""

from __future__ import annotations

import typer
from rich.markup import escape

from sasmamba.app.cli import console, options


def doctor(as_json: options.AsJson = False) -> None:
    """Say what works on this machine and how to mend the rest."""
    from sasmamba.app.cli.examination import examine, verdict

    findings = examine()
    last = verdict(findings)
    if as_json:
        console.print_json({f.part: {"ok": f.ok, "found": f.found, "remedy": f.remedy} for f in (*findings, last)})
    else:
        table = console.table("", "", "")
        for f in findings:
            mark = "[green]ok[/]" if f.ok else "[yellow]--[/]" if f.optional else "[red]no[/]"
            table.add_row(mark, f.part, escape(f.found) + (f" [dim]→ {escape(f.remedy)}[/]" if f.remedy else ""))
        console.out.print(table, highlight=False)
        console.say(f"{last.found} {last.remedy}".strip())
    if not last.ok:
        raise typer.Exit(1)
