"""Where people stand while they still move: what app/motion/placing.py settles once per take, estimated as it goes.

Assumptions: the camera is level and has the given field of view; people are of the size the lifter learned; the lowest
that somebody's feet, hands or head were in the last two seconds is the floor under them, so that a jump is a jump.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import R_WORLD_CAM, from_facing
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.footing import underside_of
from sasmamba.app.motion.locating import LEAST_JOINTS, MIN_SCORE, UNKNOWN_DEPTH_M, apparent_scale
from sasmamba.app.types import Person2D, Pose3D, VideoMeta
from sasmamba.common.arrays import FloatArray
from sasmamba.models.hidden_hips import seen_as_h36m, with_trunk
from sasmamba.models.skeletons import H36M

#: Time constants of the smoothing: across the picture, in depth, which 2D shows far less well, and of the floor.
_ACROSS_S, _DEPTH_S, _FLOOR_S = 0.05, 0.6, 0.4
#: How long the feet are watched for the floor.
_WATCHED_S = 2.0
#: Somebody not placed for so long is forgotten.
_FORGOTTEN_S = 5.0


@dataclass(slots=True)
class _Spot:
    """One person's place, smoothed: pelvis ray and log depth, whether hips were ever seen, and the floor under the
    feet."""

    time_s: float
    ray: NDArray
    log_depth: float
    hips: bool = False
    floor_m: float = math.nan
    feet: deque[tuple[float, float]] = field(default_factory=deque)


def _sighted(xyc: NDArray, joints: FloatArray, camera: Intrinsics) -> tuple[NDArray[np.float64], float]:
    """Where one sighting puts the pelvis: its ray (2,), x and y at depth 1, and the logarithm of its depth in metres.

    NaN where the hips, or enough of the body, were not found.

    Args:
        xyc: (17, 3) what was seen, H36M-17 x px, y px, score.
        joints: (17, 3) the pose there, metres from the pelvis, facing axes.
    """
    found_px, score = xyc[:, :2], xyc[:, 2]
    if score[H36M.PELVIS] <= 0:
        return np.full(2, np.nan), math.nan
    rays, found = camera.rays(found_px), score > MIN_SCORE
    factor, _ = apparent_scale(rays, found, joints)
    log_depth = -math.log(factor) if found.sum() >= LEAST_JOINTS and factor > 0 else math.nan
    return rays[H36M.PELVIS], log_depth


def _share(dt: float, constant_s: float) -> float:
    """Share of a new value in an exponential average after dt seconds."""
    return 1 - math.exp(-dt / constant_s)


class LivePlacing:
    """Turns poses into the camera's axes and tells where each pelvis is.

    Args:
        meta: of the source.
        fov_deg: assumed field of view along the picture's longer side.
    """

    def __init__(self, meta: VideoMeta, fov_deg: float) -> None:
        self._camera = Intrinsics.assumed(meta, fov_deg)
        self._spots: dict[int, _Spot] = {}

    def __call__(
        self, time_s: float, people: Iterable[Person2D], poses: Iterable[Pose3D]
    ) -> tuple[tuple[Pose3D, ...], dict[int, FloatArray]]:
        """Poses of one frame in camera axes, and pelvis positions (3,) in world axes, metres, floor at z = 0."""
        seen = {person.track_id: person for person in people}
        placed: list[Pose3D] = []
        roots: dict[int, FloatArray] = {}
        for pose in poses:
            spot = self._move(time_s, pose, seen.get(pose.track_id))
            pelvis = np.append(spot.ray, 1) * math.exp(spot.log_depth)
            turned = from_facing(pose.joints, pelvis.astype(np.float32))
            placed.append(replace(pose, joints=turned, space="camera_root_relative_m"))
            roots[pose.track_id] = self._stand(time_s, spot, (pelvis @ R_WORLD_CAM.T), turned)
        for track_id in [i for i, s in self._spots.items() if time_s - s.time_s > _FORGOTTEN_S]:
            del self._spots[track_id]
        return tuple(placed), roots

    def _move(self, time_s: float, pose: Pose3D, person: Person2D | None) -> _Spot:
        ray, log_depth, hips = np.full(2, np.nan), math.nan, False
        spot = self._spots.get(pose.track_id)
        if person is not None:
            joints_px, score = seen_as_h36m(person.joints_px, person.score)
            xyc, hips = np.concatenate([joints_px, score[:, None]], 1), bool(score[H36M.PELVIS] > 0)
            if not hips and not (spot and spot.hips):
                xyc = with_trunk(xyc[None])[0]
            ray, log_depth = _sighted(xyc, pose.joints, self._camera)
        if spot is None:
            known = np.isfinite(ray).all()
            depth = log_depth if math.isfinite(log_depth) else math.log(UNKNOWN_DEPTH_M)
            spot = self._spots[pose.track_id] = _Spot(time_s, ray if known else np.zeros(2), depth, hips)
            return spot
        spot.hips |= hips
        dt = max(0.0, time_s - spot.time_s)
        spot.time_s = time_s
        if np.isfinite(ray).all():
            spot.ray = spot.ray + _share(dt, _ACROSS_S) * (ray - spot.ray)
        if math.isfinite(log_depth):
            spot.log_depth += _share(dt, _DEPTH_S) * (log_depth - spot.log_depth)
        return spot

    @staticmethod
    def _stand(time_s: float, spot: _Spot, root: NDArray, joints: FloatArray) -> FloatArray:
        """Puts the root (3,), world axes above the camera's height, onto the floor under the person."""
        height = (joints @ R_WORLD_CAM.T)[:, 2] + root[2]
        spot.feet.append((time_s, float(underside_of(height))))
        while time_s - spot.feet[0][0] > _WATCHED_S:
            spot.feet.popleft()
        lowest = min(z for _, z in spot.feet)
        if math.isnan(spot.floor_m):
            spot.floor_m = lowest
        dt = time_s - spot.feet[-2][0] if len(spot.feet) > 1 else 0.0
        spot.floor_m += _share(dt, _FLOOR_S) * (lowest - spot.floor_m)
        return np.array([root[0], root[1], root[2] - spot.floor_m], np.float32)
