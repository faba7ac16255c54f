"""Frames as they happen: a camera, a network stream, or a file played at its own pace."""

from __future__ import annotations

import itertools
import logging
import os
import re
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Protocol, Self

import av
import cv2
import numpy as np

from sasmamba.app.io.containers import LENIENT
from sasmamba.app.io.pace import Pace
from sasmamba.app.io.prefetch import prefetch
from sasmamba.app.io.source_names import is_live, is_stream
from sasmamba.app.io.upright import upright
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.types import Frame, VideoMeta
from sasmamba.common.closing import Closing
from sasmamba.common.errors import UserError

#: What a camera or a stream is taken to deliver when it does not say, or says nonsense.
_DEFAULT_FPS = Fraction(30)
#: Asked of a camera: enough for the 2D stage, and every webcam has it.
_CAMERA_SIZE = 1280, 720
#: The longer side that live frames have at most. The 2D stage sees people's crops, which gain nothing from more,
#: and a long look-ahead holds many frames: 121 of this size are 0.75 GB, of 4K they would be 3 GB.
LARGEST_SIDE_PX = 1920
#: A lost source is tried again after so many seconds, each time doubled up to the last.
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 8.0
#: A stream that says nothing for so long is taken for lost: opening it, and between two packets.
_OPEN_TIMEOUT_S, _READ_TIMEOUT_S = 10.0, 5.0
#: A file whose pictures have held it up for so long altogether is too much for this machine, which is then said.
_TOO_MUCH_S = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """A frame and when it was there.

    Attributes:
        frame: its index counts periods of the source's rate, so a number that never comes is a frame that was lost.
        captured_s: `time.monotonic()` when the picture was there to be had: the start of its delay.
    """

    frame: Frame
    captured_s: float


class LiveSource(Protocol):
    """Something that happens now.

    The constructor opens it and raises UserError where that fails; `frames` yields pictures until the source ends or
    `stop` is set. A source that can come back is waited for. It is used in one thread.

    Attributes:
        name: as a person would call it.
        meta: size and rate; frames keep them.
        edited: whether it may be a film, with cuts in it; a camera of one's own has none.
    """

    name: str
    meta: VideoMeta
    edited: bool

    def frames(self, stop: Event) -> Iterator[LiveFrame]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None: ...


def open_live(source: str, *, start_s: float | None = None, patience_s: float = 60.0) -> LiveSource:
    """Opens a camera (its number or device), a stream (rtsp://, http://, …), or a file to play at its own pace.

    Args:
        start_s: where to begin in a file.
        patience_s: a camera or stream that is lost is waited for so long.

    Raises:
        UserError: there is nothing of that name, or it cannot be opened, with what to do.
    """
    opened: LiveSource
    if is_stream(source):
        opened = StreamSource(source, patience_s=patience_s)
    elif is_live(source):
        opened = CameraSource(source, patience_s=patience_s)
    else:
        opened = PacedFile(Path(source), start_s=start_s)
    return Smaller(opened) if max(opened.meta.width, opened.meta.height) > LARGEST_SIDE_PX else opened


class PacedFile(Closing):
    """A file played at its own pace: each picture is there when its time has come, not before."""

    edited = True

    def __init__(self, path: Path, *, start_s: float | None = None) -> None:
        self._video = VideoFile(path, start_s=start_s)
        self.name, self.meta = path.name, self._video.meta

    def frames(self, stop: Event) -> Iterator[LiveFrame]:
        """The file's frames; one that is decoded late was there in time nevertheless: its delay counts from then.

        Where decoding takes longer than the file, it is played as fast as that goes: frames left out would have to be
        decoded all the same, since those after them build on them.
        """
        pace, told = Pace(self.meta.fps), False
        with closing(prefetch(self._video, 1)) as frames:
            for frame in frames:
                due = pace(float(frame.time_s), time.monotonic())
                if not told and pace.held_up_s > _TOO_MUCH_S:
                    told = True
                    _log.warning(
                        "%s cannot be decoded as fast as it plays: it is shown more slowly, so that the delay stays "
                        "small. A smaller version of it would keep its pace.",
                        self.name,
                    )
                if stop.wait(max(0.0, due - time.monotonic())):
                    return
                yield LiveFrame(frame, due)


class Smaller(Closing):
    """Another source's frames, made small enough for what is wanted of them while time runs."""

    def __init__(self, source: LiveSource) -> None:
        self._source, self.name, self.edited = source, source.name, source.edited
        scale = LARGEST_SIDE_PX / max(source.meta.width, source.meta.height)
        width, height = (max(1, round(side * scale)) for side in (source.meta.width, source.meta.height))
        self.meta = replace(source.meta, width=width, height=height)

    def frames(self, stop: Event) -> Iterator[LiveFrame]:
        """The source's frames, scaled."""
        for live in self._source.frames(stop):
            bgr: Any = cv2.resize(live.frame.bgr, (self.meta.width, self.meta.height), interpolation=cv2.INTER_AREA)
            yield replace(live, frame=replace(live.frame, bgr=bgr))

    def close(self) -> None:
        """Lets the source go."""
        self._source.close()


class _Grid:
    """Numbers pictures by when they came, in periods of the nominal rate, each number once and in order."""

    def __init__(self, fps: Fraction) -> None:
        self._fps = fps
        self._begin: float | None = None
        self._last, self._last_us = -1, -1

    def __call__(self, captured_s: float, bgr: np.ndarray) -> LiveFrame:
        if self._begin is None:
            self._begin = captured_s
        passed = captured_s - self._begin
        self._last = max(self._last + 1, round(passed * float(self._fps)))
        # a microsecond apart at least, since time must go on
        self._last_us = max(self._last_us + 1, round(passed * 1e6))
        return LiveFrame(Frame(self._last, Fraction(self._last_us, 1_000_000), bgr), captured_s)


class _Reopening(Closing, ABC):
    """A source that may be lost and come back: opened again with growing pauses until patience ends."""

    name: str
    meta: VideoMeta

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._ended = False  # whether what is over was meant to end

    @abstractmethod
    def _open(self) -> None:
        """Opens or reopens; raises UserError where that fails."""

    @abstractmethod
    def _pictures(self, stop: Event) -> Iterator[tuple[np.ndarray, float]]:
        """Pictures, each with when it was captured, until the source is lost."""

    def frames(self, stop: Event) -> Iterator[LiveFrame]:
        """Frames of the size `meta` tells; where the source comes back with another size, they are scaled to it."""
        grid = _Grid(self.meta.fps)
        size = self.meta.width, self.meta.height
        lost_s, pause = time.monotonic(), _FIRST_RETRY_S
        while not stop.is_set():
            for bgr, captured_s in self._pictures(stop):
                lost_s, pause = captured_s, _FIRST_RETRY_S
                yield grid(captured_s, bgr if bgr.shape[1::-1] == size else cv2.resize(bgr, size))
            self.close()
            if stop.is_set() or self._ended:
                return
            if time.monotonic() - lost_s > self._patience_s:
                raise UserError(
                    f"{self.name} stopped giving pictures and did not come back within {self._patience_s:g} s: "
                    "check the plug or the network, and start again."
                )
            _log.warning("%s stopped giving pictures; trying again in %g s.", self.name, pause)
            if stop.wait(pause):
                return
            pause = min(2 * pause, _LAST_RETRY_S)
            try:
                self._open()
            except UserError as error:
                _log.info("%s", error)


def _meta(bgr: np.ndarray, fps: Fraction) -> VideoMeta:
    """Size of a picture and the rate its source claims, where that can be."""
    return VideoMeta(bgr.shape[1], bgr.shape[0], fps if 5 <= fps <= 240 else _DEFAULT_FPS, None)


class CameraSource(_Reopening):
    """A camera by number or device name, through OpenCV."""

    edited = False

    def __init__(self, source: str, *, patience_s: float) -> None:
        super().__init__(patience_s)
        self._device: int | str = int(source) if source.isdecimal() else source
        self.name = f"Camera {source}"
        self._capture: cv2.VideoCapture | None = None
        self._open()
        assert self._capture is not None
        found, bgr = self._capture.read()
        if not found:
            self.close()
            raise UserError(f"{self.name} is there but gives no picture: another program may be using it; close that.")
        self.meta = _meta(bgr, Fraction(self._capture.get(cv2.CAP_PROP_FPS)).limit_denominator(1001))

    def _open(self) -> None:
        self._check()
        with _quiet_opencv():
            capture = cv2.VideoCapture(self._device)
            if not capture.isOpened():
                capture.release()
                raise UserError(self._cannot_open())
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, _CAMERA_SIZE[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, _CAMERA_SIZE[1])
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture counts, not every one
        self._capture = capture

    def _check(self) -> None:
        """OpenCV says only that it failed; the system knows why."""
        if not sys.platform.startswith("linux"):
            return
        device = Path(f"/dev/video{self._device}" if isinstance(self._device, int) else self._device)
        if not os.path.exists(device):  # not Path.exists, which raises for a name too long for the disk
            there = sorted(str(p) for p in Path("/dev").glob("video*"))
            hint = f"there are {', '.join(there)}" if there else "no camera is plugged in, or this machine hides it"
            raise UserError(f"There is no camera {device}: {hint}.")
        if not os.access(device, os.R_OK | os.W_OK):
            raise UserError(
                f"You may not use {device}: add yourself to its group (sudo usermod -aG video $USER), "
                "log in again and start again."
            )

    def _cannot_open(self) -> str:
        if sys.platform == "darwin":
            return (
                f"{self.name} cannot be opened: plug it in, or allow the terminal to use it in System Settings, "
                "Privacy & Security, Camera."
            )
        return f"{self.name} cannot be opened: plug it in, or close the program that is using it."

    def _pictures(self, stop: Event) -> Iterator[tuple[np.ndarray, float]]:
        while self._capture is not None and not stop.is_set():
            if not self._capture.grab():
                return
            captured_s = time.monotonic()
            found, bgr = self._capture.retrieve()
            if not found:
                return
            yield bgr, captured_s

    def close(self) -> None:
        """Lets the camera go."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class StreamSource(_Reopening):
    """A network stream, through FFmpeg; a file behind an address is played at its own pace, once.

    What happens live is taken as fast as it comes, so that a backlog sent at the start does not stay a delay for ever.
    """

    edited = True

    def __init__(self, url: str, *, patience_s: float) -> None:
        super().__init__(patience_s)
        self.name = _without_password(url)
        self._url = url
        self._container: Any = None
        self._is_file = False
        self._coming: Iterator[tuple[Any, float]] = iter(())
        self._open()
        opened: Any = self._container
        stream = opened.streams.video[0]
        first = next(self._coming, None)
        if first is None:
            self.close()
            raise UserError(f"{self.name} was opened but gives no picture: check that it is a video stream.")
        if self._is_file:  # of a live stream the first picture is stale by the time that anybody wants one
            self._coming = itertools.chain([first], self._coming)
        bgr = upright(first[0], stream.sample_aspect_ratio)
        self.meta = _meta(bgr, Fraction(stream.average_rate or stream.guessed_rate or 0))

    def _open(self) -> None:
        options = {"rtsp_transport": "tcp", "flags": "low_delay"}
        if not self._url.lower().startswith("http"):
            options["fflags"] = "nobuffer"  # throws away what was read to find out what it is: pictures, of a file
        try:
            container = av.open(self._url, options=options, timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S), **LENIENT)
        except (av.FFmpegError, OSError) as error:
            raise UserError(
                f"{self.name} cannot be opened ({_reason(error)}): check the address, the network and that it is "
                "running."
            ) from error
        if not container.streams.video:
            container.close()
            raise UserError(f"{self.name} has no video in it: give the address of a video stream.")
        container.streams.video[0].thread_type = "SLICE"  # frame threads would each hold a picture back
        self._container = container
        self._is_file = container.duration is not None
        self._coming = self._decoded()

    def _decoded(self) -> Iterator[tuple[Any, float]]:
        """Decoded pictures, each with when its last packet was there."""
        stream = self._container.streams.video[0]
        try:
            for packet in self._container.demux(stream):
                received_s = time.monotonic()
                for picture in packet.decode():
                    yield picture, received_s
        except (av.FFmpegError, OSError) as error:
            _log.info("%s: %s.", self.name, _reason(error))

    def _pictures(self, stop: Event) -> Iterator[tuple[np.ndarray, float]]:
        if self._container is None:
            return
        aspect = self._container.streams.video[0].sample_aspect_ratio
        pace = Pace(self.meta.fps)
        for picture, received_s in self._coming:
            captured_s = received_s
            if self._is_file and picture.time is not None:
                captured_s = max(received_s, pace(picture.time, received_s))
                stop.wait(max(0.0, captured_s - time.monotonic()))
            if stop.is_set():
                return
            yield upright(picture, aspect), captured_s
        self._ended = self._is_file

    def close(self) -> None:
        """Closes the connection."""
        if self._container is not None:
            self._container.close()
            self._container = None


def _reason(error: Exception) -> str:
    """Why a stream ended or did not begin, as a person would say it."""
    if isinstance(error, av.error.ExitError):  # how FFmpeg calls what it was told to do when time was up
        return "nothing comes"
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")


def _without_password(url: str) -> str:
    return re.sub(r"(://)[^/@]*@", r"\1", url)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """OpenCV prints warnings of its own while it tries its backends; the error that follows says it better."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
