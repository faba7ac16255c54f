"""One thing that is measured of a person, with how sure it is, or why it cannot be measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

#: What measures belong together: a table of its own each.
Group = Literal["gait", "jump", "sit_to_stand", "range_of_motion"]
#: Of which side of the body, or of both, or of none in particular.
Side = Literal["left", "right", "both"]
#: How a measure is told: as it is, as about so much, as at most so much, or not at all.
ToldAs = Literal["value", "about", "at most", "not given"]
GROUPS: Mapping[Group, str] = {
    "gait": "Walking and running",
    "jump": "Jumps",
    "sit_to_stand": "Standing up from a seat",
    "range_of_motion": "Range of motion",
}


#: A 95 % interval's half-width in standard deviations, and a 90 % one's.
WIDE, _NARROWER = 1.96, 1.645
#: Decimals by unit: as many as mean something.
DECIMALS = {"m": 2, "s": 2, "m/s": 2, "°": 0, "°/s": 0, "%": 0, "steps/min": 0, "": 0}


class Needed(NamedTuple):
    """How near to the truth a measure has to be: in its unit, or as a share of itself."""

    most: float
    of_itself: bool = False


_OF_TWO, _OF_FIVE, _OF_TEN = (Needed(share, of_itself=True) for share in (0.02, 0.05, 0.1))
#: A measure is told without "about" where 90 of 100 are so near to the truth; an angle's are by the end of their name.
#: Of joint angles 5° is where errors begin to mislead in gait analysis (McGinley, Baker, Wolfe, Morris, Gait & Posture
#: 29, 2009). These limits are here alone, and told in docs/formats.md.
NEEDED: Mapping[str, Needed] = {
    "cadence": _OF_TWO,
    "stride_time": _OF_TWO,
    "step_time": _OF_FIVE,
    "step_length": _OF_FIVE,
    "stride_length": _OF_FIVE,
    "walking_speed": _OF_FIVE,
    "double_support": Needed(5.0),
    "step_time_symmetry": Needed(5.0),
    "step_length_symmetry": Needed(5.0),
    "flight_time": Needed(1 / 30),
    "jump_height": Needed(0.05),
    "rise_time": Needed(0.25),
    "stand_up_cycle_time": Needed(0.25),
    "min": Needed(6.0),
    "max": Needed(6.0),
    "range": Needed(6.0),
    "mean": Needed(6.0),
    "peak_velocity": _OF_TEN,
}
#: Of these the least and the greatest may be below nothing.
_SIGNED = ("symmetry", "min", "max", "mean")


def figure(value: float, decimals: int = 0, unit: str = "") -> str:
    """A number for people: with its unit, a true minus, none before nothing, and a dash where there is no number."""
    if math.isnan(value):
        return "–"
    text = f"{value:.{decimals}f}"
    text = text.lstrip("-") if float(text) == 0 else text.replace("-", "−")
    return text + (unit if unit in ("", "°", "°/s") else f" {unit}")


def needed(name: str) -> Needed | None:
    """How near to the truth a measure of that name has to be; None of what is counted."""
    return next((limit for end, limit in NEEDED.items() if name == end or name.endswith(f"_{end}")), None)


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
        at_most: where there is no value, since its interval would reach down to nothing: the interval's upper end.
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
    at_most: float | None = None

    @property
    def about(self) -> bool:
        """Whether it is known less well than `NEEDED` has it, or it is not known how well: told as "about"."""
        limit = needed(self.name)
        if self.value is None or limit is None:
            return False
        most = limit.most * (abs(self.value) if limit.of_itself else 1)
        return self.half_width is None or self.half_width * _NARROWER / WIDE > most

    @property
    def told_as(self) -> ToldAs:
        """How it is told, as files have it."""
        if self.value is None:
            return "not given" if self.at_most is None else "at most"
        return "about" if self.about else "value"

    @property
    def sentence(self) -> str:
        """For people, why it cannot be measured; empty where it was."""
        return f"cannot be measured from this view, because {self.why_not}" if self.why_not else ""

    @property
    def in_words(self) -> str:
        """For people, the value and what its interval is: "about 38°; in 95 of 100 cases the truth is 26 to 50°"."""
        if self.at_most is not None:
            return f"at most {figure(self.at_most, DECIMALS[self.unit], self.unit)}; {self.why_not}"
        if self.value is None:
            return self.sentence
        value = ("about " if self.about else "") + figure(self.value, DECIMALS[self.unit], self.unit)
        if self.half_width is None:
            # of what is counted, an interval would say no more
            return value if needed(self.name) is None else f"{value}; how sure that is is not known"
        ends = [self.value - self.half_width, self.value + self.half_width]
        if not self.name.endswith(_SIGNED):
            ends[0] = max(ends[0], 0.0)
        low, high = figure(ends[0], DECIMALS[self.unit]), figure(ends[1], DECIMALS[self.unit], self.unit)
        return f"{value}; in 95 of 100 cases the truth is {low} to {high}"

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
            "at_most": rounded(self.at_most),
            "told_as": self.told_as,
            "from_s": rounded(self.from_s),
            "to_s": rounded(self.to_s),
            "count": self.count,
            "why_not": self.why_not,
            "in_words": self.in_words,
        }
