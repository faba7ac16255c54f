"""Places that cannot be written to are found before the work begins; a disk that fills up leaves nothing behind."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from helpers_cli import command, left_in, mounted_disk, not_as_root, one_sentence, walker_2d
from helpers_video import write_video


@pytest.fixture
def video(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_video(tmp_path / "in" / "clip.mp4", 30, size=(320, 240))


@pytest.fixture
def no_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test when the work begins."""

    def begin(*_: object, **__: object) -> None:
        raise AssertionError("the output should have been tried first")

    monkeypatch.setattr("sasmamba.app.pipeline.analyse", begin)


@pytest.mark.usefixtures("no_analysis")
@pytest.mark.parametrize(
    ("option", "place", "code", "says"),
    [
        ("--out", "in/clip.mp4/r.mp4", 1, "part of that path is a file, not a folder; choose another folder."),
        ("--save-poses", "in/clip.mp4/p.npz", 1, "part of that path is a file, not a folder; choose another folder."),
        ("--out", "/proc/r.mp4", 1, "no file can be made there; choose another folder."),
        ("--out", "/proc/none/r.mp4", 1, "no file can be made there; choose another folder."),
        ("--out", "a" * 300 + ".mp4", 1, "that name is too long; choose a shorter one."),
        ("--out", "folder.mp4", 2, "is a folder: give the name of a file in it."),
    ],
)
def test_places_that_take_no_file(tmp_path: Path, video: Path, option: str, place: str, code: int, says: str) -> None:
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("there is no /proc here")
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "folder.mp4").mkdir()
    others = [] if option == "--out" else ["--out", out / "r.mp4"]
    result = command(video, option, tmp_path / place, *others)
    sentence = one_sentence(result.err)
    assert sentence.startswith(str(tmp_path / place))
    assert sentence.endswith(says)
    assert result.code == code
    assert left_in(out) == []
    assert left_in(tmp_path / "in") == ["clip.mp4"]


@pytest.mark.usefixtures("no_analysis")
@pytest.mark.skipif(os.name == "nt", reason="permissions work differently on Windows")
def test_a_forbidden_folder(open_path: Path) -> None:
    clip = write_video(open_path / "clip.mp4", 30, size=(320, 240))
    command(clip, "--out", clip / "r.mp4")  # what is imported where it is used, nobody may not read
    (open_path / "out").mkdir(mode=0o555)
    with not_as_root(open_path):
        result = command(clip, "--out", open_path / "out" / "r.mp4")
    assert result.code == 1
    assert "you may not write there; choose another folder or change its permissions." in one_sentence(result.err)
    assert left_in(open_path / "out") == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with 4 KiB left; skips where none can be mounted."""
    with mounted_disk(tmp_path / "disk", size_kib=16, free_kib=4) as folder:
        yield folder


@pytest.mark.parametrize(("option", "name"), [("--out", "r.mp4"), ("--out", "r.gif"), ("--save-poses", "p.npz")])
def test_a_full_disk(
    tmp_path: Path, video: Path, tiny_disk: Path, option: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    others = [] if option == "--out" else ["--out", tmp_path / "r.mp4"]
    result = command(video, option, tiny_disk / name, *others, "--json")
    says = f"{tiny_disk / name} could not be written: the disk is full; free some space or write to another disk."
    assert one_sentence(result.err) == says
    assert (result.code, result.out) == (1, "")
    assert left_in(tiny_disk) == ["ballast"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=errno.errorcode.get)
def test_a_disk_that_fails_after_some_frames(
    tmp_path: Path, video: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same without a disk to fill."""
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    mux = av.container.OutputContainer.mux
    calls: list[Any] = []

    class Failing:
        """An output container that fails in the middle."""

        def __init__(self, container: Any) -> None:
            self._container = container

        def __getattr__(self, name: str) -> Any:
            return getattr(self._container, name)

        def mux(self, packets: Any) -> None:
            calls.append(packets)
            if len(calls) > 10:
                raise OSError(number, os.strerror(number))
            mux(self._container, packets)

    really = av.open
    monkeypatch.setattr(
        "sasmamba.app.io.mp4.av.open",
        lambda *a, **k: Failing(really(*a, **k)) if "w" in a else really(*a, **k),
    )
    result = command(video, "--out", tmp_path / "r.mp4", "--quiet")
    assert result.code == 1
    assert one_sentence(result.err).startswith(f"{tmp_path / 'r.mp4'} could not be written: ")
    assert left_in(tmp_path) == ["in"]


@pytest.mark.skipif(os.name == "nt", reason="no limit of that kind")
@pytest.mark.parametrize("form", ["usd", "c3d", "rrd", "glb", "bvh"])
def test_libraries_that_write_say_what_the_system_said(
    form: str, tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """USD's own error was a traceback of thirty lines."""
    import resource

    pytest.importorskip({"usd": "pxr", "c3d": "ezc3d", "rrd": "rerun"}.get(form, "json"))
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    before, way = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        result = command(video, "--out", tmp_path / "out" / "r.mp4", "--export", form, "--quiet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, way)
    assert result.code == 1
    assert "could not be written: the " in one_sentence(result.err)
    assert left_in(tmp_path / "out") == []
