"""Which of a file's streams is the film, and how many frames of it there are in a second."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from sasmamba.common.errors import UserError

#: The beginning of a file that is looked into: so many packets of every stream, or so many in all, or so many bytes.
_PACKETS, _PACKETS_IN_ALL, _BYTES = 240, 2000, 64 << 20
#: Pictures are not stored in the order in which they are shown: so many of the last may have others between them.
_REORDERED = 16
#: Where neither the container nor the frames' times name a rate (a single picture) something has to be assumed.
_DEFAULT_FPS = Fraction(25)
#: Without times to check it by, more frames per second than this are a container's clock and no camera's rate.
_MOST_UNCHECKED_FPS = 1000
#: A rate the container names is believed within so much of what the times say; those are rounded, it is exact.
_NEAR = Fraction(1, 10)
#: A wait of so many usual ones is a hole, not part of the rate.
_HOLE = 3
#: A stream that lasts for less than this share of another's time is its thumbnail or a cover.
_SHORT = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Film:
    """A stream to read.

    Attributes:
        index: of the stream in its container.
        fps: how many frames there are in a second, holes left out.
        remarks: sentences about what else there was to choose from.
    """

    index: int
    fps: Fraction
    remarks: tuple[str, ...] = ()


def find_film(container: Any, path: Path, wanted: int | None = None) -> Film | None:
    """The longest, then the largest stream of moving pictures, or the one that is wanted; None where there is none.

    The container is read from where it stands and left somewhere else.

    Raises:
        UserError: the stream that is wanted is none of pictures (exit code 2).
    """
    streams = [stream for stream in container.streams.video if stream.codec_context is not None]
    moving = [s for s in streams if not int(s.disposition) & int(av.stream.Disposition.attached_pic)]
    if wanted is not None:
        streams = [stream for stream in streams if stream.index == wanted]
        if not streams:
            there = ", ".join(f"{s.index} ({s.width}×{s.height})" for s in moving) or "none"
            raise UserError(f"{path} has no video stream {wanted}; there is {there}.", 2)
    else:
        streams = moving
    if not streams:
        return None
    times_s = _look_into(container, streams)
    lasts = {s.index: s.duration * s.time_base if s.duration else _span(times_s[s.index]) for s in streams}
    films = [s for s in streams if lasts[s.index] >= _SHORT * max(lasts.values())]
    default = int(av.stream.Disposition.default)
    film = max(films, key=lambda s: (s.width * s.height, bool(int(s.disposition) & default), -s.index))
    others = [f"{s.index} ({s.width}×{s.height})" for s in films if s is not film]
    remarks: tuple[str, ...] = ()
    if others:
        remarks = (
            f"{path.name} holds {len(films)} films; stream {film.index} ({film.width}×{film.height}) was read, "
            f"--stream takes another: {', '.join(others)}.",
        )
    return Film(film.index, _rate(film, times_s[film.index]), remarks)


def _look_into(container: Any, streams: list[Any]) -> dict[int, list[Fraction]]:
    """The times of the first pictures of each stream, in order."""
    times_s: dict[int, list[Fraction]] = {stream.index: [] for stream in streams}
    packets = size = 0
    whole = True
    try:
        for packet in container.demux(streams):
            stamp = packet.pts if packet.pts is not None else packet.dts
            packets, size = packets + 1, size + packet.size
            if packet.size and stamp is not None and packet.time_base:
                times_s[packet.stream.index].append(stamp * packet.time_base)
            if size > _BYTES or packets > _PACKETS_IN_ALL or min(map(len, times_s.values())) >= _PACKETS:
                whole = False
                break
    except (av.FFmpegError, OSError):
        pass  # whoever reads it will see the same, and tell
    for index, times in times_s.items():
        times_s[index] = sorted(times) if whole or len(times) < 2 * _REORDERED else sorted(times)[:-_REORDERED]
    return times_s


def _span(times_s: list[Fraction]) -> Fraction:
    return times_s[-1] - times_s[0] if times_s else Fraction(0)


def _rate(stream: Any, times_s: list[Fraction]) -> Fraction:
    """What the times say, robustly; in the container's own exact words where these say nearly the same."""
    named = [Fraction(r) for r in (stream.average_rate, stream.guessed_rate, stream.base_rate) if r and r > 0]
    waits = [b - a for a, b in itertools.pairwise(times_s) if b > a]
    if not waits:
        return next((rate for rate in named if rate <= _MOST_UNCHECKED_FPS), _DEFAULT_FPS)
    usual = statistics.median(waits)
    kept = [wait for wait in waits if wait <= _HOLE * usual]
    told = len(kept) / sum(kept, Fraction(0))
    for rate in named:
        # where each picture comes in two fields, each with a packet of its own, there are half as many frames
        if abs(rate - told) <= _NEAR * told or (rate == stream.average_rate and abs(2 * rate - told) <= told / 50):
            return rate
    return told.limit_denominator(1001) if told > 1 else 1 / (1 / told).limit_denominator(1001)
