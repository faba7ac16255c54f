"""A small folder whose batch is killed twice and whose disk is full once: nothing lost, redone or mixed.

`python tests/fuzz/folder_campaign.py` does it with two hundred clips.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from folder_campaign import Outcome, campaign, examine

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals work differently on Windows")


def test_killed_and_full(tmp_path: Path) -> None:
    told = campaign(tmp_path, clips=24, kills=2, full=1, jobs=2, seed=2026, seconds=0.2)
    assert told.good, told
    assert told.killed >= 1  # a batch may be done before the last blow falls
    assert told.full == 1


def test_what_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a_3d.mp4").write_text("a")
    (tmp_path / "b_3d.mp4").write_text("a")
    (tmp_path / ".c.0123abcd.part.mp4").touch()
    line = '{"clip": "a.mp4", "error": "", "files": {}}\n'
    (tmp_path / ".sasmamba-batch.jsonl").write_text(2 * line)
    told = Outcome(code=0)
    examine(tmp_path, {"a.mp4": "a", "b.mp4": "b", "c.mp4": "c"}, told)
    assert (told.lost, told.redone, told.mixed) == (["c_3d.mp4"], ["a.mp4"], ["b_3d.mp4"])
    assert told.other == [".c.0123abcd.part.mp4"]
    assert not told.good
