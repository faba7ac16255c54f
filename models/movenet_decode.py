"""From MoveNet's maps to people: centres are peaks, and each centre says about where its joints are.

Axes of the maps: channel, row, column; channels 2j and 2j + 1 of the regression and the offsets hold y and x of COCO
joint j, in cells. The rules are those of the published graph, read off its nodes, but for one: MultiPose there gives a
joint the score of whoever expects one at its place most, so that a hidden ankle gets its neighbour's; here it is the
person's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
#: What maps hold in cells: rows (N,) and columns (N,) to (N, channels).
Reader = Callable[[NDArray[np.intp], NDArray[np.intp]], Floats]

#: In a crop heat counts less the farther it lies from where it is expected: it is divided by the distance in cells
#: plus this.
_NEAR = 1.8
#: In MultiPose it fades as exp(-d² / (this times the map's shorter side)), d in cells; joints above this score say how
#: sure a person is.
_FADE, _COUNTS = 0.300048828125, 0.126953125
#: A centre is the highest within so many cells square.
_PEAK = 5


def sigmoid(logits: NDArray) -> NDArray:
    """Logits of any shape to 0..1."""
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))


def of_maps(*maps: Floats) -> Reader:
    """Reads maps (channels, h, w) that are there, one after the other."""
    return lambda rows, columns: np.concatenate([m[:, rows, columns] for m in maps]).T


def decode_person(center: Floats, heatmap: Floats, centres: Reader, joints: Reader) -> Floats:
    """The person in the middle of a crop, as Thunder and Lightning answer.

    Args:
        center: (1, h, w) logits.
        heatmap: (17, h, w) logits.
        centres: reads the regression (34 channels), cells from a centre to its joints.
        joints: reads the offsets (34 channels), cells from a joint's cell to the joint.

    Returns:
        (17, 3) x, y in fractions of the crop, and score 0..1, COCO-17.
    """
    height, width = center.shape[-2:]
    y, x = divmod(int((sigmoid(center[0]) / _from_middle(height, width)).argmax()), width)
    guess = _expected(centres(np.array([y]), np.array([x]))[0], y, x)
    rows, columns, score = _hottest(heatmap, guess)
    found = _placed(rows, columns, score, joints(rows, columns))
    found[:, :2] /= (width, height)
    return found


def decode_people(
    center: Floats,
    heatmap: Floats,
    centres: Reader,
    joints: Reader,
    *,
    most: int,
    threshold: float,
) -> list[tuple[Floats, Floats, float]]:
    """Everybody in a picture, as MultiPose answers, the surest first.

    Args:
        center, heatmap, joints: as in `decode_person`.
        centres: reads the regression (34 channels) as there, height and width of the box about a centre (2), and y and
            x from a centre's cell to the middle of its box (2), all in cells.
        most: at most so many people (the published graph: 6).
        threshold: people below are nobody; a person's score is their centre's times their joints' on the average.

    Returns:
        For each: joints (17, 3) x, y in fractions of the picture and score; box (4,) x0, y0, x1, y1 in fractions;
        score.
    """
    height, width = center.shape[-2:]
    sure = sigmoid(center[0])
    # a person's score is no larger than their centre's
    ys, xs = _peaks(sure, threshold)
    order = np.argsort(-sure[ys, xs], kind="stable")[:most]
    ys, xs = ys[order], xs[order]
    if not len(ys):
        return []
    size = np.array([width, height, width, height], np.float32)
    said = centres(ys, xs)
    boxes, hottest = [], []
    for y, x, at in zip(ys.tolist(), xs.tolist(), said, strict=True):
        scale, box_offset = at[34:36], at[36:38]
        middle = np.array([x + box_offset[1], y + box_offset[0]])
        half = np.maximum([scale[1], scale[0]], 0) / 2
        boxes.append(np.clip(np.concatenate([middle - half, middle + half]), 0, size))
        hottest.append(_hottest_in_box(heatmap, _expected(at[:34], y, x), boxes[-1]))
    rows, columns = (np.concatenate([found[i] for found in hottest]) for i in (0, 1))
    offsets = joints(rows, columns).reshape(len(ys), 17, 34)
    people = []
    for centre, box, (r, c, score), offset in zip(sure[ys, xs], boxes, hottest, offsets, strict=True):
        found = _placed(r, c, score, offset)
        seen = found[found[:, 2] > _COUNTS, 2]
        total = float(centre * seen.mean()) if len(seen) else 0.0
        if total >= threshold:
            found[:, :2] /= size[:2]
            people.append((found, (box / size).astype(np.float32), total))
    return sorted(people, key=lambda person: -person[2])


#: Rows (17,) and columns (17,) of joints' cells, and their scores (17,).
_Cells = tuple[NDArray[np.intp], NDArray[np.intp], Floats]


def _placed(rows: NDArray[np.intp], columns: NDArray[np.intp], score: Floats, offset: Floats) -> Floats:
    """(17, 3) x, y in cells and score of joints, from their cells and what is read there (17, 34)."""
    j = np.arange(17)
    return np.stack([columns + offset[j, 2 * j + 1], rows + offset[j, 2 * j], score], 1).astype(np.float32)


def _hottest(heatmap: Floats, guess: Floats) -> _Cells:
    """Where heat is largest for how far it is from where a joint is expected, (17, 2) row and column."""
    height, width = heatmap.shape[-2:]
    far = np.sqrt(_squares(guess[:, 0], 0, height)[:, :, None] + _squares(guess[:, 1], 0, width)[:, None])
    far += np.float32(_NEAR)
    # heat over distance is largest where its inverse is least, which is one pass over the maps less
    cold = np.exp(np.minimum(-heatmap, 60))
    cold += 1
    cold *= far
    best = cold.reshape(17, -1).argmin(1)
    rows, columns = best // width, best % width
    return rows, columns, sigmoid(heatmap[np.arange(17), rows, columns])


def _hottest_in_box(heatmap: Floats, guess: Floats, box: NDArray) -> _Cells:
    """As `_hottest`, but heat fades with the squared distance, and outside the person's box there is none."""
    height, width = heatmap.shape[-2:]
    x0, y0 = (int(np.ceil(v)) for v in box[:2])
    x1, y1 = (max(int(np.ceil(v)), low + 1) for v, low in zip(box[2:], (x0, y0), strict=True))
    x0, y0, x1, y1 = min(x0, width - 1), min(y0, height - 1), min(x1, width), min(y1, height)
    fade = np.float32(-1 / (_FADE * min(height, width)))
    down, across = np.exp(fade * _squares(guess[:, 0], y0, y1)), np.exp(fade * _squares(guess[:, 1], x0, x1))
    near = (sigmoid(heatmap[:, y0:y1, x0:x1]) * down[:, :, None] * across[:, None]).reshape(17, -1)
    best = near.argmax(1)
    return best // (x1 - x0) + y0, best % (x1 - x0) + x0, near[np.arange(17), best]


def _expected(regress: Floats, y: int, x: int) -> Floats:
    """(17, 2) row and column, cells, at which a centre at (y, x) that says `regress` (34,) expects each joint."""
    return (regress.reshape(17, 2) + np.array([y, x])).astype(np.float32)


def _squares(at: Floats, begin: int, end: int) -> Floats:
    """(17, end - begin) squared distances of cells in a row from places (17,)."""
    return np.square(np.arange(begin, end, dtype=np.float32) - at[:, None])


@cache
def _from_middle(height: int, width: int) -> Floats:
    """(height, width) distances from the middle, cells, plus `_NEAR`."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return (np.hypot(rows - height / 2, columns - width / 2) + _NEAR).astype(np.float32)


def _peaks(values: Floats, least: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of cells of at least so much that are the largest within `_PEAK` cells square."""
    rows, columns = np.nonzero(values >= least)
    around = np.arange(_PEAK)
    padded = np.pad(values, _PEAK // 2, constant_values=-np.inf)
    near = padded[rows[:, None, None] + around[:, None], columns[:, None, None] + around]
    largest = near.max((1, 2), initial=-np.inf) == values[rows, columns]
    return rows[largest], columns[largest]
