"""Finds where a film is cut while its frames are read: hard cuts, jump cuts, fades, and holes in the timestamps.

A cut changes the picture at once, in places that are calm right before and right after; a flash changes it twice, and a
pan or somebody close to the lens in frame after frame. So a change counts where it is well above everything that
happens at the same place within a moment, and is a cut where that excess stands out from what is usual in this film. In
a fade, every picture is a mixture of those before and after it.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from sasmamba.app.io.fades import FadeFinder
from sasmamba.app.io.picture_change import Change, SmallPicture
from sasmamba.app.io.uneven_steps import SAME, FilmStep, StepWatch
from sasmamba.app.types import Cut, CutKind, Frame
from sasmamba.common.arrays import FloatArray

#: A change is compared with what happens at its place so many seconds before and after, at least and at most so many
#: frames; a cut is known so much later.
MOMENT_S, FEWEST_FRAMES, MOST_FRAMES = 0.17, 3, 10
#: A change is more than so many times what happens at its place; of that, what happens where a picture was left out
#: is so many times what would have.
TIMES_AROUND, LEFT_OUT = 1.5, 2.5
#: A cut's excess is so many times the usual, the mean of the two largest of so many seconds; fewer times where so many
#: times as much is new as in any but one of the frames around.
TIMES_USUAL, USUAL_S, TIMES_USUAL_WHERE_NEW, TIMES_NEW = 2.0, 1.0, 1.4, 2.2
#: The least excess of a cut, as a share of a picture full of contrast. Frames farther apart than so many seconds differ
#: by more without a cut: in proportion, up to so many times.
LEAST_EXCESS, APART_S, MOST_APART = 0.003, 0.04, 6.0
#: The least where motion goes elsewhere: less the same as around than this, and in no other frame that changes by more
#: than so much of this one's amount (a flash has two).
LEAST_ELSEWHERE, ELSEWHERE, ONCE = 0.0015, 0.12, 0.5
#: Motion breaks off where so many times as much changes as around, and it is no more the same as around than this, but
#: goes on by more than that in every other frame that changes as much (ONCE). Then an excess of so much over the calmer
#: of both sides will do: a cut out of fast motion into calm is hidden by the one alone. (Of so much that is new none is
#: hidden; it may be a flash.)
BREAK_TIMES, BREAK_ALIKE, GOES_ON, LEAST_OVER_CALM, BREAK_NEW = 2.5, 0.4, 0.5, 0.0046, 0.08
#: Changes below this, of 1, are coding: a new keyframe is a little sharper everywhere.
CODING = 0.03
#: A keyframe that makes a picture much sharper changes its calmest quarter, too: by more than so much, and than that
#: share of what it changes three quarters by; and less than this is new.
RENEWED, RENEWED_SHARE, RENEWED_NEW = 0.005, 0.2, 0.15
#: Excess that is always there, by noise and coding.
ALWAYS = 2e-4
#: Where more than so much is new in two frames around, everything is in motion, and a cut is so many times as new.
RESTLESS, TIMES_RESTLESS = 0.07, 2.5
#: Where it is less, but more than this, one is new by fewer times as much, or else changes by so many times as much as
#: most, and motion does not go on (GOES_ON).
STIRRED, TIMES_STIRRED, TIMES_MOST = 0.03, 1.5, 1.7
#: Where less than this is new, half of the picture is not to get brighter or darker by so many grey levels within a
#: moment: flashes and exposures that jump lose detail. Light and dark then lie where they were (correlation).
ALL_NEW, BRIGHTENED, SAME_LIGHT = 0.43, 12.0, 0.85
#: Where so much of one is burnt out or black, all of it gets brighter or darker (mean sign).
BURNT, ALL_LIT = 0.3, 0.9
#: A hand shakes a camera by less than this share of the picture's width from frame to frame.
SHAKEN = 0.06
#: So much of a cut's excess is still there half a moment and a moment later.
LASTING = 0.3, 0.12
#: A change of which nearly all lies in a band so high, as a share of the picture, is a caption.
CAPTION_HIGH, CAPTION_SHARE = 0.2, 0.9
#: After so many usual frames of the same picture a film that stalls goes on by a leap: where less than this is new and
#: thumbnails correlate by more than that.
STILL_FRAMES, STILL_NEW, STILL_ALIKE = 2.5, 0.4, 0.5
#: Nor is it a cut where of what is new only so much is once the picture is shifted as a whole: by less than that share
#: of its width after a stall, or like the frames beside it, as where a whip pan is blurred.
SHIFTED, LEAPT = 0.4, 0.15
#: So much is new after a plain picture if it is not the scene before it.
NEW_AFTER_PLAIN = 0.15
#: Timestamps farther apart than this, and than so many usual frames, are a hole in which anything may have happened.
GAP_S, GAP_FRAMES = 3.0, 8


def watched_for_cuts(frames: Iterable[Frame], finder: CutFinder) -> Iterator[Frame]:
    """Passes frames on as they are; the finder knows of cuts when all are through."""
    for frame in frames:
        finder.watch(frame)
        yield frame
    finder.finish()


def with_cuts(frames: Iterable[Frame], finder: CutFinder) -> Iterator[Frame]:
    """Passes frames on, `finder.ahead` of them behind; a new shot's first frame has its `Frame.cut`."""
    waiting: deque[Frame] = deque()
    for frame in frames:
        finder.watch(frame)
        waiting.append(frame)
        if len(waiting) > finder.ahead:
            yield finder.marked(waiting.popleft())
    finder.finish()
    for frame in waiting:
        yield finder.marked(frame)


@dataclass(slots=True)
class _Seen:
    """A frame as far as it is remembered.

    Attributes:
        change: what of it the picture before does not explain.
        apart_s: time since the picture was another.
        passed_over: pictures in which nothing was to be seen lie between it and the one it is compared with.
        step: how it goes on, compared with the frames around it.
        excess: of its change over what happens around it, once it is decided on.
        calm: -1 or 1 where it is only compared with what happens before or after it.
    """

    index: int
    time_s: Fraction
    picture: SmallPicture
    change: Change
    apart_s: float
    passed_over: bool
    step: FilmStep
    excess: float = 0.0
    calm: int = 0

    @property
    def new(self) -> float:
        """The share of its detail that the picture before does not explain."""
        return self.change.share

    def times(self, alike: float) -> float:
        """So many times as much is new as would be without a picture left out before it, if one was."""
        return LEFT_OUT if self.step.is_longer(alike) else 1.0


class CutFinder:
    """Is told of every frame as it is read, and knows `ahead` frames later whether a shot begins with it.

    Args:
        fps: the film's average rate.

    Attributes:
        ahead: frames that it wants to see beyond one.
        cuts: those found so far, in order of time. A fade is found when it is over.
    """

    def __init__(self, fps: Fraction) -> None:
        self.ahead = min(max(math.ceil(MOMENT_S * fps), FEWEST_FRAMES), MOST_FRAMES)
        self.cuts: list[Cut] = []
        self._period_s = float(1 / fps)
        self._fps = float(fps)
        self._begin()

    def _begin(self) -> None:
        """Forgets all frames: nothing before tells anything of what comes."""
        self._seen: deque[_Seen] = deque(maxlen=2 * self.ahead + 1)
        self._undecided = 0  # of those seen, the last so many
        self._usual: deque[tuple[float, float]] = deque()  # seconds and excess of frames without a cut
        self._fades = FadeFinder(self._fps)
        self._shown: SmallPicture | None = None  # the last picture in which there was something to see
        self._passed_over = False
        self._changed_s: Fraction | None = None
        self._steps = StepWatch()

    def watch(self, frame: Frame) -> None:
        """Takes the next frame."""
        last = self._seen[-1] if self._seen else None
        if last and float(frame.time_s - last.time_s) > max(GAP_S, GAP_FRAMES * self._period_s):
            self.finish()
            self._begin()
            self.cuts.append(Cut(frame.index, frame.time_s, "gap"))
        picture = SmallPicture(frame.bgr)
        change = picture.unchanged()
        if self._shown is not None and not picture.plain:
            change = picture.change_from(self._shown)
        amount = float(change.where.mean())
        apart_s = 0.0 if self._changed_s is None else float(frame.time_s - self._changed_s)
        if self._changed_s is None or amount > SAME:
            self._changed_s = frame.time_s
        passed_over = self._passed_over and not picture.plain
        self._passed_over = picture.plain and self._shown is not None
        if not picture.plain:
            self._shown = picture
        step = self._steps.watch(frame.time_s, amount, change.motion)
        self._seen.append(_Seen(frame.index, frame.time_s, picture, change, apart_s, passed_over, step))
        self._undecided += 1
        if self._undecided > self.ahead:
            self._decide()
            self._look_for_fade()

    def finish(self) -> None:
        """Decides on the last frames: there are no more."""
        while self._undecided:
            self._decide()
            self._look_for_fade()

    def marked(self, frame: Frame) -> Frame:
        """The frame, with the cut that it begins a shot by."""
        last = bisect_right(self.cuts, frame.index, key=lambda c: c.frame) - 1
        begins = last >= 0 and self.cuts[last].frame == frame.index
        return replace(frame, cut=self.cuts[last]) if begins else frame

    def _add(self, cut: Cut | None) -> None:
        if cut is not None:
            insort(self.cuts, cut, key=lambda c: c.frame)

    def _decide(self) -> None:
        """Decides on the first frame that is undecided."""
        seen, at = list(self._seen), len(self._seen) - self._undecided
        self._undecided -= 1
        here = seen[at]
        alike = self._steps.alike
        here.excess = _excess(seen, at, self.ahead, alike)
        now_s = float(here.time_s)
        while self._usual and now_s - self._usual[0][0] > USUAL_S:
            self._usual.popleft()
        before, after = seen[max(0, at - self.ahead) : at], seen[at + 1 :]
        restless = _restless([*before, *after])
        over_all = here.excess
        if _breaks_off(here, before, after):
            calm, over_calmer = _over_calmer(seen, at, self.ahead, alike)
            if over_calmer > LEAST_OVER_CALM:
                here.calm, here.excess = calm, over_calmer
        if self._may_be_cut(here, before, after, restless):
            # what comes after is not decided yet: its excess is over what is known
            later = [_excess(seen, i, self.ahead, alike) for i in range(at + 1, len(seen))]
            usual = float(np.mean(sorted([0.0, 0.0, *later, *(e for _, e in self._usual)])[-2:]))
            least = (TIMES_USUAL_WHERE_NEW if here.new > TIMES_NEW * restless else TIMES_USUAL) * (usual + ALWAYS)
            lasting = max(least, _least_excess(here, [*before, *after]))
            if here.excess >= least and self._stays(seen, at, lasting, alike):
                kind: CutKind = "fade" if here.passed_over else "cut"
                self._add(Cut(here.index, here.time_s, kind))
                return
        here.calm, here.excess = 0, over_all
        self._usual.append((now_s, over_all))

    def _look_for_fade(self) -> None:
        """Whether one ends with the frame that was decided on last."""
        seen = self._seen[-1 - self._undecided]
        self._add(self._fades.watch(seen.index, seen.time_s, seen.picture, seen.change, self.cuts, self.ahead))

    def _may_be_cut(self, here: _Seen, before: Sequence[_Seen], after: Sequence[_Seen], restless: float) -> bool:
        """Whether a frame has what a cut needs, whatever is usual."""
        if len(after) < FEWEST_FRAMES or any(here.index - cut.frame <= self.ahead for cut in self.cuts[-1:]):
            return False  # that would be no shot
        stirred = restless > STIRRED and here.new < TIMES_STIRRED * restless
        if stirred and (here.step.times < TIMES_MOST or here.step.alike > GOES_ON):
            return False  # somebody passes close by
        if restless > RESTLESS and here.new < TIMES_RESTLESS * restless:
            return False  # a whip pan, say
        if here.passed_over:
            return here.new >= NEW_AFTER_PLAIN
        if here.excess < _least_excess(here, [*before, *after]) * min(max(here.apart_s / APART_S, 1.0), MOST_APART):
            return False
        moment = [s.picture for s in (*before[-2:], here, *after[:2])]
        if here.new < ALL_NEW and any(_relit(a, b) for a, b in pairwise(moment)):
            return False
        if here.new >= STILL_NEW or not self._was_still(here):
            return True
        return not before or _alike(before[-1].picture, here.picture) <= STILL_ALIKE

    def _was_still(self, here: _Seen) -> bool:
        """Whether the same picture was shown for long before a frame."""
        return here.apart_s > STILL_FRAMES * self._period_s

    def _stays(self, seen: list[_Seen], at: int, least: float, alike: float) -> bool:
        """Whether the excess is no caption and stays where motion of the whole picture is looked for, and later on."""
        here, before = seen[at], seen[at - 1].picture
        if here.passed_over:
            return True
        if _is_caption(_exceeding(seen, at, self.ahead, alike)) or _is_renewed(here, seen[at - 1], seen[at + 1]):
            return False
        moved = [] if here.new < ALL_NEW else [_whole_motion(seen[at + side].change) for side in (-1, 1)]
        shifted = [here.picture.change_from(before, start=start).share for start in moved]
        if self._was_still(here):
            shifted.append(here.picture.change_from(before, reach=LEAPT).share)
        if min(shifted, default=1.0) < SHIFTED * here.new:
            return False

        def excess(picture: SmallPicture) -> float:
            change = picture.change_from(before, reach=reach)
            least_change = here.change._replace(where=np.minimum(here.change.where, change.where))
            small = replace(here, change=least_change)
            return _excess([*seen[:at], small, *seen[at + 1 :]], at, self.ahead, alike)

        reach = 1.0 if here.new < ALL_NEW else SHAKEN
        if excess(here.picture) < least:
            return False
        later = seen[at + (len(seen) - 1 - at) // 2], seen[-1]
        return here.new >= ALL_NEW or all(
            excess(s.picture) >= share * here.excess for s, share in zip(later, LASTING, strict=True)
        )


def _whole_motion(change: Change) -> tuple[float, float]:
    """Where most of a picture was before, x and y, pixels of a small picture."""
    x, y = np.median(change.motion, (0, 1))
    return float(x), float(y)


def _restless(around: Sequence[_Seen]) -> float:
    """How much is new in the second newest of the frames around one."""
    return sorted([0.0, 0.0, *(s.new for s in around)])[-2]


def _least_excess(here: _Seen, around: Sequence[_Seen]) -> float:
    """Of a cut."""
    if here.excess < LEAST_ELSEWHERE or here.step.alike >= ELSEWHERE:
        return LEAST_EXCESS
    rivals = [s for s in around if s.step.amount > ONCE * here.step.amount]
    return LEAST_EXCESS if any(s.step.alike < ELSEWHERE for s in rivals) else LEAST_ELSEWHERE


def _breaks_off(here: _Seen, before: Sequence[_Seen], after: Sequence[_Seen]) -> bool:
    """Whether motion goes on neither from the frames before nor into those after, once."""
    if min(len(before), len(after)) < FEWEST_FRAMES or here.new > BREAK_NEW:
        return False
    if here.step.times < BREAK_TIMES or here.step.alike > BREAK_ALIKE:
        return False
    rivals = (s.step for s in (*before, *after) if s.step.amount > ONCE * here.step.amount)
    return all(rival.alike_to_a_side > GOES_ON for rival in rivals)


def _over_calmer(seen: Sequence[_Seen], at: int, reach: int, alike: float) -> tuple[int, float]:
    """On which side of a frame, -1 or 1, less happens, and the frame's excess over that."""
    sides = [_excess([*seen[:at], replace(seen[at], calm=side), *seen[at + 1 :]], at, reach, alike) for side in (-1, 1)]
    return (-1, sides[0]) if sides[0] > sides[1] else (1, sides[1])


def _alike(one: SmallPicture, other: SmallPicture) -> float:
    """Correlation of thumbnails: whether light and dark lie in the same places."""
    a, b = one.thumb - one.thumb.mean(), other.thumb - other.thumb.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-6))


def _relit(before: SmallPicture, after: SmallPicture) -> bool:
    """Whether it is the same picture in another exposure."""
    change = after.thumb - before.thumb
    same = _alike(before, after) > SAME_LIGHT
    # burnt out, light and dark are not where they were, but everything is brighter than it was
    burnt = max(before.burnt, after.burnt) > BURNT and abs(float(np.sign(change).mean())) > ALL_LIT
    return (same or burnt) and float(np.median(np.abs(change))) > BRIGHTENED


def _is_renewed(here: _Seen, before: _Seen, after: _Seen) -> bool:
    """Whether a frame is the same picture coded anew."""
    calm, most = np.quantile(here.change.where - np.maximum(before.change.where, after.change.where), (0.25, 0.75))
    return here.new < RENEWED_NEW and calm > max(RENEWED, RENEWED_SHARE * most)


def _is_caption(exceeding: FloatArray) -> bool:
    """Whether a frame's change lies in a narrow band across the picture."""
    rows = exceeding.sum(1)
    band = max(1, round(CAPTION_HIGH * len(rows)))
    return float(np.convolve(rows, np.ones(band)).max()) > CAPTION_SHARE * float(rows.sum())


def _excess(seen: Sequence[_Seen], at: int, reach: int, alike: float) -> float:
    """Mean of what a frame's change has well above all changes at the same place within `reach` frames.

    Args:
        alike: how much the same as around motion must be for a picture to have been left out.
    """
    return float(_exceeding(seen, at, reach, alike).mean())


def _exceeding(seen: Sequence[_Seen], at: int, reach: int, alike: float) -> FloatArray:
    here = seen[at]
    before, after = seen[max(0, at - reach) : at], seen[at + 1 : at + reach + 1]
    around = {-1: before, 0: [*before, *after], 1: after}[here.calm]
    most = np.maximum.reduce([s.change.where / s.times(alike) for s in around]) if around else np.float32(0)
    usual = TIMES_AROUND * here.times(alike) * most
    return np.asarray(np.maximum(here.change.where - usual - CODING, 0), np.float32)
