"""Pictures of a video by the number of a frame, as JPEG: decoded when they are asked for, neighbours remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction

import cv2
import numpy as np

from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.types import Frame
from sasmamba.common.errors import UserError

_JPEG_QUALITY = 85
#: A picture's longer side is no longer than this, pixels: more takes longer to send than it helps to see.
_LONGEST_PX = 1920
#: So many seconds ahead are decoded through; what is farther away is sought.
_AHEAD_S = 2.0
#: Whoever steps back steps on: so many seconds before a frame that is sought are decoded with it.
_BACK_S = 0.5
#: Pictures that are remembered: some fifty megabytes.
_REMEMBERED = 240


class FramePictures:
    """The pictures of a part of a video.

    Args:
        open_part: opens the video from so many seconds after the file's first frame; None: where the part begins.
        times_s: of the part's frames, from its first.
    """

    def __init__(self, open_part: Callable[[Fraction | None], VideoFile], times_s: list[Fraction]) -> None:
        self._open, self._times = open_part, times_s
        self._fps = float(len(times_s) / max(times_s[-1] - times_s[0], Fraction(1, 1000)))
        with open_part(None) as video:
            self._start_s = video.start_s
        self._guard = threading.Lock()
        self._jpegs: OrderedDict[int, bytes] = OrderedDict()
        self._frames: Iterator[Frame] = iter(())
        self._at, self._next = 0, len(times_s)  # the number of the iterator's first frame, and of its next
        self._sought = True  # as long as seeking leads where it should

    def jpeg(self, frame: int) -> bytes:
        """A frame's picture.

        Raises:
            UserError: it cannot be read (any more).
        """
        with self._guard:
            if frame not in self._jpegs:
                self._decode(frame)
            if frame not in self._jpegs:
                raise UserError(f"Frame {frame} of the video cannot be read.")
            self._jpegs.move_to_end(frame)
            return self._jpegs[frame]

    def close(self) -> None:
        """Closes the file."""
        with self._guard:
            self._leave()

    def _decode(self, frame: int) -> None:
        """Decodes up to a frame, from where the last one was if that is near, and remembers what comes by."""
        if not self._next <= frame <= self._next + _AHEAD_S * self._fps:
            self._seek(max(0, frame - round(_BACK_S * self._fps)))
        for one in self._frames:
            self._next = self._at + one.index + 1
            if frame - self._next < _REMEMBERED // 2:
                self._jpegs[self._next - 1] = _jpeg(one)
            if self._next > frame:
                break
        while len(self._jpegs) > _REMEMBERED:
            self._jpegs.popitem(last=False)

    def _seek(self, frame: int) -> None:
        self._leave()
        self._at = self._next = 0
        if frame and self._sought:
            # a little earlier, since times of a person's own are rounded
            wanted = self._start_s + (self._times[frame - 1] + 3 * self._times[frame]) / 4
            video = self._open(wanted)
            if abs(video.start_s - self._start_s - self._times[frame]) < Fraction(1, 10_000):
                self._at = self._next = frame
                self._frames = iter(video)
                return
            self._sought = False  # times of this file are not what they say: count its frames
        self._frames = iter(self._open(None))

    def _leave(self) -> None:
        if isinstance(self._frames, Generator):
            self._frames.close()  # and with it the file
        self._frames = iter(())


def _jpeg(frame: Frame) -> bytes:
    picture = frame.bgr
    height, width = picture.shape[:2]
    if max(height, width) > _LONGEST_PX:
        scale = _LONGEST_PX / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
