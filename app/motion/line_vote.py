"""Which way is up as straight edges of the scene have it: some point there, and others lie level, at right angles.

Edges that are parallel in the scene lie, with the camera's centre, in planes that share their direction. Up is a
direction that many of these planes hold, while many others hold two level directions at right angles: Coughlan and
Yuille's Manhattan world, Neural Computation 2003. Many scenes are no such world, and in some another direction stands
out: so all edges together are but one witness, who may be wrong, beside people and their floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import up_of
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.scene_lines import WORK_PX
from sasmamba.app.types import SceneLines, VideoMeta

#: How far a plane misses its direction: edges' own, degrees, and by the noise of their ends, pixels of the picture in
#: which they were found. Tails are heavy.
_OWN_DEG, _ENDS_PX = 1.0, 0.7
#: How many edges point up, and how many along each level direction.
_SHARE = 0.12
#: An edge counts fully from this share of the longer side on, and all together by this power of their likelihood: edges
#: of one wall are wrong together.
_FULL_LENGTH, _TOGETHER = 0.1, 0.3
#: In so many scenes edges tell something else.
_FALSE = 0.1
#: Directions are tried so far apart, and level ones at right angles so far turned.
_STEP_DEG, _TURN_DEG = 1.5, 2.0
#: Pitch and roll that are tried, degrees.
_PITCH_DEG, _ROLL_DEG = (-40.0, 74.0), (-30.0, 30.0)
#: Where cameras look before anything is seen: mean and standard deviation of pitch; of the roll, and of a tenth.
_USUAL_PITCH_DEG, _USUAL_ROLL_DEG, _ASKEW_DEG, _ASKEW = (10.0, 20.0), 3.0, 15.0, 0.1
#: What is left open is looked at so far, and so finely, in standard deviations.
_FAR, _POINTS = 3.5, 61


@dataclass(frozen=True, slots=True)
class LineVote:
    """How much likelier each attitude of a camera makes the edges of a shot than attitudes do on average.

    Attributes:
        ratio: (P, R) at pitches and rolls `_STEP_DEG` apart.
    """

    ratio: NDArray

    def of(self, angles: NDArray) -> NDArray:
        """(N,) for pitch and roll (N, 2), radians; 1 where none was tried."""
        at = (np.degrees(angles) - [_PITCH_DEG[0], _ROLL_DEG[0]]) / _STEP_DEG
        inside = ((at >= 0) & (at <= np.array(self.ratio.shape) - 1)).all(1)
        return np.where(inside, _bilinear(self.ratio, at.clip(0, np.array(self.ratio.shape) - 1)), 1.0)

    def weighed(self, angles: NDArray, covariance: NDArray) -> tuple[NDArray, NDArray]:
        """Pitch and roll (2,), radians, and their covariance (2, 2), as other evidence has them, with this beside it:
        mean and covariance of the product."""
        steps = np.linspace(-_FAR, _FAR, _POINTS)
        z = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
        tried = angles + z @ np.linalg.cholesky(covariance).T
        weight = np.exp(-0.5 * (z**2).sum(1)) * self.of(tried)
        weight /= weight.sum()
        mean = weight @ tried
        return mean, (tried - mean).T @ (weight[:, None] * (tried - mean))


def line_vote(
    lines: SceneLines, camera: Intrinsics, meta: VideoMeta, motion: CameraMotion | None = None
) -> LineVote | None:
    """What the line segments of one shot tell of up in the axes of its first camera; None without any.

    Args:
        motion: how the camera turned and zoomed; None where it stood still.
    """
    if not len(lines.frame):
        return None
    rays = camera.rays(lines.ends_px.astype(float))
    if motion is not None:
        rays = motion.unzoomed(lines.frame, rays)
    rays = np.concatenate([rays, np.ones((len(rays), 2, 1))], -1)
    normal = np.cross(rays[:, 0], rays[:, 1])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12)
    if motion is not None:
        normal = motion.to_first(lines.frame, normal)
    side = max(meta.width, meta.height)
    length = np.linalg.norm(lines.ends_px[:, 1] - lines.ends_px[:, 0], axis=1) / side
    # several pictures of one scene tell no more than one does, but more surely
    weight = np.minimum(1, length / _FULL_LENGTH) / len(np.unique(lines.frame))
    sd = np.hypot(math.radians(_OWN_DEG), _ENDS_PX / min(side, WORK_PX) / length)
    return _vote(*((each.tobytes(), each.dtype.str) for each in (normal, sd, weight)))


@lru_cache(maxsize=256)
def _vote(*arrays: tuple[bytes, str]) -> LineVote:
    """What edges tell whose `_along` has these arguments, each as bytes and their kind. It is kept, since people are
    placed again after every correction, and edges are then what they were."""
    normal, sd, weight = (np.frombuffer(data, kind) for data, kind in arrays)
    along = _along(normal.reshape(-1, 3), sd, weight)
    ups, level, usual = _tried()
    first, second = _looked_up(along, level)
    log = _looked_up(along, ups) + np.logaddexp.reduce(first + second, axis=0) - math.log(level.shape[1])
    ratio = np.exp(log - log.max())
    return LineVote((1 - _FALSE) * ratio / (usual * ratio).sum() + _FALSE)


def _along(normal: NDArray, sd: NDArray, weight: NDArray) -> NDArray:
    """(A, E) for every direction how much likelier edges are if some lie along it than if none does, a logarithm.

    Args:
        normal: (L, 3) of the edges' planes.
        sd: (L,) by how much each misses the direction of its edge, radians.
        weight: (L,).
    """
    directions = _directions()
    miss = (normal / sd[:, None]).astype(np.float32) @ directions.reshape(-1, 3).T.astype(np.float32)
    # the density of a miss, 2 / (π sd (1 + miss²)²), beside that of planes of any direction, 1/2
    likelier = (_SHARE / (1 - _SHARE) * 4 / (math.pi * sd)).astype(np.float32)[:, None] / (1 + miss * miss) ** 2
    return np.asarray(_TOGETHER * (weight.astype(np.float32) @ np.log1p(likelier)).reshape(directions.shape[:2]))


@cache
def _directions() -> NDArray:
    """(A, E, 3) half of all directions, by azimuth about the camera's axis and elevation towards it."""
    azimuth = np.radians(np.arange(0, 180, _STEP_DEG))[:, None]
    elevation = np.radians(np.arange(-90, 90.1, _STEP_DEG))[None]
    flat = np.cos(elevation)
    return np.stack(np.broadcast_arrays(flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)), -1)


@cache
def _tried() -> tuple[NDArray, NDArray, NDArray]:
    """Ups (P, R) that are tried and level directions (2, T, P, R) at right angles to each, both as places in the grid
    of `_directions`; and how usual each up is (P, R)."""
    pitch, roll = (np.arange(a, b + 0.1, _STEP_DEG) for a, b in (_PITCH_DEG, _ROLL_DEG))
    up = np.array([[up_of(math.radians(p), math.radians(r)) for r in roll] for p in pitch])
    right = np.cross(up, [0, 0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    ahead = np.cross(up, right)
    turns = np.radians(np.arange(0, 180, _TURN_DEG)).reshape(2, -1)[..., None, None, None]
    level = np.cos(turns) * right + np.sin(turns) * ahead
    middle, sd = _USUAL_PITCH_DEG
    usual = np.exp(-0.5 * ((pitch - middle) / sd) ** 2)[:, None] * sum(
        share / sd * np.exp(-0.5 * (roll / sd) ** 2)
        for share, sd in ((1 - _ASKEW, _USUAL_ROLL_DEG), (_ASKEW, _ASKEW_DEG))
    )
    return _place(up), _place(level), usual / usual.sum()


def _place(direction: NDArray) -> NDArray:
    """(..., 2) where unit vectors (..., 3) lie in the grid of `_directions`; opposite ones are the same."""
    direction = direction * np.where(direction[..., 1:2] < 0, -1, 1)
    azimuth = np.arctan2(direction[..., 1], direction[..., 0])
    elevation = np.arcsin(direction[..., 2].clip(-1, 1))
    return np.degrees(np.stack([azimuth, elevation + math.pi / 2], -1)) / _STEP_DEG


def _looked_up(along: NDArray, place: NDArray) -> NDArray:
    """(...) of values (A, E) at places (..., 2) in the grid of `_directions`; after its last azimuth comes its first,
    the other way up."""
    return _bilinear(np.concatenate([along, along[:1, ::-1]]), place)


def _bilinear(values: NDArray, at: NDArray) -> NDArray:
    """(...) of values (A, E) at (..., 2), in steps."""
    low = np.minimum(at.astype(int), np.array(values.shape) - 2)
    (a, e), (x, y) = np.moveaxis(low, -1, 0), np.moveaxis(at - low, -1, 0)
    before, after = (values[a + k, e] * (1 - y) + values[a + k, e + 1] * y for k in (0, 1))
    return np.asarray(before * (1 - x) + after * x)
