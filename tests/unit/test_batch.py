"""Folders of clips: the tree is kept, what is done is not done again, and one bad clip or process costs itself only."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers_cli import not_as_root
from helpers_video import write_video

from sasmamba.app.batch import run_batch as batch_run
from sasmamba.app.batch.clips import Clip, find_clips
from sasmamba.app.batch.executor import Failed
from sasmamba.app.batch.journal import BatchJournal, Record, fingerprint
from sasmamba.app.batch.local_pool import LocalPool
from sasmamba.app.batch.run_batch import BatchReport, run_batch
from sasmamba.app.batch.settings import digest, local_jobs, same_everywhere
from sasmamba.app.config import Job, Settings
from sasmamba.common.errors import UserError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(clips: list[Clip], out: Path) -> dict[str, str]:
    return {c.name: str(c.out.relative_to(out)) for c in clips}


def test_the_tree_is_kept_and_only_clips_are_taken(tmp_path: Path) -> None:
    clips, out = tmp_path / "clips", tmp_path / "out"
    odd = 'day 2/it\'s "odd" 🙂\nname.MOV'
    touch(
        clips / "a.mp4", clips / odd, clips / ".hidden.mp4", clips / ".git/b.mp4", clips / "notes.txt", clips / "c.jpg"
    )
    found, problems = find_clips(clips, out)
    assert names(found, out) == {"a.mp4": "a_3d.mp4", odd: 'day 2/it\'s "odd" 🙂\nname_3d.mp4'}
    assert problems == []


def test_two_clips_that_would_make_one_render_keep_their_suffixes(tmp_path: Path) -> None:
    touch(*(tmp_path / n for n in ("a.mp4", "a.mov", "A.avi", "b.mp4")))
    found, _ = find_clips(tmp_path, tmp_path / "out")
    assert names(found, tmp_path / "out") == {
        "a.mp4": "a.mp4_3d.mp4",
        "a.mov": "a.mov_3d.mp4",
        "A.avi": "A.avi_3d.mp4",
        "b.mp4": "b_3d.mp4",
    }


def test_a_suffix_that_is_kept_makes_no_other_name(tmp_path: Path) -> None:
    touch(*(tmp_path / n for n in ("a.mp4", "a.mov", "a.mp4.mov", "a.mp4.mov.avi", "b.mp4.mov")))
    found, _ = find_clips(tmp_path, tmp_path / "out")
    assert names(found, tmp_path / "out") == {
        "a.mp4": "a.mp4_3d.mp4",
        "a.mov": "a.mov_3d.mp4",
        "a.mp4.mov": "a.mp4.mov_3d.mp4",
        "a.mp4.mov.avi": "a.mp4.mov.avi_3d.mp4",
        "b.mp4.mov": "b.mp4_3d.mp4",
    }


def test_links_that_lead_back_and_renders_among_the_clips(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4", tmp_path / "sub/b.mp4", tmp_path / "out/a_3d.mp4", tmp_path / "out/sub/b_3d.mp4")
    (tmp_path / "sub/back").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "sub")
    found, _ = find_clips(tmp_path, tmp_path / "out")
    # the link comes first in the alphabet; its folder is looked into once
    assert sorted(c.source.resolve().name for c in found) == ["a.mp4", "b.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="permissions work differently on Windows")
def test_a_folder_that_may_not_be_read_is_told_and_left_out(open_path: Path) -> None:
    folder = open_path / "clips"
    touch(folder / "a.mp4", folder / "closed/b.mp4", folder / "c.mp4")
    (folder / "closed").chmod(0)
    (folder / "c.mp4").chmod(0)
    try:
        folder.chmod(0o755)
        with not_as_root(folder):
            found, problems = find_clips(folder, open_path / "out")
            with pytest.raises(PermissionError):
                fingerprint(found[1].source)
    finally:
        (folder / "closed").chmod(0o755)
    assert [c.name for c in found] == ["a.mp4", "c.mp4"]
    assert len(problems) == 1
    assert "closed could not be looked into" in problems[0]


@pytest.mark.parametrize(("make", "sentence"), [(False, "There is no folder"), (True, "There is no video in")])
def test_nothing_to_do(tmp_path: Path, make: bool, sentence: str) -> None:
    if make:
        touch(tmp_path / "clips/notes.txt")
    with pytest.raises(UserError, match=sentence) as told:
        find_clips(tmp_path / "clips", tmp_path / "out")
    assert told.value.exit_code == 2


def test_the_journal_knows_what_is_done(tmp_path: Path) -> None:
    clip, made = tmp_path / "a.mp4", tmp_path / "out/a_3d.mp4"
    touch(clip, made)
    out = made.parent
    journal = BatchJournal(out)
    assert journal.done("a.mp4", clip, "s") is None
    journal.add(Record("a.mp4", fingerprint(clip), "s", files={"a_3d.mp4": 1}, report={"frames": 3}))
    with journal.path.open("ab") as file:
        file.write(b'\n{"clip": "b.mp4", "conte')  # a crash in the middle of a line
    journal = BatchJournal(out)
    journal.add(Record("c.mp4", {}, "s", error="broken"))
    journal = BatchJournal(out)
    record = journal.done("a.mp4", clip, "s")
    assert record is not None
    assert record.report == {"frames": 3}
    assert journal.done("c.mp4", clip, "s") is None  # it failed
    assert journal.done("a.mp4", clip, "other settings") is None
    os.utime(clip, (1, 1))
    assert journal.done("a.mp4", clip, "s") is not None  # touched, not changed
    clip.write_bytes(b"y")
    assert journal.done("a.mp4", clip, "s") is None
    clip.write_bytes(b"x")
    made.write_bytes(b"cut off")
    assert journal.done("a.mp4", clip, "s") is None
    made.unlink()
    assert journal.done("a.mp4", clip, "s") is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips, one of them deeper, and two that cannot be done."""
    clips = tmp_path / "clips"
    (clips / "day 1").mkdir(parents=True)
    write_video(clips / "a.mp4", 4, size=(160, 120))
    write_video(clips / "day 1/b.mp4", 5, size=(160, 120))
    (clips / "text.mp4").write_text("no video at all")
    (clips / "empty.avi").write_bytes(b"")
    return clips


SETTINGS = Settings(pose2d="mediapipe", height=120)


def states(report: BatchReport) -> dict[str, str]:
    return {ended.clip.name: ended.state for ended in report.clips}


def test_a_batch_goes_on_after_bad_clips_and_begins_where_it_ended(folder: Path) -> None:
    out = folder / "renders"  # among the clips
    told: list[tuple[str, str]] = []
    report = run_batch(folder, out, SETTINGS, save_poses=True, watch=lambda c, s, *_: told.append((c.name, s)))
    want = {"a.mp4": "done", "day 1/b.mp4": "done", "empty.avi": "failed", "text.mp4": "failed"}
    assert states(report) == want
    assert (report.untried, report.stopped, report.interrupted) == (0, "", False)
    assert {e.clip.name: e.error for e in report.clips if e.error} == {
        "empty.avi": f"{folder / 'empty.avi'} is empty: fetch or record it again.",
        "text.mp4": f"{folder / 'text.mp4'} is not a video this tool can read: "
        "convert it to mp4 (H.264) and try again.",
    }
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and not p.name.startswith(".")) == [
        "a_3d.mp4",
        "a_3d.npz",
        "day 1/b_3d.mp4",
        "day 1/b_3d.npz",
    ]
    assert {(e.clip.name, e.report["written"]) for e in report.clips if e.state == "done"} == {
        ("a.mp4", 4),
        ("day 1/b.mp4", 5),
    }
    assert ("a.mp4", "render") in told
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*_3d.mp4")}

    (folder / "text.mp4").unlink()
    write_video(folder / "text.mp4", 3, size=(160, 120))  # mended
    report = run_batch(folder, out, SETTINGS, save_poses=True)
    assert states(report) == want | {"a.mp4": "kept", "day 1/b.mp4": "kept", "text.mp4": "done"}
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())


def test_a_process_that_is_killed_costs_one_try(folder: Path) -> None:
    for name in ("text.mp4", "empty.avi"):
        (folder / name).unlink()
    killed: list[int] = []

    def watch(clip: Clip, stage: str, *_: object) -> None:
        if not killed:
            (child,) = multiprocessing.active_children()
            assert child.pid is not None
            killed.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)

    report = run_batch(folder, folder.parent / "out", SETTINGS, jobs=1, watch=watch)
    assert killed
    assert states(report) == {"a.mp4": "done", "day 1/b.mp4": "done"}


BATCH = """
import sys
from pathlib import Path
from sasmamba.app.batch.run_batch import run_batch
from sasmamba.app.config import Settings

if __name__ == "__main__":
    settings = Settings(pose2d="mediapipe", height=120)
    tell = lambda clip, stage, *_: print(clip.name, stage, flush=True)
    run_batch(Path(sys.argv[1]), Path(sys.argv[2]), settings, jobs=2, watch=tell)
"""


def test_killed_and_started_again_it_loses_nothing(tmp_path: Path) -> None:
    folder, out, script = tmp_path / "clips", tmp_path / "out", tmp_path / "batch.py"
    folder.mkdir()
    for i in range(4):
        write_video(folder / f"{i}.mp4", 40, size=(160, 120))
    script.write_text(BATCH)
    with subprocess.Popen([sys.executable, str(script), folder, out], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip().endswith("done"):
                process.kill()
                break
    records = [json.loads(line) for line in (out / ".sasmamba-batch.jsonl").read_text().splitlines() if line]
    first = {r["clip"]: (out / next(iter(r["files"]))).stat().st_mtime_ns for r in records}
    assert 1 <= len(first) < 4
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:  # its processes end by themselves, and free the lock's folder
        try:
            report = run_batch(folder, out, SETTINGS, jobs=2)
            break
        except UserError:
            time.sleep(0.2)
    assert set(states(report).values()) <= {"done", "kept"}
    assert {n for n, s in states(report).items() if s == "kept"} == set(first)
    for name, made in first.items():
        assert (out / name.replace(".mp4", "_3d.mp4")).stat().st_mtime_ns == made
    assert not [p for p in out.rglob("*") if ".part" in p.name]


def test_a_full_disk_stops_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "_LEAST_FREE_BYTES", 1 << 62)
    report = run_batch(folder, folder.parent / "out", SETTINGS)
    assert report.clips == []
    assert report.untried == 4
    assert "is full; free some space and run the command again" in report.stopped


def test_one_batch_at_a_time(folder: Path) -> None:
    out = folder.parent / "out"
    out.mkdir()
    with batch_run._alone(out), pytest.raises(UserError, match="Another batch is writing to"):
        run_batch(folder, out, SETTINGS)
    for jobs in (0, -1, 10**12):
        with pytest.raises(UserError, match="--jobs must lie between 1 and 1000"):
            run_batch(folder, out, SETTINGS, jobs=jobs)


def test_settings_mean_the_same_in_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "net.safetensors", tmp_path / "a,b.safetensors")
    gls = replace(SETTINGS, pose2d="glsmamba", pose2d_weights="net.safetensors,vit", lifter="mine.safetensors")
    for given, want in (
        (gls, f"{tmp_path}/net.safetensors,{tmp_path}/vit"),
        (replace(gls, pose2d_weights="net.safetensors"), f"{tmp_path}/net.safetensors"),
        (replace(gls, pose2d_weights="a,b.safetensors"), f"{tmp_path}/a,b.safetensors"),
        (replace(gls, pose2d_weights="a,b.safetensors,vit"), f"{tmp_path}/a,b.safetensors,{tmp_path}/vit"),
        (replace(SETTINGS, pose2d="openmmlab", pose2d_weights="rtmpose-m_8xb256"), "rtmpose-m_8xb256"),
        (replace(SETTINGS, pose2d="hrnet"), None),
    ):
        assert same_everywhere(given).pose2d_weights == want
    assert same_everywhere(gls).lifter == f"{tmp_path}/mine.safetensors"


@pytest.mark.parametrize(
    ("here", "chosen"), [({"hrnet-w32", "movenet"}, "hrnet"), ({"movenet"}, "movenet"), (set(), "mediapipe")]
)
def test_one_2d_stage_for_all_clips(here: set[str], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.weights.obtain", lambda name: Path(name) if name in here else None)
    assert same_everywhere(Settings()).pose2d == chosen


def test_threads_are_no_reason_to_do_a_clip_again() -> None:
    assert digest(Settings(threads=1), False) == digest(Settings(), False)
    assert digest(Settings(max_people=3), False) != digest(Settings(), False)


def test_other_2d_weights_in_the_same_file_are_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"trained")
    for named in (f"{path}", f"{path},{tmp_path}"):
        settings = replace(SETTINGS, pose2d="glsmamba", pose2d_weights=named)
        before = digest(settings, False)
        path.write_bytes(b"trained again")
        assert digest(settings, False) != before
        path.write_bytes(b"trained")
        assert digest(settings, False) == before
    with pytest.raises(UserError, match=r"^--pose2d-weights: there is no file .*gone\.task\.$"):
        digest(replace(SETTINGS, pose2d_weights=f"{tmp_path}/gone.task"), False)


def test_ctrl_c_does_not_reach_a_process_that_is_starting(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    executor = LocalPool(1)
    executor.submit(0, Job(tmp_path / "gone.mp4", tmp_path / "gone_3d.mp4"), SETTINGS)
    (child,) = multiprocessing.active_children()
    assert child.pid is not None
    until = time.monotonic() + 120
    os.kill(child.pid, signal.SIGINT)
    try:
        heard = [message for _, message in executor.messages(0.2)]
        while not heard and time.monotonic() < until:
            heard = [message for _, message in executor.messages(0.2)]
    finally:
        executor.close()
    assert [type(message) for message in heard] == [Failed], heard
    assert signal.getsignal(signal.SIGINT) is before


def test_training_records_its_backbone_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sasmamba.training import commands

    recorded: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sasmamba.training.video_training.open_backbone", lambda *_: SimpleNamespace(sha256="0"))
    monkeypatch.setattr(
        "sasmamba.training.video_training.train_2d",
        lambda config, backbone, out, record, *_, **__: recorded.append(record.path),
    )
    commands.train_2d(Path("vit"), device="cpu")
    assert recorded == [str(tmp_path / "vit")]


@pytest.mark.parametrize(
    ("pose2d", "clips", "cores", "free_mb", "jobs", "because"),
    [
        ("movenet", 9, 2, 8000, 1, "2 cores, of which a video with movenet keeps 2 busy"),
        ("movenet", 9, 1, 8000, 1, "1 cores"),
        ("movenet", 9, 16, 64_000, 8, "16 cores"),
        ("mediapipe", 9, 2, 8000, 2, "2 cores, of which a video with mediapipe keeps 1 busy"),
        ("mediapipe", 9, 8, 4000, 2, "4.0 GB of memory are free"),
        ("mediapipe", 9, 8, 100, 1, "0.1 GB of memory are free"),
        ("mediapipe", 9, 8, None, 8, "8 cores"),
        ("mediapipe", 3, 8, 64_000, 3, "8 cores"),
        ("auto", 9, 4, 64_000, 4, "a video with mediapipe"),  # in tests nothing else can be had
    ],
)
def test_how_many_at_a_time(
    pose2d: str, clips: int, cores: int, free_mb: float | None, jobs: int, because: str
) -> None:
    chosen, why = local_jobs(Settings(pose2d=pose2d), clips, cores, free_mb)  # type: ignore[arg-type]
    assert chosen == jobs
    assert why.startswith(f"{jobs} video")
    assert because in why
    assert local_jobs(Settings(pose2d=pose2d, device="cuda"), clips, cores, free_mb)[0] == 1  # type: ignore[arg-type]
