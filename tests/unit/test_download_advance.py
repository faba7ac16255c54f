"""How far a download is, in sentences."""

from __future__ import annotations

import pytest

from sasmamba.app.weights import advance
from sasmamba.app.weights.advance import TELL_EVERY_S, Advance

MB = 1_000_000


@pytest.mark.parametrize(
    ("size", "have", "got", "told"),
    [
        pytest.param(100 * MB, 0, 25 * MB, "  25 of 100 MB, 30 s left", id="from the beginning"),
        pytest.param(100 * MB, 80 * MB, 90 * MB, "  90 of 100 MB, 10 s left", id="what was here before counts not"),
        pytest.param(1000 * MB, 0, 30 * MB, "  30 of 1000 MB, 5 min left", id="minutes"),
        pytest.param(1000 * MB, 0, 10 * MB, "  10 of 1000 MB", id="too little to tell from"),
        pytest.param(100 * MB, 80 * MB, 80 * MB, "  80 of 100 MB", id="nothing came"),
        pytest.param(100 * MB, 0, 120 * MB, "  100 of 100 MB, nearly done", id="more than all"),
        pytest.param(None, 0, 25 * MB, "  25 MB", id="of nobody knows how much"),
    ],
)
def test_it_tells(monkeypatch: pytest.MonkeyPatch, size: int | None, have: int, got: int, told: str) -> None:
    now, sentences = [0.0], list[str]()
    monkeypatch.setattr(advance.time, "monotonic", lambda: now[0])
    here = Advance(size, have, sentences.append)
    now[0] = TELL_EVERY_S - 0.1
    here(got)
    assert sentences == []
    now[0] = 10.0
    here(got)
    here(got)
    assert sentences == [told]


def test_what_is_all_here_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now, sentences = [0.0], list[str]()
    monkeypatch.setattr(advance.time, "monotonic", lambda: now[0])
    here = Advance(100 * MB, 0, sentences.append)
    for _ in range(4):
        now[0] += 10.0
        here(100 * MB)
    assert sentences == ["  100 of 100 MB, nearly done"]
