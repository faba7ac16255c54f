"""The 3D panel's scene: what it shows, the camera that sees it, its background and floor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import R_WORLD_CAM
from sasmamba.app.render.main_group import main_group
from sasmamba.app.render.palette import BACK_BOTTOM, BACK_TOP, GLOW, GRID, Canvas

#: Pelvis above the floor of a standing adult, where nobody has measured it.
PELVIS_HEIGHT_M = 0.95
#: Room that people take up: arms out, and an adult with a raised hand.
_REACH_M, _HEAD_ROOM_M = 0.85, 1.95


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The part of the floor that a shot plays on, fixed so that the view is steady.

    Attributes:
        spots: places (x, y) in metres, world axes, between which people stand; the corners are enough.
        R_world_cam: (3, 3) from camera axes to world axes, for a camera that is not level.
        top_m: height of the highest head; somebody may stand on a roof.
    """

    spots: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    R_world_cam: NDArray = field(default_factory=R_WORLD_CAM.copy)
    top_m: float = _HEAD_ROOM_M

    def __post_init__(self) -> None:
        if not self.spots or not np.isfinite(self.spots).all():
            raise ValueError(f"spots: want at least one place, all numbers, got {self.spots}")
        if self.R_world_cam.shape != (3, 3):
            raise ValueError(f"R_world_cam: want (3, 3), got {self.R_world_cam.shape}")

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the spots, x and y."""
        x, y = (np.min(self.spots, 0) + np.max(self.spots, 0)) / 2
        return float(x), float(y)

    @property
    def radius_m(self) -> float:
        """Of the circle about the centre that holds everybody, arms included."""
        return float(np.linalg.norm(np.subtract(self.spots, self.centre), axis=-1).max()) + _REACH_M

    @classmethod
    def around(cls, roots: Iterable[NDArray], R_world_cam: NDArray = R_WORLD_CAM) -> Scene:
        """The scene that holds these pelvis paths, each (T, 3) in world axes; the default scene if there are none.

        Somebody who passes far behind the others is not held in it, see `main_group`.
        """
        points = main_group([np.asarray(r, np.float32).reshape(-1, 3) for r in roots])
        if not len(points):
            return cls(R_world_cam=R_world_cam)
        hull = cv2.convexHull(np.ascontiguousarray(points[:, :2])).reshape(-1, 2)
        top = max(_HEAD_ROOM_M, float(points[:, 2].max()) + _HEAD_ROOM_M - PELVIS_HEIGHT_M)
        return cls(tuple((float(x), float(y)) for x, y in hull), R_world_cam, top)

    @classmethod
    def of_shot(cls, roots: Mapping[int, Mapping[int, NDArray]], frames: range, R_world_cam: NDArray) -> Scene:
        """The scene that holds where those who matter are in these frames: places of other shots mean nothing in it.

        Args:
            roots: track id to frame to pelvis (3,), world axes.
        """
        paths = [[root for f, root in path.items() if f in frames] for path in roots.values()]
        return cls.around([np.stack(path) for path in paths if path], R_world_cam)


@dataclass(frozen=True, slots=True)
class SceneCamera:
    """A pinhole camera: pixels = centre_px + focal_px * (right, -up) / depth."""

    position: NDArray  # (3,) world
    axes: NDArray  # (3, 3) rows right, up, forward
    focal_px: float
    centre_px: tuple[float, float]

    def __call__(self, world: NDArray) -> tuple[NDArray, NDArray]:
        """(..., 3) world to pixels (..., 2) and depth (...)."""
        seen = (world - self.position) @ self.axes.T
        depth = np.maximum(seen[..., 2], 0.05)
        scale = self.focal_px / depth
        return np.stack((self.centre_px[0] + seen[..., 0] * scale, self.centre_px[1] - seen[..., 1] * scale), -1), depth

    @classmethod
    def framing(cls, scene: Scene, azimuth_deg: float, elevation_deg: float, width: int, height: int) -> SceneCamera:
        """The nearest camera that sees everybody wherever they stand, from floor to raised hands, with a margin."""
        a, e = np.radians(azimuth_deg), np.radians(elevation_deg)
        forward = np.array([-np.sin(a) * np.cos(e), np.cos(a) * np.cos(e), -np.sin(e)])
        right = np.array([np.cos(a), np.sin(a), 0.0])
        axes = np.stack((right, np.cross(right, forward), forward))
        turn = np.linspace(0, 2 * np.pi, 17)
        ring = np.stack((np.cos(turn), np.sin(turn)), -1)
        # A person's outline, turned about: feet, stretched arms, head.
        person = [np.insert(ring * r, 2, z, -1) for r, z in ((0.45, 0.0), (0.75, 1.35), (0.2, scene.top_m))]
        rims = np.concatenate([rim + np.array([x, y, 0]) for x, y in scene.spots for rim in person])
        target = np.array([*scene.centre, 0.9])
        focal = 1.9 * min(width, height)
        near, far = scene.radius_m + 0.5, 60 * scene.radius_m + 60
        for _ in range(40):
            middle = (near + far) / 2
            pixels, _depth = cls(target - forward * middle, axes, focal, (0.0, 0.0))(rims)
            span = np.ptp(pixels, axis=0)
            near, far = (near, middle) if span[0] < 0.94 * width and span[1] < 0.84 * height else (middle, far)
        pixels, _depth = cls(target - forward * far, axes, focal, (0.0, 0.0))(rims)
        box = (pixels.min(0) + pixels.max(0)) / 2
        return cls(target - forward * far, axes, focal, (width / 2 - float(box[0]), height * 0.52 - float(box[1])))


def draw_floor(view: SceneCamera, scene: Scene, width: int, height: int) -> Canvas:
    """Background and floor: a dark gradient, a pool of light, and a grid of half metres that fades outwards."""
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    mix = (v / max(height - 1, 1))[..., None]
    picture = np.array(BACK_TOP, np.float32) * (1 - mix) + np.array(BACK_BOTTOM, np.float32) * mix
    # Where does the ray of each pixel meet the floor? In float32 throughout: numpy's own scalars would make it double.
    right, up, forward = (view.axes / np.array([[view.focal_px], [view.focal_px], [1.0]])).tolist()
    (left, above), (at_x, at_y, at_z) = view.centre_px, view.position.tolist()
    centre_x, centre_y = (float(c) for c in scene.centre)
    ray = [(u - left) * right[i] - (v - above) * up[i] + forward[i] for i in range(3)]
    reach = -at_z / np.minimum(ray[2], -1e-3)
    x = at_x + ray[0] * reach - centre_x
    y = at_y + ray[1] * reach - centre_y
    away = np.hypot(x, y) / float(scene.radius_m)
    hits = ray[2] < -1e-3
    light = np.where(hits, np.exp(-((away / 1.15) ** 2)), np.float32(0))
    picture += (np.array(GLOW, np.float32) - picture) * (0.85 * light)[..., None]
    # Lines a set width in metres, widened to a pixel far away and weakened in turn, so that nothing shimmers.
    grain = np.where(hits, reach / float(view.focal_px), np.float32(1))
    lines = np.zeros_like(u)
    for place in (x + centre_x, y + centre_y):
        pixel = np.abs(np.gradient(place, axis=0)) + np.abs(np.gradient(place, axis=1)) + np.float32(1e-9)
        for step, strength in ((0.5, 0.28), (1.0, 0.30)):
            distance = np.abs((place + step / 2) % step - step / 2)
            line = np.clip(1.15 - distance / pixel, 0, 1) * np.clip(step / (6 * pixel), 0, 1)
            lines = np.maximum(lines, strength * line)
    fade = np.where(hits & (grain < 0.1), np.exp(-((away / 1.7) ** 4)), np.float32(0))
    picture += (np.array(GRID, np.float32) - picture) * (lines * fade)[..., None]
    # A dark gradient in 8 bits shows bands unless it is dithered; the seed keeps the picture the same in every run.
    picture += np.random.default_rng(0).uniform(-0.5, 0.5, (height, width, 1)).astype(np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
