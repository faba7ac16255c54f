"""`sasmamba-demo fix` from end to end: corrections applied to poses and to a new analysis, refusals, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers_cli import command, left_in, one_sentence, start, walker_2d
from helpers_fix import clip_and_poses, saved, walkers, whose
from helpers_video import write_video

from sasmamba.app.export.poses import save_poses
from sasmamba.app.export.saved_take import read_take
from sasmamba.app.fix.corrections import DeletePerson, ExchangeSides, FootOnFloor, MoveJoint, Whose, to_plain
from sasmamba.app.fix.fixes_file import new_fixes, read_fixes, write_fixes
from sasmamba.app.take import Take

FRAMES = 30


def corrections_of(take: Take, start_s: float = 0) -> tuple[MoveJoint | ExchangeSides | FootOnFloor, ...]:
    """Of person 1 of a take that begins so late in its file."""
    at = {frame: whose(take, 1, frame) for frame in (5, 10, 20)}
    at = {frame: replace(one, time_s=round(one.time_s + start_s, 6)) for frame, one in at.items()}
    return (
        ExchangeSides(at[10], start_s + 0.2, start_s + 0.6),
        MoveJoint(at[20], "left_wrist", (200.0, 60.0), 0.1),
        FootOnFloor(at[5], "left"),
    )


@pytest.mark.parametrize(
    "options", [[], ["--pose2d-every", 3], ["--start", 0.2], ["--no-smooth", "--no-refine"]], ids=str
)
def test_poses_and_a_new_analysis_come_to_the_same(
    tmp_path: Path, options: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    video = write_video(tmp_path / "clip.mp4", FRAMES, size=(320, 240))
    options = [*options, "--fov", 50, "-q"]
    first = command(video, "--save-poses", tmp_path / "poses.npz", "-o", tmp_path / "r.mp4", *options)
    assert first.code == 0, first.err
    take = read_take(tmp_path / "poses.npz")
    fixes = tmp_path / "my.fixes.json"
    write_fixes(new_fixes(video, take.meta, corrections_of(take, 0.2 if "--start" in options else 0)), fixes)
    result = command("fix", video, tmp_path / "poses.npz", "--apply", fixes)
    assert result.code == 0, result.err
    assert "3 corrections applied" in result.out
    assert f"written    {tmp_path / 'poses_fixed.npz'}" in result.out
    anew = command(video, "--fixes", fixes, "--save-poses", tmp_path / "n.npz", "-o", tmp_path / "n.mp4", *options)
    assert anew.code == 0, anew.err
    applied, new, before = (np.load(tmp_path / f"{name}.npz") for name in ("poses_fixed", "n", "poses"))
    assert set(applied.files) == set(new.files)
    for name in applied.files:
        np.testing.assert_array_equal(applied[name], new[name], err_msg=name)
    assert not np.array_equal(applied["joints3d"], before["joints3d"])
    assert json.loads(str(applied["marks"]))["floor"] == [{"frame": 5, "track_id": 1, "left": True}]

    [again] = [line for line in result.out.splitlines() if line.startswith("render it with")]
    words = shlex.split(again.removeprefix("render it with"))
    render = command(*words[1:], "--export", "npz,json", "--json")
    assert render.code == 0, render.err
    assert json.loads(render.out)["written"] == take.frames
    drawn = np.load(tmp_path / "clip_3d_fixed.npz")
    np.testing.assert_array_equal(drawn["joints3d"], applied["joints3d"])
    told = json.loads((tmp_path / "clip_3d_fixed.json").read_text())["assumptions"]
    assert told["camera"]["fov_deg"] == 50  # as the poses were made
    assert "by hand" in told["floor"]


def test_corrections_for_a_new_number_and_those_that_do_not_apply(tmp_path: Path) -> None:
    video, poses = clip_and_poses(tmp_path, FRAMES)
    take = read_take(poses)
    known = whose(take, 2, 5)
    fixes = (DeletePerson(Whose(9, known.time_s, known.at_px), 0, 9), DeletePerson(Whose(1, 0.2, (9e3, 0.0)), 0, 9))
    write_fixes(new_fixes(video, take.meta, fixes), tmp_path / "a.json")
    result = command("fix", video, poses, "--apply", tmp_path / "a.json", "--out", tmp_path / "o.npz", "--json")
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert report["corrections"] == 1
    assert "nobody is where #1 was at 0.20 s" in report["problems"][0]
    assert np.load(tmp_path / "o.npz")["track_id"].tolist() == [1]
    assert left_in(tmp_path) == ["a.json", "clip.mp4", "o.npz", "poses.npz"]


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (["clip.mp4", "poses.npz", "--apply", "none.json"], "none.json does not exist", 2),
        (["clip.mp4", "poses.npz", "--apply", "bad.json"], "bad.json is no file of corrections", 1),
        (["clip.mp4", "poses.npz", "--apply", "other.json"], "is for b.mp4, 640×480 pixels", 2),
        (["clip.mp4", "poses.npz", "--apply", "bad.json", "--fixes", "a.json"], "leave --fixes out", 2),
        (["clip.mp4", "poses.npz", "--out", "poses.npz"], "poses.npz would be overwritten; choose another --out", 2),
        (["clip.mp4", "poses.npz", "--fixes", "clip.mp4"], "clip.mp4 would be overwritten; choose another --fixes", 2),
        (["clip.mp4", "poses.npz", "--fixes", "poses_fixed.npz"], "overwritten; choose another --fixes", 2),
        (["clip.mp4", "poses.npz", "--out", "a.json"], "Poses are kept as .npz, not 'a.json'", 2),
        (["clip.mp4", "none.npz"], "none.npz does not exist", 2),
        (["clip.mp4", "old.npz"], "old.npz lacks keypoints_coco17", 1),
        (["none.mp4", "poses.npz"], "There is no file none.mp4", 2),
        (["wide.mp4", "poses.npz"], "poses.npz is not of wide.mp4: the video has 640×240 pixels", 2),
        (["short.mp4", "poses.npz"], "poses.npz is not of short.mp4: the video has 12 frames, the poses are of one", 2),
        (["fast.mp4", "poses.npz"], "poses.npz is not of fast.mp4: the video has 50 frames a second", 2),
        (["clip.mp4", "poses.npz", "--port", "70000"], "--port must lie between 0 and 65,535", 2),
        (["clip.mp4", "poses.npz", "--device", "tpu"], "--device must be", 2),
    ],
    ids=str,
)
def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, arguments: list[str], says: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip_and_poses(tmp_path, FRAMES)
    for name, frames, size, fps in (
        ("wide", FRAMES, (640, 240), 25), ("short", 12, (320, 240), 25), ("fast", FRAMES, (320, 240), 50)
    ):  # fmt: skip
        write_video(tmp_path / f"{name}.mp4", frames, size=size, fps=fps)
    (tmp_path / "bad.json").write_text("{}")
    head = {"format": "sasmamba-fixes/1", "video": {"name": "b.mp4", "width": 640, "height": 480}, "fixes": []}
    (tmp_path / "other.json").write_text(json.dumps(head))
    np.savez(tmp_path / "old.npz", **{k: v for k, v in np.load("poses.npz").items() if k != "keypoints_coco17"})
    before = left_in(tmp_path)
    result = command("fix", *arguments)
    assert result.code == code, result.err
    assert says in one_sentence(result.err)
    assert left_in(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (["clip.mp4", "--fixes", "none.json"], "none.json does not exist", 2),
        (["clip.mp4", "--from-poses", "none.npz"], "none.npz does not exist", 2),
        (["clip.mp4", "--from-poses", "poses.npz", "--save-poses", "poses.npz"], "would overwrite poses.npz", 2),
        (["wide.mp4", "--from-poses", "poses.npz"], "poses.npz is not of wide.mp4", 2),
        ([".", "--from-poses", "poses.npz"], "--from-poses is for one video", 2),
        ([".", "--fixes", "a.json"], "--fixes is for one video", 2),
    ],
    ids=str,
)
def test_run_says_what_it_cannot_take(
    tmp_path: Path, arguments: list[str], says: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    clip_and_poses(tmp_path, FRAMES)
    write_video(tmp_path / "wide.mp4", FRAMES, size=(640, 240))
    result = command(*arguments)
    assert result.code == code, result.err
    assert says in one_sentence(result.err)
    assert left_in(tmp_path) == ["clip.mp4", "poses.npz", "wide.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="signals work differently on Windows")
def test_ctrl_c_saves_and_the_next_time_goes_on(tmp_path: Path) -> None:
    video, poses = clip_and_poses(tmp_path, FRAMES)
    take = read_take(poses)
    for number, correction in enumerate(corrections_of(take)[:2], 1):
        process = start("fix", video, poses, "--no-browser")
        try:
            assert process.stderr is not None
            url = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
            page, _, token = url.partition("?")
            body = json.dumps(to_plain(correction)).encode()
            request = urllib.request.Request(f"{page}correct?{token}", body, {"Origin": page.rstrip("/")})
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert len(json.load(answer)["corrections"]) == number
            assert len(read_fixes(tmp_path / "poses.fixes.json").corrections) == number  # before anybody saves
            assert not (tmp_path / "poses_fixed.npz").exists() or number > 1
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=240)
        finally:
            process.kill()
        assert process.returncode == 0, err
        assert f"{number} correction" in out
        assert "sasmamba-demo" in out
        assert "--from-poses" in out
        assert left_in(tmp_path) == ["clip.mp4", "poses.fixes.json", "poses.npz", "poses_fixed.npz"]
    wrist = np.load(tmp_path / "poses_fixed.npz")["keypoints_coco17"][0, 20, 9]
    np.testing.assert_array_equal(wrist, [200, 60, 1])


def test_poses_that_were_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    video = write_video(tmp_path / "clip.mp4", FRAMES, size=(320, 240))
    assert command(video, "--export", "npz", "-o", tmp_path / "r.mp4", "-q").code == 0
    take = read_take(tmp_path / "r.npz")
    write_fixes(new_fixes(video, take.meta, corrections_of(take)), tmp_path / "a.json")
    assert command("fix", video, tmp_path / "r.npz", "--apply", tmp_path / "a.json", "-q").code == 0
    assert np.isfinite(np.load(tmp_path / "r_fixed.npz")["joints3d"]).all()


def test_poses_of_a_run_that_was_stopped(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", 2 * FRAMES, size=(320, 240), fps=25)
    take = walkers(FRAMES)
    first = saved(take, tmp_path / "poses.npz")
    take.settings["cut_short"] = True
    save_poses(take, first)
    again = tmp_path / "again.npz"
    result = command(video, "--from-poses", first, "--save-poses", again, "-o", tmp_path / "r.mp4", "-q")
    assert result.code == 0, result.err  # it is not this run that was stopped
    write_fixes(new_fixes(video, take.meta, corrections_of(take)), tmp_path / "a.json")
    result = command("fix", video, again, "--apply", tmp_path / "a.json")
    assert result.code == 0, result.err
    assert json.loads(str(np.load(tmp_path / "again_fixed.npz")["settings"]))["cut_short"]


def test_nobody_to_correct(tmp_path: Path) -> None:
    video, poses = clip_and_poses(tmp_path, FRAMES)
    take = walkers(FRAMES)
    take.tracks.clear()
    saved(take, poses)
    write_fixes(new_fixes(video, take.meta), tmp_path / "a.json")
    result = command("fix", video, poses, "--apply", tmp_path / "a.json")
    assert result.code == 0, result.err
    assert "0 corrections applied" in result.out
