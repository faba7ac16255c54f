"""What native libraries say: chatter stays away, errors and Python's own words come through, whatever happens."""

from __future__ import annotations

import itertools
import os
import pty
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sasmamba.common.native_output import LineFilter, silenced

CHATTER = {
    "absl": b"W0000 00:00:1764343253.123456  4711 inference_feedback_manager.cc:114] Feedback manager requires\n",
    "glog": b"I20261128 15:20:53.123456 12 gl_context.cc:369] GL version: 3.2\n",
    "tflite": b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n",
    "mediapipe closes": b"INFO: [accelerator_registry.cc:43] DestroyAccelerator: ptr=0x7f, name=CpuAccelerator\n",
    "mediapipe opens": b"WARNING: Logging before InitGoogle() is written to STDERR\n",
    "onnxruntime": b"\x1b[0;93m2026-11-28 15:20:53.1234 [W:onnxruntime:Default, discovery.cc:164 Get] no\x1b[m\n",
    "opencv": b"[ WARN:0@0.012] global cap_v4l.cpp:913 open VIDEOIO(V4L2:/dev/video0): can't open camera\n",
    "torch": b"[W1128 15:20:53.123456789 NNPACK.cpp:62] Could not initialize NNPACK! Reason: Unsupported hardware.\n",
    "x264": b"[libx264 @ 0x55d5c0] using cpu capabilities: MMX2 SSE2Fast SSSE3 SSE4.2 AVX FMA3 BMI2 AVX2\n",
    "swscale": b"[swscaler @ 0x55d5c0] deprecated pixel format used, make sure you did set range correctly\n",
    "webcam": b"Corrupt JPEG data: 2 extraneous bytes before marker 0xd9\n",
}

NEWS = {
    "absl error": b"E0000 00:00:1764343253.123456  4711 graph.cc:114] real error\n",
    "absl fatal": b"F0000 00:00:1764343253.123456  4711 graph.cc:114] Check failed: a == b\n",
    "tflite error": b"ERROR: Node number 3 failed to prepare.\n",
    "onnxruntime error": b"2026-11-28 15:20:53.1234 [E:onnxruntime:Default, file.cc:1 Get] no\n",
    "opencv error": b"[ERROR:0@0.012] global cap.cpp:913 open\n",
    "x264 error": b"[libx264 @ 0x55d5c0] malloc of size 1234 failed\n",
    "h264": b"[h264 @ 0x55d5c0] error while decoding MB 3 4, bytestream -5\n",
    "loader": b"python: error while loading shared libraries: libEGL.so.1: cannot open shared object file\n",
    "out of memory": b"terminate called after throwing an instance of 'std::bad_alloc'\n",
    "a word in the middle": b"the log says INFO: nothing\n",
    "not text": b"\xff\xfe\x00\n",
    "nothing": b"\n",
}


@pytest.mark.parametrize(
    ("line", "passes"),
    [(line, False) for line in CHATTER.values()] + [(line, True) for line in NEWS.values()],
    ids=[*CHATTER, *NEWS],
)
def test_what_is_chatter(line: bytes, passes: bool) -> None:
    assert LineFilter().feed(line) == (line if passes else b"")


@given(
    st.lists(st.one_of(st.sampled_from([*CHATTER.values(), *NEWS.values()]), st.binary(max_size=20)), max_size=12),
    st.lists(st.integers(0, 600), max_size=12),
)
def test_it_does_not_matter_how_lines_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(lines)
    whole = LineFilter()
    expected = whole.feed(data) + whole.flush()
    places = sorted({min(c, len(data)) for c in cuts} | {0, len(data)})
    piecewise = LineFilter()
    got = b"".join(piecewise.feed(data[a:b]) for a, b in itertools.pairwise(places)) + piecewise.flush()
    assert got == expected


@given(st.lists(st.sampled_from([*CHATTER.values(), *NEWS.values()]), max_size=30))
def test_whole_lines_are_kept_or_dropped(lines: list[bytes]) -> None:
    assert LineFilter().feed(b"".join(lines)) == b"".join(line for line in lines if line in NEWS.values())


def test_a_beginning_decides_for_its_line() -> None:
    """Where a rest is waited for too long; and a line without an end takes no memory."""
    for start, passes in ((b"INFO: wor", False), (b"Password: ", True)):
        lines = LineFilter()
        assert lines.feed(start) == b""
        assert lines.waiting
        assert lines.flush() == (start if passes else b"")
        assert not lines.waiting
        assert lines.feed(b"king\nE0\n") == (b"king\n" if passes else b"") + b"E0\n"
    lines = LineFilter()
    assert len(lines.feed(b"x" * 200_000)) == 200_000


@pytest.mark.parametrize(
    ("mixed", "left"),
    [
        (b"INFO: INFO: [a.cc:36] one\n[b.cc:43] two\nnews\n", b"news\n"),
        (b"INFO: WARNING: INFO: [a.cc:36] one[b.cc:43] two\n\n[c.cc:1] three\n\n", b"\n"),
        (b"INFO: ERROR: one\n[a.cc:36] two\n", b"INFO: ERROR: one\n[a.cc:36] two\n"),
        (b"INFO: INFO: [a.cc:36] one\nnews\n[b.cc:43] two\n", b"news\n"),
    ],
    ids=["one by one", "three", "with an error", "news between"],
)
def test_lines_of_two_threads_mixed(mixed: bytes, left: bytes) -> None:
    """TensorFlow Lite writes the level, the rest, and the end of a line, each by itself."""
    assert LineFilter().feed(mixed) == left


SAY = (
    "import atexit, ctypes, faulthandler, multiprocessing, os, signal, subprocess, sys, threading, time\n"
    "from sasmamba.common.native_output import silence, silenced\n"
    "chatter, news = b'INFO: chatter\\n', b'E0000 news\\n'\n"
    "def say(): os.write(2, chatter + news)\n"
)

#: What a program does after `silence()`, and what its standard error must hold, in any order.
LIVES = {
    "nothing special": ("say()", ["E0000 news"]),
    "an exception": ("say(); raise RuntimeError('of Python')", ["E0000 news", "RuntimeError: of Python"]),
    "a thread": ("t = threading.Thread(target=say); t.start(); t.join()", ["E0000 news"]),
    "a child": ("subprocess.run([sys.executable, '-c', sys.argv[1] + 'say()', sys.argv[1]])", ["E0000 news"]),
    "a child of its own mind": (
        "subprocess.run([sys.executable, '-c', sys.argv[1] + 'silence(); say()'])",
        ["E0000 news"],
    ),
    "a fork": ("p = multiprocessing.get_context('fork').Process(target=say); p.start(); p.join()", ["E0000 news"]),
    "a child that lives longer": (
        "subprocess.Popen([sys.executable, '-c', sys.argv[1] + 'time.sleep(0.5); say()'])",
        ["E0000 news"],
    ),
    "the very end": ("atexit.register(say)", ["E0000 news"]),
    "an end at once": ("say(); os._exit(3)", ["E0000 news"]),
    "an abort": ("say(); os.abort()", ["E0000 news"]),
    "a crash": ("faulthandler.enable(); say(); ctypes.string_at(0)", ["E0000 news", "Fatal Python error"]),
    "a kill": ("say(); os.kill(os.getpid(), signal.SIGKILL)", ["E0000 news"]),
    "an end without a new line": ("os.write(2, b'E0000 cut'); os._exit(1)", ["E0000 cut"]),
    "Python in a native disguise": ("print('INFO: of Python', file=sys.stderr)", ["INFO: of Python"]),
    "Python's other stream": ("say(); print('WARNING: too', file=sys.__stderr__)", ["E0000 news", "WARNING: too"]),
    "more than a pipe holds, the interpreter locked": (
        "ctypes.PyDLL(None).write(2, b'INFO: 9\\n' * 200_000, 1_600_000); say()",
        ["E0000 news"],
    ),
    "twice": ("silence(); silence(); say()", ["E0000 news"]),
}


@pytest.mark.parametrize(("code", "said"), LIVES.values(), ids=LIVES)
def test_a_program(code: str, said: list[str]) -> None:
    command = [sys.executable, "-c", f"{SAY}silence()\n{code}", SAY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert "chatter" not in done.stderr
    assert all(word in done.stderr for word in said), done.stderr
    if "Traceback" not in done.stderr and "Fatal" not in done.stderr:
        assert len(done.stderr.splitlines()) == len(said), done.stderr


def test_a_terminal_is_still_a_terminal() -> None:
    ours, theirs = pty.openpty()
    code = (
        f"{SAY}silence(); say(); print('py', file=sys.stderr)\n"
        "print(sys.stderr.isatty(), sys.__stderr__.isatty(), os.isatty(2))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, timeout=240, check=True)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += (piece := os.read(ours, 4096))
        except OSError:  # how Linux says that a terminal has no writer any more
            break
        if not piece:
            break
    os.close(ours)
    assert done.stdout.split() == [b"True", b"True", b"False"]
    assert sorted(shown.split(b"\r\n")) == [b"", b"E0000 news", b"py"]


def test_ctrl_c_does_not_reach_the_filter() -> None:
    """A terminal sends it to everybody; what the program says on its way out must still come."""
    code = (
        f"{SAY}silence()\n"
        "try: print('ready', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt: time.sleep(0.2); say()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=120)[1] == b"E0000 news\n"


def test_nobody_reads_any_more() -> None:
    """`2>&1 | head`: what cannot be told is lost, but nobody waits for it."""
    reading, writing = os.pipe()
    code = f"{SAY}silence(); print('ready', flush=True); sys.stdin.read()\nos.write(2, news * 200_000); print('done')\n"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writing
    )
    os.close(writing)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.close(reading)
    assert process.communicate(b"", timeout=120)[0] == b"done\n"
    assert process.returncode == 0


def test_meanwhile_only(capfd: pytest.CaptureFixture[str]) -> None:
    before = os.fstat(2).st_ino
    with pytest.raises(RuntimeError), silenced():  # noqa: PT012
        assert os.fstat(2).st_ino != before
        os.write(2, CHATTER["absl"] + NEWS["absl error"])
        with silenced():
            os.write(2, CHATTER["tflite"])
        thread = threading.Thread(target=lambda: os.write(2, CHATTER["glog"] + NEWS["opencv error"]))
        thread.start()
        thread.join()
        raise RuntimeError
    assert os.fstat(2).st_ino == before
    os.write(2, CHATTER["opencv"])
    said = capfd.readouterr().err.encode()
    # in this order: who leaves waits for the filter to have passed on everything
    assert said == NEWS["absl error"] + NEWS["opencv error"] + CHATTER["opencv"]


def test_meanwhile_for_two_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Who came first leaves first, and the other is still shielded."""
    inside, go = threading.Event(), threading.Event()

    def second() -> None:
        with silenced():
            inside.set()
            go.wait(120)
            os.write(2, CHATTER["absl"])

    thread = threading.Thread(target=second)
    with silenced():
        thread.start()
        assert inside.wait(120)
    go.set()
    thread.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_meanwhile_in_a_program() -> None:
    """Python's stream is its own again afterwards, and a handler that kept the other one still prints."""
    code = (
        f"{SAY}import logging\nmine = sys.stderr\n"
        "for i in range(3):\n"
        "    with silenced(): assert sys.stderr is not mine; handler = logging.StreamHandler(); say()\n"
        "    assert sys.stderr is mine is sys.__stderr__\n"
        "logging.getLogger().addHandler(handler); logging.warning('kept')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
    assert done.stderr == "E0000 news\n" * 3 + "kept\n"


@pytest.mark.parametrize("broken", ["no such program", "one that ends at once", "no way to start one"])
def test_without_a_filter_everything_is_printed(
    broken: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "no way to start one":
        monkeypatch.delattr(os, "posix_spawn")
    else:
        monkeypatch.setattr(sys, "executable", {"no": "/nowhere/python", "on": "/bin/true"}[broken[:2]])
    with silenced():
        os.write(2, CHATTER["absl"])
    assert capfd.readouterr().err.encode() == CHATTER["absl"]


def test_importing_replaces_nothing() -> None:
    code = (
        "import os, sys; before = os.fstat(2), sys.stderr\n"
        "import sasmamba.app.cli.main, sasmamba.app.pose2d.mediapipe, sasmamba.common.native_output\n"
        "assert (os.fstat(2), sys.stderr) == before\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=240, check=True, stderr=subprocess.PIPE)
