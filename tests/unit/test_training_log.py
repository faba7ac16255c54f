"""The record of a run: what is written is what a resumed run reads, whatever the number of steps."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sasmamba.training.training_log import TrainingLog


@pytest.mark.parametrize("step", [6, 999_999, 1_000_006, 123_456_789])
def test_a_resumed_run_keeps_the_rows_before_its_step(tmp_path: Path, step: int) -> None:
    first = TrainingLog(tmp_path)
    for at in (step, step + 2):
        first.add({"step": at, "frames": 243 * at, "loss": 1 / 3})
    first.close()
    resumed = TrainingLog(tmp_path)
    resumed.add({"step": step + 3, "frames": 243 * step + 3, "loss": 0.25})
    resumed.close()
    assert [row["step"] for row in TrainingLog(tmp_path).rows] == [step, step + 2, step + 3]
    assert [row["frames"] for row in TrainingLog(tmp_path).rows][:2] == [243 * step, 243 * (step + 2)]


def test_what_is_no_number_is_read_back_as_such(tmp_path: Path) -> None:
    journal = TrainingLog(tmp_path)
    journal.add({"step": 1, "loss": math.nan, "best": math.inf, "lr": 1.5e-9})
    journal.close()
    (row,) = TrainingLog(tmp_path).rows
    assert math.isnan(row["loss"])
    assert (row["best"], row["lr"]) == (math.inf, 1.5e-9)
