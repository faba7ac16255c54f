"""The rendered video: H.264 in mp4, with the sound of the source."""

from __future__ import annotations

import errno
from contextlib import AbstractContextManager, ExitStack, suppress
from fractions import Fraction
from math import lcm
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from sasmamba.app.io.sound import Sound
from sasmamba.common.files import atomic_path, disk_errors_explained
from sasmamba.common.machine import cores

#: How x264 encodes: benchmarks/encoding.py found no loss against plain veryfast at the same size, for less work.
#: The search for motion is the shortest; what that loses, bits shared out by variance over the whole picture give back.
CRF, PRESET, X264_PARAMS = 20.0, "veryfast", "me=dia:subme=1:b-adapt=0:aq-mode=2"
_DISK_IS_TO_BLAME = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
#: BT.709 in FFmpeg's numbering, for primaries, transfer and matrix alike; and limited ("tv") range.
_BT709, _LIMITED = 1, 1
#: Pictures encoded side by side, at most: each holds memory, and drawing feeds no more.
_MAX_THREADS = 8
_MAX_TICKS_PER_S = 2**31 - 1
#: The clock of the whole film, in which players are told how much of it to show; with the format's usual 1000 a
#: picture that is shown for less than a millisecond could be left out at the end.
_FILM_TICKS_PER_S = 90000
#: Slower rates, and those at which a picture has more ticks than below, are not told to the encoder: its packets last
#: one picture of its rate, and the format counts that in 32 bits.
_LOWEST_RATE = Fraction(1, 600)
#: The format counts the ticks between a picture's decoding and its showing in 31 bits, and several others may lie
#: between them: one that is shown for longer than an eighth of that is written again.
_LONGEST_TICKS = 2**28
#: The encoder decodes so many pictures before others that are shown earlier, at most, and times them by those.
_REORDERED = 8


def ticks_per_second(fps: Fraction) -> int:
    """A clock in which 1/fps and 1/90000 s are both whole, or 90000 where that would not fit the file format."""
    ticks = lcm(fps.numerator, _FILM_TICKS_PER_S)
    return ticks if ticks <= _MAX_TICKS_PER_S else _FILM_TICKS_PER_S


def yuv420p(bgr: NDArray[np.uint8], reformatter: VideoReformatter) -> av.VideoFrame:
    """A picture (height, width, 3) BGR as what is encoded: planes of its own, BT.709, limited range.

    Args:
        reformatter: one for all pictures; a picture's own would prepare anew for each, and start threads.
    """
    # The buffer is read here and not kept, so it need not be copied.
    picture = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(bgr), format="bgr24")
    return reformatter.reformat(picture, format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)


class Mp4Sink:
    """Writes pictures with their times as H.264 (yuv420p, BT.709, moov first), beside the sound of another file.

    A context manager. The file appears on a clean exit after at least one frame, whole; after an exception nothing
    is left. Frames may end early: the sound then ends with them.

    Args:
        path: file to write; the suffix should be .mp4.
        width, height: of every picture, even.
        fps: average rate, exact; the length of the last frame is 1/fps.
        audio_from: file to take the sound from, None for silence; its absence of sound is no problem.
        audio_start_s, audio_end_s: part to take, on the clock of `audio_from`, see `VideoFile.clock_s`.

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
        self._period = min(max(self._ticks // _FILM_TICKS_PER_S, round(self._ticks / self._fps)), _LONGEST_TICKS)
        self._last_tick, self._last_time = -1, Fraction(-1, self._ticks)
        self._picture: av.VideoFrame | None = None
        self._reformatter = VideoReformatter()
        self._stack = ExitStack()
        self._sound: Sound | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self.path))
            self._address = f"file:{self._temporary}"  # a name with a colon in it is no address of another kind
            with self._disk_errors_explained():
                # The file itself is made with the first frame, so that no frame means no file.
                self._container: Any = av.open(
                    self._address,
                    "w",
                    format="mp4",
                    options={
                        "movflags": "+faststart",
                        "movie_timescale": str(_FILM_TICKS_PER_S),
                        "video_track_timescale": str(self._ticks),
                    },
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
        if self._picture is not None and tick - self._last_tick > _LONGEST_TICKS:
            period = min(self._period, _LONGEST_TICKS // (2 * _REORDERED))
            again = [*range(self._last_tick + _LONGEST_TICKS, tick - _REORDERED * period, _LONGEST_TICKS)]
            again += [tick - i * period for i in range(_REORDERED, 0, -1)]
            for between in again:
                self._encode(self._picture, between)
        self._picture = yuv420p(bgr, self._reformatter)
        self._encode(self._picture, tick)
        self._last_time = Fraction(time_s)
        self.frames += 1
        self._write_sound(Fraction(tick, self._ticks))

    def _encode(self, picture: av.VideoFrame, tick: int) -> None:
        picture.pts, picture.time_base = tick, Fraction(1, self._ticks)
        picture.duration = self._period
        with self._disk_errors_explained():
            self._container.mux(self._stream.encode(picture))
        self._last_tick = tick

    def _add_video(self) -> Any:
        height, width, _ = self._size
        rate = min(max(self._fps, _LOWEST_RATE, Fraction(self._ticks, _LONGEST_TICKS)), Fraction(_FILM_TICKS_PER_S))
        stream = self._container.add_stream("libx264", rate=rate, options=self._codec_options)
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

    def _open_sound(self, stack: ExitStack, source: Path) -> Sound | None:
        try:
            sound = Sound(source, self._container, *self._audio_range)
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
                with self._disk_errors_explained():
                    raise
            self._sound = None
            self._lose_sound(error)

    def _lose_sound(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or error
        self.problems.append(f"The sound of {self._audio_from} could not be taken over in full ({reason}).")

    def _finish(self) -> None:
        self._write_sound(Fraction(self._last_tick, self._ticks) + 1 / self._fps)
        if self._sound is not None and self._sound.faults:
            self.problems.append(f"The sound of {self._audio_from} is damaged; what could be decoded was taken over.")
        with self._disk_errors_explained():
            self._container.mux(self._stream.encode(None))
            self._container.close()

    def _disk_errors_explained(self) -> AbstractContextManager[None]:
        return disk_errors_explained(self.path, self._temporary, self._address)

    def _close_container(self) -> None:
        """Frees the encoder; after `_finish` this does nothing, after an error its complaints are not news."""
        with suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()
