"""Markers of TRC and C3D files: which points of a person are written, and by whose names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import FEET, JOINTS
from sasmamba.app.motion.feet import TIP
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import FOOT, H36M


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker: its name, the index among the 17 joints and then heels and toes, and whether it is the tip of the toes,
    which lies beyond the toe by as much as `feet.TIP` says."""

    name: str
    point: int
    tip: bool = False


def _limbs(names: dict[str, str], sides: tuple[str, str] = ("R", "L")) -> list[Marker]:
    """Markers of both sides, right first: %s in a name stands for the side."""
    markers = []
    for side, letter in (("RIGHT", sides[0]), ("LEFT", sides[1])):
        for joint, name in names.items():
            foot = f"{side}_{joint}" in FOOT.__members__
            point = len(H36M) + FOOT[f"{side}_{joint}"] if foot else H36M[f"{side}_{joint}"]
            markers.append(Marker(name % letter, int(point), name.endswith("BigToe")))
    return markers


#: ours: all that is known. pose2sim: the markers of Pose2Sim's HALPE_26 set-ups that are known here; its big toe is the
#: tip, and it has no spine. opensim: joint centres and feet as the marker sets of OpenSim's full-body model (Rajagopal
#: et al., IEEE Trans. Biomed. Eng. 2016) call them, wrists by the same scheme.
MARKERS: dict[str, tuple[Marker, ...]] = {
    "ours": tuple(Marker(name, i) for i, name in enumerate((*JOINTS, *FEET))),
    "pose2sim": (
        Marker("Hip", H36M.PELVIS),
        *_limbs({"HIP": "%sHip", "KNEE": "%sKnee", "ANKLE": "%sAnkle", "TOE": "%sBigToe", "HEEL": "%sHeel"}),
        Marker("Neck", H36M.THORAX),
        Marker("Head", H36M.HEAD_TOP),
        Marker("Nose", H36M.NOSE),
        *_limbs({"SHOULDER": "%sShoulder", "ELBOW": "%sElbow", "WRIST": "%sWrist"}),
    ),
    "opensim": tuple(
        _limbs(
            {
                "HIP": "%sHJC",
                "KNEE": "%sKJC",
                "ANKLE": "%sAJC",
                "HEEL": "%sCAL",
                "TOE": "%sTOE",
                "SHOULDER": "%sSJC",
                "ELBOW": "%sEJC",
                "WRIST": "%sWJC",
            }
        )
    ),
}


def markers_named(name: str) -> tuple[Marker, ...]:
    """Raises UserError (exit code 2) for names that there are not."""
    if name not in MARKERS:
        raise UserError(f"--markers knows {', '.join(MARKERS)}, not {name!r}.", exit_code=2)
    return MARKERS[name]


def marker_positions(markers: tuple[Marker, ...], points: NDArray) -> NDArray[np.float64]:
    """(F, markers, 3) of points (F, 21, 3), in the same axes and unit."""
    out = np.asarray(points[:, [marker.point for marker in markers]], np.float64)
    for m, marker in enumerate(markers):
        if marker.tip:  # the heel stands before its toe in `FOOT`
            heel = points[:, marker.point - 1]
            out[:, m] = heel + TIP * (points[:, marker.point] - heel)
    return out
