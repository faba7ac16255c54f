"""A real Ray cluster of several nodes on one machine: processes and nodes are lost, no clip is, none is done twice."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import helpers_executor
import pytest
from helpers_cli import command, one_sentence, start
from helpers_executor import copy_clip
from helpers_video import write_video

from sasmamba.app.batch import ray_client as cluster_module
from sasmamba.app.batch import run_batch as batch_run
from sasmamba.app.batch.clips import Clip
from sasmamba.app.batch.ray_client import RayExecutor
from sasmamba.app.batch.run_batch import BatchReport, run_batch
from sasmamba.app.config import Job, Settings
from sasmamba.common.errors import UserError

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'sasmamba-demo[cluster]'")
SETTINGS = Settings(pose2d="mediapipe", height=120)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs and one node with two; nodes that vanish are missed after a second, those that are slow to
    answer, as all are on a busy machine, are not."""
    from ray.cluster_utils import Cluster

    quick = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 1000,
        "health_check_timeout_ms": 20_000,
        "health_check_failure_threshold": 2,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)  # for helpers_executor
        for left in reversed(range(3)):  # Ray gives its own processes half a minute to begin, no more
            try:
                cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": quick})
                cluster.add_node(num_cpus=2)
                break
            except Exception:
                if not left:
                    raise
        yield cluster
        cluster.shutdown()


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline costs nothing."""
    open_executor = lambda jobs, cluster, *_: RayExecutor(cluster, jobs, do=copy_clip)  # noqa: E731
    monkeypatch.setattr(batch_run, "_open_executor", open_executor)


def clips_of(folder: Path, words: dict[str, str]) -> Path:
    for name, word in words.items():
        path = folder / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(word)
    return folder / "clips"


def noted(folder: Path, kind: str) -> Counter[str]:
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    return Counter(name for what, name, _ in lines if what == kind)


def journal(out: Path) -> Counter[str]:
    lines = (out / ".sasmamba-batch.jsonl").read_text().splitlines()
    return Counter(json.loads(line)["clip"] for line in lines)


def states(report: BatchReport) -> dict[str, str]:
    return {ended.clip.name: ended.state for ended in report.clips}


@needs_ray
@pytest.mark.usefixtures("copying")
def test_a_process_and_a_node_are_lost_and_no_clip(tmp_path: Path, cluster: Any) -> None:
    second = cluster.add_node(num_cpus=2)
    names = [f"{i}.mp4" for i in range(8)]
    clips = clips_of(tmp_path, dict.fromkeys(names, "1.5") | {"day 2/crash.mp4": "crash"})
    out = tmp_path / "out"
    seen: dict[str, set[str]] = {}
    done: list[str] = []
    blows: list[str] = []

    def where_to_hit() -> dict[str, int]:
        """Clips that are being done, and the process that does each."""
        lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
        ended = {pid for what, _, pid in lines if what == "ended"}
        return {name: int(pid) for what, name, pid in lines if what == "begun" and pid not in ended}

    def watch(clip: Clip, stage: str, *_: object) -> None:
        seen.setdefault(clip.name, set()).add(stage)
        if stage in ("done", "failed"):
            done.append(clip.name)
        working = {n: p for n, p in where_to_hit().items() if n != "crash.mp4"} if stage == "render" else {}
        if not blows and len(working) >= 2:
            name, pid = next(iter(working.items()))
            os.kill(pid, signal.SIGKILL)
            blows.append(name)
        elif len(blows) == 1 and len(done) >= 2 and working:
            blows.append("node")
            threading.Thread(target=cluster.remove_node, args=(second, False)).start()

    report = run_batch(clips, out, SETTINGS, cluster=cluster.address, watch=watch)
    assert blows[1:] == ["node"]
    assert states(report) == dict.fromkeys(names, "done") | {"day 2/crash.mp4": "failed"}
    assert (report.stopped, report.untried, report.problems) == ("", 0, [])
    crashed = next(e.error for e in report.clips if e.state == "failed")
    assert re.fullmatch(r"The process that did it on node .* died: that node may be short of memory; .*", crashed)
    # every clip once in the journal; the crash was tried twice, and clips that lost their process once more than ended
    assert journal(out) == Counter(report_names(report))
    assert noted(tmp_path, "ended") == Counter(names)
    begun = noted(tmp_path, "begun")
    assert begun["crash.mp4"] in (2, 3, 4)  # tries that end with their node, of two places, do not count
    assert begun[blows[0]] >= 2
    assert sum(begun.values()) - begun["crash.mp4"] <= len(names) + 1 + 2  # one process, and a node of two
    assert sorted(p.name for p in out.rglob("*") if p.is_file() and not p.name.startswith(".")) == sorted(
        name.replace(".mp4", "_3d.mp4") for name in names
    )
    assert not (out / ".sasmamba-batch.work").exists()
    assert "render" in seen["0.mp4"]

    before = (tmp_path / "log").read_text()
    again = run_batch(clips, out, SETTINGS, cluster=cluster.address)
    assert Counter(states(again).values()) == {"kept": 8, "failed": 1}
    assert noted(tmp_path, "ended") == Counter(names), before


def report_names(report: BatchReport) -> list[str]:
    return [ended.clip.name for ended in report.clips]


@needs_ray
@pytest.mark.usefixtures("copying")
def test_ctrl_c_ends_everybody_and_leaves_nothing_half_written(tmp_path: Path, cluster: Any) -> None:
    clips, out = clips_of(tmp_path, {f"{i}.mp4": "20" for i in range(4)}), tmp_path / "out"

    pressed: list[float] = []

    def watch(*_: object) -> None:
        if len(noted(tmp_path, "begun")) == 2 and not pressed:  # a second Ctrl-C would not wait for anybody
            pressed.append(time.monotonic())
            signal.raise_signal(signal.SIGINT)

    report = run_batch(clips, out, SETTINGS, cluster=cluster.address, watch=watch)
    assert time.monotonic() - pressed[0] < 25  # all of them take forty seconds
    assert report.interrupted
    assert (report.clips, report.untried) == ([], 4)
    workers = [Path(f"/proc/{line.split()[2]}") for line in (tmp_path / "log").read_text().splitlines()]
    end = time.monotonic() + 60
    while any(worker.exists() for worker in workers):
        assert time.monotonic() < end, "somebody works on"
        time.sleep(0.1)
    assert [p.name for p in out.iterdir() if p.name != ".sasmamba-batch.lock"] == []
    assert not noted(tmp_path, "ended")


@needs_ray
def test_the_command_does_real_clips_and_prints_nothing_of_ray(tmp_path: Path, cluster: Any) -> None:
    folder = tmp_path / "clips"
    (folder / "b").mkdir(parents=True)
    write_video(folder / "a.mp4", 4, size=(160, 120))
    write_video(folder / "b/b.mp4", 3, size=(160, 120))
    with start(folder, "--pose2d", "mediapipe", "--cluster", cluster.address, "--export", "csv") as process:
        out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "2 done, 0 kept, 0 failed" in out
    assert "ray" not in (out + err).lower()
    renders = tmp_path / "clips_3d"
    assert sorted(str(p.relative_to(renders)) for p in renders.rglob("*.mp4")) == ["a_3d.mp4", "b/b_3d.mp4"]
    with start(folder, "--pose2d", "mediapipe", "--export", "csv", "--json") as process:  # without the cluster
        out, err = process.communicate(timeout=240)
    assert [v["state"] for v in json.loads(out)["videos"]] == ["kept", "kept"], err


@needs_ray
def test_a_node_that_does_not_see_the_files_gets_no_more(tmp_path: Path, cluster: Any) -> None:
    executor = RayExecutor(cluster.address, 1, do=copy_clip)
    try:
        executor.submit(0, Job(tmp_path / "elsewhere.mp4", tmp_path / "r.mp4"), SETTINGS)
        heard: list[object] = []
        with pytest.raises(
            batch_run.ExecutorLost, match=r"^Node .* cannot see .*elsewhere\.mp4: videos, renders and weights must"
        ):
            heard.extend(message for _ in range(100) for message in executor.messages(0.2))
        assert heard == [(0, batch_run.Refused())]
        assert len(executor.problems) == 1
    finally:
        executor.close()


@needs_ray
def test_a_node_with_another_version_gets_nothing(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sasmamba.app.batch.ray_client.version", lambda name: "99.1")
    clips = clips_of(tmp_path, {"a.mp4": "0.1"})
    report = run_batch(clips, tmp_path / "out", SETTINGS, cluster=cluster.address)
    assert re.fullmatch(r"Node .* has sasmamba-demo .*: install 99.1 there\.", report.stopped)
    assert (report.clips, report.untried, report.problems) == ([], 1, [report.stopped])


@needs_ray
@pytest.mark.usefixtures("copying")
def test_a_node_without_the_package_is_left_out(tmp_path: Path, cluster: Any) -> None:
    broken = tmp_path / "broken/sasmamba"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'sasmamba'\")")
    bare = cluster.add_node(num_cpus=2, env_vars={"PYTHONPATH": str(broken.parent)})
    try:
        clips = clips_of(tmp_path, {f"{i}.mp4": "0.5" for i in range(6)})
        report = run_batch(clips, tmp_path / "out", SETTINGS, cluster=cluster.address)
    finally:
        cluster.remove_node(bare, False)
    assert set(states(report).values()) == {"done"}, report
    assert (report.stopped, report.untried) == ("", 0)
    assert len(report.problems) == 1
    assert re.fullmatch(
        r"Node .* cannot do clips \(ModuleNotFoundError: No module named 'sasmamba'\): it needs sasmamba-demo \S+ in "
        r"the Python that runs its `ray start`\.",
        report.problems[0],
    )


@needs_ray
@pytest.mark.parametrize(
    ("do", "why"),
    [
        pytest.param(
            helpers_executor.DIES_AS_IT_IS_LOADED,
            r"the process died: Worker unexpectedly exits .*, 3 times before it began one\): it may be short of memory",
            id="killed",
        ),
        pytest.param(
            helpers_executor.CANNOT_BE_LOADED,
            r"ImportError: cannot import name 'new' from 'sasmamba'\): it needs sasmamba-demo \S+ in the Python that",
            id="its Python has another sasmamba",
        ),
        pytest.param(
            helpers_executor.without_a_package,
            r"ImportError: libdoes_not_exist\.so: .*\): it needs sasmamba-demo \S+ in the Python that runs",
            id="its Python lacks a library",
        ),
    ],
)
def test_an_actor_that_dies_before_it_begins_is_no_lost_node(
    tmp_path: Path, cluster: Any, do: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_run, "_open_executor", lambda jobs, cluster, *_: RayExecutor(cluster, 1, do=do))
    report = run_batch(clips_of(tmp_path, {"a.mp4": "0.1"}), tmp_path / "out", SETTINGS, cluster=cluster.address)
    assert re.fullmatch(rf"Node \S+ cannot do clips \({why}.*\.", report.stopped)
    assert (report.clips, report.untried, report.problems) == ([], 1, [report.stopped])


@needs_ray
def test_a_bug_is_told_with_its_words(tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    open_executor = lambda jobs, cluster, *_: RayExecutor(cluster, 1, do=helpers_executor.with_a_bug)  # noqa: E731
    monkeypatch.setattr(batch_run, "_open_executor", open_executor)
    report = run_batch(clips_of(tmp_path, {"a.mp4": "0.1"}), tmp_path / "out", SETTINGS, cluster=cluster.address)
    assert [e.error for e in report.clips] == [
        "ZeroDivisionError: no people. This is a bug; please report it with the clip."
    ]


@needs_ray
def test_nodes_look_for_weights_where_this_process_does(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SASMAMBA_WEIGHTS", "mine")
    open_executor = lambda jobs, cluster, *_: RayExecutor(cluster, 1, do=helpers_executor.name_weights)  # noqa: E731
    monkeypatch.setattr(batch_run, "_open_executor", open_executor)
    report = run_batch(clips_of(tmp_path, {"a.mp4": "0.1"}), tmp_path / "out", SETTINGS, cluster=cluster.address)
    assert [e.error for e in report.clips] == [str(tmp_path / "mine")]


def test_a_relative_folder_of_weights_is_resolved_before_it_travels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, given in {"SASMAMBA_WEIGHTS": "mine", "SASMAMBA_SCAN": "reference"}.items():
        monkeypatch.setenv(name, given)
    told = cluster_module._environment()
    assert (told["SASMAMBA_WEIGHTS"], told["SASMAMBA_SCAN"]) == (str(tmp_path / "mine"), "reference")
    monkeypatch.setenv("SASMAMBA_WEIGHTS", "")
    assert cluster_module._environment()["SASMAMBA_WEIGHTS"] == ""


def test_no_cluster_is_one_sentence_and_no_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips/a.mp4", 2)
    monkeypatch.setattr("sasmamba.app.batch.ray_client.find_spec", lambda name: True)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        begin = time.monotonic()
        told = command(tmp_path / "clips", "--pose2d", "mediapipe", "--cluster", address, "--quiet")
    assert time.monotonic() - begin < 30  # Ray itself would try for two minutes
    assert told.code == 1
    assert one_sentence(told.err).startswith(f"--cluster: nobody answers at {address} (Connection refused).")
    for wrong in ("ray://10.0.0.1:10001", "local", "head", "head:70000"):
        told = command(tmp_path / "clips", "--pose2d", "mediapipe", "--cluster", wrong, "--quiet")
        assert told.code == 2
        assert one_sentence(told.err).startswith("--cluster wants auto or the head node's HOST:PORT")
    monkeypatch.setattr("sasmamba.app.batch.ray_client.find_spec", lambda name: None)
    told = command(tmp_path / "clips", "--pose2d", "mediapipe", "--cluster", "auto", "--quiet")
    assert told.code == 1
    assert (
        one_sentence(told.err) == "--cluster needs Ray: pip install 'sasmamba-demo[cluster]', here and on every node."
    )
    told = command(tmp_path / "clips/a.mp4", "--cluster", "auto")
    assert (told.code, one_sentence(told.err)) == (
        2,
        "--cluster is for a folder of videos; one video is done on one machine.",
    )
    assert not list(tmp_path.rglob("*_3d.mp4"))


@needs_ray
def test_somebody_else_answers_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.batch.ray_client._JOIN_S", 3.0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(8)
        with pytest.raises(UserError, match=r"does not answer: see with `ray status` whether it runs"):
            RayExecutor(f"127.0.0.1:{other.getsockname()[1]}", None)


@needs_ray
def test_ctrl_c_while_the_cluster_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips/a.mp4", 2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(8)
        pressed: list[float] = []

        def press() -> None:
            other.accept()  # the check whether anybody is there; Ray comes later
            time.sleep(1)
            pressed.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=press).start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        told = command(tmp_path / "clips", "--pose2d", "mediapipe", "--cluster", address, "--quiet")
        assert time.monotonic() - pressed[0] < 20  # it would wait for forty seconds
    assert (told.code, told.err) == (130, "Stopped: 1 not done yet; the same command goes on from here.\n")
