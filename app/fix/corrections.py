"""The corrections that can be made by hand, as values, and how they are written: plain, checked, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from sasmamba.models.skeletons import COCO

#: Names of joints that can be moved.
JOINT_NAMES = tuple(joint.name.lower() for joint in COCO)
FEET = ("left", "right")
#: No video is longer, no picture larger: beyond these a number is a slip.
_LATEST_S, _FARTHEST_PX, _MOST_PEOPLE = 1e7, 1e6, 1_000_000
#: A joint that is moved takes its neighbours in time along for so long at most.
LONGEST_SPREAD_S = 5.0
_STEEPEST_DEG = 85.0


@dataclass(frozen=True, slots=True)
class Whose:
    """Somebody, by where they were seen: a new analysis may give them another number.

    Attributes:
        person: their number when the correction was made.
        time_s: when.
        at_px: the middle of the joints that were found of them then, x and y.
    """

    person: int
    time_s: float
    at_px: tuple[float, float]


@dataclass(frozen=True, slots=True)
class MoveJoint:
    """A joint is elsewhere in the picture: in the frame of `whose`, and less and less in those around.

    Attributes:
        to_px: where it is, x and y.
        spread_s: joints of frames within so long go along, by a share that falls to nothing, but not beyond a frame
            in which the same joint was moved by hand.
    """

    whose: Whose
    joint: str
    to_px: tuple[float, float]
    spread_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HideJoint:
    """A joint was not seen, from a time to a time, both included."""

    whose: Whose
    joint: str
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class ExchangeSides:
    """Left and right of somebody were mistaken for each other, from a time to a time, both included."""

    whose: Whose
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class ExchangePeople:
    """Two people were mistaken for each other, from a time to a time, both included."""

    whose: Whose
    other: Whose
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class DeletePerson:
    """Somebody was nobody, from a time to a time, both included."""

    whose: Whose
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class FootOnFloor:
    """A foot of somebody stands on the floor: that is how high the floor of this shot lies."""

    whose: Whose
    foot: str


@dataclass(frozen=True, slots=True)
class CameraUpright:
    """How the camera stood in the shot of a time: that is which way is up."""

    time_s: float
    pitch_deg: float
    roll_deg: float


Correction = MoveJoint | HideJoint | ExchangeSides | ExchangePeople | DeletePerson | FootOnFloor | CameraUpright
#: The word of each kind in a file.
KINDS: dict[str, type[Correction]] = {
    "move_joint": MoveJoint,
    "hide_joint": HideJoint,
    "exchange_sides": ExchangeSides,
    "exchange_people": ExchangePeople,
    "delete_person": DeletePerson,
    "foot_on_floor": FootOnFloor,
    "camera_upright": CameraUpright,
}
_WORDS = {kind: word for word, kind in KINDS.items()}
assert set(KINDS.values()) == set(get_args(Correction))


def to_plain(correction: Correction) -> dict[str, Any]:
    """As JSON has it."""
    return {"kind": _WORDS[type(correction)], **asdict(correction)}


def from_plain(value: object) -> Correction:
    """A correction of what `to_plain` gave.

    Raises:
        ValueError: it is something else; the text says what is expected and what came.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"want an object, got {value!r:.60}")
    word = value.get("kind")
    kind = KINDS.get(word) if isinstance(word, str) else None
    if kind is None:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {word!r:.60}")
    correction = kind(**_checked(kind, {k: v for k, v in value.items() if k != "kind"}))
    if not isinstance(correction, MoveJoint | FootOnFloor | CameraUpright) and correction.from_s > correction.to_s:
        raise ValueError(f"from_s must not come after to_s, got {correction.from_s:g} and {correction.to_s:g}")
    if isinstance(correction, ExchangePeople) and correction.whose == correction.other:
        raise ValueError("whose and other must be two people")
    return correction


def told(correction: Correction) -> str:
    """In a few words, for lists."""
    match correction:
        case MoveJoint(whose, joint, _, spread_s):
            along = f", frames within {spread_s:g} s along with it" if spread_s else ""
            return f"#{whose.person} {_plain(joint)} moved at {whose.time_s:.2f} s{along}"
        case HideJoint(whose, joint, from_s, to_s):
            return f"#{whose.person} {_plain(joint)} not seen {_stretch(from_s, to_s)}"
        case ExchangeSides(whose, from_s, to_s):
            return f"#{whose.person} left and right exchanged {_stretch(from_s, to_s)}"
        case ExchangePeople(whose, other, from_s, to_s):
            return f"#{whose.person} and #{other.person} exchanged {_stretch(from_s, to_s)}"
        case DeletePerson(whose, from_s, to_s):
            return f"#{whose.person} deleted {_stretch(from_s, to_s)}"
        case FootOnFloor(whose, foot):
            return f"#{whose.person} {foot} foot stands on the floor at {whose.time_s:.2f} s"
        case CameraUpright(time_s, pitch_deg, roll_deg):
            return f"camera looks down by {pitch_deg:g}°, rolled by {roll_deg:g}° in the shot of {time_s:.2f} s"


def time_of(correction: Correction) -> float:
    """The time at which it was made."""
    return correction.time_s if isinstance(correction, CameraUpright) else correction.whose.time_s


def _plain(joint: str) -> str:
    return joint.replace("_", " ")


def _stretch(from_s: float, to_s: float) -> str:
    return f"at {from_s:.2f} s" if from_s == to_s else f"from {from_s:.2f} s to {to_s:.2f} s"


def _checked(kind: type, value: Mapping[str, Any]) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    if set(value) != set(names):
        raise ValueError(f"want {', '.join(names)}, got {', '.join(map(str, value)) or 'nothing':.80}")
    return {name: _field(name, value[name]) for name in names}


def _field(name: str, value: Any) -> Any:
    if name in ("whose", "other"):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be an object, not {value!r:.60}")
        return Whose(**_checked(Whose, value))
    if name in ("at_px", "to_px"):
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ValueError(f"{name} must be two numbers, not {value!r:.60}")
        return (
            _number(name, value[0], -_FARTHEST_PX, _FARTHEST_PX),
            _number(name, value[1], -_FARTHEST_PX, _FARTHEST_PX),
        )
    if name in ("joint", "foot"):
        known = JOINT_NAMES if name == "joint" else FEET
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r:.60}")
        return value
    if name == "person":
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_PEOPLE:
            raise ValueError(f"person must be a whole number from 1 on, not {value!r:.60}")
        return value
    if name.endswith("_deg"):
        return _number(name, value, -_STEEPEST_DEG, _STEEPEST_DEG)
    return _number(name, value, 0, LONGEST_SPREAD_S if name == "spread_s" else _LATEST_S)


def _number(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 (not a number)
        raise ValueError(f"{name} must be a number, not {value!r:.60}")
    if not low <= value <= high:  # before it is made a float: whole numbers can be larger than any
        raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {value!r:.20}")
    return float(value)
