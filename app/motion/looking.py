"""How the camera of a placed take looks at the world, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take
from sasmamba.models.geometry import unit


def rotations(take: Take, placement: Placement, frames: Sequence[int]) -> NDArray[np.float64]:
    """(F, 3, 3) world axes to the camera's own axes (x right, y down, z forward) in these frames (F,)."""
    out = np.repeat(placement.R_world_cam.T[None].astype(np.float64), len(frames), 0)
    for shot in placement.shots:
        out[np.isin(frames, np.array(shot.frames))] = shot.R_world_cam.T
    if take.camera_motion is not None:
        out = np.swapaxes(take.camera_motion.R_first_cam[list(frames)], -1, -2) @ out
    return out


def lens(placement: Placement) -> Intrinsics | None:
    """The camera in the first frame; None of a placement that does not say."""
    camera = placement.assumptions.get("camera")
    return camera and Intrinsics(camera["fx_px"], camera["fy_px"], camera["cx_px"], camera["cy_px"])


def positions(placement: Placement, frames: Sequence[int]) -> NDArray[np.float64]:
    """(F, 3) where the camera is, world axes, metres."""
    out = np.zeros((len(frames), 3))
    for shot in placement.shots:
        here = np.isin(frames, np.array(shot.frames))
        out[here, 2] = shot.height_m
        if shot.rise_m:
            out[here, 2] += np.array(shot.rise_m)[np.asarray(frames)[here] - shot.frames.start]
    return out


def lines_of_sight(placement: Placement, frames: Sequence[int], places: NDArray) -> NDArray[np.float64]:
    """Unit vectors (F, 3), world axes, from the camera to places (F, 3) in these frames (F,)."""
    away = np.asarray(places, np.float64) - positions(placement, frames)
    return unit(away)


def pictured(take: Take, placement: Placement, track_id: int) -> tuple[list[int], NDArray] | None:
    """Where somebody's placed joints fall in the picture: frames and (F, 17, 2) pixels, NaN behind the camera; None of
    a placement that knows no camera."""
    camera, (frames, world) = lens(placement), placement.world(track_id)
    if camera is None:
        return None
    seen_from = world - positions(placement, frames)[:, None]
    body = np.einsum("fij,fkj->fki", rotations(take, placement, frames), seen_from)
    zoom = np.ones(len(frames)) if take.camera_motion is None else take.camera_motion.zoom[frames]
    depth = np.where(body[..., 2] > 0.1, body[..., 2], np.nan)
    flat = body[..., :2] / depth[..., None] * zoom[:, None, None]
    return frames, flat * [camera.fx, camera.fy] + [camera.cx, camera.cy]
