"""Any video of people to their motion in 3D: the front door for programs.

    import sasmamba

    take = sasmamba.analyse("video.mp4")
    take.people[1].world_m  # (F, 17, 3) metres, z up

Importing this loads nothing heavy: a name is loaded with what it needs when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sasmamba.analysis import AnalysedPerson, Analysis, analyse
    from sasmamba.app.batch.run_batch import BatchReport
    from sasmamba.app.lifting.lifter import Lifter
    from sasmamba.app.motion.camera import Intrinsics
    from sasmamba.app.motion.checks import CheckFinding
    from sasmamba.app.motion.measure import Measure
    from sasmamba.app.run_report import Report
    from sasmamba.app.types import Cut
    from sasmamba.common.errors import UserError
    from sasmamba.joint_arrays import lift, to_h36m17
    from sasmamba.models.skeletons import COCO, H36M
    from sasmamba.rendering import render, render_folder
    from sasmamba.stream import PoseStream, StreamPose

    __version__: str

#: Which module holds each name.
_HOMES = {
    "AnalysedPerson": "sasmamba.analysis",
    "Analysis": "sasmamba.analysis",
    "analyse": "sasmamba.analysis",
    "BatchReport": "sasmamba.app.batch.run_batch",
    "Intrinsics": "sasmamba.app.motion.camera",
    "Cut": "sasmamba.app.types",
    "CheckFinding": "sasmamba.app.motion.checks",
    "Measure": "sasmamba.app.motion.measure",
    "Lifter": "sasmamba.app.lifting.lifter",
    "Report": "sasmamba.app.run_report",
    "UserError": "sasmamba.common.errors",
    "lift": "sasmamba.joint_arrays",
    "to_h36m17": "sasmamba.joint_arrays",
    "COCO": "sasmamba.models.skeletons",
    "H36M": "sasmamba.models.skeletons",
    "render": "sasmamba.rendering",
    "render_folder": "sasmamba.rendering",
    "PoseStream": "sasmamba.stream",
    "StreamPose": "sasmamba.stream",
}

__all__ = [
    "COCO",
    "H36M",
    "AnalysedPerson",
    "Analysis",
    "BatchReport",
    "CheckFinding",
    "Cut",
    "Intrinsics",
    "Lifter",
    "Measure",
    "PoseStream",
    "Report",
    "StreamPose",
    "UserError",
    "__version__",
    "analyse",
    "lift",
    "render",
    "render_folder",
    "to_h36m17",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("sasmamba-demo")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'sasmamba' has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
