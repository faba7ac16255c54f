"""The sound of a video, cut and carried over into a render: copied where players know it, else encoded as AAC."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from sasmamba.app.io.containers import open_container

#: Sound that every player plays in mp4. AC-3, ALAC and Opus are allowed there too, but many players stay silent.
_COPIED = {"aac", "mp3"}
#: What a decoder needs before the first sample that counts is never longer.
_RUN_IN_S = Fraction(1, 10)
#: Rates that AAC has, up to the highest that is needed.
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
#: Sound is moved where most of so many stamps in a row say that it is off by so much; more than most ears notice.
_AHEAD, _OFF_S = 9, Fraction(1, 50)
#: A clock that jumps back by more than this was set back, or a second recording follows the first.
_SET_BACK_S = Fraction(1)


class Sound:
    """The first audio stream of a file, cut to a range and shifted so that the range begins at 0.

    Args:
        source: the file.
        target: the container of PyAV that gets the packets.
        start_s, end_s: the part to take, on the clock of the file, which pictures and sound share; None: to the end.

    Attributes:
        faults: pieces that could not be decoded.

    Raises:
        av.FFmpegError, OSError, ValueError: there is sound and it cannot be carried over.
    """

    def __init__(self, source: Path, target: Any, start_s: Fraction | float, end_s: Fraction | float | None) -> None:
        self.faults = 0
        self._source = open_container(source)
        self._target = target
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._start = Fraction(start_s)
        self._end = None if end_s is None else Fraction(end_s) - self._start
        announced: list[Any] = list(self._source.streams.audio)
        # some are announced and never come, or are coded in a way that FFmpeg does not know
        streams = [stream for stream in announced if stream.codec_context is not None and stream.rate]
        if not streams:
            self._source.close()
            if announced:
                raise ValueError("it never comes, or is coded in a way that is not known here")
            return
        self._stream = streams[0]
        codec = self._stream.codec_context.name
        # FFmpeg names some decoders after their library or variant, mp3float for one.
        copied = self._stream.codec_context.codec.canonical_name in _COPIED or codec in _COPIED
        if copied:
            self._out = target.add_stream_from_template(self._stream)
        else:
            rate = max((rate for rate in _AAC_RATES if rate <= self._stream.rate), default=min(_AAC_RATES))
            self._out = target.add_stream("aac", rate=rate)
            self._out.layout = "mono" if self._stream.layout.nb_channels == 1 else "stereo"
        begins = Fraction((self._stream.start_time or 0) * self._stream.time_base)
        self._from = self._start
        if begins >= self._start - _RUN_IN_S:
            # Its very first packets are the run-in of the decoder; the mp4 tells players to skip it.
            self._from = min(begins, self._start) - 1
        else:
            self._source.seek(int(self._start / self._stream.time_base), stream=self._stream, backward=True)
        self._packets = self._copy() if copied else self._transcode()

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
        """Closes the source."""
        self._source.close()

    def _copy(self) -> Iterator[Any]:
        base = self._stream.time_base
        shift, last, anew = round(self._start / base), None, 0
        for packet in self._source.demux(self._stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or not packet.size:
                continue
            length = packet.duration or 1
            if last is not None and (last - stamp - anew) * base > _SET_BACK_S:  # a clock begun anew: the sound goes on
                anew = last + length - stamp
            if (stamp + anew + length) * base <= self._from:
                continue
            # in order at least, since the format wants that: a stamp that jumps back and forth says nothing
            last = stamp + anew if last is None else max(stamp + anew, last + 1)
            packet.pts = packet.dts = last - shift
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
        """Decoded sound, its times those of its samples: stamps that jitter would tear it, or stop the encoder."""
        for frame, time in steadied(self._decoded()):
            if time + Fraction(frame.samples, frame.sample_rate) <= self._from:
                continue
            frame.time_base = Fraction(1, frame.sample_rate)
            frame.pts = round((time - self._start) * frame.sample_rate)
            yield frame

    def _decoded(self) -> Iterator[Any]:
        """What can be decoded: a packet that is damaged costs what it holds, not what comes after it."""
        for packet in self._source.demux(self._stream):
            try:
                yield from packet.decode()
            except av.InvalidDataError:
                self.faults += 1


def steadied(frames: Iterable[Any]) -> Iterator[tuple[Any, Fraction]]:
    """Pieces of sound, each with the time at which it is heard: one after the other, wherever single stamps are.

    Where the stamps of a piece and of most that follow agree that something is missing, there is a gap; where they
    agree that the sound came too late, pieces are left out; and a clock that was set back is read on from there.
    """
    ahead: deque[tuple[Any, Fraction, Fraction, Fraction]] = deque()  # frame, place among the samples, length, off
    place = off = Fraction(0)  # off: stamp less place
    shift: Fraction | None = None  # what `off` is taken to be, in truth
    end: Fraction | None = None
    coming = iter(frames)
    while True:
        while len(ahead) < _AHEAD and (frame := next(coming, None)) is not None:
            length = Fraction(frame.samples, frame.sample_rate)
            if frame.pts is not None:
                off = frame.pts * frame.time_base - place
            ahead.append((frame, place, length, off))
            place += length
        if not ahead:
            return
        frame, at, length, own = ahead.popleft()
        most = statistics.median_low([own, *(other[3] for other in ahead)])
        agreed = len(ahead) >= _AHEAD // 2 and abs(own - most) <= _OFF_S
        # stamps that jitter by _OFF_S to either side can differ by twice that: for less, nothing is left out
        if shift is None or (agreed and not -2 * _OFF_S <= most - shift <= _OFF_S):
            shift = most if shift is None or most > shift - _SET_BACK_S else shift
        time = at + shift
        if end is not None and time < end:
            if end - time > length / 2:
                continue
            time = end
        end = time + length
        yield frame, time
