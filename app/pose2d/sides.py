"""Left and right kept apart over time: exchanged sides are found and undone, hidden limbs lose their copy.

Detectors label every frame for itself, and in side views they exchange the legs, the arms or the whole body for some
frames. One frame cannot tell; the frames around it can. So the labels of a person's life are taken as a chain that is
decoded as a whole, by the Viterbi algorithm (Forney, "The Viterbi algorithm", Proc. IEEE 1973): a state says which
groups of joints carry the other side's name, every state keeps its own estimate of where each joint moves (per-survivor
processing: Raheli et al., IEEE Trans. Communications 1995), and the cheapest path through all frames wins.

What a path costs, in nats: joints that do not go on as they moved, every change of labels, and, slowly, being exchanged
at all, so that of two consistent stories the one with fewer exchanged frames is believed; a face that is seen, and
shoulders and hips that point opposite ways, speak for or against a story, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.types import Person2D
from sasmamba.common.arrays import FloatArray
from sasmamba.common.runs import runs
from sasmamba.models.skeletons import COCO, COCO_MIRROR, FOOT_MIRROR

#: Joints that are exchanged together, by what a person calls them. Detectors exchange legs with and without the hips.
GROUPS = {
    "face": ("EYE", "EAR"),
    "shoulders": ("SHOULDER",),
    "arms": ("ELBOW", "WRIST"),
    "hips": ("HIP",),
    "legs": ("KNEE", "ANKLE"),
}
_NAMES = tuple(GROUPS)
_STATES = 1 << len(GROUPS)
#: (32, 5) bool: which groups are exchanged in each state.
_BITS = (np.arange(_STATES)[:, None] >> np.arange(len(GROUPS)) & 1).astype(bool)
_JOINTS = np.array([int(COCO[f"{side}_{part}"]) for g in GROUPS.values() for part in g for side in ("LEFT", "RIGHT")])
_GROUP_OF = np.array([k for k, g in enumerate(GROUPS.values()) for _ in g for _ in range(2)])
_GROUP_NAMED = {part: name for name, parts in GROUPS.items() for part in parts}
_TWIN = np.arange(len(_JOINTS)) ^ 1  # left and right stand beside each other

#: How far a joint lies from where it moves to, as a share of the person's size: the detector's noise ...
_NOISE = 0.016
#: ... and what it accelerates by, in sizes per second squared (a wrist reaches 50 m/s² in a throw).
_ACCELERATION = {
    "EYE": 10.0,
    "EAR": 10.0,
    "SHOULDER": 10.0,
    "ELBOW": 20.0,
    "WRIST": 32.0,
    "HIP": 8.0,
    "KNEE": 20.0,
    "ANKLE": 30.0,
}
_ACC = np.array([_ACCELERATION[part] for g in GROUPS.values() for part in g for _ in range(2)])
#: The most that one joint of one frame can say, nats: an outlier is no proof.
_MOST = 10.0
#: A change of labels costs this, and after a gap of so many seconds next to nothing: nobody saw what happened there.
_CHANGE, _FORGET_S = 8.0, 0.6
#: Groups that detectors exchange at once; any other change is made of several of these.
_EVENTS = (
    ("face", "shoulders", "arms", "hips", "legs"),
    ("shoulders", "arms", "hips", "legs"),
    ("shoulders", "arms"),
    ("arms",),
    ("hips", "legs"),
    ("legs",),
    ("face",),
)
#: Being exchanged, and in groups that belong together not alike, nats per second.
_EXCHANGED_PER_S = 1.0
_UNLIKE_PER_S = {
    ("shoulders", "arms"): 1.5,
    ("shoulders", "hips"): 1.0,
    ("hips", "legs"): 1.0,
    ("face", "shoulders"): 1.0,
}
#: A frontal face, and shoulders against hips, nats per second for a clear case.
_FACING_PER_S, _TWIST_PER_S = 2.0, 2.0
#: Names by which limbs would cross that the detector saw side by side, nats per second for a clear case: hips and
#: shoulders, knees and hips, elbows and shoulders, apart in the picture by the second share of the size, not by the
#: first. Legs that pass each other look like legs that cross, and without this the crossing would last for ever.
_CROSSED_PER_S, _APART = 6.0, (0.03, 0.08)
_ABOVE = (("SHOULDER", "HIP"), ("HIP", "KNEE"), ("SHOULDER", "ELBOW"))
#: Two limbs on the same pixels: nearer than this share of the size, for longer than legs take to pass each other.
_SAME_PLACE, _CROSSING_S = 0.025, 0.35
#: What a limb's score falls to where it only repeats its twin.
HIDDEN_SCORE = 0.05


@dataclass(frozen=True, slots=True)
class SideRepair:
    """A stretch of frames whose labels were exchanged back.

    Attributes:
        track_id: whose.
        limbs: names of `GROUPS`, all five for the whole body.
        first: its first frame.
        last: its last frame.
        from_s: time of the first.
        to_s: time of the last.
    """

    track_id: int
    limbs: tuple[str, ...]
    first: int
    last: int
    from_s: float
    to_s: float

    def __str__(self) -> str:
        *others, last = self.limbs
        what = f"{', '.join(others)} and {last}" if others else last
        if len(self.limbs) == len(GROUPS):
            what = "the whole body"
        begin, end = f"{self.from_s:.2f}", f"{self.to_s:.2f}"
        return f"{what} at {begin} s" if begin == end else f"{what} {begin}–{end} s"


def side_sentences(repairs: Sequence[SideRepair], most: int | None = None) -> list[str]:
    """One sentence for each person: what was exchanged back and when, at most so many stretches of each."""
    sentences = []
    for track_id in sorted({r.track_id for r in repairs}):
        theirs = [str(r) for r in repairs if r.track_id == track_id]
        shown = theirs[:most]
        more = f" and {len(theirs) - len(shown)} more" if len(shown) < len(theirs) else ""
        sentences.append(
            f"Left and right of #{track_id} were exchanged in the 2D and put right: {', '.join(shown)}{more}."
        )
    return sentences


def decode_sides(joints_px: FloatArray, score: FloatArray, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which groups carry the other side's name in which frame of one person's life.

    Args:
        joints_px: (T, 17, 2) COCO-17, pixels.
        score: (T, 17) 0..1, 0 for a joint that was not found.
        times_s: (T,) seconds, rising; frames in which the person was not seen are simply absent.

    Returns:
        (T, 5) bool in the order of `GROUPS`.
    """
    frames = len(times_s)
    if not frames:
        return np.zeros((0, len(GROUPS)), bool)
    where, weight, size = _measured(joints_px, score, times_s)
    steps = np.diff(times_s, prepend=times_s[0])
    says = _unary(joints_px, score, size) * np.minimum(steps, 0.1)[:, None]  # a gap is no evidence, however long
    change = _change_costs()
    back = np.zeros((frames, _STATES), np.int8)
    usual_step = float(np.median(times_s[2:] - times_s[:-2])) / 2 if frames > 2 else 0.0
    beliefs = _Beliefs(where[0], weight[0], usual_step)
    cost = says[0]
    for t in range(1, frames):
        step = max(float(steps[t]), 1e-4)
        beliefs.wait(step)
        straight, crossed = beliefs.misfit(where[t], weight[t]), beliefs.misfit(where[t, _TWIN], weight[t, _TWIN])
        going_on = straight.sum(1)[:, None] + (crossed - straight) @ _BITS.T.astype(float)
        total = cost[:, None] + going_on + change * np.exp(-max(step - 0.1, 0) / _FORGET_S)
        back[t] = total.argmin(0)
        cost = total[back[t], np.arange(_STATES)] + says[t]
        cost -= cost.min()
        beliefs.follow(back[t], where[t], weight[t])
    path = np.zeros(frames, int)
    path[-1] = int(cost.argmin())
    for t in range(frames - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return _BITS[path]


class _Beliefs:
    """What each of the 32 states holds of every joint: place, velocity and how long it has not been seen.

    Args:
        where: (16, 2) joints of the first frame in units of the person.
        weight: (16,) how far each is to be believed, 0 where it was not found.
        usual_step: seconds between frames; a shorter one tells no more of a velocity than this, since noise does not
            shrink with time. Stamps in a file can lie next to each other.
    """

    _swap = _BITS[:, _GROUP_OF]
    _sum = (_GROUP_OF[:, None] == np.arange(len(GROUPS))).astype(float)

    def __init__(self, where: NDArray[np.float64], weight: NDArray[np.float64], usual_step: float) -> None:
        self._least_step = max(usual_step, 1e-4)
        self._place, seen = self._labelled(where, weight)
        self._known = seen > 0
        self._velocity = np.zeros_like(self._place)
        self._age = np.zeros(seen.shape)

    def wait(self, step: float) -> None:
        """Lets so many seconds pass: joints go on as they moved, and grow uncertain."""
        before, self._age = self._age, self._age + step
        self._expected = self._place + self._velocity * np.minimum(self._age, 0.15)[..., None]
        swerve = 0.5 * _ACC * np.minimum(self._age, 0.5) ** 2
        self._sigma2 = _NOISE**2 + swerve**2 + (0.3 * before) ** 2

    def misfit(self, where: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """(32, 5) nats by state and group: how badly joints with these labels go on."""
        off2 = ((where - self._expected) ** 2).sum(-1) / self._sigma2
        return (np.where(self._known, weight, 0) * _MOST * (1 - np.exp(-off2 / (2 * _MOST)))) @ self._sum

    def follow(self, origin: NDArray[np.int8], where: NDArray[np.float64], weight: NDArray[np.float64]) -> None:
        """Each state takes over the beliefs of the one it came from and moves them to what it takes the frame for."""
        expected, sigma2, age = self._expected[origin], self._sigma2[origin], self._age[origin]
        velocity, known = self._velocity[origin], self._known[origin]
        z, w = self._labelled(where, weight)
        seen = w > 0
        off = z - expected
        off *= np.minimum(1, 4 / np.maximum(np.sqrt((off**2).sum(-1) / sigma2), 1e-9))[..., None]  # outliers: slowly
        gain = np.where(seen & known, 0.6, 0)[..., None]
        self._velocity = np.where(
            seen[..., None], velocity + 0.5 * gain * off / np.maximum(age, self._least_step)[..., None], 0.8 * velocity
        )
        self._place = np.where((seen & ~known)[..., None], z, expected + gain * off)
        self._age = np.where(seen, 0.0, age)
        self._known = known | seen

    def _labelled(
        self, where: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.where(self._swap[..., None], where[_TWIN], where), np.where(self._swap, weight[_TWIN], weight)


def _measured(
    joints_px: FloatArray, score: FloatArray, times_s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Joints about the trunk's middle in units of the person (T, 16, 2), their weights (T, 16), the unit in px (T,)."""
    joints = joints_px.astype(float)
    found = score > 0
    spread = np.where(found[..., None], joints, np.nan)
    with np.errstate(invalid="ignore"):
        height = np.nanmax(spread, 1, initial=-np.inf) - np.nanmin(spread, 1, initial=np.inf)
    height = np.where(np.isfinite(height), height, 0).max(-1)
    middle = np.median(height[height > 0]) if (height > 0).any() else 1.0
    # a person who bends keeps their size: smooth over a second, never below half of the usual
    size = np.maximum(_smooth_max(height, times_s, 1.0), 0.5 * middle)
    anchors = []
    for part in ("SHOULDER", "HIP"):
        pair = [int(COCO[f"LEFT_{part}"]), int(COCO[f"RIGHT_{part}"])]
        both = found[:, pair].all(1)
        if both.any():
            mean = joints[:, pair].mean(1)
            anchors.append(np.stack([np.interp(times_s, times_s[both], mean[both, k]) for k in (0, 1)], 1))
    centre = np.mean(anchors, 0) if anchors else np.zeros((len(joints), 2))
    where = (joints[:, _JOINTS] - centre[:, None]) / size[:, None, None]
    weight = np.clip(1.5 * score[:, _JOINTS].astype(float), 0, 1)
    return np.where(weight[..., None] > 0, where, 0.0), weight, size


def _smooth_max(values: NDArray, times_s: NDArray[np.float64], span_s: float) -> NDArray[np.float64]:
    """The largest value within half a span of each frame."""
    low = np.searchsorted(times_s, times_s - span_s / 2)
    high = np.searchsorted(times_s, times_s + span_s / 2, side="right")
    return np.array([values[a:b].max() for a, b in zip(low, high, strict=True)])


def _change_costs() -> NDArray[np.float64]:
    """(32, 32) nats for going from one state to another: the least number of events that make the difference."""
    events = [sum(1 << _NAMES.index(name) for name in event) for event in _EVENTS] + [
        1 << k for k in range(len(GROUPS))
    ]
    prices = [_CHANGE] * len(_EVENTS) + [1.5 * _CHANGE] * len(GROUPS)
    least = np.full(_STATES, np.inf)
    least[0] = 0
    for _ in range(len(GROUPS)):
        for event, price in zip(events, prices, strict=True):
            for pattern in range(_STATES):
                least[pattern ^ event] = min(least[pattern ^ event], least[pattern] + price)
    states = np.arange(_STATES)
    return least[states[:, None] ^ states]


def _unary(joints_px: FloatArray, score: FloatArray, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 32) nats per second of every state: what a single frame says, and that being exchanged is the exception."""
    out = np.broadcast_to(_EXCHANGED_PER_S * _BITS.any(1), (len(score), _STATES)).copy()
    for (a, b), price in _UNLIKE_PER_S.items():
        out += price * _unlike(a, b)
    right = _right_of_trunk(joints_px, score, size)
    across, sure = {}, {}
    for part in ("EYE", "SHOULDER", "ELBOW", "HIP", "KNEE"):
        left, other = int(COCO[f"LEFT_{part}"]), int(COCO[f"RIGHT_{part}"])
        across[part] = ((joints_px[:, left] - joints_px[:, other]) * right).sum(-1) / size
        sure[part] = np.minimum(score[:, left], score[:, other])
    # Eyes and nose that are clearly seen look this way: the left side is then on the picture's right.
    face = np.minimum(score[:, COCO.NOSE], sure["EYE"])
    facing = np.clip((face - 0.55) / 0.2, 0, 1)
    for part, group in (("SHOULDER", "shoulders"), ("HIP", "hips")):
        broad = np.sign(across[part]) * np.clip((np.abs(across[part]) - 0.10) / 0.06, 0, 1)  # no word in a side view
        clear = _FACING_PER_S * facing * broad * (sure[part] > 0)
        sign = np.where(_BITS[:, _NAMES.index(group)], -1, 1)
        out += np.maximum(-clear[:, None] * sign, 0)
    # Nobody turns the shoulders against the hips by more than a right angle.
    clear = {part: np.clip(across[part] / 0.1, -1, 1) for part in ("SHOULDER", "HIP")}
    opposed = clear["SHOULDER"] * clear["HIP"] * (np.minimum(sure["SHOULDER"], sure["HIP"]) > 0.3)
    alike = np.where(_unlike("shoulders", "hips"), -1, 1)
    out += _TWIST_PER_S * np.maximum(-opposed[:, None] * alike, 0)
    # What was seen side by side is not to be crossed by its names.
    near, far = _APART
    apart = {part: np.sign(x) * np.clip((np.abs(x) - near) / (far - near), 0, 1) for part, x in across.items()}
    for above, below in _ABOVE:
        beside = np.maximum(apart[above] * apart[below], 0) * (np.minimum(sure[above], sure[below]) > 0.3)
        out += _CROSSED_PER_S * beside[:, None] * _unlike(_GROUP_NAMED[above], _GROUP_NAMED[below])
    return out


def _unlike(one: str, other: str) -> NDArray[np.bool_]:
    """(32,) the states that exchange one of two groups."""
    return _BITS[:, _NAMES.index(one)] != _BITS[:, _NAMES.index(other)]


def _right_of_trunk(joints_px: FloatArray, score: FloatArray, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 2) what is right in the picture for somebody whose trunk points up in it; short where the trunk is not seen.

    People lie, and stand on their hands: left and right turn with them.
    """
    shoulders, hips = ([int(COCO[f"{side}_{part}"]) for side in ("LEFT", "RIGHT")] for part in ("SHOULDER", "HIP"))
    up = (joints_px[:, shoulders].mean(1) - joints_px[:, hips].mean(1)).astype(float)
    length = np.linalg.norm(up, axis=-1)
    clear = np.clip((length / size - 0.1) / 0.1, 0, 1) * (score[:, shoulders + hips].min(1) > 0)
    return np.stack([-up[:, 1], up[:, 0]], -1) * (clear / np.maximum(length, 1e-6))[:, None]


def exchanged(person: Person2D, groups: NDArray[np.bool_]) -> Person2D:
    """The person with the labels of some groups (5,) exchanged."""
    order = np.arange(len(COCO_MIRROR))
    for joint in _JOINTS[groups[_GROUP_OF]]:
        order[joint] = COCO_MIRROR[joint]
    legs = person.feet is not None and groups[_NAMES.index("legs")]
    feet = person.feet[list(FOOT_MIRROR)] if legs and person.feet is not None else person.feet
    return replace(person, joints_px=person.joints_px[order], score=person.score[order], feet=feet)


def mend_sides(
    track_id: int, people: dict[int, Person2D], times_s: Sequence[SupportsFloat]
) -> tuple[dict[int, Person2D], list[SideRepair]]:
    """One person's life with left and right kept apart.

    Args:
        track_id: of the person.
        people: by frame, as seen.
        times_s: seconds of every frame of the video.

    Returns:
        The same frames with sides exchanged back and copies of a near limb marked as barely seen; what was exchanged.
    """
    frames = sorted(people)
    joints = np.array([people[f].joints_px for f in frames]).reshape(-1, 17, 2)
    score = np.array([people[f].score for f in frames]).reshape(-1, 17)
    times = np.array([float(times_s[f]) for f in frames])
    wrong = decode_sides(joints, score, times)
    mended = {f: exchanged(people[f], w) if w.any() else people[f] for f, w in zip(frames, wrong, strict=True)}
    repairs = []
    code = wrong @ (1 << np.arange(len(GROUPS)))
    for a, b in runs(code > 0):
        for start, end in _constant(code, a, b):
            limbs = tuple(name for name, on in zip(_NAMES, wrong[start], strict=True) if on)
            first, last = frames[start], frames[end - 1]
            repairs.append(SideRepair(track_id, limbs, first, last, float(times_s[first]), float(times_s[last])))
    return _without_copies(mended, frames, times), repairs


def _constant(code: NDArray, a: int, b: int) -> list[tuple[int, int]]:
    cuts = [a, *(np.flatnonzero(np.diff(code[a:b])) + a + 1).tolist(), b]
    return list(pairwise(cuts))


def _without_copies(people: dict[int, Person2D], frames: list[int], times: NDArray) -> dict[int, Person2D]:
    """A limb that lies on its twin for longer than a crossing takes is hidden: the less sure one loses its score."""
    joints = np.array([people[f].joints_px for f in frames]).reshape(-1, 17, 2).astype(float)
    score = np.array([people[f].score for f in frames]).reshape(-1, 17).copy()
    _, _, size = _measured(joints.astype(np.float32), score, times) if frames else (None, None, np.zeros(0))
    for parts in (("ELBOW", "WRIST"), ("KNEE", "ANKLE")):
        left = [int(COCO[f"LEFT_{p}"]) for p in parts]
        right = [int(COCO[f"RIGHT_{p}"]) for p in parts]
        apart = np.linalg.norm(joints[:, left] - joints[:, right], axis=-1).max(1)
        together = (apart < _SAME_PLACE * size) & (np.minimum(score[:, left], score[:, right]).min(1) > 0)
        for a, b in runs(together):
            if times[b - 1] - times[a] < _CROSSING_S:
                continue
            lesser = left if score[a:b, left].mean() < score[a:b, right].mean() else right
            score[a:b, lesser] = np.minimum(score[a:b, lesser], HIDDEN_SCORE)
    return {
        f: people[f] if np.array_equal(row, people[f].score) else replace(people[f], score=row.astype(np.float32))
        for f, row in zip(frames, score, strict=True)
    }
