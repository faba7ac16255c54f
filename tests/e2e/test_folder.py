"""A folder of videos on the command line: a table, an exit code, and what is done stays done."""

from __future__ import annotations

import json
from pathlib import Path

from helpers_cli import command, left_in, one_sentence
from helpers_video import write_video


def test_a_folder_becomes_a_folder(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    (clips / "b").mkdir(parents=True)
    write_video(clips / "a.mp4", 4, size=(160, 120))
    write_video(clips / "b/a b.mov", 3, size=(160, 120))
    first = command(clips, "--pose2d", "mediapipe", "--json", "--save-poses", "x.npz")
    assert first.code == 0, first.err
    told = json.loads(first.out)
    assert [(v["video"], v["state"], v["written"]) for v in told["videos"]] == [
        ("a.mp4", "done", 4),
        ("b/a b.mov", "done", 3),
    ]
    out = tmp_path / "clips_3d"
    assert told["out"] == str(out)
    assert [n for n in left_in(out) if not n.startswith(".")] == ["a_3d.mp4", "a_3d.npz", "b"]
    assert left_in(out / "b") == ["a b_3d.mp4", "a b_3d.npz"]

    (clips / "bad.mp4").write_text("no video")
    second = command(clips, "--pose2d", "mediapipe", "--save-poses", "x.npz")
    assert second.code == 1
    assert "0 done, 2 kept, 1 failed" in second.out
    assert "bad.mp4: " in second.err
    assert "convert it to mp4 (H.264) and try again." in second.err


def test_an_empty_folder(tmp_path: Path) -> None:
    result = command(tmp_path)
    assert result.code == 2
    assert one_sentence(result.err).startswith(f"There is no video in {tmp_path}")
