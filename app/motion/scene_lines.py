"""Straight edges of the scene, in a few pictures of every shot, people left out: walls, doors, poles, kerbs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.types import Frame, SceneLines

#: Edges are looked for so long after a shot begins: it may begin dark, or with somebody before everything.
_LOOKS_S = (Fraction(0), Fraction(1), Fraction(4))
#: In a picture of this many pixels along its longer side, where they are as long as this share of it; the longest ones.
WORK_PX, _LEAST_LENGTH, _MOST = 480, 0.03, 80
#: Of one slope, to so many degrees, at most so many in a square of this share of the longer side: the slats of one
#: blind are no more than one edge seen again and again.
_SLOPE_DEG, _PER_SQUARE, _SQUARE = 15, 2, 0.125
#: Longer than this share and as straight along the picture as this (a slope) are bars, frames and what is written over
#: the picture: they tell how it was made, not how the camera was held.
_BAR_LENGTH, _BAR_SLOPE = 0.3, 0.004
#: People are masked by their boxes and this much around them, as a share of their size.
_AROUND = 0.1


class LineFinder:
    """Finds line segments while a video is read; `see` every frame in order, or those there are, then read `lines`."""

    def __init__(self) -> None:
        self._begin_s, self._done = Fraction(0), len(_LOOKS_S)
        self._frames, self._ends = list[int](), list[NDArray]()

    def see(self, frame: Frame, boxes_px: Sequence[NDArray]) -> None:
        """Takes in a frame, with boxes (4,) x0, y0, x1, y1 around people; most frames are passed over."""
        if frame.cut is not None or frame.index == 0:
            self._begin_s, self._done = frame.time_s, 0
        if self._done < len(_LOOKS_S) and frame.time_s >= self._begin_s + _LOOKS_S[self._done]:
            self._done += 1
            ends = line_segments(frame.bgr, boxes_px)
            self._frames += [frame.index] * len(ends)
            self._ends.append(ends)

    @property
    def lines(self) -> SceneLines:
        """All that were found so far."""
        if not self._ends:
            return SceneLines()
        return SceneLines(np.array(self._frames, np.int64), np.concatenate(self._ends))


def line_segments(bgr: NDArray, boxes_px: Sequence[NDArray] = ()) -> NDArray[np.float32]:
    """The longest line segments (L, 2, 2) of a picture, ends in its pixels, none in the boxes (4,) of people.

    Found by LSD: Grompone von Gioi et al., IEEE TPAMI 2010.
    """
    side = max(bgr.shape[:2])
    shrink = min(1.0, WORK_PX / side)
    gray = cv2.extractChannel(bgr, 1)  # green stands for gray
    if shrink < 1:
        gray = cv2.resize(gray, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(gray)[0]
    if found is None:
        return np.zeros((0, 2, 2), np.float32)
    ends = (found.reshape(-1, 2, 2) + 0.5) / shrink  # from the middle of the first pixel to its corner
    way = np.abs(ends[:, 1] - ends[:, 0])
    length = np.hypot(way[:, 0], way[:, 1])
    keep = length > _LEAST_LENGTH * side
    keep &= (length < _BAR_LENGTH * side) | (way.min(1) > _BAR_SLOPE * length)
    middle = ends.mean(1)
    for box in boxes_px:
        margin = _AROUND * (box[2:] - box[:2]).max()
        keep &= ~((middle > box[:2] - margin) & (middle < box[2:] + margin)).all(1)
    longest = np.flatnonzero(keep)[np.argsort(-length[keep], kind="stable")]
    return np.asarray(ends[_various(ends[longest], longest, side)[:_MOST]], np.float32)


def _various(ends: NDArray, number: NDArray, side: int) -> list[int]:
    """The numbers (L,) of segments (L, 2, 2), best first, without those that are too much like ones before."""
    way = ends[:, 1] - ends[:, 0]
    slope = np.degrees(np.arctan2(way[:, 1], way[:, 0])) % 180 // _SLOPE_DEG
    alike = np.column_stack([ends.mean(1) // (_SQUARE * side), slope]).astype(int)
    taken, out = Counter[tuple[int, ...]](), list[int]()
    for kind, n in zip(map(tuple, alike.tolist()), number.tolist(), strict=True):
        taken[kind] += 1
        if taken[kind] <= _PER_SQUARE:
            out.append(n)
    return out
