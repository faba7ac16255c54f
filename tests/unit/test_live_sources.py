"""Live sources: files keep their pace, lost streams come back, and whatever is not there is told in one sentence."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers_http import free_port
from helpers_video import grey_of, write_video

from sasmamba.app.io import live_sources
from sasmamba.app.io.live_sources import CameraSource, PacedFile, StreamSource, open_live
from sasmamba.app.io.pace import LATEST_S
from sasmamba.app.io.source_names import is_live
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.live.page_server import Server
from sasmamba.app.types import Frame
from sasmamba.common.errors import UserError


@pytest.mark.parametrize(
    ("source", "live"),
    [
        ("0", True),
        ("12", True),
        ("/dev/video0", True),
        ("rtsp://cam/1", True),
        ("HTTP://x/y.mjpg", True),
        ("clip.mp4", False),
        ("./0", False),
        ("/home/dev/video.mp4", False),
        ("C:\\clips\\a.mp4", False),
    ],
)
def test_what_is_live(source: str, live: bool) -> None:
    assert is_live(source) is live


def test_a_file_named_with_a_number_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").write_bytes(b"")
    assert not is_live("7")


def test_a_file_keeps_its_own_pace(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 15, fps=25)
    begin = time.monotonic()
    with PacedFile(path) as source:
        live = [(f, time.monotonic()) for f in source.frames(threading.Event())]
    assert time.monotonic() - begin >= 14 / 25
    assert [f.frame.index for f, _ in live] == list(range(15))
    due = [f.captured_s for f, _ in live]
    np.testing.assert_allclose(np.diff(due), 1 / 25, atol=1e-6)  # delay counts from when a picture was due
    assert all(now >= f.captured_s for f, now in live)


def test_a_file_that_takes_longer_to_decode_than_to_play_stays_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, whole = write_video(tmp_path / "a.mp4", 60, fps=30), VideoFile.__iter__

    def slowly(video: VideoFile) -> Iterator[Frame]:
        for frame in whole(video):
            time.sleep(0.1)
            yield frame

    monkeypatch.setattr(VideoFile, "__iter__", slowly)
    with PacedFile(path) as source:
        delays = [time.monotonic() - live.captured_s for live in source.frames(threading.Event())]
    assert len(delays) == 60
    assert max(delays) < LATEST_S + 0.3  # at the end it would be 4 s behind
    assert caplog.text.count("cannot be decoded as fast as it plays") == 1


def test_frames_larger_than_needed_are_made_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 3, size=(320, 240), corner=True)
    monkeypatch.setattr(live_sources, "LARGEST_SIDE_PX", 160)
    with open_live(str(path)) as source:
        assert (source.meta.width, source.meta.height, source.meta.fps) == (160, 120, 25)
        frames = list(source.frames(threading.Event()))
    assert [f.frame.index for f in frames] == [0, 1, 2]
    assert all(f.frame.bgr.shape == (120, 160, 3) for f in frames)
    assert frames[0].frame.bgr[10, 10].min() > 240  # the white corner is where it was
    assert frames[0].frame.bgr[100, 150].max() < 60


def test_a_file_can_be_stopped_while_it_waits(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 3, fps=Fraction(1, 8))
    stop = threading.Event()
    with PacedFile(path) as source:
        frames = source.frames(stop)
        assert next(frames).frame.index == 0
        begin = time.monotonic()
        threading.Timer(0.2, stop.set).start()
        assert list(frames) == []
    assert time.monotonic() - begin < 7  # the next one is due after 8 s


class FakeCapture:
    """Stands in for `cv2.VideoCapture`: a camera that is unplugged after some frames, and back when opened again."""

    opened = 0
    lasts: tuple[int, ...] = (4, 5)
    fps = 30.0

    def __init__(self, device: Any) -> None:
        self._left = self.lasts[type(self).opened] if type(self).opened < len(self.lasts) else None
        type(self).opened += 1

    def isOpened(self) -> bool:
        return self._left is not None

    def grab(self) -> bool:
        assert self._left is not None
        self._left -= 1
        return self._left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.full((48, 64, 3), 90, np.uint8)

    def read(self) -> tuple[bool, np.ndarray]:
        return self.grab(), self.retrieve()[1]

    def get(self, what: int) -> float:
        return self.fps if what == cv2.CAP_PROP_FPS else 0.0

    def set(self, what: int, value: float) -> bool:
        return True

    def release(self) -> None:
        pass


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    kind = type("Capture", (FakeCapture,), {"opened": 0})
    monkeypatch.setattr(live_sources.cv2, "VideoCapture", kind)
    monkeypatch.setattr(CameraSource, "_check", lambda self: None)
    monkeypatch.setattr(live_sources, "_FIRST_RETRY_S", 0.05)
    return kind


def test_a_camera_that_is_plugged_in_again(camera: type[FakeCapture]) -> None:
    with open_live("0", patience_s=1.0) as source:
        indices: list[int] = []
        frames = source.frames(threading.Event())
        with pytest.raises(UserError, match="Camera 0 stopped giving pictures and did not come back within"):
            indices.extend(live.frame.index for live in frames)
    assert len(indices) == 3 + 5  # one was read when it was opened
    assert all(b > a for a, b in itertools.pairwise(indices))
    assert camera.opened >= 3


@pytest.mark.parametrize(("claimed", "taken"), [(0.0, 30), (30.0, 30), (25.0, 25), (1e6, 30)])
def test_the_rate_a_camera_claims(camera: type[FakeCapture], claimed: float, taken: int) -> None:
    camera.fps = claimed
    with CameraSource("0", patience_s=1) as source:
        assert source.meta.fps == taken


def test_a_camera_that_another_program_uses(camera: type[FakeCapture]) -> None:
    camera.lasts = ()
    with pytest.raises(UserError, match=r"Camera 0 cannot be opened: .*close the program|allow the terminal"):
        CameraSource("0", patience_s=1)
    camera.opened, camera.lasts = 0, (0,)
    with pytest.raises(UserError, match="gives no picture"):
        CameraSource("0", patience_s=1)


@pytest.mark.skipif(not Path("/dev").is_dir(), reason="devices are files on Linux only")
def test_no_camera() -> None:
    with pytest.raises(UserError, match=r"There is no camera /dev/video87: "):
        open_live("87")


def test_a_device_that_may_not_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_sources.sys, "platform", "linux")
    monkeypatch.setattr(live_sources.os, "access", lambda *_: False)
    monkeypatch.setattr(live_sources.os.path, "exists", lambda _: True)
    with pytest.raises(UserError, match=r"You may not use /dev/video0: .*usermod"):
        CameraSource("0", patience_s=1)


def serve(server: Server, stop: threading.Event, grey: int = 100) -> threading.Thread:
    def work() -> None:
        i = 0
        while not stop.wait(0.03):
            server.show(np.full((48, 64, 3), grey + i % 50, np.uint8))
            i += 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_stream_that_is_lost_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own page is the stream: the camera of one machine can be the source of another."""
    monkeypatch.setattr(live_sources, "_FIRST_RETRY_S", 0.1)
    stop = threading.Event()
    with Server(0) as server:
        port = int(server.url.rstrip("/").rpartition(":")[2])
        ended = threading.Event()
        serve(server, ended)
        source = StreamSource(server.url + "stream", patience_s=60)
        assert (source.meta.width, source.meta.height) == (64, 48)
        frames = source.frames(stop)
        first = [next(frames).frame.index for _ in range(5)]
    ended.set()
    with Server(port) as server:
        ended = threading.Event()
        serve(server, ended, grey=150)
        second = []
        for live in frames:
            second.append(live)
            if live.frame.bgr.mean() > 145 and len(second) > 3:
                break
        ended.set()
    stop.set()
    source.close()
    indices = first + [live.frame.index for live in second]
    assert all(b > a for a, b in itertools.pairwise(indices))
    times = [live.frame.time_s for live in second]
    assert times == sorted(set(times))


def test_a_file_behind_an_address_is_played_once_at_its_pace(tmp_path: Path) -> None:
    import http.server
    from functools import partial

    write_video(tmp_path / "a.mp4", 12, fps=25, container_options={"movflags": "+faststart"})
    told = (tmp_path / "a.mp4").read_bytes()
    assert b"Lavf" in told
    (tmp_path / "a.mp4").write_bytes(told.replace(b"Lavf", b"L\xd3vf"))  # what wrote it, in another code than UTF-8

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        with open_live(f"http://127.0.0.1:{web.server_address[1]}/a.mp4") as source:
            begin = time.monotonic()
            greys = [float(live.frame.bgr.mean()) for live in source.frames(threading.Event())]
    finally:
        web.shutdown()
        web.server_close()
    assert time.monotonic() - begin >= 11 / 25 - 0.1
    np.testing.assert_allclose(greys, [grey_of(i) for i in range(12)], atol=4)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_stream_that_is_not_there(scheme: str) -> None:
    with pytest.raises(UserError, match=r"cannot be opened \(.*\): check the address") as told:
        open_live(f"{scheme}://me:secret@127.0.0.1:{free_port()}/live")
    assert "secret" not in str(told.value)


def test_a_stream_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg calls it "Immediate exit requested"."""
    monkeypatch.setattr(live_sources, "_OPEN_TIMEOUT_S", 0.5)
    monkeypatch.setattr(live_sources, "_READ_TIMEOUT_S", 0.5)
    told = pytest.raises(UserError, match=r"cannot be opened \(nothing comes\): check the address")
    with socket.create_server(("127.0.0.1", 0)) as silent, told:
        open_live(f"http://127.0.0.1:{silent.getsockname()[1]}/live")
