"""Keeps the chatter of native libraries off the terminal; their errors, and everything Python prints, come through.

MediaPipe, TensorFlow Lite, ONNX Runtime, OpenCV and FFmpeg write to file descriptor 2 past Python, when they are
loaded, while they work, from threads of their own, and when they are unloaded at the very end. So the descriptor
itself is replaced by a pipe, and a small process at its other end passes on all lines but those known to be chatter.

Why a process and not a thread: it needs none of this process's locks, so that native code which fills the pipe while
it holds the interpreter's lock cannot wait for itself; and it outlives this process, so that the last words of one
that crashes still come out. Child processes inherit the pipe, and their chatter is kept back as well. (Only where this
process is the first of a container does the system end the filter with it, and a crash's very last line may be lost.)

`sys.stderr` goes on writing to the real descriptor: progress bars still see a terminal, and nothing of Python's own is
ever judged. What Python prints in a child process goes through the pipe like everything there.
"""

from __future__ import annotations

import io
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO

_CHATTER = re.compile(
    rb"(?:\x1b\[[\d;]*m)*(?:"
    + rb"|".join(
        (
            # Abseil and glog, of MediaPipe: I0000 00:00:1700000000.123456 12 file.cc:81] …
            rb"[IW]\d{4}(?:\d{4})? \d\d:\d\d:[\d.]+ +\d+ [\w./+-]+:\d+\] ",
            # TensorFlow Lite, and MediaPipe before its log is set up. They write the level, the rest and the end of a
            # line one by one, so that two threads' lines may be mixed; one with an error in it is not dropped.
            rb"(?:(?:VERBOSE|INFO|WARNING): )++(?!ERROR: )",
            # ONNX Runtime: 2026-01-31 12:00:00.123456789 [W:onnxruntime:Default, file.cc:164 name] …
            rb"\d{4}-\d\d-\d\d \d\d:\d\d:[\d.]+ \[[VIW]:onnxruntime:",
            # OpenCV: [ WARN:0@0.012] global cap_v4l.cpp:914 open …
            rb"\[ ?(?:DEBUG|INFO|WARN):\d+@[\d.]+\] global ",
            # PyTorch's C++ side: [W131 12:00:00.123456789 NNPACK.cpp:62] …
            rb"\[[IW]\d{3,4} \d\d:\d\d:[\d.]+ [\w./+-]+:\d+\] ",
            # FFmpeg prints no level: these are remarks, whatever else it says may be an error
            rb"\[swscaler @ 0x[0-9a-f]+\] deprecated pixel format used",
            rb"\[libx264 @ 0x[0-9a-f]+\] (?:using |profile |264 - |frame |mb |8x8 |coded |i\d+ v|Weighted |ref |kb/s)",
            # what webcams with hardware JPEG make libjpeg say of every other picture
            rb"Corrupt JPEG data: ",
            # Mesa, where there is no GPU
            rb"libEGL warning: ",
        )
    )
    + rb")"
)
#: What is left for the next line where two threads' lines were mixed: "INFO: INFO: [a.cc:1] …", "[b.cc:2] …".
_MIXED = re.compile(rb"(?:(?:VERBOSE|INFO|WARNING): ){2,}")
_REST = re.compile(rb"\[[\w./+-]+:\d+\] |Created TensorFlow Lite |[\r\n]")
#: The beginning of a line waits so long for its rest before it is judged by what is there.
_PATIENCE_S = 0.1
#: A line this long is judged by its beginning.
_LONGEST = 1 << 16
#: The filter must be there within so long, or nothing is filtered.
_START_S = 10.0
#: Ctrl-C and the like are meant for the process that is filtered; its filter goes when nothing can come any more.
_NOT_MEANT_FOR_IT = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")


class LineFilter:
    """Takes bytes as they come, in pieces of any size, and gives back those of lines that are no chatter."""

    def __init__(self) -> None:
        self._start = b""  # of a line that is not judged yet
        self._passes: bool | None = None  # the verdict on a line whose end has not come
        self._owed = 0  # rests of mixed lines that are still to come

    @property
    def waiting(self) -> bool:
        """Whether the beginning of a line is held back."""
        return bool(self._start)

    def feed(self, data: bytes) -> bytes:
        """What of `data`, and of what was held back, can go on."""
        out = b""
        for piece in re.split(rb"(?<=[\r\n])", data):
            if self._passes is None:
                self._start += piece
            elif self._passes:
                out += piece
            ended = piece.endswith((b"\r", b"\n"))
            if ended or len(self._start) > _LONGEST:
                out += self.flush()
            if ended:
                self._passes = None
        return out

    def flush(self) -> bytes:
        """Judges the beginning that is held back; the rest of its line will share its fate."""
        start, self._start = self._start, b""
        if not start:
            return b""
        self._passes = not _CHATTER.match(start)
        if self._passes and self._owed and _REST.match(start):
            self._passes = False
            self._owed -= 1
        elif not self._passes and (mixed := _MIXED.match(start)):
            self._owed += mixed[0].count(b": ") - 1
        return start if self._passes else b""


@dataclass(slots=True)
class _State:
    """What this process has replaced.

    real: a descriptor of the real standard error, made once and kept, since streams on it may be kept by anybody.
    pipe: device and number of the pipe to the filter. pid: of the filter.
    users: how many asked for it and have not left. before: what `sys.stderr` and `sys.__stderr__` were.
    """

    real: int = -1
    pipe: tuple[int, int] | None = None
    stream: TextIO | None = None
    pid: int = 0
    users: int = 0
    before: tuple[TextIO | None, TextIO | None] | None = None


_state = _State()
_lock = threading.Lock()


def silence() -> None:
    """Keeps native chatter back from now on, to the end of this process and of its children.

    For programs; a library asks with `silenced`. A second call does nothing. Where no filter can be started (on
    Windows; no standard error) everything is printed as it always was.
    """
    with _lock:
        if not _filtered():
            _begin()
        _state.users += 1


@contextmanager
def silenced() -> Iterator[None]:
    """Keeps native chatter back meanwhile, then puts everything back as it was.

    It works on the whole process, not on one thread. Native libraries also speak when their objects are closed: leave
    it after that.
    """
    with _lock:
        if not _filtered():
            _begin()
        _state.users += 1
    try:
        yield
    finally:
        with _lock:
            _state.users -= 1
            if not _state.users:
                _end()


def _filtered() -> bool:
    """Whether standard error leads to a filter that this process, or the one it was forked from, has started.

    One inherited in another way does not count: lines are written piece by piece, and those of processes would mix.
    """
    return _state.pipe is not None and _pipe() == _state.pipe


def _pipe() -> tuple[int, int] | None:
    """What standard error leads to."""
    try:
        status = os.fstat(2)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _begin() -> None:
    """Starts a filter and has descriptor 2 lead to it; leaves everything as it is where that is impossible."""
    if not hasattr(os, "posix_spawn") or not sys.executable:
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        reading, writing = os.pipe()
    except OSError:  # no more files may be open
        return
    try:
        hearing, telling = os.pipe()
    except OSError:
        os.close(reading)
        os.close(writing)
        return
    os.set_inheritable(telling, True)
    try:
        pid = os.posix_spawn(
            sys.executable,
            # -P: the folder of this file must not stand in for the standard library
            [sys.executable, "-P", "-S", "-B", __file__, str(telling)],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_DUP2, 2, 1)],
            setsigmask=[getattr(signal, name) for name in _NOT_MEANT_FOR_IT],
        )
    except OSError:
        pid = 0
    os.close(reading)
    os.close(telling)
    ready = bool(pid) and bool(select.select([hearing], [], [], _START_S)[0]) and os.read(hearing, 1) == b"."
    os.close(hearing)
    if not ready:
        os.close(writing)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return
    _reap(0)  # one from before, whose pipe somebody else has taken off the descriptor
    _state.pid = pid
    if _state.real < 0:
        _state.real = os.dup(2)
    else:
        os.dup2(2, _state.real, inheritable=False)
    os.dup2(writing, 2)
    os.close(writing)
    _state.pipe = _pipe()
    _state.before = _state.before or (sys.stderr, sys.__stderr__)
    for name in ("stderr", "__stderr__"):
        if _leads_to_2(stream := getattr(sys, name)):
            setattr(sys, name, _real_stream(stream))


def _end() -> None:
    """Puts back what `_begin` replaced, once the filter has passed on what it was given."""
    if _state.before is None:
        return
    if _filtered():
        os.dup2(_state.real, 2)
    _state.pipe = None
    if _state.stream is not None:
        _state.stream.flush()
    for name, before in zip(("stderr", "__stderr__"), _state.before, strict=True):
        if getattr(sys, name) is _state.stream:
            setattr(sys, name, before)
    _state.before = None
    _reap(1.0)


def _reap(patience_s: float) -> None:
    """Waits for the filter to end, though not for ever: a child process may still hold its pipe."""
    until = time.monotonic() + patience_s
    while _state.pid:
        with suppress(ChildProcessError):
            if os.waitpid(_state.pid, os.WNOHANG)[0] == 0:
                if time.monotonic() < until:
                    time.sleep(0.002)
                    continue
                return  # the system sees to it when this process ends
        _state.pid = 0


def _leads_to_2(stream: object) -> bool:
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == 2
    except (OSError, ValueError):  # closed, or taken over by somebody
        return False


def _real_stream(like: TextIO) -> TextIO:
    """A stream to the real standard error, set up as Python had set up its own."""
    if _state.stream is None:
        assert isinstance(like, io.TextIOWrapper)
        raw = open(_state.real, "wb", buffering=0, closefd=False)  # noqa: SIM115 (lives to the end)
        _state.stream = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=like.encoding,
            errors=like.errors,
            line_buffering=True,
            write_through=like.write_through,
        )
    return _state.stream


def _serve(telling: int) -> None:
    """The filter: standard input, without the chatter, to standard output, until nothing can come any more."""
    os.write(telling, b".")
    os.close(telling)
    lines = LineFilter()
    while True:
        if lines.waiting and not select.select([0], [], [], _PATIENCE_S)[0]:
            _put(lines.flush())
            continue
        data = os.read(0, _LONGEST)
        _put(lines.feed(data) if data else lines.flush())
        if not data:
            return


def _put(data: bytes) -> None:
    """Writes all of it. Where nobody can read it any more it is dropped: whoever writes to the pipe must not wait."""
    while data:
        try:
            data = data[os.write(1, data) :]
        except BlockingIOError:
            select.select([], [1], [])
        except OSError:
            return


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
