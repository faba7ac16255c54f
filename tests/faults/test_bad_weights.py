"""Weights that are missing or altered are never replaced by chance numbers: the command stops and says what to do."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers_cli import command, left_in, one_sentence
from helpers_video import write_video

from sasmamba.app import weights


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder and no network."""
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setenv("SASMAMBA_WEIGHTS", str(cache))
    monkeypatch.setenv("SASMAMBA_OFFLINE", "1")
    return cache


@pytest.mark.parametrize("state", ["not here", "damaged"])
def test_2d_weights(tmp_path: Path, offline: Path, state: str) -> None:
    file = offline / "pose_landmarker_full.task"
    if state == "damaged":
        file.write_bytes(b"not a model")
    result = command(write_video(tmp_path / "clip.mp4", 2), "--out", tmp_path / "r.mp4")
    sentence = one_sentence(result.err)
    assert sentence.startswith(f"pose-landmarker-full is {state}")
    assert "`sasmamba-demo weights fetch pose-landmarker-full`" in sentence
    assert str(file) in sentence
    assert result.code == 1
    assert left_in(tmp_path) == ["cache", "clip.mp4"]


@pytest.mark.parametrize(("state", "advice"), [("is missing", "Reinstall"), ("does not match its checksum", "altered")])
def test_the_lifter(tmp_path: Path, state: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = weights.default_store()
    shipped = tmp_path / "shipped"
    shutil.copytree(store.shipped, shipped, ignore=shutil.ignore_patterns("__pycache__"))
    file = shipped / "sasmamba-lean.safetensors"
    if state == "is missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[-1000] ^= 1
        file.write_bytes(bytes(data))
    monkeypatch.setattr(weights, "default_store", lambda offline=None: replace(store, shipped=shipped))
    result = command(write_video(tmp_path / "clip.mp4", 2), "--out", tmp_path / "r.mp4")
    sentence = one_sentence(result.err)
    assert sentence.startswith(f"{file} {state}")
    assert advice in sentence
    assert result.code == 1
    assert left_in(tmp_path) == ["clip.mp4", "shipped"]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", (500).to_bytes(8, "little") + b"{"], ids=str)
def test_a_checkpoint_of_ones_own(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.safetensors").write_bytes(content)
    result = command(write_video(tmp_path / "clip.mp4", 2), "--lifter", tmp_path / "mine.safetensors")
    assert str(tmp_path / "mine.safetensors") in one_sentence(result.err)
    assert result.code == 1
    assert left_in(tmp_path) == ["clip.mp4", "mine.safetensors"]
