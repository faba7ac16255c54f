"""A camera that turns, zooms and shakes over pictures of one that stood still: a crop, warped, whose motion is known.

The larger picture's field of view is taken to be what is said, and the crop is what a camera in the same place would
have seen; so the scene has no say, and rotation and zoom are exact. Rows are read one after another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.types import Person2D

#: The larger picture's field of view, as it is taken to be.
BIG_FOV_DEG = 70.0


@dataclass(frozen=True)
class VirtualCamera:
    """A camera in the place of another.

    Attributes:
        times_s: (F,).
        angles: (F, 3) pan (right), tilt (down), roll (clockwise), radians.
        zoom: (F,) of `focal_px`.
        size: width, height.
        focal_px: at zoom 1.
        big: the camera that was there.
        readout_s: first to last row.
    """

    times_s: NDArray
    angles: NDArray
    zoom: NDArray
    size: tuple[int, int]
    focal_px: float
    big: Intrinsics
    readout_s: float = 0.0

    @classmethod
    def over(
        cls,
        big_size: tuple[int, int],
        big_fov_deg: float,
        times_s: NDArray,
        seed: int,
        *,
        width: int = 960,
        pan_deg: float = 15,
        tilt_deg: float = 8,
        roll_deg: float = 4,
        zoom: float = 1.5,
        shake: float = 0.01,
        readout_s: float = 0.02,
    ) -> VirtualCamera:
        """A camera drawn at random that stays inside the larger picture: slow sweeps that reach the angles given, and
        shake (of so much of the width) of 1 to 4 Hz."""
        rng = np.random.default_rng(seed)
        W, H = big_size
        f = 0.5 * max(W, H) / math.tan(math.radians(big_fov_deg) / 2)
        size = (width, round(width * H / W / 2) * 2)

        def sweep(low_hz: float, high_hz: float) -> NDArray:
            rate, phase = rng.uniform(low_hz, high_hz, 4), rng.uniform(0, 2 * math.pi, 4)
            x = np.sin(2 * math.pi * times_s[:, None] * rate + phase).sum(1)
            return 2 * (x - x.min()) / max(np.ptp(x), 1e-9) - 1  # -1 to 1

        angles = np.radians(
            np.stack([pan_deg * sweep(0.05, 0.3), tilt_deg * sweep(0.05, 0.3), roll_deg * sweep(0.05, 0.3)], 1)
        )
        drawn = np.stack([sweep(1, 4), sweep(1, 4), 0.5 * sweep(1, 4)], 1)
        zooms = np.exp(np.log(zoom) * (0.5 + 0.5 * sweep(0.05, 0.2)))
        big, corners = Intrinsics(f, f, W / 2, H / 2), np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * size
        focal = f * size[0] / W
        while True:  # the widest view that stays inside the larger picture
            shaken = angles + shake * size[0] / focal * drawn
            camera = cls(times_s, shaken, zooms, size, focal, big, readout_s)
            seen = np.stack([camera.from_view(i, corners) for i in range(len(times_s))])
            if (seen > 2).all() and (seen < [W - 2, H - 2]).all():
                return camera
            focal *= 1.03

    @property
    def intrinsics(self) -> Intrinsics:
        """Of the first frame."""
        f = self.focal_px * self.zoom[0]
        return Intrinsics(f, f, self.size[0] / 2, self.size[1] / 2)

    def rotations(self, times_s: NDArray) -> NDArray:
        """(N, 3, 3) camera axes at times (N,) to those of the camera that stood still."""
        before, after = 2 * self.angles[:1] - self.angles[1:2], 2 * self.angles[-1:] - self.angles[-2:-1]
        t = self.times_s
        known_s = np.concatenate([2 * t[:1] - t[1:2], t, 2 * t[-1:] - t[-2:-1]])
        known = np.concatenate([before, self.angles, after])
        pan, tilt, roll = (np.interp(times_s, known_s, a) for a in known.T)
        zero, one = np.zeros_like(pan), np.ones_like(pan)

        def matrix(*rows: NDArray) -> NDArray:
            return np.stack(rows, -1).reshape(-1, 3, 3)

        P = matrix(np.cos(pan), zero, np.sin(pan), zero, one, zero, -np.sin(pan), zero, np.cos(pan))
        T = matrix(one, zero, zero, zero, np.cos(tilt), np.sin(tilt), zero, -np.sin(tilt), np.cos(tilt))
        Q = matrix(np.cos(roll), -np.sin(roll), zero, np.sin(roll), np.cos(roll), zero, zero, zero, one)
        return P @ T @ Q

    @property
    def R_first_cam(self) -> NDArray:
        """(F, 3, 3) the truth, as `CameraMotion.R_first_cam`."""
        R = self.rotations(self.times_s)
        return R[0].T @ R

    def film(self, frame: int, picture: NDArray) -> NDArray:
        """What it sees in a frame of the larger picture."""
        w, h = self.size
        t = self.times_s[frame] + ((np.arange(h) + 0.5) / h - 0.5) * self.readout_s
        f = self.focal_px * self.zoom[frame]
        x = (np.arange(w) + 0.5 - w / 2) / f
        y = (np.arange(h) + 0.5 - h / 2) / f
        R = self.rotations(t)
        v = (R[:, None, :, 0] * x[None, :, None] + R[:, None, :, 1] * y[:, None, None] + R[:, None, :, 2]).astype(
            np.float32
        )
        at = v[..., :2] / v[..., 2:] * np.float32(self.big.fx)
        mx, my = at[..., 0] + np.float32(self.big.cx - 0.5), at[..., 1] + np.float32(self.big.cy - 0.5)
        return cv2.remap(picture, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def to_view(self, frame: int, points: NDArray) -> NDArray:
        """Points (..., 2) of the larger picture in a frame of this camera's, rows taken to be read at once."""
        rays = np.concatenate([self.big.rays(points), np.ones((*points.shape[:-1], 1))], -1)
        v = rays @ self.rotations(self.times_s[frame : frame + 1])[0]
        return v[..., :2] / v[..., 2:] * self.focal_px * self.zoom[frame] + np.array(self.size) / 2

    def from_view(self, frame: int, points: NDArray) -> NDArray:
        """Points (..., 2) of a frame in the larger picture."""
        rays = (points - np.array(self.size) / 2) / (self.focal_px * self.zoom[frame])
        v = (
            np.concatenate([rays, np.ones((*points.shape[:-1], 1))], -1)
            @ self.rotations(self.times_s[frame : frame + 1])[0].T
        )
        return v[..., :2] / v[..., 2:] * self.big.fx + [self.big.cx, self.big.cy]


def in_view(camera: VirtualCamera, frame: int, person: Person2D) -> Person2D:
    """Somebody of the larger picture in a virtual camera's."""
    joints = camera.to_view(frame, person.joints_px).astype(np.float32)
    x0, y0, x1, y1 = person.box_px
    corners = camera.to_view(frame, np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
    box = np.concatenate([corners.min(0), corners.max(0)]).astype(np.float32)
    return replace(person, joints_px=joints, box_px=box, feet=None)


def follow_camera(
    path: NDArray, times_s: NDArray, big_size: tuple[int, int], seed: int, size: tuple[int, int]
) -> VirtualCamera:
    """A camera that follows somebody by hand: late, not exactly, with roll, zoom and shake.

    Args:
        path: (F, 3) their pelvis in the axes of the camera that stood still.
        big_size: of the background's picture, which is taken to be 110° wide.
    """
    rng = np.random.default_rng(seed)
    f = 0.5 * big_size[0] / math.tan(math.radians(55))
    big = Intrinsics(f, f, big_size[0] / 2, big_size[1] / 2)

    def slow(x: NDArray, seconds: float) -> NDArray:
        lag = np.exp(-((times_s[:, None] - times_s - 0.3) ** 2) / (2 * seconds**2))
        return (lag / lag.sum(1, keepdims=True)) @ x

    def waves(low_hz: float, high_hz: float) -> NDArray:
        rate, phase = rng.uniform(low_hz, high_hz, 3), rng.uniform(0, 2 * math.pi, 3)
        return np.sin(2 * math.pi * times_s[:, None] * rate + phase).sum(1) / 3

    pan = slow(np.arctan2(path[:, 0], path[:, 2]), 0.6)
    tilt = slow(np.arctan2(path[:, 1], np.hypot(path[:, 0], path[:, 2])), 0.6)
    zoom = np.exp(math.log(1.5) * (0.5 + 0.5 * waves(0.05, 0.2)))
    focal = 0.45 * size[1] / 1.8 * float(np.median(np.linalg.norm(path, axis=1)))
    sway, roll = np.stack([waves(1, 4), waves(1, 4), 0.5 * waves(1, 4)], 1), math.radians(4) * waves(0.05, 0.3)
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * size
    while True:
        angles = np.stack([pan, tilt, roll], 1) + 0.01 * size[0] / focal * sway
        camera = VirtualCamera(times_s, angles, zoom, size, focal, big, 0.02)
        seen = np.stack([camera.from_view(i, corners) for i in range(len(times_s))])
        if (seen > 2).all() and (seen < np.array(big_size) - 2).all():
            return camera
        focal *= 1.03


def angle_deg(R: NDArray, S: NDArray) -> NDArray:
    """(N,) degrees between rotations (N, 3, 3)."""
    # from the skew part: the trace tells nothing of small angles
    D = np.einsum("nji,njk->nik", R, S)
    skew = np.stack([D[:, 2, 1] - D[:, 1, 2], D[:, 0, 2] - D[:, 2, 0], D[:, 1, 0] - D[:, 0, 1]], 1) / 2
    return np.degrees(np.arctan2(np.linalg.norm(skew, axis=1), (np.trace(D, axis1=1, axis2=2) - 1) / 2))
