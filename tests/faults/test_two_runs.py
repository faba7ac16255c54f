"""Two runs in one place, and what a killed one left: nothing mixed, nothing of the living removed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers_cli import Walker2D, command, left_in, one_sentence, walker_2d
from helpers_video import write_video

from sasmamba.app.types import Frame, Person2D
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path, check_writable, claimed

on_unix = pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there anyway")

#: What a process that was killed leaves, and names that only look like it.
LEFT_BEHIND = [".r.0123abcd.part.mp4", ".another_run.89abcdef.part.npz", ".x.89abcdef.part", ".0123456789abcdef.lock"]
LEFT_BEHIND += [".r.01234567.part.usdc.J5w8PD", ".r.0123abcd.part.mp4.usdc"]  # USD writes beside, and renames
OTHERS = [".r.part.mp4", "r.0123abcd.part.mp4", ".r.0123abcx.part.mp4", ".hidden", "0123456789abcdef.lock", ".a.lock"]


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (*LEFT_BEHIND, *OTHERS):
        (tmp_path / name).write_bytes(b"half a file")
    (tmp_path / ".folder.0123abcd.part.mp4").mkdir()
    check_writable(tmp_path / "r.mp4")
    assert left_in(tmp_path) == sorted([*OTHERS, ".folder.0123abcd.part.mp4"])


def test_what_a_library_leaves_of_its_own_when_it_fails_is_removed(tmp_path: Path) -> None:
    (tmp_path / "r.usdc").write_text("of an earlier run")

    def write() -> None:
        with atomic_path(tmp_path / "r.usdc") as part:
            part.with_name(f"{part.name}.J5w8PD").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"r\.usdc could not be written: the disk is full"):
        write()
    assert left_in(tmp_path) == ["r.usdc"]


@on_unix
def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sasmamba.common.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as part:\n"
        "    beside = part.with_name(part.name + '.J5w8PD'); beside.write_text('half')\n"
        "    print(part.name, flush=True); sys.stdin.readline(); beside.replace(part); part.write_text('whole')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "r.mp4"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    check_writable(tmp_path / "r.mp4")
    with atomic_path(tmp_path / "r.mp4") as mine:
        check_writable(tmp_path / "other.npz")
        assert left_in(tmp_path) == sorted([name, f"{name}.J5w8PD", mine.name])
    process.communicate("\n", timeout=120)
    assert process.returncode == 0
    assert left_in(tmp_path) == ["r.mp4"]
    assert (tmp_path / "r.mp4").read_text() == "whole"


def test_one_run_at_an_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "clip.mp4", 10, size=(320, 240))
    begun, go_on = threading.Event(), threading.Event()

    class Waiting(Walker2D):
        """Sees somebody, but not before it is told."""

        def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
            begun.set()
            assert go_on.wait(120)
            return super().__call__(frame)

    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", lambda *a, **k: Waiting())
    from sasmamba.app import pipeline
    from sasmamba.app.config import Job, Settings

    done: list[Any] = []
    first = threading.Thread(target=lambda: done.append(pipeline.run(Job(video, tmp_path / "r.mp4"), Settings())))
    first.start()
    try:
        assert begun.wait(120)
        monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
        second = command(video, "--out", tmp_path / "r.mp4")
        other = command(video, "--out", tmp_path / "other.mp4", "--quiet")
    finally:
        go_on.set()
        first.join()
    says = f"Another run is writing {tmp_path / 'r.mp4'}: wait for it, or choose another --out."
    assert (second.code, one_sentence(second.err)) == (1, says)
    assert other.code == 0
    assert done[0].written == 10
    assert left_in(tmp_path) == ["clip.mp4", "other.mp4", "r.mp4"]


def test_a_claim_ends_with_its_run(tmp_path: Path) -> None:
    with (
        claimed(tmp_path / "r.mp4"),
        claimed(tmp_path / "s.mp4"),
        pytest.raises(UserError, match="Another run is writing"),
    ):
        claimed(tmp_path / "r.mp4").__enter__()
    with claimed(tmp_path / "r.mp4"):
        pass
    assert left_in(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="there is no such limit")
@pytest.mark.parametrize("files", [6, 8, 20])
def test_few_open_files(tmp_path: Path, files: int) -> None:
    """A whole render, or a sentence and none."""
    write_video(tmp_path / "clip.mp4", 8, size=(320, 240), audio="aac")
    code = (
        "import sasmamba.app.pipeline as pipeline\nfrom helpers_cli import walker_2d\n"
        "pipeline.open_pose2d = walker_2d\nfrom sasmamba.app.cli.main import main\n"
        f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\nmain()"
    )
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parents[1]}:{os.environ.get('PYTHONPATH', '')}"}
    run = [sys.executable, "-c", code, "clip.mp4", "--quiet"]
    done = subprocess.run(
        run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        assert left_in(tmp_path) == ["clip.mp4", "clip_3d.mp4"]
    else:
        assert files < 20
        assert "oo many open files" in one_sentence(done.stderr) or "too many files are open" in done.stderr
        assert left_in(tmp_path) == ["clip.mp4"]
