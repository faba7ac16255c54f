"""Finds fades: dissolves from one shot into the next, soft cuts of a few frames, and fades through black.

While a film fades, every picture is a sum of the last one before and the first one after, each with a share of its own,
and of one colour. No camera and nothing that moves makes such pictures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.io.picture_change import SmallPicture
from sasmamba.app.types import Cut

#: Fades are looked for in windows of so many seconds, and of so many frames at most.
FADES_S, MOST_FADE_FRAMES = (0.1, 0.2, 0.4, 0.8, 1.6, 2.4), 128
#: Ends of a window that are more alike (correlation of thumbnails), or whose contrast is less (grey levels), hold none.
ALIKE, CONTRAST = 0.6, 8.0
#: Nor does one whose first or last picture is burnt out or black in so large a share, by a flash say.
BURNT = 0.5
#: Nor does one in which so much is new in more frames than a soft cut has: everything is in motion. So many are looked
#: at, where the window is shorter.
WHIPPED, MOST_WHIPPED, WHIP_FRAMES = 0.3, 3, 8
#: So many frames of a window are looked at, some of which are more than so far from both ends.
LOOKS, UNDER_WAY = 8, 0.25
#: What may stay unexplained of a mixture, as a share of it: so much in any case, and more the less alike its ends are.
#: (A pan makes pictures that are nearly mixtures; of them twice as much stays.)
UNMIXED_PER_UNLIKE, UNMIXED = 0.25, 0.15
#: A slow pan or zoom explains each half of a window: of its detail less is new than so much of what is from end to end.
PANNED = 0.22
#: Both shares together are 1 in a dissolve; where they are off by more than this a light goes on. Through black they
#: fall below the second.
FLASHED, DARK = 0.3, 0.2


@dataclass(slots=True)
class _Look:
    """A frame as far as it is remembered.

    Attributes:
        new: the share of its detail that the frame before does not explain.
        shape: (576,) its thumbnail about the mean.
        contrast: of that, grey levels.
    """

    index: int
    time_s: Fraction
    picture: SmallPicture
    new: float
    shape: NDArray[np.float32]
    contrast: float


class FadeFinder:
    """Is told of every frame, and answers with the fade that is over.

    Args:
        fps: of the film.
    """

    def __init__(self, fps: float) -> None:
        self._windows = sorted({max(2, round(s * fps)) for s in FADES_S if s * fps <= MOST_FADE_FRAMES})
        # at a thousand frames a second the shortest fade is longer than any window, and none is looked for
        self._seen: deque[_Look] = deque(maxlen=max(self._windows, default=0) + 1)
        self._over = 0  # the frame that the last fade ended with

    def watch(
        self, index: int, time_s: Fraction, picture: SmallPicture, new: float, cuts: Sequence[Cut], apart: int
    ) -> Cut | None:
        """Takes the next frame; returns a fade that ends with it.

        Args:
            new: the share of its detail that the frame before does not explain.
            cuts: those known; none is nearer to another than `apart` frames.
        """
        shape = (picture.thumb - picture.thumb.mean()).ravel()
        self._seen.append(_Look(index, time_s, picture, new, shape, float(shape.std())))
        for window in self._windows:
            if len(self._seen) <= window:
                break
            begin = index - window
            if begin < self._over or any(begin - apart < cut.frame <= index + apart for cut in cuts[-2:]):
                break  # and so it is in longer ones
            if (middle := self._faded(window)) is not None:
                self._over = index
                return Cut(middle.index, middle.time_s, "fade")
        return None

    def _faded(self, window: int) -> _Look | None:
        """The middle of a fade that fills some of a window, if there is one."""
        first, last = self._seen[-1 - window], self._seen[-1]
        if min(first.contrast, last.contrast) < CONTRAST or max(p.picture.burnt for p in (first, last)) > BURNT:
            return None
        reach = min(len(self._seen), max(window, WHIP_FRAMES))
        if sum(self._seen[-1 - i].new > WHIPPED for i in range(reach)) > MOST_WHIPPED:
            return None
        size = len(last.shape)
        both = float(first.shape @ last.shape) / size
        alike = both / (first.contrast * last.contrast)
        if alike > ALIKE:
            return None
        steps = np.unique(np.linspace(0, window, min(window + 1, LOOKS + 2)).round().astype(int))[1:-1]
        inside = [self._seen[int(step) - 1 - window] for step in steps]
        shares, worst = np.zeros((len(inside), 2)), 0.0
        gram = np.array([[first.contrast**2, both], [both, last.contrast**2]])
        for i, look in enumerate(inside):
            known = np.array([first.shape @ look.shape, last.shape @ look.shape]) / size
            shares[i] = np.linalg.solve(gram, known)
            left = look.contrast**2 - shares[i] @ known
            if not look.picture.plain:
                worst = max(worst, float(left / max(look.contrast**2, 0.05 * gram.trace() / 2)))
            if worst > max(UNMIXED, UNMIXED_PER_UNLIKE * (1 - alike)):
                return None
        old, new = shares.T
        from_first, from_last = np.abs(1 - old) + np.abs(new), np.abs(old) + np.abs(1 - new)
        under_way = np.minimum(from_first, from_last) > 2 * UNDER_WAY
        dark = (old + new).min() < DARK
        if not under_way.any() or (not dark and np.abs(old + new - 1).max() > FLASHED):
            return None
        # the less is new the surer it must be that this is no motion
        changed = _moved_to(first, last)
        if worst > changed**2:
            return None
        middle = self._seen[-1 - window // 2]
        if not middle.picture.plain and max(_moved_to(first, middle), _moved_to(middle, last)) < PANNED * changed:
            return None
        return inside[int(np.argmin(np.abs(old - new)))]


def _moved_to(before: _Look, after: _Look) -> float:
    """The share of a picture's detail that no motion since an earlier one explains."""
    return after.picture.change_from(before.picture, reach=1.0).share
