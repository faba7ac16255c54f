"""What the README and its page on Python tell people to type works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_video import write_video

README = Path(__file__).parents[2] / "README.md"


def test_it_opens_with_the_two_commands() -> None:
    first = README.read_text().split("```")[1].strip().splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make demo", "make test"]


def test_it_is_read_in_a_minute() -> None:
    assert len(README.read_text().splitlines()) <= 120


def test_nothing_is_left_to_fill_in() -> None:
    card = README.parent / "weights" / "MODEL_CARD.md"
    assert "@@" not in README.read_text() + card.read_text()


def test_the_python_in_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("xyc.npy", np.concatenate([rng.uniform(0, 500, (30, 17, 2)), np.ones((30, 17, 1))], -1))
    write_video(tmp_path / "video.mp4")
    names: dict[str, Any] = {}
    for page, count in ((README, 1), (README.parent / "docs" / "python.md", 2)):
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        assert len(blocks) == count
        for block in blocks:
            exec(block, names)
    assert names["joints3d"].shape == (30, 17, 3)
    assert names["report"].written == names["report"].frames > 0
    assert (tmp_path / "render.mp4").stat().st_size > 0
