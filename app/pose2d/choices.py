"""What a user can name of the 2D stage: backends, detectors, and files of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

DetectorName = Literal["auto", "yolox", "yolox-tiny", "multipose", "mediapipe", "rtmdet", "faster-rcnn"]
Backend2D = Literal["auto", "movenet", "movenet-lightning", "mediapipe", "hrnet", "openmmlab", "glsmamba"]
#: HRNet's weights unless others are asked for.
DEFAULT_HRNET = "hrnet-w32"
#: Why glsmamba does not run without --pose2d-weights, and what to do.
GLSMAMBA_NEEDS = (
    "--pose2d glsmamba needs --pose2d-weights FILE: nobody publishes weights for it; `sasmamba-demo train-2d --help` "
    "tells how to train some."
)


def file_and_folder(named: str) -> tuple[Path, Path | None]:
    """What --pose2d-weights says to glsmamba: FILE, or FILE,FOLDER where FOLDER is its backbone's."""
    file, comma, folder = named.rpartition(",")
    if not comma or Path(named).is_file():
        return Path(named), None
    return Path(file), Path(folder) if folder else None
