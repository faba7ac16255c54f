"""What files of a video share, and how motion is written where a format leaves a choice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray

from sasmamba.app.export.markers import markers_named
from sasmamba.app.export.rigs import rig_named
from sasmamba.common.errors import UserError


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Choices of formats.

    Attributes:
        rig: of BVH, GLB and USD, see `rigs.RIGS`.
        scale: BVH's lengths times this; 1 is centimetres, 0.01 metres.
        markers: names in TRC and C3D, see `markers.MARKERS`.
        keep_inferred: write joints, too, whose place is unknown, see `certainty.Certainty`.

    Raises:
        UserError: a choice that there is not (exit code 2).
    """

    rig: str = "cmu"
    scale: float = 1.0
    markers: str = "ours"
    keep_inferred: bool = False

    def __post_init__(self) -> None:
        rig_named(self.rig)
        markers_named(self.markers)
        if not (math.isfinite(self.scale) and 1e-4 <= self.scale <= 1e4):
            raise UserError(f"--bvh-scale must lie between 0.0001 and 10000, not {self.scale:g}.", exit_code=2)


@dataclass(frozen=True, slots=True)
class Footage:
    """What files of everybody in a video share.

    Attributes:
        times_s: (F,) of every frame.
        fps: the average rate, exact.
        notes: what `motion_table.about` tells.
        options: how formats are to be written.
    """

    times_s: NDArray
    fps: Fraction
    notes: dict[str, Any]
    options: ExportOptions
