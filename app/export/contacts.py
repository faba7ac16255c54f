"""When feet are on the ground, and the strides between: what a movement's cycles are cut by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sasmamba.app.export.motion_table import PersonMotion
from sasmamba.app.motion.footing import stances_of
from sasmamba.app.motion.steps import Step

#: Who does not walk may step on the spot; from a foot's coming down to its next then takes so long, seconds. What takes
#: longer is standing about.
_STRIDE_S = (0.4, 3.0)
_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Contact:
    """One foot's time on the ground, or on whatever it stands on.

    Attributes:
        side: "left" or "right".
        from_s: its first frame's time.
        to_s: its last frame's time.
        begun: the foot was seen to come down: the frame before has a pose in which it does not rest.
    """

    side: str
    from_s: float
    to_s: float
    begun: bool


@dataclass(frozen=True, slots=True)
class Stride:
    """From one foot's coming down to its coming down again.

    Attributes:
        side: "left" or "right".
        from_s: when it begins.
        to_s: when it ends.
    """

    side: str
    from_s: float
    to_s: float


def contacts(motion: PersonMotion) -> list[Contact]:
    """When somebody's feet rest, in order of time; nothing of legs that are left out."""
    if motion.upper:
        return []
    posed, time = motion.posed, motion.times_s
    out = [
        Contact(_SIDES[foot], float(time[a]), float(time[b - 1]), bool(a and posed[a - 1]))
        for foot, a, b in stances_of(motion.planted & posed[:, None])
    ]
    return sorted(out, key=lambda contact: contact.from_s)


def strides(steps: Sequence[Step], rests: Sequence[Contact]) -> list[Stride]:
    """The strides of somebody, in order of time.

    Args:
        steps: of walks and runs, see `steps_of`.
        rests: when feet are on the ground; they tell the strides of who does not walk, on the spot say.
    """
    out = []
    if steps:
        for foot, side in enumerate(_SIDES):
            for a, b in pairwise(step for step in steps if step.foot == foot):
                if a.walk == b.walk and a.contact_s < b.contact_s:  # False where one was not seen, which is NaN
                    out.append(Stride(side, a.contact_s, b.contact_s))
    else:
        for side in _SIDES:
            down = [rest.from_s for rest in rests if rest.side == side and rest.begun]
            out += [Stride(side, a, b) for a, b in pairwise(down) if _STRIDE_S[0] <= b - a <= _STRIDE_S[1]]
    return sorted(out, key=lambda stride: stride.from_s)
