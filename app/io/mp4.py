"""The rendered video: H.264 in mp4, with the sound of the source."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from math import lcm
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.io.video_file import open_container
from sasmamba.common.files import atomic_path, disk_errors_explained
from sasmamba.common.machine import cores

#: Sound that every player plays in mp4. AC-3, ALAC and Opus are allowed there too, but many players stay silent.
_COPIED_AUDIO = {"aac", "mp3"}
#: How x264 encodes: benchmarks/encoding.py found no loss against plain veryfast at the same size, for less work.
#: The search for motion is the shortest; what that loses, bits shared out by variance over the whole picture give back.
CRF, PRESET, X264_PARAMS = 20.0, "veryfast", "me=dia:subme=1:b-adapt=0:aq-mode=2"
_DISK_IS_TO_BLAME = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
#: BT.709 in FFmpeg's numbering, for primaries, transfer and matrix alike; and limited ("tv") range.
_BT709, _LIMITED = 1, 1
#: Pictures encoded side by side, at most: each holds memory, and drawing feeds no more.
_MAX_THREADS = 8
_MAX_TICKS_PER_S = 2**31 - 1


def ticks_per_second(fps: Fraction) -> int:
    """A clock in which 1/fps and 1/90000 s are both whole, or 90000 where that would not fit the file format."""
    ticks = lcm(fps.numerator, 90000)
    return ticks if ticks <= _MAX_TICKS_PER_S else 90000


def yuv420p(bgr: NDArray[np.uint8]) -> av.VideoFrame:
    """A picture (height, width, 3) BGR as what is encoded: planes of its own, BT.709, limited range."""
    # The buffer is read here and not kept, so it need not be copied.
    picture = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(bgr), format="bgr24")
    return picture.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)


class Mp4Sink:
    """Writes pictures with their times as H.264 (yuv420p, BT.709, moov first), beside the sound of another file.

    A context manager. The file appears on a clean exit after at least one frame, whole; after an exception nothing
    is left. Frames may end early: the sound then ends with them.

    Args:
        path: file to write; the suffix should be .mp4.
        width, height: of every picture, even.
        fps: average rate, exact; the length of the last frame is 1/fps.
        audio_from: file to take the sound from, None for silence; its absence of sound is no problem.
        audio_start_s, audio_end_s: part to take, in seconds after the first video frame of `audio_from`.

    Attributes:
        problems: sentences about sound that could not be taken over; the video is written all the same.

    Raises:
        ValueError: size odd, or a picture of another size or type, or times that do not increase.
        UserError: the file cannot be written (folder, permission, disk full).
    """

    def __init__(
        self,
        path: Path | str,
        width: int,
        height: int,
        fps: Fraction,
        audio_from: Path | str | None = None,
        audio_start_s: Fraction | float = 0,
        audio_end_s: Fraction | float | None = None,
        *,
        crf: float = CRF,
    ) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise ValueError(f"mp4 size: want even numbers, got {width}×{height}")
        if fps <= 0:
            raise ValueError(f"fps: want > 0, got {fps}")
        self.path = Path(path)
        self.problems: list[str] = []
        self.frames = 0
        self._size = (height, width, 3)
        self._fps = Fraction(fps)
        self._codec_options = {"crf": str(crf), "preset": PRESET, "x264-params": X264_PARAMS}
        self._audio_from = None if audio_from is None else Path(audio_from)
        self._audio_range = (audio_start_s, audio_end_s)
        self._ticks = ticks_per_second(self._fps)
        self._last_tick, self._last_time = -1, Fraction(-1, self._ticks)
        self._stack = ExitStack()
        self._sound: _Sound | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self.path))
            with disk_errors_explained(self.path, self._temporary):
                # The file itself is made with the first frame, so that no frame means no file.
                self._container: Any = av.open(
                    str(self._temporary),
                    "w",
                    format="mp4",
                    options={"movflags": "+faststart", "video_track_timescale": str(self._ticks)},
                )
            stack.callback(self._close_container)
            self._stream = self._add_video()
            if self._audio_from is not None:
                self._sound = self._open_sound(stack, self._audio_from)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if self.frames:
                self._finish()

    def write(self, bgr: NDArray[np.uint8], time_s: Fraction) -> None:
        """Appends a picture (height, width, 3) uint8 BGR shown from time_s on; times increase.

        Times closer together than the file's clock can tell are a tick apart in the file.
        """
        if bgr.shape != self._size or bgr.dtype != np.uint8:
            raise ValueError(f"picture: want {self._size} uint8, got {bgr.shape} {bgr.dtype}")
        if time_s <= self._last_time:
            raise ValueError(f"time_s: want more than {self._last_time}, got {time_s}")
        tick = max(round(Fraction(time_s) * self._ticks), self._last_tick + 1)
        picture = yuv420p(bgr)
        picture.pts, picture.time_base = tick, Fraction(1, self._ticks)
        picture.duration = round(self._ticks / self._fps)
        with disk_errors_explained(self.path, self._temporary):
            self._container.mux(self._stream.encode(picture))
        self._last_tick, self._last_time = tick, Fraction(time_s)
        self.frames += 1
        self._write_sound(Fraction(tick, self._ticks))

    def _add_video(self) -> Any:
        height, width, _ = self._size
        stream = self._container.add_stream("libx264", rate=self._fps, options=self._codec_options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        # Whole pictures side by side: slices of one picture would wait for each other, and cost quality.
        context.thread_type = "FRAME"
        context.thread_count = min(3 * cores() // 2, _MAX_THREADS)
        context.time_base = stream.time_base = Fraction(1, self._ticks)
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        context.gop_size = max(1, round(self._fps * 2))  # players jump to a key frame; two seconds feel instant
        return stream

    def _open_sound(self, stack: ExitStack, source: Path) -> _Sound | None:
        try:
            sound = _Sound(source, self._container, *self._audio_range)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._lose_sound(error)
            return None
        stack.callback(sound.close)
        return sound

    def _write_sound(self, until: Fraction) -> None:
        """Muxes the sound up to a time: interleaved with the pictures, so that players need not jump."""
        if self._sound is None:
            return
        try:
            self._sound.write(until)
        except (av.FFmpegError, OSError, ValueError) as error:
            if getattr(error, "errno", None) in _DISK_IS_TO_BLAME:
                with disk_errors_explained(self.path, self._temporary):
                    raise
            self._sound = None
            self._lose_sound(error)

    def _lose_sound(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or error
        self.problems.append(f"The sound of {self._audio_from} could not be taken over in full ({reason}).")

    def _finish(self) -> None:
        self._write_sound(Fraction(self._last_tick, self._ticks) + 1 / self._fps)
        with disk_errors_explained(self.path, self._temporary):
            self._container.mux(self._stream.encode(None))
            self._container.close()

    def _close_container(self) -> None:
        """Frees the encoder; after `_finish` this does nothing, after an error its complaints are not news."""
        with suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()


class _Sound:
    """The first audio stream of a file, cut to a range and shifted so that the range begins at 0."""

    def __init__(self, source: Path, target: Any, start_s: Fraction | float, end_s: Fraction | float | None) -> None:
        self._source = open_container(source)
        self._target = target
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._end = None if end_s is None else Fraction(end_s) - Fraction(start_s)
        streams: list[Any] = list(self._source.streams.audio)
        if not streams:
            self._source.close()
            return
        self._stream = streams[0]
        # Sound and picture share the container's clock; the cut is counted from the first picture.
        self._origin = _start_of(next(iter(self._source.streams.video), None))
        self._start = self._origin + Fraction(start_s)
        codec = self._stream.codec_context.name
        # FFmpeg names some decoders after their library or variant, mp3float for one.
        self._copied = self._stream.codec_context.codec.canonical_name in _COPIED_AUDIO or codec in _COPIED_AUDIO
        if self._copied:
            self._out = target.add_stream_from_template(self._stream)
        else:
            self._out = target.add_stream("aac", rate=min(self._stream.rate, 48000))
            self._out.layout = "mono" if self._stream.layout.nb_channels == 1 else "stereo"
        if self._start > self._origin:
            self._source.seek(int(self._start / self._stream.time_base), stream=self._stream, backward=True)
        self._packets = self._copy() if self._copied else self._transcode()

    def write(self, until: Fraction) -> None:
        """Muxes all that begins before `until`, a time in the target."""
        end = until if self._end is None else min(until, self._end)
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            if self._next is None or self._next.pts * self._next.time_base >= end:
                return
            self._target.mux(self._next)
            self._next = None

    def close(self) -> None:
        self._source.close()

    def _copy(self) -> Iterator[Any]:
        shift = round(self._start / self._stream.time_base)
        for packet in self._source.demux(self._stream):
            if packet.pts is None or packet.dts is None:
                continue
            # Sound from before the start is left out, but not what lies before the very beginning of the file:
            # that is the run-in a decoder needs, and the mp4 tells players to skip it.
            if self._start > self._origin and packet.pts + (packet.duration or 0) <= shift:
                continue
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = self._out
            yield packet

    def _transcode(self) -> Iterator[Any]:
        resampler = av.AudioResampler(format="fltp", layout=self._out.layout, rate=self._out.rate, frame_size=1024)
        for frame in self._frames():
            for piece in resampler.resample(frame):
                yield from self._out.encode(piece)
        for piece in resampler.resample(None):
            yield from self._out.encode(piece)
        yield from self._out.encode(None)

    def _frames(self) -> Iterator[Any]:
        for frame in self._source.decode(self._stream):
            if frame.pts is None:
                continue
            time = frame.pts * frame.time_base - self._start
            if time + Fraction(frame.samples, frame.sample_rate) <= 0 and self._start > self._origin:
                continue
            frame.pts = round(time / frame.time_base)
            yield frame


def _start_of(stream: Any) -> Fraction:
    return Fraction(0) if stream is None or stream.start_time is None else stream.start_time * stream.time_base
