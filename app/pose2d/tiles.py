"""Parts of a picture in which MultiPose finds people who are too small for it in the whole.

MultiPose gets about 512 × 288 pixels, whatever the picture, and finds people from about 50 of those on: of a picture of
1080 lines those of 180 and more. So such a picture is searched in overlapping tiles, too, all of them where a shot
begins (or, of a long film's first, in the frames after it) and then one now and then, in turn: that finds people of 60
lines (benchmarks/small_people.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.pose2d.multipose import MULTIPOSE_PIXELS, Finder, find_people
from sasmamba.app.types import Person2D

#: In a tile a pixel of the picture is at least so long to the network, as far as so many tiles along each side do.
FINE, MOST_ALONG = 0.65, 4
#: Neighbours share so much of their sides, so that somebody is whole in one of them.
OVERLAP = 1 / 3
#: Of people that high, in pixels of what it gets, MultiPose finds four in five.
SMALLEST = 48
#: Smaller people are not lifted to anything useful, however small the picture.
LEAST_PX = 20
#: Seconds from one tile to the next: all of 16 have had their turn after eight, which costs little beside the joints of
#: those who are followed. While nobody is, there is nothing to be slowed down.
EVERY_S, IDLE_S = 0.5, 0.2
#: Where a film's first picture is to be out soon, so many of its tiles are searched in each of the frames after it.
A_FRAME = 2
#: People larger than this share of a tile's shorter side are left to the search in the whole picture: here they are
#: cut, and their parts taken for people.
LARGEST = 0.6


@dataclass(frozen=True, slots=True)
class Tile:
    """Pixels x0 to x1 and y0 to y1 of a picture, the ends not among them."""

    x0: int
    y0: int
    x1: int
    y1: int


def tiles_of(width: int, height: int) -> tuple[Tile, ...]:
    """The tiles of a picture, row by row; none of one that MultiPose sees finely enough in the whole."""
    whole = math.sqrt(MULTIPOSE_PIXELS / max(width * height, 1))
    along = next((n for n in range(1, MOST_ALONG) if whole * _sides(n) >= FINE), MOST_ALONG)
    if along == 1:
        return ()
    wide, high = round(width / _sides(along)), round(height / _sides(along))
    lefts = [round(i * (width - wide) / (along - 1)) for i in range(along)]
    tops = [round(i * (height - high) / (along - 1)) for i in range(along)]
    return tuple(Tile(x0, y0, x0 + wide, y0 + high) for y0 in tops for x0 in lefts)


def find_small_people(network: Finder, bgr: NDArray[np.uint8], tile: Tile) -> list[tuple[Person2D, float]]:
    """`find_people` in a tile, in pixels of the picture; only those who are small in it."""
    found = find_people(network, bgr[tile.y0 : tile.y1, tile.x0 : tile.x1])
    most = LARGEST * min(tile.x1 - tile.x0, tile.y1 - tile.y0)
    corner = np.array([tile.x0, tile.y0], np.float32)
    return [
        (replace(p, box_px=p.box_px + np.tile(corner, 2), joints_px=p.joints_px + corner), sure)
        for p, sure in found
        if (p.box_px[2:] - p.box_px[:2]).max() <= most
    ]


def smallest_px(width: int, height: int) -> int:
    """The height of the smallest people who are found in pictures of that size, four in five of them."""
    along = max(1, round(math.sqrt(len(tiles_of(width, height)))))
    return max(round(SMALLEST / (math.sqrt(MULTIPOSE_PIXELS / max(width * height, 1)) * _sides(along))), LEAST_PX)


class Rotation:
    """Whose turn it is.

    Attributes:
        tiles: of the pictures that come, after `begin`.
    """

    def __init__(self) -> None:
        self.tiles: tuple[Tile, ...] = ()
        self._next, self._turn_s = 0, -math.inf
        self._put_off: tuple[Tile, ...] = ()

    @property
    def round_s(self) -> float:
        """Seconds in which every tile has its turn."""
        return EVERY_S * len(self.tiles)

    @property
    def puts_off(self) -> bool:
        """Whether tiles of the first picture are still to be searched."""
        return bool(self._put_off)

    def begin(self, bgr: NDArray[np.uint8], now_s: float, *, put_off: bool = False) -> tuple[Tile, ...]:
        """All tiles of a shot's first picture; none where they are put off, `overdue` then gives them bit by bit."""
        self.tiles, self._next, self._turn_s = tiles_of(bgr.shape[1], bgr.shape[0]), 0, now_s
        self._put_off = self.tiles if put_off else ()
        return () if put_off else self.tiles

    def overdue(self) -> tuple[Tile, ...]:
        """The next of those that were put off."""
        now, self._put_off = self._put_off[:A_FRAME], self._put_off[A_FRAME:]
        return now

    def turn(self, now_s: float, *, idle: bool) -> tuple[Tile, ...]:
        """The tile to be searched now, where it is time for one; idle: nobody is followed."""
        if not self.tiles or now_s - self._turn_s < (IDLE_S if idle else EVERY_S) - 1e-6:
            return ()
        tile = self.tiles[self._next % len(self.tiles)]
        self._next, self._turn_s = self._next + 1, now_s
        return (tile,)


def _sides(along: int) -> float:
    """How many tiles' sides a picture's is long."""
    return along - (along - 1) * OVERLAP
