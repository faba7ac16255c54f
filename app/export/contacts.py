"""When feet rest: from planted flags to spans of time."""

from __future__ import annotations

from dataclasses import dataclass

from sasmamba.app.export.motion_table import PersonMotion
from sasmamba.app.motion.footing import stances_of


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


def contacts(motion: PersonMotion) -> list[Contact]:
    """When somebody's feet rest, in order of time; nothing of legs that are left out."""
    if motion.upper:
        return []
    posed, time = motion.posed, motion.times_s
    out = [
        Contact(("left", "right")[foot], float(time[a]), float(time[b - 1]), bool(a and posed[a - 1]))
        for foot, a, b in stances_of(motion.planted & posed[:, None])
    ]
    return sorted(out, key=lambda contact: contact.from_s)
