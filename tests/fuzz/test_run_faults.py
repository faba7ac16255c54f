"""Some of a run's writes, renames, reads and models fail, one after the other: a whole file or none, and one sentence.

`python tests/fuzz/run_faults.py` lets each of them fail.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from run_faults import KINDS, Ended, build_disk, campaign, fault_of, steps

#: What a run leaves: the checksums that each file may have.
WHOLE = {"r.mp4": {"a"}, "r_about.json": set[str]()}
TRACEBACK = "Traceback (most recent call last):\n  …\nKeyError: 'a bug'"


def test_each_fault_ends_in_a_whole_file_or_none_and_a_sentence(tmp_path: Path) -> None:
    if build_disk(tmp_path) is None:
        pytest.skip("needs Linux and a C compiler")
    told: list[str] = []
    assert campaign(tmp_path, 80, told.append) == []
    assert [line.split(":")[0] for line in told] == ["without a fault", *KINDS]
    # the faults did take place: no kind ended well throughout
    assert all("in a sentence" in line for line in told[1:])


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (Ended(0, "", 9, {"r.mp4": "a", "r_about.json": "x"}), ""),
        (Ended(1, "Error: the disk is full.", 9, {"r.mp4": "a"}), ""),
        (Ended(0, "Note: it is damaged.", 9, {"r.mp4": "b"}), ""),
        (Ended(0, "", 9, {"r.mp4": "a"}), "not written: r_about.json"),
        (Ended(1, "Error: the disk is full.", 9, {"r.mp4": "b"}), "not whole: r.mp4 (b)"),
        (Ended(1, "Error: no.", 9, {".r.0123abcd.part.mp4": "b"}), "left behind: .r.0123abcd.part.mp4"),
        (Ended(1, TRACEBACK, 9, {}), f"exit code 1: {TRACEBACK}"),
        (Ended(2, "Error: no.", 9, {}), "exit code 2: Error: no."),
        (Ended(-1, TRACEBACK, 0, {}), TRACEBACK),
        (Ended(-2, "exit code -11", 0, {}), "exit code -11"),
    ],
)
def test_what_would_be_found(ended: Ended, fault: str) -> None:
    assert fault_of(ended, WHOLE) == fault


def test_the_first_and_the_last_call_always_fail() -> None:
    assert steps(100, 40) == [1, 41, 81, 100]
    assert steps(1, 40) == [1]
    assert steps(0, 40) == []
