"""A batch and those who do its clips: who is at fault, what is done again, and where files go, without any process."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from helpers_executor import report

from sasmamba.app.batch import run_batch as batch_run
from sasmamba.app.batch.executor import ClipProgress, Done, ExecutorLost, Failed, Lost, Message, Refused
from sasmamba.app.batch.journal import BatchJournal, Record
from sasmamba.app.batch.ray_actor import Begun, ClipActor
from sasmamba.app.batch.ray_driver import DriverSettings, _Actor, _RayDriver
from sasmamba.app.batch.run_batch import BatchReport, run_batch
from sasmamba.app.batch.run_clip import failure
from sasmamba.app.config import Job, Settings
from sasmamba.common.errors import UserError

SETTINGS = Settings(pose2d="mediapipe")

#: What becomes of a try; "done" writes a render.
DIED = Lost("It died.")
NODE = Lost("The node went away.", node_failure=True)
BAD = Failed("PLACE/a_3d.mp4 is bad.")
FINAL = Failed("PLACE/a_3d.mp4 is bad, and stays so.", final=True)
SWEPT = Failed("Somebody took the folder away.")


class Script:
    """An executor that does as written: for each clip what becomes of its tries, one after another; then it is done."""

    def __init__(self, becomes: dict[str, list[Message | ExecutorLost]], at_once: int = 2) -> None:
        self.problems = ["A node was left out."]
        self._becomes, self._at_once = {name: list(ends) for name, ends in becomes.items()}, at_once
        self.given: list[str] = []
        self.busy: dict[int, Job] = {}
        self.places: list[Path] = []
        self.closed = False

    def free_slots(self) -> int:
        return self._at_once - len(self.busy)

    def submit(self, number: int, job: Job, settings: Settings) -> None:
        assert job.out.parent.is_dir()
        assert job.out.parent not in self.places, "two tries in one place"
        assert all(job.source != other.source for other in self.busy.values()), "one clip given twice"
        self.places.append(job.out.parent)
        self.given.append(job.source.name)
        self.busy[number] = job

    def messages(self, timeout_s: float) -> Iterator[tuple[int, Message]]:
        for number in list(self.busy):
            yield number, ClipProgress("render", 1, 2)
            job = self.busy.pop(number)
            ends = self._becomes.get(job.source.name, [])
            end = ends.pop(0) if ends else None
            if isinstance(end, ExecutorLost):
                raise end
            if end == SWEPT:
                shutil.rmtree(job.out.parent)
            if isinstance(end, Failed):
                end = replace(end, sentence=end.sentence.replace("PLACE", str(job.out.parent)))
            if end is None or end == DIED:
                (job.out.parent / ".a.12.part.mp4").write_text("half")
            if end is None:
                job.out.write_text(job.source.read_text())
                end = Done(report(job.out))
            yield number, end

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "deep/c.mp4"):
        (folder / name).write_text(name)
    return folder


Run = Callable[..., tuple[BatchReport, Script]]


@pytest.fixture
def run(clips: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(becomes: dict[str, list[Message | ExecutorLost]], **options: object) -> tuple[BatchReport, Script]:
        script = Script(becomes)
        monkeypatch.setattr(batch_run, "_open_executor", lambda *_: script)
        return run_batch(clips, clips.parent / "out", SETTINGS, **options), script  # type: ignore[arg-type]

    return run


@pytest.mark.parametrize(
    ("becomes", "times", "error"),
    [
        ([], 1, ""),
        ([DIED], 2, ""),
        ([DIED, DIED], 2, "It died."),
        ([BAD, DIED], 2, "It died."),
        ([BAD, BAD], 2, "OUT/a_3d.mp4 is bad."),
        ([FINAL], 1, "OUT/a_3d.mp4 is bad, and stays so."),
        ([DIED, FINAL], 2, "OUT/a_3d.mp4 is bad, and stays so."),
        ([NODE] * 4, 5, ""),
        ([NODE] * 5, 5, "The node went away. That happened 5 times with this clip."),
        ([DIED, NODE, NODE], 4, ""),
        ([NODE, DIED, NODE, DIED], 4, "It died."),
        ([Refused()] * 9, 10, ""),
        ([SWEPT, SWEPT], 2, SWEPT.sentence),
    ],
    ids=str,
)
def test_tries(run: Run, clips: Path, becomes: list[Message | ExecutorLost], times: int, error: str) -> None:
    """A death may be the clip's doing and counts; a node that is lost does not, but five times is enough."""
    told: list[int] = []
    out = clips.parent / "out"
    result, script = run({"a.mp4": becomes}, told_total=told.append)
    assert script.given.count("a.mp4") == times
    assert [e.state for e in result.clips] == ["failed" if error else "done", "done", "done"]
    assert result.clips[0].error == error.replace("OUT", str(out))
    assert (result.untried, result.stopped, result.problems, told) == (0, "", ["A node was left out."], [3])
    assert script.closed
    made = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and not p.name.startswith(".sasmamba"))
    assert made == ([] if error else ["a_3d.mp4"]) + ["b_3d.mp4", "deep/c_3d.mp4"]
    assert not (out / ".sasmamba-batch.work").exists()
    assert result.clips[1].report["files"] == [str(out / "b_3d.mp4")]

    again, script = run({})
    assert script.given == (["a.mp4"] if error else [])
    assert [e.state for e in again.clips] == ["done" if error else "kept", "kept", "kept"]


def test_a_worker_thought_dead_cannot_touch_what_another_has_made(run: Run, clips: Path) -> None:
    _, script = run({"a.mp4": [NODE]})
    assert script.given.count("a.mp4") == 2
    zombie = script.places[0]
    assert zombie.name != script.places[-1].name
    zombie.mkdir(parents=True)
    (zombie / "a_3d.mp4").write_text("late")  # its last write comes after everything
    out = clips.parent / "out"
    assert (out / "a_3d.mp4").read_text() == "a.mp4"
    again, _ = run({})
    assert again.count("kept") == 3
    (clips / "b.mp4").write_text("another")
    again, _ = run({})
    assert (again.count("kept"), again.count("done")) == (2, 1)
    assert not zombie.exists()


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (ExecutorLost("The cluster is gone."), "The cluster is gone."),
        (
            Failed("PLACE/a_3d.mp4 could not be written: the disk is full.", disk_full=True),
            "OUT/a_3d.mp4 could not be written: the disk is full. Then run the command again: it goes on from here.",
        ),
    ],
)
def test_what_stops_a_batch_costs_no_clip(run: Run, clips: Path, end: Message | ExecutorLost, says: str) -> None:
    out = clips.parent / "out"
    result, script = run({"a.mp4": [end]})
    assert result.stopped == says.replace("OUT", str(out))
    assert script.closed
    assert result.count("failed") == 0
    assert "a.mp4" not in [e.clip.name for e in result.clips]
    assert result.untried == 3 - len(result.clips)
    assert not (out / ".sasmamba-batch.work").exists()
    again, _ = run({})
    assert again.count("done") == result.untried


def test_content_is_read_once_however_often_a_clip_is_tried(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    really = batch_run.fingerprint
    monkeypatch.setattr(batch_run, "fingerprint", lambda path: (read.append(path.name), really(path))[1])
    run({"a.mp4": [DIED], "b.mp4": [NODE, NODE]})
    assert sorted(name for name in read if name.endswith(".mp4")) == ["a.mp4", "b.mp4", "c.mp4"]


def test_an_output_that_cannot_be_is_said_before_the_work(run: Run, clips: Path) -> None:
    (clips.parent / "out/a_3d.mp4").mkdir(parents=True)
    result, script = run({})
    assert script.given == ["b.mp4", "c.mp4"]
    assert result.clips[0].error == f"{clips.parent / 'out/a_3d.mp4'} is a folder: give the name of a file in it."


def test_a_render_that_is_not_there_is_no_render(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_executor.report", lambda path: {"files": [f"{path}.not"], "problems": []})
    result, _ = run({})
    assert [e.state for e in result.clips] == ["failed"] * 3
    assert "could not be written: no file can be made there" in result.clips[0].error


def test_a_file_that_is_reported_twice(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved poses and an export may have one name; the later one stays."""
    monkeypatch.setattr("test_executor.report", lambda path: {"files": [str(path), str(path)], "problems": []})
    result, _ = run({})
    assert [e.state for e in result.clips] == ["done"] * 3
    assert result.clips[0].report["files"] == [str(clips.parent / "out/a_3d.mp4")]


def test_many_clips_end_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for i in range(200):
        (clips / f"{i:03}.mp4").write_text(str(i))
    monkeypatch.setattr(
        batch_run, "_open_executor", lambda *_: Script({f"{i:03}.mp4": [NODE] for i in range(0, 200, 7)}, 50)
    )
    monkeypatch.setattr("os.fsync", lambda _: None)  # many of them take as long as the disk likes
    result = run_batch(clips, tmp_path / "out", SETTINGS)
    assert [e.clip.name for e in result.clips] == [f"{i:03}.mp4" for i in range(200)]
    assert result.count("done") == 200
    lines = (tmp_path / "out/.sasmamba-batch.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["clip"] for line in lines) == [f"{i:03}.mp4" for i in range(200)]
    shutil.rmtree(tmp_path)


def test_renders_among_the_clips(clips: Path) -> None:
    with pytest.raises(UserError, match=r"would lie among the videos of .*: choose another --out") as told:
        run_batch(clips, clips / "deep/..", SETTINGS)
    assert told.value.exit_code == 2


def test_a_folder_of_renders_on_another_disk(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.replace

    def other_disk(old: Path, new: Path) -> None:
        if Path(old).parent != Path(new).parent and Path(new).parent.name == "deep":
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(old), None, str(new))
        really(old, new)

    monkeypatch.setattr("os.replace", other_disk)
    result, _ = run({})
    assert [e.state for e in result.clips] == ["done"] * 3
    deep = clips.parent / "out/deep"
    assert [(p.name, p.read_text()) for p in deep.iterdir()] == [("c_3d.mp4", "deep/c.mp4")]


def test_every_output_is_tried_before_the_work(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Poses and exports too, those of person 1 for all who have files of their own."""
    out = clips.parent / "out"
    for name in ("a_3d.npz", "b_3d_1.bvh", "deep/c_3d_about.json"):
        (out / name).mkdir(parents=True)
    script = Script({})
    monkeypatch.setattr(batch_run, "_open_executor", lambda *_: script)
    result = run_batch(clips, out, replace(SETTINGS, export=("bvh", "csv")), save_poses=True)
    assert script.given == []
    assert [e.error.removeprefix(f"{out}/").split(" is a folder")[0] for e in result.clips] == [
        "a_3d.npz",
        "b_3d_1.bvh",
        "deep/c_3d_about.json",
    ]


def test_what_may_pass_is_tried_again_and_what_stays_is_not() -> None:
    def caused(cause: BaseException | None) -> UserError:
        error = UserError("It cannot be.")
        error.__cause__ = cause
        return error

    for cause, message in (
        (None, Failed("It cannot be.", final=True)),
        (ValueError("odd"), Failed("It cannot be.", final=True)),
        (OSError(errno.EIO, "fault"), Failed("It cannot be.")),
        (OSError(errno.ENOSPC, "full"), Failed("It cannot be.", disk_full=True)),
    ):
        assert failure(caused(cause)) == message


def test_a_folder_where_an_export_must_go(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plainly = report

    def with_export(path: Path) -> dict[str, object]:
        path.with_suffix(".bvh").write_text("motion")
        return plainly(path) | {"files": [str(path), str(path.with_suffix(".bvh"))]}

    monkeypatch.setattr("test_executor.report", with_export)
    out = clips.parent / "out"
    (out / "a_3d.bvh").mkdir(parents=True)
    sentence = f"{out}/a_3d.bvh is a folder, where a file must go: move it away, or choose another --out."
    for others in ("done", "kept"):
        result, _ = run({})
        assert [(e.state, e.error) for e in result.clips] == [("failed", sentence), (others, ""), (others, "")]
    (out / "a_3d.bvh").rmdir()
    result, _ = run({})
    assert [e.state for e in result.clips] == ["done", "kept", "kept"]


def test_an_error_nobody_thought_of_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.replace

    def stale(old: Path, new: Path) -> None:
        if Path(new).name == "a_3d.mp4":
            raise OSError(errno.ESTALE, "Stale file handle", str(old), None, str(new))
        really(old, new)

    monkeypatch.setattr("os.replace", stale)
    result, _ = run({})
    assert [e.state for e in result.clips] == ["failed", "done", "done"]
    assert result.clips[0].error.endswith("a_3d.mp4 could not be written (Stale file handle).")


def test_a_failure_that_cannot_be_written_down_loses_no_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    really = BatchJournal.add

    def full(journal: BatchJournal, record: Record) -> None:
        if record.error:
            raise UserError("The journal could not be written: the disk is full.") from OSError(errno.ENOSPC, "full")
        really(journal, record)

    monkeypatch.setattr(BatchJournal, "add", full)
    result, script = run({"a.mp4": [BAD, BAD]})
    assert [(e.clip.name, e.state) for e in result.clips] == [("b.mp4", "done"), ("deep/c.mp4", "done")]
    assert result.untried == 1
    assert result.stopped == (
        "The journal could not be written: the disk is full. Then run the command again: it goes on from here."
    )
    assert script.closed


def test_no_folder_can_be_made_for_a_try(run: Run, clips: Path) -> None:
    run({"b.mp4": [BAD, BAD]})
    (clips.parent / "out/.sasmamba-batch.work").write_text("in the way")
    result, _ = run({})
    assert [(e.clip.name, e.state) for e in result.clips] == [("a.mp4", "kept"), ("deep/c.mp4", "kept")]
    assert (result.untried, result.count("failed")) == (1, 0)
    assert "could not be written: part of that path is a file, not a folder" in result.stopped


def test_renders_that_were_moved_are_named_where_they_are(run: Run, clips: Path) -> None:
    run({})
    moved = clips.parent / "moved"
    (clips.parent / "out").rename(moved)
    result = run_batch(clips, moved, SETTINGS)
    assert [e.state for e in result.clips] == ["kept"] * 3
    assert [e.report["files"] for e in result.clips] == [
        [str(moved / name)] for name in ("a_3d.mp4", "b_3d.mp4", "deep/c_3d.mp4")
    ]


class Stream(list[Any]):
    """What an actor tells, one message after another."""

    __hash__ = object.__hash__

    def __next__(self) -> Any:
        return self.pop(0)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> tuple[_RayDriver, list[object], list[object]]:
    """A driver with a Ray that only notes whom it is told to kill; what it tells the batch."""
    ray, killed, told = ModuleType("ray"), [], []
    errors = {name: type(name, (Exception,), {}) for name in ("RayError", "RayTaskError")}
    ray.exceptions, ray.kill, ray.get = SimpleNamespace(**errors), killed.append, lambda x: x  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    pipe: Any = SimpleNamespace(send=told.append)
    return _RayDriver(pipe, DriverSettings("x", False, {}, "0", lambda *_: None)), killed, told


def test_a_node_found_unfit_gets_no_more_when_its_others_are_done(
    driver: tuple[_RayDriver, list[object], list[object]],
) -> None:
    driver_process, killed, told = driver
    blind, busy = Stream([Begun("cannot see /x")]), Stream([Begun(""), Done({})])
    driver_process._streams = {
        blind: _Actor("A", "node", "host", number=1),
        busy: _Actor("B", "node", "host", number=2),
    }
    for stream in (busy, blind, busy):
        driver_process._receive(stream)
    assert killed == ["A", "B"]
    assert not driver_process._idle
    assert told[1:] == [(1, Refused()), (2, Done({}))]


def test_one_that_fails_at_once_does_not_get_the_next_clip(
    driver: tuple[_RayDriver, list[object], list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver_process, given = driver[0], []
    driver_process._idle.append(_Actor("good", "n1"))
    hasty = Stream([Begun(""), Failed("no such file")])
    driver_process._streams = {hasty: _Actor("hasty", "n2", number=7)}
    driver_process._receive(hasty)
    driver_process._receive(hasty)

    def stop_after_first(actor: _Actor, *_: object) -> None:
        given.append(actor.handle)
        raise EOFError

    monkeypatch.setattr(driver_process, "_give", stop_after_first)
    driver_process._waiting.append((8, Job(Path("a.mp4"), Path("a_3d.mp4")), SETTINGS))
    driver_process._pipe = SimpleNamespace(poll=lambda _: False)  # type: ignore[assignment]
    driver_process._nodes.counted = float("inf")
    with pytest.raises(EOFError):
        driver_process.work()
    assert given == ["good"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lifter": "/nowhere/mine.safetensors"}, "cannot see /nowhere/mine.safetensors: videos, renders and weights"),
        ({"pose2d_weights": "/nowhere/model.task"}, "cannot see /nowhere/model.task: "),
        ({"pose2d": "glsmamba", "pose2d_weights": "HERE,/nowhere/vit"}, "cannot see /nowhere/vit: "),
        ({"pose2d": "openmmlab", "pose2d_weights": "a-name-of-theirs"}, ""),
        ({"export": ("bvh", "rrd")}, "lacks a package. --export rrd needs a package more: pip install "),
        ({"export": ("bvh", "csv")}, ""),
        ({"source": "/nowhere/a.mp4"}, "cannot see /nowhere/a.mp4: "),
    ],
    ids=str,
)
def test_a_node_that_lacks_something_says_so_before_it_begins(
    clips: Path, settings: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sasmamba.app.export.formats.find_spec", lambda name: None)
    here = clips / "a.mp4"
    settings = {k: v.replace("HERE", str(here)) if isinstance(v, str) else v for k, v in settings.items()}
    job = Job(Path(settings.pop("source", here)), clips / "a_3d.mp4")
    told = list(ClipActor({}, "0").do(job, replace(SETTINGS, **settings), lambda job, settings, tell: tell(Done({}))))
    assert isinstance(told[0], Begun)
    assert told[0].refusal.startswith(says)
    assert bool(told[0].refusal) == bool(says)
    assert told[1:] == ([] if says else [Done({})])
