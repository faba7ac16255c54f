"""A run in which everything fails once, one after the other: `python tests/fuzz/run_faults.py [--every 1]`.

A small clip is analysed, drawn and exported in every format that is installed, with a stand-in for the 2D networks, in
a process whose disk and models fail when they are told to: the nth write, rename or new file in the folder of the
results, the nth read of the clip, every length at which a file may be allowed to end, and the nth call of the decoder,
the 2D stage, the lifter and the drawing, which run out of memory. Each run must end

* well, with whole files, where the fault did not matter or was told in a note, or
* with exit code 1 and one sentence, without a traceback, and with each file whole or not there;

and no unfinished file or lock may be left. Exit code 1 if one does not.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av

sys.path[:0] = [str(Path(__file__).parents[1])]

from helpers_cli import command, walker_2d
from helpers_video import write_video

FRAMES = 12
#: Formats and the module without which each cannot be written.
FORMATS = {"bvh": "", "glb": "", "usd": "pxr", "trc": "", "c3d": "ezc3d", "angles": "", "csv": "", "json": ""} | {
    "npz": "",
    "html": "",
    "rrd": "rerun",
}
#: Calls of the C library that fail, by number in faulty_disk.c, with what the system says and whether it goes on so.
CALLS = {
    "write, full disk": (1, errno.ENOSPC, True),
    "write, broken disk": (1, errno.EIO, False),
    "rename": (2, errno.EACCES, False),
    "read": (3, errno.EIO, False),
    "open": (4, errno.ENOSPC, True),
}
#: Parts of the program that fail, by what is replaced.
PARTS = ("decode", "2D", "lift", "draw")
KINDS = (*CALLS, "length", *PARTS)
#: Seconds for one run.
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        code, err: exit code, and what was said on standard error.
        calls: how many calls of that kind there were; 0 of a length.
        files: `content` of every file in the folder of the results, by name.
    """

    code: int
    err: str
    calls: int
    files: dict[str, str]


def build_disk(folder: Path) -> Path | None:
    """The library of faulty_disk.c; None where there is no C compiler or no such system."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "faulty_disk.so"
    source = Path(__file__).with_name("faulty_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def out_of_memory() -> BaseException:
    """As ONNX Runtime says it; NumPy and Python raise MemoryError."""
    return RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer")


class _Failing:
    """Counts calls of a function, the nth of which fails instead."""

    def __init__(self, real: Callable[..., Any], when: int, error: Callable[[], BaseException]) -> None:
        self.real, self.when, self.error, self.calls = real, when, error, 0

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == self.when:
            raise self.error()
        return self.real(*given, **named)


@contextmanager
def failing_part(part: str, when: int) -> Iterator[_Failing]:
    """The nth call of a part of the program runs out of memory."""
    from sasmamba.app.io import video_file
    from sasmamba.app.lifting.lifter import Lifter
    from sasmamba.app.render.renderer import Renderer

    owner, name, error = {
        "decode": (video_file._Upright, "__call__", MemoryError),
        "2D": (walker_2d("").__class__, "__call__", out_of_memory),
        "lift": (Lifter, "_lift", out_of_memory),
        "draw": (Renderer, "draw", MemoryError),
    }[part]
    failing = _Failing(getattr(owner, name), when, error)

    def method(*given: Any, **named: Any) -> Any:  # a function is bound to its object, an instance is not
        return failing(*given, **named)

    with patch.object(owner, name, method):
        yield failing


def content(path: Path) -> str:
    """SHA-256 of a file; of a video what can be decoded without an error, since an encoder with several threads does
    not come to the very same bytes each time on a busy machine."""
    if path.suffix != ".mp4":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    counts = []
    try:
        for kind in ("video", "audio"):
            with av.open(str(path)) as file:
                stream: Any = getattr(file.streams, kind)[0]
                stream.codec_context.options = {"err_detect": "explode"}
                counts.append(sum(1 for _ in file.decode(stream)))
    except (av.FFmpegError, IndexError) as error:
        return f"no video: {error}"
    return f"{counts[0]} pictures, {counts[1]} pieces of sound"


def _run(clip: Path, out: Path, exports: str) -> tuple[int, str]:
    with patch("sasmamba.app.pipeline.open_pose2d", walker_2d):
        named = ("--save-poses", out / "p.npz", "--export", exports, "--height", "120", "--quiet")
        result = command(clip, "--out", out / "r.mp4", *named)
    return result.code, result.err


def run_once(disk: Any, clip: Path, out: Path, exports: str, kind: str, when: int) -> Ended:
    """One run with the nth call of a kind failing; 0: none does."""
    out.mkdir()
    calls = 0
    try:
        if kind in CALLS:
            number, error, lasting = CALLS[kind]
            below = clip.parent if kind == "read" else out
            disk.faulty_arm(os.fsencode(below), number, when or 1 << 30, error, lasting)
            try:
                code, err = _run(clip, out, exports)
            finally:
                calls = disk.faulty_disarm()
        elif kind == "length":
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (when or before[1], before[1]))
            try:
                code, err = _run(clip, out, exports)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
        else:
            with failing_part(kind, when) as failing:
                code, err = _run(clip, out, exports)
            calls = failing.calls
        files = {p.name: content(p) for p in out.iterdir()}
    finally:
        shutil.rmtree(out)
    return Ended(code, err, calls, files)


def _serve(connection: Connection, library: Path, clip: Path, exports: str) -> None:
    """Makes runs until the pipe closes; a run that raises is told as its traceback."""
    import traceback

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    disk = ctypes.CDLL(str(library))
    connection.send(None)
    number = 0
    while True:
        try:
            kind, when = connection.recv()
        except EOFError:
            return
        number += 1
        try:
            connection.send(run_once(disk, clip, clip.parent.parent / f"out{number}", exports, kind, when))
        except BaseException:
            connection.send(Ended(-1, traceback.format_exc(), 0, {}))


class Server:
    """A process that makes runs on a disk that can fail."""

    def __init__(self, library: Path, clip: Path, exports: str) -> None:
        self.args = (library, clip, exports)
        self.begin()

    def begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, *self.args), daemon=True)
        with patch.dict(os.environ, LD_PRELOAD=str(self.args[0])):
            self.process.start()
        theirs.close()
        self.connection.recv()

    def __call__(self, kind: str, when: int) -> Ended:
        """The end of a run; of a process that hung or died, exit code -2."""
        self.connection.send((kind, when))
        if self.connection.poll(PATIENCE_S):
            try:
                return self.connection.recv()
            except (EOFError, OSError):
                self.process.join(5)
        died = self.process.exitcode
        self.end()
        self.begin()
        return Ended(-2, f"exit code {died}" if died is not None else f"no end after {PATIENCE_S:g} s", 0, {})

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def fault_of(ended: Ended, whole: dict[str, set[str]]) -> str:
    """What is wrong with how a run ended, "" where nothing is.

    Args:
        whole: the `content` that each whole file may have.
    """
    if ended.code < 0:
        return ended.err
    odd = [name for name in ended.files if name not in whole]
    if odd:
        return f"left behind: {', '.join(sorted(odd))}"
    half = [name for name, checksum in ended.files.items() if whole[name] and checksum not in whole[name]]
    lines = [line for line in ended.err.splitlines() if not line.startswith("Note: ")]
    if ended.code == 0:
        # what was decoded less may have made other files, and is told
        told = "Note: " in ended.err
        missing = [] if told else sorted(set(whole) - set(ended.files))
        half = [] if told else half
        return "; ".join(filter(None, [*lines, *(f"not written: {n}" for n in missing), *half]))
    if half and "Note: " not in ended.err:
        return f"not whole: {', '.join(f'{name} ({ended.files[name][:40]})' for name in half)}"
    if ended.code != 1 or len(lines) != 1 or not lines[0].startswith("Error: "):
        return f"exit code {ended.code}: {ended.err}"
    return ""


def steps(calls: int, every: int) -> list[int]:
    """Which calls fail: the first, the last, and every so many between."""
    return sorted({*range(1, calls + 1, every), calls} - {0})


def lengths(every: int) -> list[int]:
    """The lengths at which files end, in bytes: from nothing to more than any has."""
    return [1, 100, 500, *range(1000, 60_000, 1000 * every)]


def campaign(folder: Path, every: int, tell: Callable[[str], None] = lambda line: None) -> list[str]:
    """Makes all runs; one sentence for each that ended wrongly."""
    library = build_disk(folder)
    if library is None:
        raise RuntimeError("needs Linux and a C compiler")
    (folder / "clip").mkdir()
    clip = write_video(folder / "clip" / "c.mp4", FRAMES, size=(160, 120), audio="aac")
    exports = ",".join(form for form, module in FORMATS.items() if not module or find_spec(module))
    server, wrong = Server(library, clip, exports), []
    try:
        clean = [server("rename", 0) for _ in range(2)]
        for one in clean:
            if one.code:
                return [f"without a fault: {one.err}"]
        # what differs from run to run (times of day) can only be asked whether it is there
        whole = {
            name: {one.files[name] for one in clean} if len({one.files[name] for one in clean}) == 1 else set()
            for name in clean[0].files
        }
        tell(f"without a fault: {', '.join(sorted(whole))}; r.mp4 is {clean[0].files['r.mp4']}")
        for kind in KINDS:
            begin, ends = time.monotonic(), Counter[str]()
            moments = lengths(every) if kind == "length" else steps(server(kind, 0).calls, every)
            for when in moments:
                ended = server(kind, when)
                fault = fault_of(ended, whole)
                ends["wrong" if fault else {0: "well", 1: "in a sentence"}[ended.code]] += 1
                if fault:
                    wrong.append(f"{kind}, {when}: {fault}")
                    lines = wrong[-1].strip().splitlines()
                    tell("--- " + "\n    ".join(line[:300] for line in lines[: 1 + (len(lines) > 1)] + lines[-3:]))
            how = ", ".join(f"{n} {what}" for what, n in sorted(ends.items()))
            tell(f"{kind}: {len(moments)} runs, {how}; {time.monotonic() - begin:.0f} s")
    finally:
        server.end()
    return wrong


def main() -> int:
    """Prints a line for each kind, and each fault that was not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="of the calls only every so many fails")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = campaign(Path(folder), args.every, lambda line: print(line, flush=True))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
