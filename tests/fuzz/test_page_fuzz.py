"""A hundred damaged requests to the live page; `python tests/fuzz/page_campaign.py` sends more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from page_campaign import LONGEST_S, campaign

from sasmamba.app.live.page_server import Server
from sasmamba.app.serving import gate


def test_a_hundred_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "HEAD_S", 0.5)
    outcome = campaign(100, seed=2026)
    assert outcome.findings == []
    assert outcome.counts.total() == 100
    assert outcome.longest_s < LONGEST_S
    assert min(outcome.counts["200"], outcome.counts["400"], outcome.counts["421"]) >= 3  # neither untouched nor noise


def test_a_bug_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "HEAD_S", 0.5)
    monkeypatch.setattr(gate.Gate, "refusal", lambda *_: None)
    assert "served a stranger" in {how for how, _, _ in campaign(60, seed=1).findings}
    real = Server.next
    monkeypatch.setattr(Server, "next", lambda *given: real(*given) and 1)
    assert "error" in {how for how, _, _ in campaign(60, seed=1).findings}
