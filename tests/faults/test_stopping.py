"""Ctrl-C, kill, and closed streams: what is there is whole, what is not whole is not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers_cli import MAIN, command, left_in, start, walker_2d
from helpers_video import write_video

from sasmamba.app.cli.bars import Bars
from sasmamba.app.cli.main import main
from sasmamba.app.io.video_file import VideoFile

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals work differently on Windows")

NOTHING_LEFT = "Stopped; nothing half-written is left."


@pytest.mark.parametrize(
    ("interrupts", "written", "says"),
    [
        ([("analyse", 1)], 1, "Stopped: the render holds the first 1 frame."),
        ([("analyse", 12)], 12, "Stopped: the render holds the first 12 frames."),
        ([("render", 7)], 7, "Stopped: the render holds the first 7 frames."),
        ([("analyse", 12), ("render", 7)], 0, NOTHING_LEFT),
        ([("render", 7), ("render", 7)], 0, NOTHING_LEFT),
        ([("analyse", 12), ("analyse", 12)], 0, NOTHING_LEFT),
    ],
    ids=str,
)
def test_ctrl_c(
    tmp_path: Path, interrupts: list[tuple[str, int]], written: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One Ctrl-C finishes the files so far, two give up; at whatever moment."""
    video = write_video(tmp_path / "clip.mp4", 30, size=(320, 240), audio="aac")

    def press(_: Bars, stage: str, done: int, total: int | None) -> None:
        for moment in interrupts:
            if moment == (stage, done):
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Bars, "__call__", press)
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    result = command(video, "--out", tmp_path / "r.mp4", "--save-poses", tmp_path / "p.npz")
    assert result.code == 130
    assert result.err.strip().splitlines()[-1] == says
    if not written:  # the poses are saved before the drawing begins, and whole
        drawing = any(stage == "render" for stage, _ in interrupts)
        assert left_in(tmp_path) == (["clip.mp4", "p.npz"] if drawing else ["clip.mp4"])
        return
    assert left_in(tmp_path) == ["clip.mp4", "p.npz", "r.mp4"]
    assert [f.time_s for f in VideoFile(tmp_path / "r.mp4")] == [Fraction(i, 25) for i in range(written)]
    seen = np.load(tmp_path / "p.npz")["observed"]
    assert seen.shape[1] == (12 if interrupts[0] == ("analyse", 12) else 1 if interrupts[0][0] == "analyse" else 30)


def test_ctrl_c_before_anything(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sasmamba.common.native_output.silence", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == "Stopped before anything began."


def test_ctrl_c_before_the_first_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "clip.mp4", 3)

    def impatient(*_: object, **__: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return walker_2d("")

    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", impatient)
    result = command(video)
    assert (result.code, result.out) == (130, "")
    assert f"Stopped before the first frame of {video}; nothing was written." in result.err
    assert left_in(tmp_path) == ["clip.mp4"]


#: For processes of their own: the helpers, beside what this one finds.
TESTS = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
#: The command with a 2D stage that costs nothing.
QUICK = (
    """
from helpers_cli import walker_2d
from sasmamba.app import pipeline
pipeline.open_pose2d = walker_2d
"""
    + MAIN
)
#: The same with a drawing stage slow enough to be caught in.
SLOW = (
    """
import time
from sasmamba.app.render import renderer as rendering
draw = rendering.Renderer.draw
rendering.Renderer.draw = lambda *a, **k: (time.sleep(0.05), draw(*a, **k))[1]
"""
    + QUICK
)


@pytest.mark.parametrize(
    ("number", "code", "left"),
    [
        (signal.SIGINT, 130, ["r.mp4"]),
        (signal.SIGTERM, 128 + signal.SIGTERM, []),
        (signal.SIGKILL, -signal.SIGKILL, ["a lock", "a temporary file"]),
    ],
)
def test_signals_from_outside(
    tmp_path: Path, number: int, code: int, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_video(tmp_path / "clip.mp4", 150, size=(64, 48))
    out = tmp_path / "out"
    out.mkdir()
    process = start(video, "--out", out / "r.mp4", code=SLOW, PYTHONPATH=TESTS)
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in out.glob(".r.*.part.mp4")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the render never began"
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    assert "Traceback" not in err
    kinds = {".mp4": "a temporary file", ".lock": "a lock"}
    found = sorted(kinds[Path(name).suffix] if name.startswith(".") else name for name in left_in(out))
    assert found == left
    if number == signal.SIGKILL:  # nobody could clean up; the next run does
        monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
        assert command(video, "--out", out / "r.mp4", "--quiet").code == 0
        assert left_in(out) == ["r.mp4"]
    if found == ["r.mp4"]:
        frames = sum(1 for _ in VideoFile(out / "r.mp4"))
        assert f"Stopped: the render holds the first {frames} frame" in err
        with av.open(str(out / "r.mp4")) as file:
            assert file.streams.video[0].frames == frames > 0


def test_ctrl_c_arrives_though_the_tests_run_in_the_background() -> None:
    """A shell has SIGINT ignored in what it starts with &; conftest.py takes it up again."""
    code = "import conftest, os, signal; os.kill(os.getpid(), signal.SIGINT)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        env=os.environ | {"PYTHONPATH": TESTS},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGINT


@pytest.mark.parametrize(
    ("closed", "code"),
    # native libraries write to standard error whatever file has got its number, so there they take part
    [(">&-", QUICK), ("2>&-", MAIN), ("<&- >&- 2>&-", MAIN), ("| true", QUICK)],
    ids=[">&-", "2>&-", "<&- >&- 2>&-", "| true"],
)
def test_closed_streams(tmp_path: Path, closed: str, code: str) -> None:
    """A stream that is not there, or that nobody reads, is no reason not to do the work."""
    video = write_video(tmp_path / "clip.mp4", 2)
    script = f'"$0" -c "$1" "$2" --out "$3" {closed}'
    arguments = [sys.executable, code, str(video), str(tmp_path / "r.mp4")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": TESTS}
    done = subprocess.run(
        ["bash", "-c", script, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert sum(1 for _ in VideoFile(tmp_path / "r.mp4")) == 2


def test_no_room_behind_standard_output(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The system refuses to go on: [Errno 28] No space left on device.")


def test_names_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    video = write_video(tmp_path / "ö🎥.mp4", 2)
    process = start(video, code=QUICK, PYTHONIOENCODING="ascii", PYTHONPATH=TESTS)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "\\xf6\\U0001f3a5_3d.mp4" in out


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), True),
        (RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 1"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("a bug"), False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_memory_that_runs_out(error: Exception, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a traceback."""
    video = write_video(tmp_path / "clip.mp4", 3)

    def opened(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", opened)
    if not told:
        with pytest.raises(RuntimeError, match="a bug"):
            command(video, "--out", tmp_path / "r.mp4")
        return
    result = command(video, "--out", tmp_path / "r.mp4")
    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("Error: There is too little memory: close other programs")
    assert left_in(tmp_path) == ["clip.mp4"]
