"""Rotation and zoom from one picture of a background to another: a robust fit to points found in both.

A camera that turns about its centre moves its picture by a homography K R K⁻¹ whatever the scene; here its four
numbers are fitted themselves, and not nine of which five would have to be thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

#: A sensor takes about so long to read a picture, from its first row to its last or, held upright, its columns.
_READOUT_S = 0.015
#: So well the readout can be learned; a model is never better than this.
_LEAST_READOUT_S = 0.0005
#: What one picture says of the readout counts so much, since its errors are those of the next, too.
_READOUT_SHARE = 0.3
#: Points are found to a twentieth of a pixel where the picture is sharp, never better.
_LEAST_NOISE_PX = 0.05
#: Points that agree so well with one shift, turn and scale of the picture begin.
_REACH_PX = 3.0
#: A residual of so many times the usual one has no say (Tukey).
_OUTLIER = 4.7


@dataclass(frozen=True, slots=True)
class Readout:
    """How long a sensor takes from the picture's left to its right and from its top to its bottom, as far as is known.

    Attributes:
        seconds: (2,) along x and y.
        information: (2, 2) inverse of its covariance.
    """

    seconds: NDArray = field(default_factory=lambda: np.zeros(2))
    information: NDArray = field(default_factory=lambda: np.eye(2) / _READOUT_S**2)


@dataclass(frozen=True, slots=True)
class Points:
    """Points of a background in one picture.

    Attributes:
        rays: (N, 2) x and y at depth 1 for the focal length at zoom 1.
        when: (N, 2) where in the picture, -0.5 to 0.5 of its width and height: when it was read.
        spin: (3,) radians per second by which the camera turned, in its own axes.
        zoom: focal length as a multiple, if it is known.
    """

    rays: NDArray
    when: NDArray
    spin: NDArray
    zoom: float = 1.0

    def some(self, which: NDArray[np.bool_]) -> Points:
        """Those of them that are marked (N,)."""
        return replace(self, rays=self.rays[which], when=self.when[which])

    def read_at_once(self, readout_s: NDArray, zoom: float) -> tuple[NDArray, NDArray]:
        """Directions (N, 3) in the axes of the camera at the picture's middle, and how they move with the readout
        (N, 2, 3) per second."""
        x, y = self.rays.T / zoom
        a, b, c = self.spin.tolist()
        turn = np.stack([b - c * y, c * x - a, a * y - b * x], 1)  # spin × (x, y, 1)
        v = (self.when @ readout_s)[:, None] * turn
        v[:, 0] += x
        v[:, 1] += y
        v[:, 2] += 1
        return v, self.when[:, :, None] * turn[:, None]


@dataclass(frozen=True, slots=True)
class TurnFit:
    """How a camera turned between two pictures.

    Attributes:
        R_key_cam: (3, 3) turns camera axes of the second picture into those of the first.
        zoom: focal length of the second, as a multiple of that for which the rays were made.
        residual_px: (N,) how far each point is from where the fit puts it.
        readout: with what these pictures told added.
        by_readout: (4, 2) how a turn of the second's axes and the logarithm of its zoom would go with the readout.
        readout_s: (2,) that was used.
    """

    R_key_cam: NDArray
    zoom: float
    residual_px: NDArray
    readout: Readout
    by_readout: NDArray
    readout_s: NDArray


def rotation(vector: NDArray) -> NDArray:
    """(3, 3) rotation about `vector` (3,) by its length in radians (Rodrigues)."""
    return cv2.Rodrigues(np.asarray(vector, float))[0]


def rotation_vector(R: NDArray) -> NDArray:
    """(3,) the vector whose `rotation` is R (3, 3)."""
    return cv2.Rodrigues(np.asarray(R, float))[0][:, 0]


def fit_turn(
    key: Points, now: Points, R_key_cam: NDArray, *, readout: Readout, focal_px: float, steps: int = 8
) -> TurnFit:
    """The rotation and zoom under which most points fall where they were found.

    A camera that turns while its sensor is read row by row shears and stretches its picture. How long a sensor takes is
    the same in all of a video, so it is fitted along and held by what was learned before.

    Args:
        key: points in the first picture, its zoom known.
        now: the same in the second, its zoom to begin with.
        R_key_cam: to begin with.
        readout: what is known of it.
        focal_px: pixels of a ray's unit.
        steps: at most; few will do where the fit is only to begin another.
    """
    # Products of many rotations grow away from one, and expecting the next from the last two would double that.
    R, zoom, seconds = rotation(rotation_vector(R_key_cam.T)), now.zoom, readout.seconds.copy()
    weight = _similar(key.rays / key.zoom, now.rays, focal_px).astype(float)
    prior = 1e-9 * np.eye(6)
    prior[4:, 4:] = readout.information
    H, noise = prior, 1.0
    for step in range(steps):
        error, J = _misses(key, now, R, zoom, seconds)
        if step:
            distance = np.linalg.norm(error, axis=1) * focal_px
            noise = max(_LEAST_NOISE_PX, 1.48 * float(np.median(distance[weight > 0])))
            weight = np.maximum(0, 1 - (distance / (_OUTLIER * noise)) ** 2) ** 2
        if (weight > 0).sum() < 4:
            break
        flat = J.reshape(-1, 6)
        weighted = flat.T * np.repeat(weight * (focal_px / noise) ** 2, 2)
        H = weighted @ flat + prior
        g = weighted @ error.ravel()
        g[4:] -= readout.information @ (seconds - readout.seconds)
        move = np.linalg.solve(H, g)
        R = rotation(move[:3]) @ R
        zoom *= float(np.exp(np.clip(move[3], -0.5, 0.5)))
        seconds += move[4:]
        if step > 1 and np.abs(move[:4]).max() * focal_px < 0.01:
            break
    error, _ = _misses(key, now, R, zoom, seconds)
    by_readout = -np.linalg.solve(H[:4, :4], H[:4, 4:])
    residual_px = np.linalg.norm(error, axis=1) * focal_px
    return TurnFit(R.T, zoom, residual_px, _learned(readout, seconds, H), by_readout, seconds)


def _misses(key: Points, now: Points, R: NDArray, zoom: float, readout_s: NDArray) -> tuple[NDArray, NDArray]:
    """By how much points miss where they should be (N, 2) as rays, and how where they should be moves (N, 2, 6) with a
    turn of the second camera's axes (3), with the logarithm of its zoom and with the readout (2)."""
    k, k_read = key.read_at_once(readout_s, key.zoom)
    r, r_read = now.read_at_once(readout_s, zoom)
    v = k @ R.T
    at, seen = v[:, :2] / v[:, 2:], r[:, :2] / r[:, 2:]
    x, y = at.T
    J = np.empty((len(v), 2, 6))
    J[:, 0, 0], J[:, 0, 1], J[:, 0, 2], J[:, 0, 3] = -x * y, 1 + x * x, -y, x
    J[:, 1, 0], J[:, 1, 1], J[:, 1, 2], J[:, 1, 3] = -1 - y * y, x * y, x, y
    v_read, r_read = k_read @ R.T / v[:, None, 2:], r_read / r[:, None, 2:]
    moved = v_read[..., :2] - v_read[..., 2:] * at[:, None] - r_read[..., :2] + r_read[..., 2:] * seen[:, None]
    J[:, :, 4:] = moved.swapaxes(1, 2)
    return (seen - at) * zoom, J * zoom


def _learned(before: Readout, seconds: NDArray, H: NDArray) -> Readout:
    """The readout after a picture that together with what was known gave `seconds`, with the normal matrix H (6, 6)."""
    told = H[4:, 4:] - H[4:, :4] @ np.linalg.solve(H[:4, :4], H[:4, 4:]) - before.information
    information = before.information + _READOUT_SHARE * told
    # the picture's own pull is what `seconds` left of the way there: (before + told)·(seconds - before)
    pull = (before.information + told) @ (seconds - before.seconds)
    at = before.seconds + np.linalg.solve(information, _READOUT_SHARE * pull)
    most = float(np.linalg.eigvalsh(information)[-1]) * _LEAST_READOUT_S**2
    return Readout(at, information / max(1.0, most))


def _similar(key_rays: NDArray, rays: NDArray, focal_px: float) -> NDArray:
    """(N,) bool: the most points that one shift, turn and scale of the picture takes along; all where none does.

    Far from the middle a pan moves points along curves, so that the reach is wider than what a fit leaves."""
    _, inside = cv2.estimateAffinePartial2D(
        key_rays * focal_px, rays * focal_px, method=cv2.RANSAC, ransacReprojThreshold=_REACH_PX, maxIters=300
    )
    if inside is None or inside.sum() < 4:
        return np.ones(len(rays), bool)
    return inside[:, 0].astype(bool)


def epipolar_share(key: Points, now: Points, fit: TurnFit, focal_px: float, noise_px: float) -> float:
    """How much of what a rotation leaves over a step of the camera explains, 0 to 1: parallax.

    With the rotation taken out a step moves every point along the line to one vanishing point, near ones more: for
    residuals r at x it holds that r × (t_xy - x t_z) = 0, which is linear in the step t.

    Args:
        key, now, fit: as in `fit_turn`.
        noise_px: residuals up to this tell nothing.
    """
    r, J = _misses(key, now, fit.R_key_cam.T, fit.zoom, fit.readout.seconds)
    x = J[:, :, 3] / fit.zoom  # where the fit puts the points
    length = np.linalg.norm(r, axis=1)
    tells = length * focal_px > noise_px
    if tells.sum() < 8:
        return 0.0
    x, r = x[tells], r[tells] / length[tells, None]
    rows = np.stack([-r[:, 1], r[:, 0], r[:, 1] * x[:, 0] - r[:, 0] * x[:, 1]], 1)
    weight = np.ones(len(rows))
    for _ in range(6):
        _, vectors = np.linalg.eigh((rows * weight[:, None]).T @ rows)
        t = vectors[:, 0]
        across = np.abs(rows @ t) / np.maximum(np.linalg.norm(t[:2] - x * t[2], axis=1), 1e-6)  # sine of the angle
        weight = 1 / (1 + (across / 0.2) ** 2)
    return float((across < 0.2).mean())
