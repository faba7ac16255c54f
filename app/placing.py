"""Where people stand: from poses relative to the pelvis to bodies on one floor, once per take.

Assumptions, all stated: the camera stands still enough and has the given field of view; people are of the size the
lifter learned (an average adult); the floor is flat. Upright is where people's bodies point on average while their legs
are straight, unless that disagrees with the camera by more than 45°.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.take import Take, Track
from sasmamba.app.types import FloatArray, Person2D, Pose3D
from sasmamba.models.skeletons import H36M, coco17_to_h36m17

#: Joint centre of the ankle above the sole.
ANKLE_HEIGHT_M = 0.08
#: Gaussian smoothing of the path: across the picture, and in depth, which 2D shows far less well.
_ACROSS_S, _DEPTH_S = 0.06, 0.5
_MAX_TILT_DEG = 45.0
#: Where somebody is put of whom too little was seen to tell.
UNKNOWN_DEPTH_M = 5.0


@dataclass(frozen=True)
class Placement:
    """Poses and places of a whole take.

    Attributes:
        R_world_cam: (3, 3), camera axes to world axes: x right, y away from the camera, z up.
        poses: track id to frame to pose, joints turned into the camera's own axes.
        roots: track id to frame to pelvis (3,) in world axes, metres, floor at z = 0.
        fov_deg: the field of view that was assumed.
    """

    R_world_cam: FloatArray
    poses: dict[int, dict[int, Pose3D]]
    roots: dict[int, dict[int, FloatArray]]
    fov_deg: float

    def at(self, frame: int) -> tuple[tuple[Pose3D, ...], dict[int, FloatArray]]:
        """Poses of a frame and where their pelves are."""
        here = {i: poses[frame] for i, poses in self.poses.items() if frame in poses}
        return tuple(here.values()), {i: self.roots[i][frame] for i in here}


def place(take: Take, fov_deg: float) -> Placement:
    """Places everybody of a take; an empty take gives an empty placement seen by a level camera."""
    meta = take.meta
    focal_px = focal_length_px(meta.width, meta.height, fov_deg)
    centre_px = np.array([meta.width / 2, meta.height / 2], np.float32)
    paths: dict[int, tuple[list[int], FloatArray]] = {}  # frames, pelvis in camera axes
    poses: dict[int, dict[int, Pose3D]] = {}
    for track in take.tracks.values():
        frames, path = _path(track, focal_px, centre_px, take.times_s)
        if frames:
            paths[track.track_id] = frames, path
            poses[track.track_id] = {
                f: replace(
                    track.poses[f], joints=from_facing(track.poses[f].joints, at), space="camera_root_relative_m"
                )
                for f, at in zip(frames, path, strict=True)
            }
    R = level(_up([p.joints for some in poses.values() for p in some.values()]))
    feet, roots = [], {}
    for i, (frames, path) in paths.items():
        world = (path @ R.T).astype(np.float32)
        roots[i] = dict(zip(frames, world, strict=True))
        for f, root in roots[i].items():
            joints = poses[i][f].joints @ R.T
            ankles = joints[[H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]] + root
            feet.append(ankles[ankles[:, 2].argmin()])
    if feet:
        floor = _floor(np.array(feet))
        for some in roots.values():
            for root in some.values():
                root[2] -= floor[0] + floor[1] * root[0] + floor[2] * root[1] - ANKLE_HEIGHT_M
    return Placement(R, poses, roots, fov_deg)


def level(up: NDArray) -> FloatArray:
    """(3, 3) from camera axes to world axes for a camera in whose axes `up` (3,) points up."""
    z = up / np.linalg.norm(up)
    x = np.array([1.0, 0, 0]) - z[0] * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z]).astype(np.float32)


def _path(
    track: Track, focal_px: float, centre_px: FloatArray, times_s: Sequence[Fraction]
) -> tuple[list[int], FloatArray]:
    """Frames with a pose, and the pelvis in camera axes (F, 3) there."""
    frames = sorted(track.poses)
    rays = np.full((len(frames), 2), np.nan)
    log_depth = np.full(len(frames), np.nan)
    for i, f in enumerate(frames):
        person = track.people.get(f)
        if person is None:
            continue
        rays[i], log_depth[i] = sighted(person, track.poses[f].joints, focal_px, centre_px)
    if not np.isfinite(rays).any():  # no hips in any frame: somewhere in the middle of the picture
        rays[:] = 0
    if not np.isfinite(log_depth).any():
        log_depth[:] = math.log(UNKNOWN_DEPTH_M)
    time = np.array([float(times_s[f]) for f in frames])
    depth = np.exp(_smooth(time, log_depth, _DEPTH_S))
    across = np.stack([_smooth(time, rays[:, k], _ACROSS_S) for k in range(2)], 1)
    return frames, (np.concatenate([across, np.ones((len(frames), 1))], 1) * depth[:, None]).astype(np.float32)


def sighted(
    person: Person2D, joints: FloatArray, focal_px: float, centre_px: NDArray
) -> tuple[NDArray[np.float64], float]:
    """Where one sighting puts the pelvis: its ray (2,), x and y at depth 1, and the logarithm of its depth in metres.

    NaN where the hips, or enough of the body, were not found.

    Args:
        joints: (17, 3) the pose there, metres from the pelvis, facing axes.
    """
    found_px, score = coco17_to_h36m17(person.joints_px, person.score)
    if score[H36M.PELVIS] <= 0:
        return np.full(2, np.nan), math.nan
    pelvis = found_px[H36M.PELVIS]
    found = score > 0.3
    flat, body = (found_px - pelvis)[found], joints[found, :2]
    # metres to pixels, the least-squares factor between the pose and its picture
    factor = (flat * body).sum() / max((body * body).sum(), 1e-6)
    log_depth = math.log(focal_px / factor) if found.sum() >= 4 and factor > 0 else math.nan
    return (pelvis - centre_px) / focal_px, log_depth


def _smooth(time: NDArray, values: NDArray, sigma: float) -> NDArray:
    """Gaussian smoothing over time (n,); NaN is filled in on a straight line first."""
    known = np.isfinite(values)
    filled = np.interp(time, time[known], values[known])
    out = np.empty(len(time))
    for i, now in enumerate(time):
        near = slice(*np.searchsorted(time, [now - 3 * sigma, now + 3 * sigma]))
        dt, x = time[near] - now, filled[near]
        w = np.exp(-0.5 * (dt / sigma) ** 2)
        # a line fitted locally: a plain average would lag behind at the ends
        mean_t, mean_x = (w * dt).sum() / w.sum(), (w * x).sum() / w.sum()
        spread = (w * (dt - mean_t) ** 2).sum()
        slope = (w * (dt - mean_t) * (x - mean_x)).sum() / spread if spread > 1e-9 else 0.0
        out[i] = mean_x - slope * mean_t
    return out


def from_facing(joints: FloatArray, pelvis: FloatArray) -> FloatArray:
    """Joints (17, 3) in the axes of a camera looking straight at the pelvis (3,), in the axes of the camera itself."""
    x, y, z = pelvis / np.linalg.norm(pelvis)
    s = 1 / (1 + z)
    R_facing_cam = np.array([[1 - x * x * s, -x * y * s, -x], [-x * y * s, 1 - y * y * s, -y], [x, y, z]])
    return (joints @ R_facing_cam).astype(np.float32)


def to_camera_axes(joints: FloatArray, pelvis: FloatArray, size: tuple[int, int], fov_deg: float) -> FloatArray:
    """Lifted joints (F, 17, 3) turned from the axes of a camera looking straight at the person into the camera's own.

    Args:
        pelvis: (F, 3) x px, y px, score; where it was not found (score 0) its place is interpolated.
        size: width and height of the picture. fov_deg: field of view along its longer side.
    """
    focal_px = focal_length_px(*size, fov_deg)
    found, frame = pelvis[:, 2] > 0, np.arange(len(joints))
    if not found.any():
        return joints
    ray = np.ones((len(joints), 3), np.float32)
    for k in range(2):
        ray[:, k] = (np.interp(frame, frame[found], pelvis[found, k]) - size[k] / 2) / focal_px
    return np.stack([from_facing(pose, at) for pose, at in zip(joints, ray, strict=True)])


def focal_length_px(width: int, height: int, fov_deg: float) -> float:
    """Focal length of a pinhole camera whose view along the picture's longer side is `fov_deg`."""
    return 0.5 * max(width, height) / math.tan(math.radians(fov_deg) / 2)


def _up(poses: list[FloatArray]) -> FloatArray:
    """Up in camera axes: where straight-legged bodies point on average; straight up in the picture without any."""
    picture_up = np.array([0, -1, 0], np.float32)
    if not poses:
        return picture_up
    p = np.stack(poses)

    def unit(v: NDArray) -> NDArray:
        return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-6)

    straight = np.ones(len(p), bool)
    for hip, knee, ankle in (
        (H36M.LEFT_HIP, H36M.LEFT_KNEE, H36M.LEFT_ANKLE),
        (H36M.RIGHT_HIP, H36M.RIGHT_KNEE, H36M.RIGHT_ANKLE),
    ):
        straight &= (unit(p[:, knee] - p[:, hip]) * unit(p[:, ankle] - p[:, knee])).sum(-1) > 0.85
    axis = unit(p[:, H36M.THORAX] - 0.5 * (p[:, H36M.LEFT_ANKLE] + p[:, H36M.RIGHT_ANKLE]))
    plausible = straight & (axis @ picture_up > math.cos(math.radians(_MAX_TILT_DEG)))
    if plausible.sum() < 5:
        return picture_up
    return unit(np.median(axis[plausible], 0)).astype(np.float32)


def _floor(feet: NDArray) -> tuple[float, float, float]:
    """The plane z = a + b x + c y under the lower feet (n, 3), robustly: a jump must not lift the floor.

    Slopes are held back: where people stand in one spot nothing tells them.
    """
    A = np.concatenate([np.ones((len(feet), 1)), feet[:, :2] - np.median(feet[:, :2], 0)], 1)
    z = feet[:, 2]
    hold = np.diag([0.0, 1.0, 1.0]) * 0.3**2 * len(feet)
    weight = np.ones(len(feet))
    solution = np.zeros(3)
    for _ in range(20):
        solution = np.linalg.solve(A.T @ (A * weight[:, None]) + hold, A.T @ (weight * z))
        error = z - A @ solution
        # feet above the plane may be in the air, feet below it cannot be: those count for more
        weight = np.where(error > 0, 0.02 / (0.02 + error), 0.02 / (0.02 - 0.5 * error))
    a, b, c = solution
    mid_x, mid_y = np.median(feet[:, :2], 0)
    return float(a - b * mid_x - c * mid_y), float(b), float(c)
