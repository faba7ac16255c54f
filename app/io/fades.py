"""Finds fades: dissolves from one shot into the next, soft cuts of a few frames, and fades through black.

While a film fades, every picture is a sum of the last one before and the first one after, each with a share of its own,
and of one colour. No camera and nothing that moves makes such pictures. Where the camera moves, both are moved on
first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.io.moving_mixture import Mixture, WholeMotion, mixture, whole_motion
from sasmamba.app.io.picture_change import Change, SmallPicture
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
#: And no more than this in windows of up to so many seconds, in which nothing moves far.
UNMIXED_SOON, SOON_S = 0.07, 0.12
#: A slow pan or zoom explains each half of a window: of its detail less is new than so much of what is from end to end.
PANNED = 0.22
#: Both shares together are 1 in a dissolve; where they are off by more than this a light goes on. Through black they
#: fall below the second.
FLASHED, DARK = 0.3, 0.2
#: While the camera moves, dissolves are looked for in windows of at least so many seconds, at so many places in the
#: length of one; motion is the mean of so many seconds before and after it.
MOVING_S, PLACES, MOTION_S = 0.3, 6, 0.3
#: It does where it gets so far within a window, as a share of the picture.
MOVES = 0.03
#: Of each of its pictures so much at least shows what both ends show, which then are no more alike than this. So much
#: may stay unexplained; the share of the first never rises by more than this.
KNOWN, MOVED_ALIKE, MOVED_UNMIXED, RISES = 0.4, 0.45, 0.2, 0.15
#: So many at least are under way, or it is a soft cut, for which still ends will do; it begins and ends where one of
#: both has less than so large a share.
LEAST_UNDER_WAY, BARELY = 2, 0.15


@dataclass(slots=True)
class _Look:
    """A frame as far as it is remembered.

    Attributes:
        change: what of it the frame before does not explain.
        shape: (576,) its thumbnail about the mean.
        contrast: of that, grey levels.
    """

    index: int
    time_s: Fraction
    picture: SmallPicture
    change: Change
    shape: NDArray[np.float32]
    contrast: float


class FadeFinder:
    """Is told of every frame, and answers with the fade that is over.

    Args:
        fps: of the film.
    """

    def __init__(self, fps: float) -> None:
        self._windows = sorted({max(2, round(s * fps)) for s in FADES_S if s * fps <= MOST_FADE_FRAMES})
        self._soon_frames, self._moving_frames = SOON_S * fps, MOVING_S * fps
        self._around = max(1, round(MOTION_S * fps))
        # at a thousand frames a second the shortest fade is longer than any window, and none is looked for
        self._seen: deque[_Look] = deque(maxlen=max(self._windows, default=0) + 2 * self._around + 1)
        self._over = 0  # the frame that the last fade ended with

    def watch(
        self, index: int, time_s: Fraction, picture: SmallPicture, change: Change, cuts: Sequence[Cut], apart: int
    ) -> Cut | None:
        """Takes the next frame; returns a fade that ended with it or a moment ago.

        Args:
            change: what of it the frame before does not explain.
            cuts: those known; none is nearer to another than `apart` frames.
        """
        shape = (picture.thumb - picture.thumb.mean()).ravel()
        self._seen.append(_Look(index, time_s, picture, change, shape, float(shape.std())))
        for window in self._free(0, cuts, apart):
            if (middle := self._faded(window)) is not None:
                return self._found(middle, index, apart)
        for window in self._free(self._around, cuts, apart):
            if window < self._moving_frames or index % max(1, window // PLACES):
                continue
            if (middle := self._faded_moving(window)) is not None:
                return self._found(middle, index - self._around, apart)
        return None

    def _found(self, middle: _Look, end: int, apart: int) -> Cut | None:
        """A fade, but where it is the rest of the last one."""
        goes_on = self._over > 0 and middle.index - self._over <= apart
        self._over = end
        return None if goes_on else Cut(middle.index, middle.time_s, "fade")

    def _free(self, ago: int, cuts: Sequence[Cut], apart: int) -> Iterator[int]:
        """The windows that ended so many frames ago and in which no cut is known yet."""
        for window in self._windows:
            if len(self._seen) <= ago + window:
                break
            end = self._seen[-1 - ago].index
            begin = end - window
            if begin < self._over or any(begin - apart < cut.frame <= end + apart for cut in cuts[-2:]):
                break  # and so it is in longer ones
            yield window

    def _faded(self, window: int) -> _Look | None:
        """The middle of a fade that fills some of a window, if there is one."""
        if not self._may_hold_fade(window, 0):
            return None
        first, last = self._seen[-1 - window], self._seen[-1]
        size = len(last.shape)
        both = float(first.shape @ last.shape) / size
        alike = both / (first.contrast * last.contrast)
        if alike > ALIKE:
            return None
        inside = [self._seen[step - 1 - window] for step in _steps(window)]
        shares, worst = np.zeros((len(inside), 2)), 0.0
        gram = np.array([[first.contrast**2, both], [both, last.contrast**2]])
        most = UNMIXED_SOON if window <= self._soon_frames else max(UNMIXED, UNMIXED_PER_UNLIKE * (1 - alike))
        for i, look in enumerate(inside):
            known = np.array([first.shape @ look.shape, last.shape @ look.shape]) / size
            shares[i] = np.linalg.solve(gram, known)
            left = look.contrast**2 - shares[i] @ known
            if not look.picture.plain:
                worst = max(worst, float(left / max(look.contrast**2, 0.05 * gram.trace() / 2)))
            if worst > most:
                return None
        old, new = shares.T
        dark = (old + new).min() < DARK
        if not _under_way(old, new).any() or (not dark and np.abs(old + new - 1).max() > FLASHED):
            return None
        middle = self._seen[-1 - window // 2]
        return inside[int(np.argmin(np.abs(old - new)))] if _is_no_motion(first, middle, last, worst) else None

    def _faded_moving(self, window: int) -> _Look | None:
        """The middle of a dissolve between pictures that move as a whole, in a window that ended a moment ago."""
        at = len(self._seen) - 1 - self._around
        first, last = self._seen[at - window], self._seen[at]
        if not self._may_hold_fade(window, self._around):
            return None
        if float(first.shape @ last.shape) / len(last.shape) > ALIKE * first.contrast * last.contrast:
            return None
        before, after = self._motion(at - window - self._around + 1), self._motion(at + 1)
        if max(abs(part) * window for motion in (before, after) for part in motion) < MOVES:
            return None  # then they stand still
        steps = _steps(window)
        mixtures: dict[int, Mixture] = {}
        # the middle first: most are told by it
        for step in sorted(steps, key=lambda step: abs(step - window // 2)):
            since, until = (before, step), (after, window - step)
            thumbs = first.picture.thumb, last.picture.thumb
            mixed = mixture(self._seen[at - window + step].picture.thumb, thumbs[0], since, thumbs[1], until)
            if mixed.known < KNOWN or mixed.alike > MOVED_ALIKE or mixed.unexplained > MOVED_UNMIXED:
                return None
            mixtures[step] = mixed
        old, new = np.array([(mixtures[step].old, mixtures[step].new) for step in steps]).T
        if np.abs(old + new - 1).max() > FLASHED or np.diff(old).max(initial=0) > RISES:
            return None
        if _under_way(old, new).sum() < LEAST_UNDER_WAY:
            return None
        # over less time motion would explain more: only what lies between the one picture and the other counts
        begin = max((step for step, share in zip(steps, new, strict=True) if share < BARELY), default=0)
        gone = [step for step, share in zip(steps, old, strict=True) if share < BARELY and step > begin]
        end = min(gone, default=window)
        first, middle, last = (self._seen[at - window + step] for step in (begin, (begin + end) // 2, end))
        if not _is_no_motion(first, middle, last, max(mixed.unexplained for mixed in mixtures.values())):
            return None
        return self._seen[at - window + steps[int(np.argmin(np.abs(old - new)))]]

    def _motion(self, begin: int) -> WholeMotion:
        """Mean of the frames that begin there, but for cuts among them."""
        looks = [self._seen[i] for i in range(max(0, begin), begin + self._around)]
        steady = [look.change.motion for look in looks if look.change.share < WHIPPED]
        height, width = looks[0].picture.detail.shape
        return whole_motion(steady, width, height) if steady else WholeMotion(0.0, 0.0, 0.0)

    def _may_hold_fade(self, window: int, ago: int) -> bool:
        """Whether both ends show something, and not everything is in motion between them."""
        at = len(self._seen) - 1 - ago
        first, last = self._seen[at - window], self._seen[at]
        if min(first.contrast, last.contrast) < CONTRAST or max(first.picture.burnt, last.picture.burnt) > BURNT:
            return False
        reach = min(at + 1, max(window, WHIP_FRAMES))
        return sum(self._seen[at - i].change.share > WHIPPED for i in range(reach)) <= MOST_WHIPPED


def _steps(window: int) -> list[int]:
    """Which frames of a window are looked at."""
    return [int(step) for step in np.unique(np.linspace(0, window, min(window + 1, LOOKS + 2)).round())[1:-1]]


def _under_way(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which are neither the first nor the last picture."""
    from_first, from_last = np.abs(1 - old) + np.abs(new), np.abs(old) + np.abs(1 - new)
    return np.asarray(np.minimum(from_first, from_last) > 2 * UNDER_WAY)


def _is_no_motion(first: _Look, middle: _Look, last: _Look, unexplained: float) -> bool:
    """Whether no motion explains what a mixture explains but for so much: the less is new the surer it must be."""
    changed = _moved_to(first, last)
    if unexplained > changed**2:
        return False
    return middle.picture.plain or max(_moved_to(first, middle), _moved_to(middle, last)) >= PANNED * changed


def _moved_to(before: _Look, after: _Look) -> float:
    """The share of a picture's detail that no motion since an earlier one explains."""
    return after.picture.change_from(before.picture, reach=1.0).share
