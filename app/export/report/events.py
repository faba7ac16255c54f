"""What happens in a take, and when: feet on the ground, who comes and goes, cuts, mended sides, findings of checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sasmamba.app.export.contacts import contacts
from sasmamba.app.export.motion_table import PersonMotion
from sasmamba.app.export.report.findings import sighted
from sasmamba.app.motion.checks import CheckFinding
from sasmamba.app.motion.steps import Step
from sasmamba.app.take import Take
from sasmamba.common.runs import runs

Kind = Literal["step", "contact", "presence", "unseen", "cut", "sides", "check"]
#: What kinds of events are called in a list to choose from.
KINDS: dict[Kind, str] = {
    "step": "Steps",
    "contact": "Feet on the ground",
    "presence": "Who is there",
    "unseen": "Not seen",
    "cut": "Cuts",
    "sides": "Left and right mended",
    "check": "Findings of the checks",
}
#: Shorter gaps between sightings than this are no event: a detector blinks.
_UNSEEN_S = 0.2


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens.

    Attributes:
        kind: of `KINDS`.
        person: track id; None where it is about the video.
        from_s: first time, seconds.
        to_s: last time, seconds; the same for what has no length.
        text: for people.
    """

    kind: Kind
    person: int | None
    from_s: float
    to_s: float
    text: str


def events(
    take: Take,
    people: Sequence[PersonMotion],
    findings: Sequence[CheckFinding],
    steps: Mapping[int, Sequence[Step]] | None = None,
) -> list[Event]:
    """Everything that happens, in order of time.

    Args:
        take: what happens in it.
        people: of the take.
        findings: what checks found.
        steps: of those who walk, by track id.
    """
    cuts = [
        Event("cut", None, float(cut.time_s), float(cut.time_s), "a new shot begins" + _named(cut.kind))
        for cut in take.cuts
    ]
    sides = [
        Event("sides", r.track_id, r.from_s, r.to_s, f"left and right were exchanged back ({' and '.join(r.limbs)})")
        for r in take.side_repairs
    ]
    checks = [Event("check", f.person, f.from_s, f.to_s, f.told) for f in findings]
    own = [event for motion in people for event in _of_person(take, motion)]
    walked = [_of_step(person, step) for person, own_steps in (steps or {}).items() for step in own_steps]
    return sorted([*cuts, *sides, *checks, *own, *walked], key=lambda event: (event.from_s, event.person or 0))


def _named(kind: str) -> str:
    return "" if kind == "cut" else f" ({kind})"


def _of_step(person: int, step: Step) -> Event:
    """A step at the time its foot comes down, or, where that was not seen, passes the other."""
    down = step.begin_s if math.isnan(step.contact_s) else step.contact_s
    length = f", {step.length_m:.2f} m long" if math.isfinite(step.length_m) else ""
    return Event("step", person, down, down, f"step of the {('left', 'right')[step.foot]} foot{length}")


def _of_person(take: Take, motion: PersonMotion) -> list[Event]:
    who, time, frame_s = motion.track_id, motion.times_s, 1 / float(take.meta.fps)
    out = [Event("presence", who, float(time[0]), float(time[-1]), "in the video")]
    out += [Event("contact", who, c.from_s, c.to_s, f"{c.side} foot on the ground") for c in contacts(motion)]
    here = sighted(take, motion)
    for text, flags in (
        ("not seen; the pose is filled in from the frames before and after", motion.posed & ~here),
        ("not seen; no pose", ~motion.posed),
    ):
        spans = time[np.minimum(runs(flags) - [0, 1], len(time) - 1)].reshape(-1, 2).tolist()
        out += [Event("unseen", who, a, b, text) for a, b in spans if b - a + frame_s > _UNSEEN_S]
    return out
