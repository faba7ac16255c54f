"""What a camera did, decided from its background: still, rotating or moving, shot by shot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.background_motion import Sighting
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_motion import CameraKind, CameraMotion
from sasmamba.app.types import VideoMeta

#: A camera whose picture never moves by more than this share of its longer side stands still; all frames but so many.
_STILL, _STRAYS = 0.003, 0.02
#: A frame in which the background told less than this has no say.
SURE = 0.2
#: Mean share of corners that a step of the camera explains and no rotation does: above it is carried about. Hands that
#: sway by 3 cm before things 4 m away come to as much as a walk, see benchmarks/carried_camera.py; by 1 cm, to nothing.
_PARALLAX = 0.1
#: What holds of people whom a camera that is carried about saw.
_WHEN_MOVING = (
    "its turns are taken out of people's paths, and how it rises where feet that stand tell it; its own steps are not, "
    "so that paths, speeds and feet that stand are as seen from it"
)
#: Kinds by how much the camera does.
_BY_MUCH: tuple[CameraKind, ...] = ("still", "rotating", "moving")


def decide(
    sightings: Sequence[Sighting],
    shots: Sequence[range],
    meta: VideoMeta,
    camera: Intrinsics,
    rotating: bool = False,
) -> CameraMotion:
    """The motion of a whole take, every shot's relative to its own first frame.

    In a shot that is still nothing turns and nothing zooms, exactly. In one in which the camera moves, what looks like
    a zoom is taken for its steps.

    Args:
        sightings: of every frame.
        shots: the frames of each.
        camera: for which the sightings were made.
        rotating: the user says that the camera turns; nothing is then decided to be still.
    """
    R, zoom = np.tile(np.eye(3), (len(sightings), 1, 1)), np.ones(len(sightings))
    confidence = np.array([s.confidence for s in sightings])
    kinds: list[CameraKind] = ["rotating" if rotating else "still"]
    for shot in shots:
        here, frames = [sightings[f] for f in shot], slice(shot.start, shot.stop)
        turned = np.stack([here[0].R_start_cam.T @ s.R_start_cam for s in here])
        zoomed = np.array([s.zoom / here[0].zoom for s in here])
        kind = _kind(turned, zoomed, here, meta, camera)
        kinds.append(kind)
        if kind != "still" or rotating:
            R[frames] = turned
            zoom[frames] = 1 if kind == "moving" else zoomed
    return CameraMotion(max(kinds, key=_BY_MUCH.index), R, zoom, confidence, rotating)


def _kind(
    R_first_cam: NDArray, zoom: NDArray, sightings: Sequence[Sighting], meta: VideoMeta, camera: Intrinsics
) -> CameraKind:
    """What the camera does in one shot; still where the background tells too little."""
    sure = np.array([s.confidence >= SURE for s in sightings])
    sure[0] = False  # it is where it is by definition
    if not sure.any():
        return "still"
    if float(np.mean([s.parallax for s in sightings[1:]])) > _PARALLAX:
        return "moving"
    moves = picture_moves(R_first_cam[sure], zoom[sure], meta, camera)
    return "still" if np.quantile(moves, 1 - _STRAYS) <= _STILL else "rotating"


def picture_moves(R_first_cam: NDArray, zoom: NDArray, meta: VideoMeta, camera: Intrinsics) -> NDArray:
    """(F,) by how much the picture moves where it does most of its middle and quarters, as a share of its longer side.

    Args:
        R_first_cam: (F, 3, 3).
        zoom: (F,).
    """
    size = np.array([meta.width, meta.height])
    points = np.array([[0.5, 0.5], [0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]) * size
    v = np.concatenate([camera.rays(points), np.ones((5, 1))], 1) @ R_first_cam
    at = v[..., :2] / np.maximum(v[..., 2:], 1e-3) * zoom[:, None, None] * [camera.fx, camera.fy]
    middle = np.array([camera.cx, camera.cy])
    return np.asarray(np.linalg.norm(at + middle - points, axis=-1).max(1) / size.max())


def in_words(motion: CameraMotion | None) -> str:
    """What to say of the camera: what it does, who says so, and what then holds."""
    if motion is None:
        return "taken to be still"
    if motion.kind == "still":
        return "still, as its background shows"
    if motion.kind == "moving":
        return f"moving, as its background shows: {_WHEN_MOVING}"
    source = "as was said" if motion.given else "as its background shows"
    unsure = float((motion.confidence < SURE).mean())
    lost = f"; {unsure:.0%} of the frames told nothing of it" if unsure > 0.005 else ""
    pan, tilt, roll = np.ptp(angles_deg(motion.R_first_cam), axis=0)
    far = np.ptp(motion.zoom) > 0.01
    zoom = f", zoom {motion.zoom.min():.2f} to {motion.zoom.max():.2f}" if far else ""
    return f"rotating, {source}: pan over {pan:.0f}°, tilt {tilt:.0f}°, roll {roll:.0f}°{zoom}{lost}"


def angles_deg(R_first_cam: NDArray) -> NDArray:
    """(F, 3) pan to the right, tilt downwards and roll clockwise of a camera at R (F, 3, 3), in this order, degrees."""
    pan = np.unwrap(np.arctan2(R_first_cam[:, 0, 2], R_first_cam[:, 2, 2]))
    tilt = np.arcsin(R_first_cam[:, 1, 2].clip(-1, 1))
    roll = np.unwrap(np.arctan2(R_first_cam[:, 1, 0], R_first_cam[:, 1, 1]))
    return np.degrees(np.stack([pan, tilt, roll], 1))
