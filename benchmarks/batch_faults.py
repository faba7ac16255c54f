"""A folder of odd and broken clips, a batch that is killed again and again, and whether anything was lost.

    python benchmarks/batch_faults.py CLIP [--clips 40] [--kills 3] [--jobs 2] [--seed 0] [--keep FOLDER]

Short pieces are cut from CLIP into folders and names that break careless programs, five more are broken in different
ways. `sasmamba-demo FOLDER --out OUT --jobs 2 --pose2d mediapipe` is killed at random moments, its whole process group
with SIGKILL, and started again until it ends by itself. Exit code 1 if anything is not as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.console import Console
from rich.table import Table

#: Folders and names of the pieces; {} is a number.
_NAMES = (
    "{}.mp4",
    "day 1/two words {}.mp4",
    'day 1/it\'s "quoted" {}.MP4',
    "día 2/🙂 {}.mp4",
    "-leading dash {}.mp4",
    "deep/er/est/new\nline {}.mp4",
    "day 1/[bold]{}[slash].mp4",
    "per%cent/$HOME `{}`.mp4",
)
_BROKEN = ("broken/empty.mp4", "broken/text.mp4", "cut off.mp4", "broken/sound only.mp4", "broken/folder.mp4/link.mp4")
_SIZE = (442, 248)


def main() -> None:
    """Makes the folder, has the batch killed, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--clips", type=int, default=40, help="of which five are broken")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="work here and leave everything")
    given = parser.parse_args()
    work = given.keep or Path(tempfile.mkdtemp(prefix="batch_faults_"))
    dice = random.Random(given.seed)
    folder, out = work / "clips", work / "out"
    frames = make_folder(given.clip, folder, given.clips - len(_BROKEN), dice)
    command = [
        Path(sys.executable).with_name("sasmamba-demo"),
        folder,
        "--out",
        out,
        "--jobs",
        str(given.jobs),
        "--pose2d",
        "mediapipe",
        "--quiet",
    ]
    starts, code, err, snapshots = run_until_done(command, out, given.kills, dice)
    checks = examine(out, frames, snapshots, code, err)
    table = Table("", "want", "got", "", box=None, padding=(0, 2, 0, 0))
    for what, want, got in checks:
        table.add_row(what, str(want), str(got), "ok" if want == got else "[red]NO[/]")
    Console().print(f"{given.clips} clips, {given.kills} kills, {starts} starts", highlight=False)
    Console().print(table, highlight=False)
    if not given.keep:
        shutil.rmtree(work)
    if any(want != got for _, want, got in checks):
        sys.exit(1)


def make_folder(clip: Path, folder: Path, pieces: int, dice: random.Random) -> dict[str, int]:
    """Fills the folder; returns how many frames each piece that can be done has, by its name."""
    with av.open(str(clip)) as file:
        pictures = [
            picture.reformat(width=_SIZE[0], height=_SIZE[1], format="bgr24").to_ndarray()
            for picture in islice(file.decode(video=0), 120)
        ]
    frames = {}
    for i in range(pieces):
        name, count = _NAMES[i % len(_NAMES)].format(i), dice.randint(8, 20)
        begin = dice.randint(0, max(len(pictures) - count, 0))
        write(folder / name, pictures[begin : begin + count])
        frames[name] = min(count, len(pictures))
    for name in _BROKEN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / _BROKEN[0]).write_bytes(b"")
    (folder / _BROKEN[1]).write_text("not a video\n" * 100)
    write(folder / "whole", pictures[:20], form="mp4")
    whole = (folder / "whole").read_bytes()
    (folder / _BROKEN[2]).write_bytes(whole[: len(whole) // 2])
    (folder / "whole").unlink()
    with av.open(str(folder / _BROKEN[3]), "w") as file:
        stream: Any = file.add_stream("aac", rate=44100, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        file.mux(stream.encode(sound))
        file.mux(stream.encode(None))
    (folder / _BROKEN[4]).symlink_to("nowhere.mp4")  # in a folder that looks like a clip
    return frames


def write(path: Path, pictures: list[np.ndarray], form: str | None = None) -> None:
    """Writes pictures as H.264."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(f"file:{path}", "w", format=form) as file:
        stream: Any = file.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *_SIZE, "yuv420p"
        for picture in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        file.mux(stream.encode(None))


def run_until_done(
    command: list[object], out: Path, kills: int, dice: random.Random
) -> tuple[int, int, str, list[dict[str, int]]]:
    """Runs the command, killed so often; returns how often it was started, its last exit code and standard error, and
    the renders' times of change that the journal vouched for after each kill."""
    snapshots: list[dict[str, int]] = []
    for start in range(1, kills + 2):
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if start <= kills:
            # at random, but not before it has done something new: killed while it loads, it would prove nothing
            had, until = len(journal(out)), time.monotonic() + 120
            while len(journal(out)) <= had and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(dice.uniform(0, 3))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                snapshots.append(times(out))
                continue
        _, err = process.communicate()
        return start, process.returncode, err, snapshots
    raise AssertionError("unreachable")


def journal(out: Path) -> list[dict[str, Any]]:
    """The journal's whole lines."""
    try:
        lines = (out / ".sasmamba-batch.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def times(out: Path) -> dict[str, int]:
    """Times of change of all files that the journal says are done, by their path in `out`."""
    return {file: (out / file).stat().st_mtime_ns for r in journal(out) if not r["error"] for file in r["files"]}


def examine(
    out: Path, frames: dict[str, int], snapshots: list[dict[str, int]], code: int, err: str
) -> list[tuple[str, Any, Any]]:
    """What must be, and what is."""
    want = {str(Path(name).with_name(f"{Path(name).stem}_3d.mp4")): count for name, count in frames.items()}
    ours = (".sasmamba-batch.jsonl", ".sasmamba-batch.lock")
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.name not in ours}
    whole = sum(decoded(out / name) == count for name, count in want.items() if name in there)
    done = Counter(r["clip"] for r in journal(out) if not r["error"])
    last = {r["clip"]: r["error"] for r in journal(out)}
    after = times(out)
    touched = sum(after.get(name) != when for snapshot in snapshots for name, when in snapshot.items())
    errors = [last.get(name, "") for name in _BROKEN]
    said = sum(bool(error) and "bug" not in error and "Traceback" not in error for error in errors)
    return [
        ("kills that hit a batch at work", len(snapshots), sum(bool(s) for s in snapshots)),
        ("exit code", 1, code),
        ("renders that are whole, frame for frame", len(want), whole),
        ("other files, temporary ones too", 0, len(there - set(want))),
        ("clips done more than once, by the journal", 0, sum(n > 1 for n in done.values())),
        ("renders touched after they were done", 0, touched),
        ("broken clips with a sentence in the journal", len(_BROKEN), said),
        ("broken clips named on standard error", len(_BROKEN), sum(name in err for name in _BROKEN)),
        ("tracebacks", 0, err.count("Traceback")),
    ]


def decoded(path: Path) -> int:
    """Frames that can be read."""
    with av.open(f"file:{path}") as file:
        return sum(1 for _ in file.decode(video=0))


if __name__ == "__main__":
    main()
