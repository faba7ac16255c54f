"""How much of what may be of any length is printed, so that a page fits on two sheets; the page itself has all."""

from __future__ import annotations

from collections.abc import Mapping

#: So many rows of a table the first sheet holds beside its headings and pictures, in type as print.css sets it.
_ROOM = 32
#: At least so many are printed of each kind, and so many rows one of a kind takes; what room is left goes to those
#: before others.
_LEAST = {"gait": 10, "jump": 3, "sit_to_stand": 3, "people": 4, "warnings": 3}
_ROWS = {"warnings": 2}
#: A reason why something is not measured takes so many.
_ROWS_OF_A_REASON = 2


def printed(there: Mapping[str, int], reasons: int) -> dict[str, int]:
    """How many are printed of each kind.

    Args:
        there: of rows of measures by their group, of people and of warnings, how many there are.
        reasons: why something is not measured, how many are told.
    """
    out = {kind: min(there.get(kind, 0), least) for kind, least in _LEAST.items()}
    room = _ROOM - _ROWS_OF_A_REASON * reasons - sum(_ROWS.get(kind, 1) * count for kind, count in out.items())
    for kind in _LEAST:
        more = max(0, min(there.get(kind, 0) - out[kind], room // _ROWS.get(kind, 1)))
        out[kind] += more
        room -= more * _ROWS.get(kind, 1)
    return out


def beyond(place: int, most: int) -> str:
    """The attribute, as HTML, of what is in that place of a list of which so many are printed."""
    return ' class="unprinted"' if place >= most else ""
