"""Rotation and zoom from one picture of a background to another: a robust fit to points found in both.

A camera that turns about its centre moves its picture by a homography K R K⁻¹ whatever the scene; here its four
numbers are fitted themselves, and not nine of which five would have to be thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray

#: No sensor takes longer than this to read a picture from its first row to its last.
_READOUT_S = 0.033
#: A camera may turn faster than it did before, radians per second.
_UNFORESEEN = 0.1
#: Points are found to a twentieth of a pixel where the picture is sharp, never better.
_LEAST_NOISE_PX = 0.05
#: A residual of so many times the usual one has no say (Tukey).
_OUTLIER = 4.7


@dataclass(frozen=True, slots=True)
class TurnFit:
    """How a camera turned between two pictures.

    Attributes:
        R_key_cam: (3, 3) turns camera axes of the second picture into those of the first.
        zoom: focal length of the second as a multiple of that for which the rays were made.
        residual_px: (N,) how far each point is from where the fit puts it.
    """

    R_key_cam: FloatArray
    zoom: float
    residual_px: FloatArray


def rotation(vector: NDArray) -> NDArray:
    """(3, 3) rotation about `vector` (3,) by its length in radians (Rodrigues)."""
    return cv2.Rodrigues(np.asarray(vector, float))[0]


def rotation_vector(R: NDArray) -> NDArray:
    """(3,) the vector whose `rotation` is R (3, 3)."""
    return cv2.Rodrigues(np.asarray(R, float))[0][:, 0]


def fit_turn(
    key_rays: NDArray,
    rays: NDArray,
    R_key_cam: NDArray,
    zoom: float,
    *,
    focal_px: float,
    speed: float = 0.0,
    reach_px: float = 1.5,
) -> TurnFit:
    """The rotation and zoom under which most points fall where they were found.

    A camera that turns while its sensor is read row by row shears (pan) and stretches (tilt) its picture. Two numbers
    more take that up, held by what a sensor can do at this speed, so that roll comes from how heights change along
    a row and zoom from widths, which rows read one after another leave alone.

    Args:
        key_rays: (N, 2) x and y at depth 1 in the first picture, its own zoom taken out.
        rays: (N, 2) the same points in the second, with its zoom in.
        R_key_cam, zoom: to begin with. focal_px: pixels of a ray's unit.
        speed: radians per second by which both pictures turned while they were read, their sum.
        reach_px: points that agree so well with a similarity of the picture may begin (RANSAC).
    """
    inside, weight = _similar(key_rays, rays, focal_px, reach_px), np.ones(len(rays))
    # R from the first's axes to the second's; made a rotation again, since products of many grow away from one, and
    # what is expected of the next picture from the last two would double that every time
    R, bend = rotation(rotation_vector(R_key_cam.T)), np.zeros(2)
    hold = 1 / (_READOUT_S * (speed + _UNFORESEEN)) ** 2
    directions = np.concatenate([key_rays, np.ones((len(key_rays), 1))], 1)
    noise = 1.0
    for step in range(8):
        v = directions @ R.T
        flat = v[:, :2] / v[:, 2:]
        p = flat * zoom
        sheared = p + p[:, 1:] * bend
        error = rays - sheared
        distance = np.linalg.norm(error, axis=1) * focal_px
        if step == 0:
            weight = inside.astype(float)
        else:
            kept = distance[weight > 0]
            noise = max(_LEAST_NOISE_PX, 1.48 * float(np.median(kept))) if len(kept) else noise
            weight = np.maximum(0, 1 - (distance / (_OUTLIER * noise)) ** 2) ** 2
        if (weight > 0).sum() < 4:
            break
        x, y = flat[:, 0], flat[:, 1]
        one, zero = np.ones_like(x), np.zeros_like(x)
        # how p moves with a turn of the camera's axes by w (v + w × v), with log zoom, shear and stretch
        J = np.stack(
            [
                np.stack([-x * y, one + x * x, -y, x, y, zero], 1) * zoom,
                np.stack([-one - y * y, x * y, x, y, zero, y], 1) * zoom,
            ],
            1,
        )
        scale = weight * (focal_px / noise) ** 2
        H = np.einsum("n,nri,nrj->ij", scale, J, J) + np.diag([1e-9] * 4 + [hold] * 2)
        g = np.einsum("n,nri,nr->i", scale, J, error)
        g[4:] -= hold * bend
        move = np.linalg.solve(H, g)
        R = rotation(move[:3]) @ R
        zoom *= float(np.exp(np.clip(move[3], -0.5, 0.5)))
        bend += move[4:]
        if step > 1 and np.abs(move[:4]).max() * focal_px < 0.005:
            break
    v = directions @ R.T
    p = v[:, :2] / v[:, 2:] * zoom
    residual = np.linalg.norm(rays - p - p[:, 1:] * bend, axis=1) * focal_px
    return TurnFit(R.T, zoom, residual)


def _similar(key_rays: NDArray, rays: NDArray, focal_px: float, reach_px: float) -> NDArray:
    """(N,) bool: the most points that one shift, turn and scale of the picture takes along; all where none does.

    Far from the middle a pan moves points along curves, so that the reach is wider than what a fit leaves."""
    _, inside = cv2.estimateAffinePartial2D(
        key_rays * focal_px, rays * focal_px, method=cv2.RANSAC, ransacReprojThreshold=2 * reach_px, maxIters=300
    )
    if inside is None or inside.sum() < 4:
        return np.ones(len(rays), bool)
    return inside[:, 0].astype(bool)


def epipolar_share(key_rays: NDArray, rays: NDArray, fit: TurnFit, focal_px: float, noise_px: float) -> float:
    """How much of what a rotation leaves over a step of the camera explains, 0 to 1: parallax.

    With the rotation taken out a step moves every point along the line to one vanishing point, near ones more: for
    residuals r at x it holds that r × (t_xy - x t_z) = 0, which is linear in the step t.

    Args:
        key_rays, rays: as in `fit_turn`. noise_px: residuals up to this tell nothing.
    """
    v = np.concatenate([key_rays, np.ones((len(key_rays), 1))], 1) @ fit.R_key_cam
    x = v[:, :2] / v[:, 2:]
    r = rays / fit.zoom - x
    length = np.linalg.norm(r, axis=1)
    tells = length * focal_px > noise_px
    if tells.sum() < 8:
        return 0.0
    x, r, length = x[tells], r[tells], length[tells]
    rows = np.stack([-r[:, 1], r[:, 0], r[:, 1] * x[:, 0] - r[:, 0] * x[:, 1]], 1) / length[:, None]
    weight = np.ones(len(rows))
    for _ in range(6):
        _, vectors = np.linalg.eigh((rows * weight[:, None]).T @ rows)
        t = vectors[:, 0]
        across = np.abs(rows @ t) / np.maximum(np.linalg.norm(t[:2] - x * t[2], axis=1), 1e-6)  # sine of the angle
        weight = 1 / (1 + (across / 0.2) ** 2)
    return float((across < 0.2).mean())
