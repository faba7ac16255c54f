"""Where frames come from: a video file, read once from front to back, upright, with exact timestamps."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av

from sasmamba.app.io.containers import open_media
from sasmamba.app.io.film import find_film
from sasmamba.app.io.upright import _Upright
from sasmamba.app.types import Frame, VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.common.machine import cores

#: A clock that jumps back by more than this has been restarted; by less, single stamps are out of order.
_CLOCK_JUMP_S = Fraction(1)
#: A clock that jumps forward by more than this is broken: the frames after it count as taken so much later.
_LONGEST_HOLE_S = Fraction(24 * 3600)
#: Containers that tell when a picture is decoded, not when it is shown. FFmpeg guesses the latter, and is wrong where
#: two pictures lie in one packet, as DivX and XviD wrote them.
_WITHOUT_PTS = {"avi"}
#: Later than this no part begins or ends: about thirty years, and clocks of microseconds hold it.
_LATEST_S = 1e9
#: The largest picture that is decoded, in pixels: a few bytes of file can claim any size.
_MOST_PIXELS = 1 << 28
#: Containers whose length counts from zero, wherever their first picture stands.
_LENGTH_FROM_ZERO = {"matroska,webm", "flv", "live_flv"}


class _Clock:
    """Presentation times in seconds, strictly increasing whatever the file says.

    Args:
        container: what is read; one without presentation times is timed by its decoding times.
        time_base: seconds of one tick, where a picture does not say.
        fps: frames in a second.
    """

    def __init__(self, container: Any, time_base: Fraction, fps: Fraction) -> None:
        self._time_base, self._period = time_base, 1 / fps
        self._has_pts = container.format.name not in _WITHOUT_PTS
        self._offset = Fraction(0)
        self._last: Fraction | None = None

    def __call__(self, picture: av.VideoFrame) -> Fraction:
        stamp = picture.pts if picture.pts is not None and self._has_pts else picture.dts
        base = Fraction(picture.time_base) if picture.time_base else self._time_base
        if stamp is None:
            time = Fraction(0) if self._last is None else self._last + self._period
        else:
            time = stamp * base + self._offset
            if self._last is not None and time <= self._last:
                if self._last - time > _CLOCK_JUMP_S:
                    self._offset += self._last + self._period - time
                    time = self._last + self._period
                else:  # squeezed in, so that the stamps after it keep their true times
                    time = self._last + self._period / 8
            elif self._last is not None and time - self._last > _LONGEST_HOLE_S:
                self._offset -= time - self._last - _LONGEST_HOLE_S
                time = self._last + _LONGEST_HOLE_S
        self._last = time
        return time


@dataclass(slots=True)
class _Tally:
    """What happened while decoding, to tell damage from a short cut."""

    packets: int = 0
    errors: int = 0
    reached_end: bool = False


def check_part(start_s: float | Fraction | None, end_s: float | Fraction | None, max_frames: int | None) -> None:
    """Raises UserError (exit code 2) for a part that no video has, see `VideoFile`."""
    begin, end = float(start_s or 0), None if end_s is None else float(end_s)
    if _LATEST_S < max(begin, end or 0) < math.inf:
        raise UserError(f"No video has a frame at {max(begin, end or 0):g} s.", 2)
    if not 0 <= begin < math.inf or not (end is None or begin < end < math.inf):
        part = f"{begin:g} s to {'the end' if end is None else f'{end:g} s'}"
        raise UserError(f"The part to read must start at 0 s or later and end after its start, not be {part}.", 2)
    if max_frames is not None and max_frames < 1:
        raise UserError(f"At least one frame must be read, not {max_frames}.", 2)


class VideoFile:
    """A video or picture file as a stream of upright frames.

    The constructor checks the file and reads its first frame; iterating decodes from the beginning, each time
    afresh and with the same result, so a take can be read twice. Frames lie in [start_s, end_s), at most
    max_frames of them; `Frame.index` and `Frame.time_s` count from the first frame yielded. Times are the file's
    own: a variable frame rate stays variable.

    Attributes:
        meta: size as displayed (rotated, square pixels), exact average rate, and the number of frames promised:
            the container's own, or an estimate from the rate where start_s or end_s cut it; None when unknown.
        start_s: time of the first frame yielded, in seconds after the file's first frame.
        clock_s: the same on the file's own clock, which the sound shares (cut it there).
        has_audio: whether the file carries sound.
        remarks: sentences about what was chosen: which of several films.
        problems: filled while iterating, one sentence each: "clip.mp4 is damaged: 120 of 230 frames could be read."

    Raises:
        UserError: no such file (exit code 2), a folder, not a video, no picture in it, or nothing in the range asked.
        Once one frame could be read, iterating never raises; the loss is told in `problems`.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        start_s: float | Fraction | None = None,
        end_s: float | Fraction | None = None,
        max_frames: int | None = None,
        stream: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.problems: list[str] = []
        self._closed = threading.Event()
        check_part(start_s, end_s, max_frames)
        self._from = _exact(start_s) if start_s else Fraction(0)
        self._until = None if end_s is None else _exact(end_s)
        self._max_frames = max_frames

        with open_media(self.path) as container:
            self._state = _state_of(self.path)
            film = find_film(container, self.path, stream)
        if film is None:
            raise UserError(f"{self.path} has no video in it, only sound or data: pass a file with a picture.")
        self._film, self.remarks = film, film.remarks
        with open_media(self.path) as container:
            read = container.streams[film.index]
            if read.width * read.height > _MOST_PIXELS:
                size = f"{read.width}×{read.height}"
                raise UserError(f"{self.path} has pictures of {size} pixels, more than can be held: make it smaller.")
            self.has_audio = len(container.streams.audio) > 0
            self._promised = read.frames or None
            self._duration = _duration(container, read)
            picture = self._first_picture(container, read)
            self._upright = _Upright.of(picture, read.sample_aspect_ratio)
            self._time_base = Fraction(read.time_base or Fraction(1, 90000))
            self._origin = _Clock(container, self._time_base, film.fps)(picture)

        self.start_s = Fraction(0)
        self._seekable = self._from > 0 and self._seek_lands_before(self._origin + self._from)
        if self._from > 0 or self._until is not None:
            first = next(self._decoded(_Tally()), None)
            if first is None:
                length = f" (it is {float(self._duration):.1f} s long)" if self._duration else ""
                part, advice = f"after {float(self._from):g} s", "start earlier"
                if self._until is not None:
                    part, advice = f"from {start_s or 0:g} s to {end_s:g} s", "take a longer part"
                raise UserError(f"{self.path} has no frame {part}{length}: {advice}.", 2)
            self.start_s = first[0] - self._origin
        self.clock_s = self._origin + self.start_s
        width, height = self._upright.displayed
        self.meta = VideoMeta(width, height, film.fps, self._expected_frames())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An iterator may be running in another thread; it sees this and closes its own file.
        self._closed.set()

    def __iter__(self) -> Iterator[Frame]:
        tally = _Tally()
        self.problems = []
        index, first, time = 0, Fraction(0), Fraction(0)
        for time, picture in self._decoded(tally):
            first = first if index else time
            yield Frame(index, time - first, self._upright(picture))
            index += 1
            if self._closed.is_set() or index == self._max_frames:
                break
        last = time - self._origin if index else None
        self.problems = self._damage(tally, index, last)

    def changed(self) -> str:
        """A sentence where the file is another than when it was opened, else nothing: two readings then differ."""
        if _state_of(self.path) == self._state:
            return ""
        return f"{self.path} changed while it was read, so what was seen and what was drawn may differ: run it again."

    def _first_picture(self, container: Any, stream: Any) -> av.VideoFrame:
        picture = next(_pictures(container, stream, _Tally()), None)
        if picture is None:
            raise UserError(
                f"{self.path} holds no frame that could be read: it is empty, damaged, or coded in a way "
                "this tool does not know; record it again or convert it to mp4 (H.264)."
            )
        return picture

    def _decoded(self, tally: _Tally) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Decoded pictures of the range asked for, with their times on the file's clock."""
        start = self._origin + self._from
        for time, picture in self._timed(tally, seek_to=start if self._seekable else None):
            if self._until is not None and time >= self._origin + self._until:
                return
            if time >= start:
                yield time, picture

    def _seek_lands_before(self, start: Fraction) -> bool:
        """Whether a seek leads to a frame at or before `start`; in files without an index it may overshoot."""
        first = next(self._timed(_Tally(), seek_to=start), None)
        return first is not None and first[0] <= start

    def _timed(self, tally: _Tally, seek_to: Fraction | None) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        with open_media(self.path) as container:
            if self._film.index >= len(container.streams):  # it was another file when it was opened
                return
            stream = container.streams[self._film.index]
            if stream.type != "video" or stream.codec_context is None:
                return
            if seek_to is not None:
                try:
                    container.seek(int(seek_to / self._time_base), stream=stream, backward=True)
                except (av.FFmpegError, OverflowError):  # the latter beyond all times that a file can hold
                    return
            clock = _Clock(container, self._time_base, self._film.fps)
            for picture in _pictures(container, stream, tally):
                yield clock(picture), picture

    def _expected_frames(self) -> int | None:
        if self._promised is None and self._duration is None:
            return self._max_frames
        total = self._promised
        if self._from > 0 or self._until is not None:
            length = self._duration or self._promised / self._film.fps  # type: ignore[operator]
            end = length if self._until is None else min(length, self._until)
            total = max(1, round((end - self.start_s) * self._film.fps))
        elif total is None:
            return None if self._max_frames is None else self._max_frames
        return total if self._max_frames is None else min(total, self._max_frames)  # type: ignore[type-var]

    def _damage(self, tally: _Tally, frames: int, last_s: Fraction | None) -> list[str]:
        """Sentences about frames that are missing although nobody asked to leave them out."""
        whole = self._from == 0 and self._until is None and tally.reached_end
        # Frames hidden by an edit list are promised too: only a stop well before the promised end is a loss.
        short = False
        if whole and self._promised and tally.packets < self._promised and frames < self._promised:
            played = (last_s or 0) + 2 / self._film.fps
            short = self._duration is None or played < self._duration
        elif whole and not self._promised and self._duration:
            short = (last_s or 0) + max(5 / self._film.fps, Fraction(1, 4)) < self._duration
        if not short and not tally.errors:
            return []
        if whole and self._promised and frames < self._promised:
            return [f"{self.path.name} is damaged: {frames} of {self._promised} frames could be read."]
        if short and last_s is not None and self._duration:
            return [
                f"{self.path.name} is damaged: it ends after {float(last_s):.1f} of {float(self._duration):.1f} s "
                f"({frames} frames could be read)."
            ]
        return [f"{self.path.name} is damaged: {frames} frames could be read, some may be missing or show faults."]


def _pictures(container: Any, stream: Any, tally: _Tally) -> Iterator[av.VideoFrame]:
    """Decodes what can be decoded: a bad packet is counted and passed over, a broken container ends the file."""
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = cores()  # FFmpeg's own choice is one more, which only costs
    stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}
    packets = container.demux(stream)
    begun = False
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except (av.FFmpegError, OSError):
            tally.errors += 1
            break
        if packet.size == 0:  # demux ends with an empty packet; it is sent below, also after a failure
            continue
        tally.packets += 1
        tally.errors += packet.is_corrupt
        begun = begun or packet.is_keyframe
        try:
            yield from packet.decode()
        except av.FFmpegError:
            tally.errors += begun  # a recording that begins between two key frames is whole from the first of them on
    tally.reached_end = True
    try:
        yield from stream.decode(None)
    except av.FFmpegError:
        tally.errors += 1


def _duration(container: Any, stream: Any) -> Fraction | None:
    """Length of the video stream in seconds; of the whole file only where nothing else could be longer."""
    if stream.duration and stream.time_base:
        return Fraction(stream.duration) * stream.time_base
    if container.duration and len(container.streams) == 1:
        length = Fraction(container.duration, 1_000_000)
        if container.format.name in _LENGTH_FROM_ZERO and container.start_time:
            length -= Fraction(container.start_time, 1_000_000)
        return length if length > 0 else None
    return None


def _state_of(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file; None for numbered pictures."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _exact(seconds: float | Fraction) -> Fraction:
    """0.1 typed by a person means one tenth, not the binary number next to it."""
    return Fraction(seconds).limit_denominator(1_000_000)
