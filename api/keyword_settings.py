"""The settings that programs may give by keyword: those of the pipeline, told to type checkers."""

from __future__ import annotations

import os
from typing import Literal, TypedDict

from sasmamba.app.motion.body import BodyChoice
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_motion import CameraChoice
from sasmamba.app.pose2d.choices import Backend2D, DetectorName

#: A file's name, as text or as a path.
FileName = str | os.PathLike[str]


class ModelSettings(TypedDict, total=False):
    """Which models run, and on what.

    Attributes:
        pose2d: The 2D backend; "auto" is the best that can be had here.
        pose2d_weights: Its model, a name or a file.
        pose2d_px: Width and height of the crops that model was trained on, where it is HRNet's and does not say.
        detector: Finds people for backends that do not find them themselves.
        max_people: How many people are followed at most.
        lifter: A shipped lifter's name or a .safetensors file; by default the shipped one for the work at hand.
        device: "auto", "cpu" or "cuda".
        fov_deg: The camera's field of view along the picture's longer side, degrees.
    """

    pose2d: Backend2D
    pose2d_weights: str | None
    pose2d_px: tuple[int, int] | None
    detector: DetectorName
    max_people: int
    lifter: str
    device: Literal["auto", "cpu", "cuda"]
    fov_deg: float


class AnalysisSettings(ModelSettings, total=False):
    """What the analysis of a video depends on.

    Attributes:
        start_s: Where to begin, seconds.
        end_s: Where to end, seconds.
        max_frames: How many frames at most.
        stream: Number of the stream to read, where a file holds several films; None for the longest and largest.
        pose2d_every: The 2D backend looks at every so many frames, 1 to 10.
        cuts: Look for cuts: nobody's identity, pose or place goes on across one.
        camera: What the camera does, "auto" (the background decides), "still" or "rotating".
        flip: Average with the mirrored input.
        refine: Fit the poses to the 2D.
        smooth: Take the jitter out.
        intrinsics: The camera, where it is known; then `fov_deg` is not used.
        height_m: How tall people are, metres: all of them, or by track id.
        pitch_deg: By how much the camera looks down, where that is known.
        roll_deg: By how much up leans to the right in the picture, where that is known.
        threads: Of the 2D stage and the render; the results are the same with any.
    """

    start_s: float | None
    end_s: float | None
    max_frames: int | None
    stream: int | None
    pose2d_every: int
    cuts: bool
    camera: CameraChoice
    flip: bool
    refine: bool
    smooth: bool
    intrinsics: Intrinsics | None
    height_m: float | dict[int, float] | None
    pitch_deg: float | None
    roll_deg: float | None
    threads: int | None


class RenderSettings(AnalysisSettings, total=False):
    """What a render depends on beside its analysis.

    Attributes:
        person: Save and draw only this track id.
        body: What is shown and written of people: "full", "upper" (no legs), or "auto" (legs of those whose are seen).
        export: Motion files to write beside the render: some of "bvh", "glb", "usd", "trc", "c3d", "angles", "csv",
            "json", "npz", "html", "rrd".
        rig: Whose bones BVH, GLB and USD have: "cmu", "mixamo", "unity" or "vrm".
        bvh_scale: BVH's lengths times this; 1 is centimetres.
        markers: Whose names TRC and C3D have for markers: "ours", "pose2sim" or "opensim".
        keep_inferred: Write limbs, too, that were not in the picture: the lifter's guess at them.
        height: Of the render in pixels, at most.
        numbers: Draw frame number, time and stage timings.
    """

    person: int | None
    body: BodyChoice
    export: tuple[str, ...]
    rig: str
    bvh_scale: float
    markers: str
    keep_inferred: bool
    height: int
    numbers: bool
