"""Numbers that a person gives: within bounds, or a sentence."""

from __future__ import annotations

from sasmamba.common.errors import UserError

#: More than anything that is counted or timed here: seconds of a video, frames, steps of training.
VERY_MANY = 1_000_000_000


def check_between(option: str, value: float | None, low: float, high: float, unit: str = "") -> None:
    """Raises UserError (exit code 2) for a number outside low..high, and for one that is none; None passes."""
    if value is not None and not low <= value <= high:  # NaN is not
        told = f"{value:g}" if isinstance(value, float) else f"{value:,}" if abs(value) < 10**15 else "more than that"
        unit = unit and f" {unit}"
        raise UserError(f"{option} must lie between {low:,} and {high:,}{unit}, not {told}.", exit_code=2)
