"""Whether anything became slower: `python benchmarks/speed_ratios.py`, beside what was accepted last.

Every part's CPU time over a yardstick's of the same run (see `app/cli/yardsticks.py` and `app/cli/start_up.py`), so
that neither the machine nor what else it does matters much. `--check` says with its exit code whether a part has become
slower, and `tests/unit/test_speed.py` holds a commit to that. After a change that makes something faster, or slower for
a good reason, on a machine that has little else to do:

    python benchmarks/speed_ratios.py --accept

writes them to `accepted_ratios.toml` for processors of this kind; commit that with the change, and say why.

What keeps a busy or another machine from looking like a slower part:

* CPU time is measured, not wall time, and the least of several rounds counts, each with everything in turn:
  whatever else the machine does only ever adds. What seems slow is measured in more rounds before that is said.
* The yardsticks are of different kinds: arithmetic with floats (MediaPipe), integers and memory (a video encoder),
  and the interpreter and files (importing torch). A part has become slower when it is slower against each of them. A
  neighbour on the same memory, or a processor that is better at one of these, moves some of the ratios, those of the
  part's own kind least; only the part itself moves all.
* Ratios are of one kind of processor, its generation included; where none were accepted, twice as much is allowed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import tomllib
from pathlib import Path

from sasmamba.app.cli.measuring import machine
from sasmamba.app.cli.start_up import TORCH, start_up
from sasmamba.app.cli.yardsticks import MEDIAPIPE, REENCODED, Costs, stage_costs
from sasmamba.app.weights import ensure

ACCEPTED = Path(__file__).with_name("accepted_ratios.toml")
YARDSTICKS = MEDIAPIPE, REENCODED, TORCH
#: Which of them each part is told as a multiple of.
AGAINST = {
    "2D": MEDIAPIPE,
    "lift": MEDIAPIPE,
    "lift, live, per person": MEDIAPIPE,
    "whole": MEDIAPIPE,
    "draw": REENCODED,
    "encode": REENCODED,
    "start-up": TORCH,
}
#: So much more than was accepted is too much; twice that much where nothing was accepted for processors of this kind,
#: which may be better at one thing than at another.
SLACK, SLACK_ELSEWHERE = 0.2, 1.0
#: Rounds of a check; it goes on to the next so many only where something still seems too slow.
CHECK_ROUNDS = 2, 2, 3


def kind() -> str:
    """What processors have to have in common for their ratios to be the same."""
    about = machine()
    return f"{about['processor']}{_generation()}, {about['cores']} cores, {about['kernels']}"


def _generation() -> str:
    """Family and model of a processor, as Linux tells them: virtual machines give generations of them one name."""
    info = Path("/proc/cpuinfo")
    told = info.read_text() if info.exists() else ""
    numbers = [re.search(rf"^{name}\s*:\s*(\d+)$", told, re.M) for name in ("cpu family", "model")]
    return f" (family {numbers[0][1]}, model {numbers[1][1]})" if numbers[0] and numbers[1] else ""


def measure(video: Path, costs: Costs | None = None, *, rounds: int = 3) -> Costs:
    """CPU time of all parts and yardsticks, the least of these rounds and of those before."""
    costs = stage_costs(video, frames=30, rounds=rounds, before=costs)
    with tempfile.TemporaryDirectory() as folder:
        times = start_up(video, "movenet", Path(folder), rounds=rounds)
    costs.note("start-up", times["file"]["cpu_s"], 1)
    costs.note(TORCH, times[TORCH]["cpu_s"], 1)
    return costs


def ratios(costs: Costs) -> dict[str, float]:
    """How many times a bare MediaPipe pass's frame every part and yardstick takes."""
    return {part: costs.ms[part] / costs.ms[MEDIAPIPE] for part in (*AGAINST, *YARDSTICKS)}


def accepted(file: Path = ACCEPTED) -> dict[str, dict[str, float]]:
    """Ratios that were accepted, by kind of processor."""
    if not file.exists():
        return {}
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    return {entry["kind"]: entry["ratios"] for entry in table.get("machine", ())}


def slower(now: dict[str, float], known: dict[str, float]) -> dict[str, float]:
    """How many times what was accepted each part takes, against that yardstick that speaks best for it."""
    return {
        part: min(now[part] / now[yardstick] / (known[part] / known[yardstick]) for yardstick in YARDSTICKS)
        for part in AGAINST
        if part in known
    }


def too_slow(now: dict[str, float], known: dict[str, dict[str, float]], here: str) -> list[str]:
    """A sentence for every part that takes more than it may on a machine of this kind; elsewhere the kind counts that
    speaks best for the part."""
    slack = SLACK if here in known else SLACK_ELSEWHERE
    kinds = [slower(now, known[name]) for name in ([here] if here in known else known)]
    times = {part: min(some[part] for some in kinds if part in some) for some in kinds for part in some}
    return [
        f"{part} takes {much:.3g} times what was accepted, {1 + slack:g} at most are allowed"
        for part, much in times.items()
        if not much <= 1 + slack
    ]


def accept(now: dict[str, float], here: str, file: Path = ACCEPTED) -> None:
    """Writes ratios down as those of machines of this kind."""
    table = accepted(file) | {here: now}
    lines = ["# Written by benchmarks/speed_ratios.py --accept: CPU time as a multiple of a bare MediaPipe pass.\n"]
    for name, entry in sorted(table.items()):
        lines.append(f'\n[[machine]]\nkind = "{name}"\n')
        lines.append("[machine.ratios]\n")
        lines += [f'"{part}" = {ratio:.4g}\n' for part, ratio in entry.items()]
    file.write_text("".join(lines), encoding="utf-8")


def check(video: Path) -> tuple[dict[str, float], list[str]]:
    """Ratios, and what is too slow after as many rounds as it takes to be sure."""
    costs, known = None, accepted()
    for rounds in CHECK_ROUNDS:
        costs = measure(video, costs, rounds=rounds)
        slow = too_slow(ratios(costs), known, kind())
        if not slow:
            break
    assert costs is not None
    return ratios(costs), slow


def main() -> int:
    """Measures and prints, accepts or checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?", help="with people; by default the demo clip")
    parser.add_argument("--rounds", type=int, default=5)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--accept", action="store_true", help="write the ratios down as accepted")
    what.add_argument("--check", action="store_true", help="exit code 1 if a part has become slower")
    args = parser.parse_args()
    video, slow = args.video or ensure("demo-clip"), list[str]()
    if args.check:
        now, slow = check(video)
    else:
        now = ratios(measure(video, rounds=args.rounds))
    before = accepted().get(kind())
    print(f"{'part':24}{'yardstick':>16}{'now':>8}{'accepted':>10}{'slower':>8}")
    for part, yardstick in AGAINST.items():
        line = f"{part:24}{yardstick:>16}{now[part] / now[yardstick]:8.3g}"
        if before:
            line += f"{before[part] / before[yardstick]:10.3g}{slower(now, before)[part]:8.2f}"
        print(line)
    for sentence in slow:
        print(sentence)
    if args.accept:
        accept(now, kind())
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
