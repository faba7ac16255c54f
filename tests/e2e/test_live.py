"""Live mode as a user meets it: a file at its own pace, recorded, watched in a browser, stopped, lost."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers_cli import MAIN, command, left_in, one_sentence, start, walker_2d
from helpers_video import write_video

from sasmamba.app.live import run as live_run
from sasmamba.app.live.run import LiveConfig, run_live
from sasmamba.app.live.screens import Server
from sasmamba.app.live.sources import LiveFrame
from sasmamba.app.types import Frame, UserError, VideoMeta

#: The command with a 2D stage that costs nothing, so that what is measured here is live mode itself.
WALKER = f"""
from sasmamba.app.live import run
import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from helpers_cli import walker_2d
run.open_pose2d = walker_2d
{MAIN}
"""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", 45, size=(320, 240), fps=30)


@pytest.fixture
def free_2d(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_run, "open_pose2d", walker_2d)


def frames_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as file:
        return [Fraction(p.pts) * p.time_base for p in file.decode(video=0)]  # type: ignore[operator]


@pytest.mark.usefixtures("free_2d")
@pytest.mark.parametrize("lookahead", [0, 8])
def test_a_file_at_its_own_pace_is_recorded(clip: Path, lookahead: int) -> None:
    begin = time.monotonic()
    result = command(
        clip, "--realtime", "--no-window", "-o", clip.with_name("live.mp4"), "--lookahead", lookahead, "--json"
    )
    assert result.code == 0, result.err
    assert time.monotonic() - begin > 1.4  # 45 frames at 30 a second
    report = json.loads(result.out)
    assert report["captured"] == 45
    assert report["captured"] == report["shown"] + report["dropped"] + report["undrawn"]
    assert report["people"] == 1
    assert report["delay_ms"] >= 1000 * lookahead / 30 - 1  # nothing can be shown before what it waits for
    assert report["delay_95_ms"] >= report["delay_ms"]
    times = frames_of(clip.with_name("live.mp4"))
    assert len(times) == report["shown"]
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))
    assert left_in(clip.parent) == ["clip.mp4", "live.mp4"]


@pytest.mark.usefixtures("free_2d")
def test_watched_in_a_browser_and_used_as_a_source(clip: Path) -> None:
    """One live run serves its picture; another takes that as its camera."""
    with Server(0) as free:
        port = int(free.url.rstrip("/").rpartition(":")[2])
    long = write_video(clip.with_name("long.mp4"), 450, size=(320, 240), fps=30)
    thread = threading.Thread(target=lambda: run_live(LiveConfig(str(long), serve=port, window=False), lambda _: None))
    thread.start()
    try:
        for _ in range(100):
            try:
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                break
            except OSError:
                time.sleep(0.1)
        assert b"<img" in page
        config = LiveConfig(f"http://127.0.0.1:{port}/stream", clip.with_name("second.mp4"), window=False, seconds=1.5)
        report = run_live(config, lambda _: None)
    finally:
        thread.join()
    assert report.shown >= 1  # how many depends on what else the machine does
    assert len(frames_of(clip.with_name("second.mp4"))) == report.shown


def test_ctrl_c_ends_the_recording_whole(clip: Path) -> None:
    long = write_video(clip.with_name("long.mp4"), 3000, size=(320, 240), fps=30)
    out = clip.with_name("live.mp4")
    process = start("live", long, "--no-window", "-o", out, "--serve", 0, code=WALKER)
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Watch at http://127.0.0.1:")
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        printed, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "shown of" in printed
    assert len(frames_of(out)) > 10
    assert left_in(clip.parent) == ["clip.mp4", "live.mp4", "long.mp4"]


class Unplugged:
    """A camera that is pulled out."""

    name = "Camera 0"
    meta = VideoMeta(320, 240, Fraction(30), None)

    def frames(self, stop: threading.Event) -> Iterator[LiveFrame]:
        for i in range(20):
            stop.wait(1 / 30)
            yield LiveFrame(Frame(i, Fraction(i, 30), np.zeros((240, 320, 3), np.uint8)), time.monotonic())
        raise UserError("Camera 0 stopped giving pictures: check the plug, and start again.")

    def __enter__(self) -> Unplugged:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


@pytest.mark.usefixtures("free_2d")
def test_what_was_recorded_outlives_the_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_run, "open_live", lambda *_, **__: Unplugged())
    result = command("live", "0", "--no-window", "-o", tmp_path / "live.mp4")
    assert result.code == 1
    assert one_sentence(result.err).startswith("Camera 0 stopped giving pictures")
    assert len(frames_of(tmp_path / "live.mp4")) > 5


@pytest.mark.parametrize(
    ("arguments", "sentence", "code"),
    [
        (("nothere.mp4", "--realtime"), "There is no file nothere.mp4", 2),
        (("{clip}", "--realtime", "--lookahead", "122"), "--lookahead must lie between 0 and 121", 2),
        (("{clip}", "--realtime", "--lookahead", "-1"), "--lookahead must lie between 0 and 121", 2),
        (("{clip}", "--realtime", "-o", "x.gif"), "A live recording must end in .mp4", 2),
        (("{clip}", "--realtime", "-o", "{clip}"), "The recording would overwrite", 2),
        (("{clip}", "--realtime", "--serve", "70000"), "--serve must be a port", 2),
        (("{clip}", "--realtime", "--seconds", "0"), "--seconds must be more than 0", 2),
        (("{clip}", "--realtime", "--window"), "No window can be opened", 1),
        (("http://127.0.0.1:9/x",), "cannot be opened", 1),
        (("live", "{clip}", "--pose2d", "sharp"), "--pose2d must be one of", 2),
    ],
)
def test_what_cannot_be(
    arguments: tuple[str, ...], sentence: str, code: int, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sasmamba.app.live.screens.sys.platform", "linux")
    result = command(*(a.format(clip=clip) for a in arguments))
    assert result.code == code
    assert sentence in one_sentence(result.err)
    assert left_in(clip.parent) == ["clip.mp4"]


@pytest.mark.usefixtures("free_2d")
def test_keys(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn, record, pause, go on, end the recording, quit: typed into a window that is not there."""
    monkeypatch.chdir(tmp_path)
    typed = iter([""] * 5 + ["left", "up", "r"] + [""] * 30 + [" "] + [""] * 10 + [" ", "r"] + [""] * 5 + ["q"])
    shown: list[tuple[int, ...]] = []

    class FakeWindow:
        def __enter__(self) -> FakeWindow:
            return self

        def __exit__(self, *exc: object) -> None:
            pass

        def show(self, picture: np.ndarray) -> None:
            shown.append(picture.shape)

        def key(self) -> str:
            return next(typed)

    monkeypatch.setattr(live_run, "Window", FakeWindow)
    long = write_video(tmp_path / "long.mp4", 400, size=(320, 240), fps=30)
    report = run_live(LiveConfig(str(long), window=True), lambda _: None)
    assert not list(typed)
    assert len(report.files) == 1
    assert Path(report.files[0]).name.startswith("live_")
    assert 1 <= len(frames_of(Path(report.files[0]))) < report.shown == len(shown)
    assert not report.interrupted
