"""Whether anything became slower: `python benchmarks/speed_ratios.py`, beside the ratios that were accepted last.

Every part's CPU time over a yardstick's of the same run (see `app/cli/yardsticks.py` and `app/cli/start_up.py`), so
that neither the machine nor what else it does matters much. `tests/unit/test_speed.py` holds a commit to them. After a
change that makes something faster, or slower for a good reason, on a machine that has little else to do:

    python benchmarks/speed_ratios.py --accept

writes them to `accepted_ratios.toml` for processors of this kind; commit that with the change, and say why.
"""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from pathlib import Path

from sasmamba.app.cli.measuring import machine
from sasmamba.app.cli.start_up import TORCH, start_up
from sasmamba.app.cli.yardsticks import MEDIAPIPE, REENCODED, Costs, stage_costs
from sasmamba.app.weights import ensure

ACCEPTED = Path(__file__).with_name("accepted_ratios.toml")
#: Which yardstick each part is held against.
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


def kind() -> str:
    """What processors have to have in common for their ratios to be the same."""
    about = machine()
    return f"{about['processor']}, {about['cores']} cores, {about['kernels']}"


def measure(video: Path, costs: Costs | None = None, *, rounds: int = 3) -> Costs:
    """CPU time of all parts and yardsticks, the least of these rounds and of those before."""
    costs = stage_costs(video, frames=30, rounds=rounds, before=costs)
    with tempfile.TemporaryDirectory() as folder:
        times = start_up(video, "movenet", Path(folder), rounds=rounds)
    costs.note("start-up", times["file"]["cpu_s"], 1)
    costs.note(TORCH, times[TORCH]["cpu_s"], 1)
    return costs


def ratios(costs: Costs) -> dict[str, float]:
    """How many times its yardstick every part takes."""
    return {part: costs.ms[part] / costs.ms[yardstick] for part, yardstick in AGAINST.items()}


def accepted(file: Path = ACCEPTED) -> dict[str, dict[str, float]]:
    """Ratios that were accepted, by kind of processor."""
    if not file.exists():
        return {}
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    return {entry["kind"]: entry["ratios"] for entry in table.get("machine", ())}


def allowed(known: dict[str, dict[str, float]], here: str) -> dict[str, float]:
    """The largest ratio that each part may have on a machine of this kind."""
    if here in known:
        return {part: ratio * (1 + SLACK) for part, ratio in known[here].items()}
    parts = {part for entry in known.values() for part in entry}
    return {part: (1 + SLACK_ELSEWHERE) * max(e[part] for e in known.values() if part in e) for part in parts}


def too_slow(now: dict[str, float], most: dict[str, float]) -> list[str]:
    """A sentence for every part that takes more than it may."""
    return [
        f"{part} takes {now[part]:.3g} times its yardstick, {most[part]:.3g} at most are accepted"
        for part in now
        if part in most and not now[part] <= most[part]
    ]


def accept(now: dict[str, float], here: str, file: Path = ACCEPTED) -> None:
    """Writes ratios down as those of machines of this kind."""
    table = accepted(file) | {here: now}
    lines = ["# Written by benchmarks/speed_ratios.py --accept: CPU time of each part over its yardstick's.\n"]
    for name, entry in sorted(table.items()):
        lines.append(f'\n[[machine]]\nkind = "{name}"\n')
        lines.append("[machine.ratios]\n")
        lines += [f'"{part}" = {ratio:.4g}\n' for part, ratio in entry.items()]
    file.write_text("".join(lines), encoding="utf-8")


def main() -> None:
    """Measures and prints, or accepts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?", help="with people; by default the demo clip")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--accept", action="store_true", help="write the ratios down as accepted")
    args = parser.parse_args()
    now = ratios(measure(args.video or ensure("demo-clip"), rounds=args.rounds))
    before = accepted().get(kind(), {})
    print(f"{'part':24}{'now':>8}{'accepted':>10}")
    for part, ratio in now.items():
        print(f"{part:24}{ratio:8.3g}" + (f"{before[part]:10.3g}" if part in before else f"{'none':>10}"))
    if args.accept:
        accept(now, kind())


if __name__ == "__main__":
    main()
