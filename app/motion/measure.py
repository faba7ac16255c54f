"""One thing that is measured of a person, with how sure it is, or why it cannot be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: What measures belong together: a table of its own each.
Group = Literal["gait", "jump", "sit_to_stand", "range_of_motion"]
#: Of which side of the body, or of both, or of none in particular.
Side = Literal["left", "right", "both"]
GROUPS: Mapping[Group, str] = {
    "gait": "Walking and running",
    "jump": "Jumps",
    "sit_to_stand": "Standing up from a seat",
    "range_of_motion": "Range of motion",
}


#: A 95 % interval's half-width in standard deviations.
WIDE = 1.96


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing measured of one person.

    Attributes:
        person: track id.
        group: what it belongs to.
        name: as files have it: step_length, knee_flexion_max.
        label: as people read it: "Step length".
        side: of the body.
        value: None where it cannot be measured.
        unit: "m", "s", "m/s", "°", "°/s", "%", "steps/min", or "" of a count.
        half_width: the truth lies within value ± half_width in 95 of 100 cases; None where there is no value, or where
            that is not known. 0 is never given for "not known".
        from_s: first time of what was measured, seconds of the video.
        to_s: last time.
        count: of how many steps, strides, jumps or times standing up it is the mean; of angles how many frames.
        why_not: for people, why there is no value: "no feet were seen"; empty where there is one.
    """

    person: int
    group: Group
    name: str
    label: str
    side: Side
    value: float | None
    unit: str
    half_width: float | None
    from_s: float
    to_s: float
    count: int
    why_not: str = ""

    @property
    def sentence(self) -> str:
        """For people, why it cannot be measured; empty where it was."""
        return f"cannot be measured from this view, because {self.why_not}" if self.why_not else ""

    def plain(self) -> dict[str, Any]:
        """In values that JSON knows, by the names that files have."""

        def rounded(number: float | None) -> float | None:
            return None if number is None else round(float(number), 4)

        return {
            "person": self.person,
            "group": self.group,
            "measure": self.name,
            "label": self.label,
            "side": self.side,
            "value": rounded(self.value),
            "unit": self.unit,
            "half_width_95": rounded(self.half_width),
            "from_s": rounded(self.from_s),
            "to_s": rounded(self.to_s),
            "count": self.count,
            "why_not": self.why_not,
        }
