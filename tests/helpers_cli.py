"""The command, run as a user runs it: in this process where that is the same, in one of its own where it is not."""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import av
import numpy as np
import pytest
from helpers_video import MATRICES, set_display_matrix
from typer.main import get_command

from sasmamba.app.cli import main
from sasmamba.app.types import Frame, Person2D

#: The commands and their options as typer makes them out of functions: once, not for each of hundreds of calls.
_made = functools.cache(get_command)

MAIN = "from sasmamba.app.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left: exit code and what it printed."""

    code: int
    out: str
    err: str


@contextmanager
def mounted_disk(folder: Path, *, size_kib: int, free_kib: int) -> Iterator[Path]:
    """A disk of its own, mounted at `folder`, with so much room left; skips the test where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", folder]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk can only be mounted by root")
    try:
        (folder / "ballast").write_bytes(bytes((size_kib - free_kib) << 10))
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def not_as_root(folder: Path) -> Iterator[None]:
    """Root may do everything; as nobody it may not. Folders on the way to this one are opened meanwhile."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    above = {path: path.stat().st_mode for path in folder.parents if not path.stat().st_mode & 0o005}
    for path in above:
        path.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for path, mode in above.items():
            path.chmod(mode)


def command(*arguments: object) -> Result:
    """`sasmamba-demo arguments…` in this process; an exception that the command lets through comes out."""
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    with (
        patch.object(sys, "argv", ["sasmamba-demo", *map(str, arguments)]),
        patch("typer.main.get_command", _made),
        patch("sasmamba.common.native_output.silence"),  # to the end of the process it would be, and this one goes on
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, before)
    return Result(code, out.getvalue(), err.getvalue())


def start(*arguments: object, code: str = MAIN, **environment: str) -> subprocess.Popen[str]:
    """`sasmamba-demo arguments…` as a process of its own, standard output and error in pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_in(folder: Path) -> list[str]:
    """All names in a folder, hidden ones too."""
    return sorted(os.listdir(folder))


def one_sentence(err: str) -> str:
    """The error a command printed; there must be nothing else, and no traceback."""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("Error: "), err
    return lines[0].removeprefix("Error: ")


def walker(frames: int, centre_px: tuple[float, float] = (160, 120), height_px: float = 180) -> np.ndarray:
    """A person walking on the spot, from the front: COCO-17 (frames, 17, 3) x px, y px, score 1."""
    # nose, then eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: half the distance between left and right
    across = np.array([0, *(s * w for w in (0.02, 0.05, 0.1, 0.12, 0.13, 0.07, 0.07, 0.07) for s in (1, -1))])
    down = np.array([-0.44, *np.repeat([-0.46, -0.45, -0.3, -0.13, 0.02, 0.02, 0.25, 0.48], 2)])
    swing = np.sin(2 * np.pi * np.arange(frames) / 30)[:, None]
    side = np.where(np.arange(17) % 2, 1.0, -1.0)
    reach = np.select([np.isin(np.arange(17), (9, 10)), np.isin(np.arange(17), (15, 16))], [-0.12, 0.15], 0)
    x = centre_px[0] + height_px * (across + swing * side * reach)
    y = centre_px[1] + height_px * np.broadcast_to(down, (frames, 17))
    return np.stack([x, y, np.ones_like(x)], -1).astype(np.float32)


class Walker2D:
    """A 2D backend that sees a walker in every frame, at no cost."""

    name = "walker"

    def __init__(self, **_: object) -> None:
        self._points = walker(30)

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        points = self._points[frame.index % 30]
        box = np.array([*points[:, :2].min(0), *points[:, :2].max(0)], np.float32)
        return (Person2D(None, box, points[:, :2], points[:, 2]),)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def walker_2d(backend: str, **options: object) -> Walker2D:
    """Stands in for `open_pose2d`."""
    return Walker2D(**options)


def walk_clip(source: Path, path: Path, *, frames: int, before: int = 0, after: int = 0, turned: bool = False) -> Path:
    """A woman walking, out of the park clip at half its size, between blank frames.

    turned: stored on its side with a display matrix that puts it right, as phones do.
    """
    with av.open(str(source)) as file:
        pictures = [
            picture.reformat(width=884, height=496, format="bgr24").to_ndarray()
            for picture in islice(file.decode(video=0), 45, 45 + frames)
        ]
    blank = np.full_like(pictures[0], 120)
    pictures = [blank] * before + pictures + [blank] * after
    if turned:
        pictures = [np.ascontiguousarray(np.rot90(picture)) for picture in pictures]
    height, width, _ = pictures[0].shape
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))
    if turned:
        set_display_matrix(path, MATRICES["quarter turn right"], width, height)
    return path
