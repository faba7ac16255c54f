"""Walks every guide as a stranger would, command by command as written: `python benchmarks/guides.py VIDEO`.

Takes the commands out of the fenced blocks of docs/guides/*.md, runs those of `sasmamba-demo` and of examples/ in an
empty folder of the guide's own, and prints CPU seconds of each as a ratio to the bare run of the same video, and the
files that appeared. Whatever name a guide gives its video stands for VIDEO; a camera (`sasmamba-demo 0`) is played by
VIDEO for --live-seconds. A command that needs what is not here (a package, a data set) is told, not run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDES = ROOT / "docs/guides"
#: Packages that a program of examples/ needs; it is run by `--python` of that program, or by this Python.
NEEDS = {"opensim_ik.py": "opensim", "robot_retarget.py": "mink"}


def commands(guide: str) -> list[str]:
    """Lines of fenced blocks that a reader would type."""
    blocks = re.findall(r"^```(?:\w*)\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    lines = [line.partition("    #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(("sasmamba-demo ", "python "))]


def runnable(line: str, video: Path, folder: Path, options: argparse.Namespace) -> list[str] | str:
    """A command as it can be run in the folder, or why it cannot."""
    words = shlex.split(line)
    if words[0] == "python":
        example = ROOT / words[1]
        if example.name in NEEDS:
            python = options.python.get(example.name)
            if python is None and importlib.util.find_spec(NEEDS[example.name]) is None:
                return f"needs the package {NEEDS[example.name]}"
        words = [options.python.get(example.name) or sys.executable, str(example), *words[2:]]
        words = [options.robot if word.endswith(".xml") else word for word in words]
        return "needs --robot" if "" in words else words
    if words[1] == "evaluate":
        return "needs Human3.6M"
    if words[1] == "0":
        words[1:2] = ["live", str(video), "--seconds", str(options.live_seconds), "--no-window"]
    for word in words[1:]:
        if Path(word).suffix == ".mp4" and not (folder / word).exists() and not Path(word).is_absolute():
            shutil.copy(video, folder / word)
    return [sys.executable, "-m", "sasmamba.app.cli.main", *words[1:]]


def measured(command: list[str], folder: Path) -> tuple[int, float, str]:
    """Exit code, CPU seconds with children, and what was said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.returncode, seconds, (done.stdout + done.stderr).strip()


def pair(text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, _, value = text.partition("=")
    return name, value


def main() -> None:
    """Prints a table, and leaves with 1 if a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--live-seconds", type=float, default=5.0, help="how long a camera is played")
    parser.add_argument("--robot", default="", help="an MJCF file for the roboticist")
    parser.add_argument("--python", type=pair, action="append", default=[], help="EXAMPLE.py=PYTHON with its packages")
    parser.add_argument("--guide", action="append", help="only this one: animator, clinic, …")
    parser.add_argument("--keep", type=Path, help="leave the guides' folders here")
    options = parser.parse_args()
    options.python = dict(options.python)
    video, failed = options.video.resolve(), 0
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep.resolve() if options.keep else Path(scratch)
        (root / "bare").mkdir(parents=True, exist_ok=True)
        shutil.copy(video, root / "bare/video.mp4")
        command = [sys.executable, "-m", "sasmamba.app.cli.main", "video.mp4"]
        _, bare, _ = measured(command, root / "bare")
        print(f"bare run: {bare:.1f} CPU seconds\n")
        print("| guide | command | CPU, bare run = 1 | what came |\n| --- | --- | --- | --- |")
        for path in sorted(GUIDES.glob("*.md")):
            if options.guide and path.stem not in options.guide:
                continue
            folder = root / path.stem
            folder.mkdir(exist_ok=True)
            for line in commands(path.read_text()):
                words = runnable(line, video, folder, options)
                if isinstance(words, str):
                    print(f"| {path.stem} | `{line}` | – | not run: {words} |", flush=True)
                    continue
                there = set(folder.iterdir())
                code, seconds, said = measured(words, folder)
                came = ", ".join(sorted(p.name for p in set(folder.iterdir()) - there)) or "–"
                (folder / "said.txt").open("a").write(f"$ {line}\n{said}\n")
                if code:
                    failed += 1
                    came = f"**failed with {code}**: {said.splitlines()[-1] if said else ''}"
                print(f"| {path.stem} | `{line}` | {seconds / bare:.2f} | {came} |", flush=True)
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
