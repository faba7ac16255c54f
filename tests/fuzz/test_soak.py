"""Live mode for a third of a minute of a stream that is cut twice, watched now and then; and what a soak would find.

`python tests/fuzz/soak.py` does it for two hours.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from soak import Look, Outcome, soak


def ran(memory_mb: float = 400, threads: int = 20, files: int = 9, delay_s: float = 0.05, code: int = 0) -> Outcome:
    """Ten minutes, the last of which is as the arguments say."""
    looks = [Look(t, 400 if t < 500 else memory_mb, 20 if t < 500 else threads, 9) for t in range(0, 600, 2)]
    looks[-30:] = [Look(k.time_s, k.memory_mb, k.threads, files) for k in looks[-30:]]
    delays = [(t / 10, 0.05 if t < 5000 else delay_s) for t in range(6000)]
    return Outcome(looks, delays, 9, 40, code, "Error: no.")


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        (ran(), []),
        (ran(memory_mb=419, delay_s=0.07), []),
        (ran(memory_mb=430), ["memory_mb grew from 400 to 430"]),
        (ran(threads=21), ["threads grew from 20 to 21"]),
        (ran(files=10), ["files grew from 9 to 10"]),
        (ran(delay_s=0.08), ["the delay grew from 0.050 to 0.080 s"]),
        (ran(code=1), ["exit code 1: Error: no."]),
    ],
)
def test_what_would_be_found(outcome: Outcome, found: list[str]) -> None:
    assert outcome.faults() == found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="memory and files are told in another way there")
def test_a_third_of_a_minute(tmp_path: Path) -> None:
    outcome = soak(tmp_path, 1 / 3, None, None, cut_s=6.0)
    assert outcome.code == 0, outcome.err
    assert outcome.cuts >= 2
    assert outcome.visits >= 1
    shown = [time for time, _ in outcome.delays]
    assert max(b - a for a, b in itertools.pairwise(shown)) < 5  # it came back after each cut, long before the next
    assert outcome.looks[-1].files <= outcome.looks[0].files + 1
