"""What `sasmamba-demo` says when nothing is asked of it: six commands, by what a person wants."""

from __future__ import annotations

from sasmamba.app.cli import console

#: What a person wants, and the command that does it.
SIX = (
    ("see it", "sasmamba-demo video.mp4"),
    ("animate", "sasmamba-demo video.mp4 --export bvh --rig mixamo"),
    ("measure", "sasmamba-demo video.mp4 --export html,measures,trc"),
    ("live", "sasmamba-demo 0"),
    ("many", "sasmamba-demo clips/ --out renders/"),
    ("program", "sasmamba-demo video.mp4 --export json,npz"),
)


def print_first_words() -> None:
    """Prints them, and where to go on."""
    console.say("Point it at a video of people, get their motion in 3D.")
    table = console.table()
    for want, command in SIX:
        table.add_row(f"  {want}", command)
    console.out.print(table, highlight=False)
    console.say("No video at hand: sasmamba-demo demo. What works on this machine: sasmamba-demo doctor.")
    console.say("All commands: sasmamba-demo --help. All options of one: sasmamba-demo run --help.")
