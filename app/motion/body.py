"""Whose legs are left out: at a desk only arms, trunk and head are seen, and legs would be made up."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.locating import MIN_SCORE
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D, VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import COCO, FOOT, H36M

#: What is shown of people: auto decides by whose legs are seen.
BodyChoice = Literal["auto", "full", "upper"]
#: Indices, among the 17 joints and then the 4 points of `FOOT`, of what is left out with the legs. The hips stay: they
#: are the trunk's lower end.
LEGS = (
    H36M.RIGHT_KNEE,
    H36M.RIGHT_ANKLE,
    H36M.LEFT_KNEE,
    H36M.LEFT_ANKLE,
    *(len(H36M) + point for point in FOOT),
)
#: Joints that show a leg: one of them is enough, since a table may hide the others.
_SHOWING = (COCO.LEFT_KNEE, COCO.RIGHT_KNEE, COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE)
#: Somebody whose legs are seen in less than this share of the time has none; live, in less than the first share of the
#: last seconds, until they are seen in more than the second.
_SELDOM, _OFTEN = 0.2, 0.6
#: How long live mode looks back (time constant of an exponential mean): a chair pushed back takes about as long.
_BACK_S = 1.0
#: Somebody not seen for so long is forgotten.
_FORGOTTEN_S = 5.0


def check_body(choice: str) -> None:
    """Raises UserError (exit code 2) for a choice that there is not."""
    if choice not in get_args(BodyChoice):
        raise UserError(f"--body must be one of {', '.join(get_args(BodyChoice))}, not {choice!r}.", exit_code=2)


def left_out(upper: bool) -> NDArray[np.bool_]:
    """(21,) which of the 17 joints and then the heels and toes are neither drawn, exported nor sent."""
    mask = np.zeros(len(H36M) + len(FOOT), bool)
    mask[list(LEGS)] = upper
    return mask


def without_legs(person: Person2D) -> Person2D:
    """Somebody in 2D as if no knee, ankle or foot had been found."""
    score = person.score.copy()
    score[list(_SHOWING)] = 0
    return replace(person, score=score, feet=None)


def shows_legs(person: Person2D, meta: VideoMeta) -> bool:
    """Whether a knee or an ankle was found within the picture."""
    joints, found = person.joints_px[list(_SHOWING)], person.score[list(_SHOWING)] > MIN_SCORE
    inside = ((joints >= 0) & (joints < (meta.width, meta.height))).all(-1)
    return bool((found & inside).any())


def people_without_legs(take: Take, choice: BodyChoice) -> frozenset[int]:
    """The track ids of those whose legs are left out, over the whole clip."""
    if choice == "full":
        return frozenset()
    return frozenset(
        i
        for i, track in take.tracks.items()
        if choice == "upper"
        or (track.people and np.mean([shows_legs(p, take.meta) for p in track.people.values()]) < _SELDOM)
    )


@dataclass(slots=True)
class _Looked:
    time_s: float
    share: float
    upper: bool


class LiveBodies:
    """Whose legs are left out while it happens; it does not waver.

    Args:
        choice: for everybody.
        meta: of the source.
    """

    def __init__(self, choice: BodyChoice, meta: VideoMeta) -> None:
        self._choice, self._meta = choice, meta
        self._looked: dict[int, _Looked] = {}

    def __call__(self, time_s: float, people: tuple[Person2D, ...]) -> frozenset[int]:
        """Takes the tracked people of a frame; answers with those without legs, among them those seen just before."""
        if self._choice == "full":
            return frozenset()
        for person in people:
            assert person.track_id is not None
            now = float(shows_legs(person, self._meta))
            known = self._looked.get(person.track_id)
            if known is None:
                known = self._looked[person.track_id] = _Looked(time_s, now, not now)
            known.share += (1 - math.exp(-max(0.0, time_s - known.time_s) / _BACK_S)) * (now - known.share)
            known.time_s = time_s
            known.upper = known.share < (_OFTEN if known.upper else _SELDOM)
        for track_id in [i for i, known in self._looked.items() if time_s - known.time_s > _FORGOTTEN_S]:
            del self._looked[track_id]
        return frozenset(i for i, known in self._looked.items() if known.upper or self._choice == "upper")
