"""The picture: the video with its 2D skeletons on the left, the people in 3D on a floor on the right.

World axes of the 3D panel: metres, x right, y forward (away from the camera), z up, floor at z = 0. Everything is
drawn with numpy and OpenCV; what does not change between frames (floor, grid, background) is drawn once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.types import FloatArray, Frame, Person2D, Pose3D, VideoMeta
from sasmamba.models.skeletons import COCO, COCO_EDGES, H36M, H36M_EDGES

Color = tuple[float, float, float]  # BGR, 0..255
Canvas = NDArray[np.uint8]
#: What is laid over a canvas, (H, W, 1) and (H, W, 3) float32: what it keeps of the ground, and what it adds, rounded.
_Layer = tuple[FloatArray, FloatArray]


def _rgb(value: int) -> Color:
    """0xRRGGBB as BGR."""
    return float(value & 255), float(value >> 8 & 255), float(value >> 16 & 255)


#: Left is warm and right is cool, in both panels.
SIDE_COLORS: dict[str, Color] = {"left": _rgb(0xFF9550), "right": _rgb(0x4FA3FF), "middle": _rgb(0xD5DAE3)}
#: A track keeps its colour for the whole take; none of these is a side's colour.
TRACK_COLORS = tuple(
    _rgb(c)
    for c in (0x7FDB8B, 0xF07FC0, 0xFFD75E, 0x5FDFE3, 0xB79CFF, 0xFF7A7A, 0xC5E36A, 0xE8B98A, 0x8FB8A8, 0xD0A8D8)
)
_TOP, _BOTTOM, _GLOW = _rgb(0x2B3038), _rgb(0x14161A), _rgb(0x474F5C)
_INK, _GRID, _TEXT, _DIM = _rgb(0x0E1013), _rgb(0x8E9AAC), _rgb(0xE6EAF0), _rgb(0x8B94A3)

#: Camera axes (x right, y down, z forward) to world axes, for a camera held level.
R_WORLD_CAM = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)
#: Pelvis above the floor of a standing adult, where nobody has measured it.
PELVIS_HEIGHT_M = 0.95
#: Room that people take up: arms out, and an adult with a raised hand.
_REACH_M, _HEAD_ROOM_M = 0.85, 1.95


def camera_to_world(joints: NDArray, R_world_cam: NDArray = R_WORLD_CAM) -> FloatArray:
    """Turns (..., 3) camera axes into world axes; a level camera maps (x, y, z) to (x, z, -y)."""
    return np.asarray(joints @ R_world_cam.T, np.float32)


@dataclass(frozen=True, slots=True)
class RenderConfig:
    """How the picture looks.

    Attributes:
        height: of the picture in pixels, at most; small videos give smaller pictures.
        show_numbers: frame number and time in the lower left corner.
        min_score: 2D joints below are not drawn.
        azimuth_deg, elevation_deg: where the 3D panel is seen from; 0, 0 is the video camera's own view.
    """

    height: int = 720
    show_numbers: bool = False
    min_score: float = 0.3
    azimuth_deg: float = 28.0
    elevation_deg: float = 13.0

    def __post_init__(self) -> None:
        if self.height < 64:
            raise ValueError(f"height: want at least 64, got {self.height}")


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The part of the floor that a whole take plays on, fixed so that the view is steady.

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
        """The scene that holds these pelvis paths, each (T, 3) in world axes; the default scene if there are none."""
        paths = [np.asarray(r, np.float32).reshape(-1, 3) for r in roots]
        points = np.concatenate([np.zeros((0, 3), np.float32), *paths])
        points = points[np.isfinite(points).all(-1)]
        if not len(points):
            return cls(R_world_cam=R_world_cam)
        hull = cv2.convexHull(np.ascontiguousarray(points[:, :2])).reshape(-1, 2)
        top = max(_HEAD_ROOM_M, float(points[:, 2].max()) + _HEAD_ROOM_M - PELVIS_HEIGHT_M)
        return cls(tuple((float(x), float(y)) for x, y in hull), R_world_cam, top)


@dataclass(frozen=True, slots=True)
class _View:
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
    def framing(cls, scene: Scene, azimuth_deg: float, elevation_deg: float, width: int, height: int) -> _View:
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


class Renderer:
    """Draws one frame after another.

    Args:
        meta: of the video.
        config: how it looks.
        scene: the floor the take plays on, see `Scene.around`.

    Attributes:
        size: width and height of the pictures, even numbers.
    """

    def __init__(self, meta: VideoMeta, config: RenderConfig | None = None, scene: Scene | None = None) -> None:
        self._config = config or RenderConfig()
        self._scene = scene or Scene()
        self._meta = meta
        # Twice its size is as much as a small video bears; very wide ones are fitted by width, on a dark ground.
        height = min(self._config.height, max(2 * meta.height, 360)) // 2 * 2
        self._scale = min(height / meta.height, 16 / 9 * height / meta.width, 2.0)
        shown = max(1, round(meta.width * self._scale)), max(1, round(meta.height * self._scale))
        self._shown = shown
        self._split = (max(shown[0], height // 4) + 1) // 2 * 2
        # A walk across a wide picture is wide on the floor, too: a square panel would show small people.
        self._panel = height * 4 // 3 // 2 * 2
        self.size = self._split + self._panel, height
        self._offset = (self._split - shown[0]) // 2, (height - shown[1]) // 2
        self._unit = height / 720  # line widths and letters grow with the picture
        self._canvas = np.full((height, self.size[0], 3), _INK, np.uint8)
        self.look(self._config.azimuth_deg, self._config.elevation_deg)

    def look(self, azimuth_deg: float, elevation_deg: float, scene: Scene | None = None) -> None:
        """Sees the 3D panel from elsewhere, or another part of the floor; costs about as much as drawing 30 frames."""
        self._scene = scene or self._scene
        panel = self._panel, self.size[1]
        self._view = _View.framing(self._scene, azimuth_deg, elevation_deg, *panel)
        self._stage = draw_stage(self._view, self._scene, *panel)
        # Chosen once, by the size of people at the scene's middle: chosen frame by frame, tones would come and go.
        px_per_m = self._view.focal_px / float(np.linalg.norm(self._view.position[:2] - self._scene.centre))
        size = np.array([t.size for t in _TONES])
        shows = (_PARTS.radii_m.max(-1, keepdims=True) * size * px_per_m >= _LEAST_TONE_PX) | (size == 1)
        self._tones = [np.flatnonzero(part).tolist() for part in shows]

    def draw(
        self,
        frame: Frame,
        people2d: tuple[Person2D, ...],
        poses: tuple[Pose3D, ...],
        hud: str | None,
        roots: Mapping[int, NDArray],
    ) -> Canvas:
        """The picture of one frame.

        Args:
            frame: of the size given by `meta`.
            people2d: drawn over the video.
            poses: drawn in the 3D panel.
            hud: lines of text for the corner of the 3D panel.
            roots: pelvis position (3,) in world axes by track, one for every pose.

        Returns:
            (height, width, 3) uint8 BGR. It is the renderer's own and drawn over by the next call: copy it to keep it.
        """
        if frame.bgr.shape != (self._meta.height, self._meta.width, 3):
            raise ValueError(f"frame: want {(self._meta.height, self._meta.width, 3)}, got {frame.bgr.shape}")
        self._draw_video(frame, people2d)
        panel = self._canvas[:, self._split :]
        panel[:] = self._stage
        if poses:
            self._draw_people(panel, poses, roots)
        else:
            self._text(panel, "no person", (self._panel / 2, self.size[1] * 0.93), 17, _DIM, anchor=(0.5, 0.5))
        if hud:
            for i, line in enumerate(hud.splitlines()):
                self._text(panel, line, (18 * self._unit, (16 + 19 * i) * self._unit), 13, _DIM, mono=True)
        if self._config.show_numbers:
            text = f"frame {frame.index}   {_clock(frame.time_s)}"
            self._pill(self._canvas, text, (14 * self._unit, self.size[1] - 14 * self._unit), _INK, _TEXT, (0, 1))
        return self._canvas

    def _draw_video(self, frame: Frame, people2d: tuple[Person2D, ...]) -> None:
        (x, y), (width, height) = self._offset, self._shown
        shown = self._canvas[y : y + height, x : x + width]
        if (self._meta.width, self._meta.height) == self._shown:
            shown[:] = frame.bgr
        else:
            # INTER_AREA is right for shrinking, and OpenCV's is fast only by whole factors; linear will do above 1/2.
            way = cv2.INTER_AREA if self._scale <= 0.5 else cv2.INTER_LINEAR
            cv2.resize(frame.bgr, self._shown, dst=shown, interpolation=way)
        if people2d:
            self._draw_skeletons(shown, people2d)

    def _draw_skeletons(self, shown: Canvas, people2d: tuple[Person2D, ...]) -> None:
        """COCO joints over the video, dark below bright so that it reads on any ground."""
        joints, score = np.stack([p.joints_px for p in people2d]), np.stack([p.score for p in people2d])
        seen = (score >= self._config.min_score) & np.isfinite(joints).all(-1)
        # A joint far outside the picture would overflow OpenCV's fixed-point coordinates.
        pixels = np.where(seen[..., None], np.clip((joints + 0.5) * self._scale - 0.5, -2000, 6000), 0)
        drawn = np.all(seen[:, _LINES], axis=-1)
        half = max(1, round(2.6 * self._unit)) / 2
        # Lines need no round ends: dots stand on all of them.
        dark, bright = (_fixed(bars(pixels[:, _LINES], h)) for h in (half + 1, half))
        at = _fixed(pixels).tolist()
        rim = round(16 * self._unit)
        for i, person in enumerate(people2d):
            lines = np.flatnonzero(drawn[i]).tolist()
            for line in lines:
                cv2.fillConvexPoly(shown, dark[i, line], _INK, cv2.LINE_AA, 4)
            for line in lines:
                cv2.fillConvexPoly(shown, bright[i, line], _LINE_COLORS[line], cv2.LINE_AA, 4)
            for joint in np.flatnonzero(seen[i]).tolist():
                radius = round(_DOT_RADII[joint] * self._unit * 16)
                cv2.circle(shown, at[i][joint], radius + rim, _INK, -1, cv2.LINE_AA, 4)
                cv2.circle(shown, at[i][joint], radius, _DOT_COLORS[joint], -1, cv2.LINE_AA, 4)
            self._draw_tag(shown, person, pixels[i], seen[i])

    def _draw_tag(self, shown: Canvas, person: Person2D, pixels: NDArray, seen: NDArray) -> None:
        """A person's number above their head."""
        if person.track_id is None:
            return
        if seen.any():
            x, y = float(pixels[seen, 0].mean()), float(pixels[seen, 1].min())
            head = [j for j in range(COCO.RIGHT_EAR + 1) if seen[j]]
            if head:  # the ears stand half-way up the head
                x, y = float(pixels[head, 0].mean()), float(pixels[head, 1].min())
                y -= 0.12 * float(np.ptp(pixels[seen, 1]))
        else:
            x, y = float(person.box_px[[0, 2]].mean()) * self._scale, float(person.box_px[1]) * self._scale
        colour = track_color(person.track_id)
        self._pill(shown, f"#{person.track_id}", (x, y - 4 * self._unit), colour, _INK, (0.5, 1))

    def _draw_people(self, panel: Canvas, poses: tuple[Pose3D, ...], roots: Mapping[int, NDArray]) -> None:
        turned = camera_to_world(np.stack([p.joints for p in poses]), self._scene.R_world_cam)
        world = turned + np.stack([roots[p.track_id] for p in poses])[:, None]  # (people, 17, 3)
        sound = np.isfinite(world).all((1, 2))
        if not sound.all():  # a pose that is not a number cannot be drawn; the others can
            world, poses = world[sound], tuple(p for p, ok in zip(poses, sound, strict=True) if ok)
        if not len(world):
            return
        self._draw_shadows(panel, world, [p.observed for p in poses])
        self._draw_bodies(panel, world, [p.observed for p in poses])
        tops = world[:, H36M.HEAD_TOP] + np.array([0, 0, 0.14])
        pixels, depth = self._view(tops)
        for i in np.argsort(-depth):
            track = poses[i].track_id
            colour = track_color(track) if poses[i].observed else _mix(track_color(track), _BOTTOM, 0.5)
            self._pill(panel, f"#{track}", (pixels[i, 0], pixels[i, 1]), colour, _INK, (0.5, 1))

    def _draw_shadows(self, panel: Canvas, world: NDArray, observed: list[bool]) -> None:
        """Soft shadows on the floor, deep where a limb is near it; drawn small, blurred, and laid over."""
        small = 6
        above = np.maximum(world[..., 2:], 0)
        floor = np.concatenate((world[..., :2] + above * _SHADOW_SLANT, np.zeros_like(above)), -1)
        pixels, depth = self._view(floor)
        a, b = pixels[:, _SHADOW[:, 0]], pixels[:, _SHADOW[:, 1]]
        flat = 0.75 * self._view.focal_px / depth
        radii = _SHADOW_RADII[:, None] * np.stack((flat[:, _SHADOW[:, 0]], flat[:, _SHADOW[:, 1]]), -1)
        outlines = capsules(a.reshape(-1, 2), b.reshape(-1, 2), radii[..., 0].ravel(), radii[..., 1].ravel())
        low, high = outlines.min((0, 1)), outlines.max((0, 1))
        margin = 24 * self._unit
        x0, y0 = np.clip((low - margin) // small * small, 0, (self._panel, self.size[1])).astype(int)
        x1, y1 = np.clip((high + margin) // small * small + small, 0, (self._panel, self.size[1])).astype(int)
        if x1 - x0 < small or y1 - y0 < small:
            return
        mask = np.zeros((-(-(y1 - y0) // small), -(-(x1 - x0) // small)), np.uint8)
        height = (world[:, _SHADOW[:, 0], 2] + world[:, _SHADOW[:, 1], 2]) / 2
        strength = 205 * np.exp(-np.maximum(height, 0) / 1.3) * np.where(observed, 1.0, 0.5)[:, None]
        fixed = np.rint((outlines - (x0, y0)) / small * 16).astype(np.int32)
        for i in np.argsort(strength.ravel()):
            cv2.fillConvexPoly(mask, fixed[i], float(strength.ravel()[i]), cv2.LINE_8, 4)
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.6, 1.15 * self._unit))
        keep = cv2.resize(255 - mask, (int(x1 - x0), int(y1 - y0)), interpolation=cv2.INTER_LINEAR)
        ground = panel[y0:y1, x0:x1]
        cv2.multiply(ground, cv2.cvtColor(keep, cv2.COLOR_GRAY2BGR), dst=ground, scale=1 / 255)

    def _draw_bodies(self, panel: Canvas, world: NDArray, observed: list[bool]) -> None:
        """Limbs as shaded capsules, the farthest first across all people."""
        ends = world[:, _PARTS.joints]  # (people, parts, 2, 3)
        a, b = (ends[:, :, 0] + (ends[:, :, 1] - ends[:, :, 0]) * t[:, None] for t in _PARTS.along.T)
        (pa, da), (pb, db) = self._view(a), self._view(b)
        ra, rb = (_PARTS.radii_m[:, i] * self._view.focal_px / d for i, d in enumerate((da, db)))
        depth = (da + db) / 2
        depth[:, _PARTS.balls] = depth[:, _PARTS.limbs_of_ball].min(-1) - 0.01
        # A cylinder is brightest where the light falls square on its axis.
        axis = (b - a) @ self._view.axes.T
        length = np.linalg.norm(axis, axis=-1, keepdims=True)
        along = np.abs((axis / np.maximum(length, 1e-6)) @ _LIGHT)
        lit = 0.72 + 0.28 * np.sqrt(np.maximum(1 - along**2, 0))
        reach = self._scene.radius_m
        middle = float(np.linalg.norm(self._view.position[:2] - self._scene.centre))
        fog = 0.24 * np.clip((depth - middle + reach) / (2 * reach), 0, 1)
        fade = np.where(observed, 0.0, 0.62)[:, None]

        people, parts = depth.shape
        pa, pb, ra, rb = (v.reshape(people * parts, 1, *v.shape[2:]) for v in (pa, pb, ra, rb))
        direction = pb - pa
        span = np.linalg.norm(direction, axis=-1, keepdims=True)
        direction = direction / np.maximum(span, 1e-6)
        # The highlight lies across a limb, not towards its end; on a ball it lies towards the light.
        towards = np.array([_LIGHT[0], -_LIGHT[1]])
        stretched = np.minimum(span / np.maximum(ra, 1e-6)[..., None], 1)
        towards = towards - direction * (direction @ towards)[..., None] * stretched
        size, shift, grow = np.array([(t.size, t.shift, t.outline_px * max(self._unit, 0.6)) for t in _TONES]).T
        shift = towards * shift[:, None]  # (parts of all people, tones, 2)
        centres = (pa + shift * ra[..., None]).reshape(-1, 2), (pb + shift * rb[..., None]).reshape(-1, 2)
        radii = ra * size + grow, rb * size + grow
        outlines = capsules(*centres, radii[0].ravel(), radii[1].ravel()).reshape(people * parts, len(_TONES), -1, 2)
        fixed = _fixed(np.clip(outlines, -4000, 8000))

        shade = np.stack([t.brightness * lit if t.brightness else np.zeros_like(lit) for t in _TONES], -1)[..., None]
        white = np.array([t.white for t in _TONES])[:, None]
        base = _PARTS.colors[None, :, None]
        colors = np.clip(base * shade * (1 - white) + 255 * white, 0, 255)
        colors[:, :, 0] = _INK
        haze = 1 - (1 - fog) * (1 - fade)
        colors = colors + (np.array(_TOP) - colors) * haze[..., None, None]
        table = colors.reshape(people * parts, len(_TONES), 3).tolist()
        for i in np.argsort(-depth, axis=None).tolist():
            for tone in self._tones[i % parts]:
                cv2.fillConvexPoly(panel, fixed[i, tone], table[i][tone], cv2.LINE_AA, 4)

    def _text(
        self,
        canvas: Canvas,
        text: str,
        at: tuple[float, float],
        size: float,
        color: Color,
        anchor: tuple[float, float] = (0, 0),
        mono: bool = False,
    ) -> None:
        layer = _text_layer(text, max(8, round(size * self._unit)), mono, color)
        height, width, _ = layer[0].shape
        _lay(canvas, layer, round(at[0] - anchor[0] * width), round(at[1] - anchor[1] * height))

    def _pill(
        self,
        canvas: Canvas,
        text: str,
        at: tuple[float, float],
        back: Color,
        front: Color,
        anchor: tuple[float, float],
    ) -> None:
        """Text on a rounded ground, moved inside the picture where it would stick out."""
        layer = _pill_layer(text, self._unit, back, front)
        height, width, _ = layer[0].shape
        x = round(min(max(at[0] - anchor[0] * width, 2), canvas.shape[1] - width - 2))
        y = round(min(max(at[1] - anchor[1] * height, 2), canvas.shape[0] - height - 2))
        _lay(canvas, layer, x, y)


def track_color(track_id: int) -> Color:
    """The colour of a track, the same in both panels and in every frame."""
    return TRACK_COLORS[(track_id - 1) % len(TRACK_COLORS)]


def bars(ends: NDArray, half: float) -> NDArray:
    """Outlines (..., 4, 2) of straight bars of half a width, between ends (..., 2, 2)."""
    along = ends[..., 1, :] - ends[..., 0, :]
    length = np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9)
    side = along[..., ::-1] * (-half, half) / length[..., None]
    a, b = ends[..., 0, :], ends[..., 1, :]
    return np.stack((a + side, b + side, b - side, a - side), -2)


def _fixed(points: NDArray) -> NDArray[np.int32]:
    """Pixels as OpenCV's fixed-point numbers, with four bits after the point."""
    return np.rint(points * 16).astype(np.int32)


def capsules(a: NDArray, b: NDArray, ra: NDArray, rb: NDArray) -> NDArray:
    """Outlines of tapered capsules: the hulls of circles around a and b.

    Args:
        a, b: (N, 2) centres.
        ra, rb: (N,) radii > 0.

    Returns:
        (N, 18, 2) corners, convex. Where one circle holds the other this is about the larger one.
    """
    a, b, ra, rb = (np.asarray(v, np.float32) for v in (a, b, ra, rb))  # enough for pixels, and much faster
    d = b - a
    length = np.maximum(np.hypot(d[:, 0], d[:, 1]), 1e-9)
    theta = np.arctan2(d[:, 1], d[:, 0])[:, None]
    # The straight sides touch both circles at this angle from the axis.
    phi = np.arccos(np.clip((ra - rb) / length, -0.98, 0.98))[:, None]
    round_b = theta + phi * _ARC
    round_a = theta + np.pi + (np.pi - phi) * _ARC
    on_b = b[:, None] + rb[:, None, None] * np.stack((np.cos(round_b), np.sin(round_b)), -1)
    on_a = a[:, None] + ra[:, None, None] * np.stack((np.cos(round_a), np.sin(round_a)), -1)
    return np.concatenate((on_b, on_a), 1)


def draw_stage(view: _View, scene: Scene, width: int, height: int) -> Canvas:
    """Background and floor: a dark gradient, a pool of light, and a grid of half metres that fades outwards."""
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    mix = (v / max(height - 1, 1))[..., None]
    picture = np.array(_TOP, np.float32) * (1 - mix) + np.array(_BOTTOM, np.float32) * mix
    # Where does the ray of each pixel meet the floor?
    ray = ((u - view.centre_px[0])[..., None] * view.axes[0] - (v - view.centre_px[1])[..., None] * view.axes[1]) / (
        view.focal_px
    ) + view.axes[2]
    down = np.minimum(ray[..., 2], -1e-3)
    reach = -view.position[2] / down
    x = view.position[0] + ray[..., 0] * reach - scene.centre[0]
    y = view.position[1] + ray[..., 1] * reach - scene.centre[1]
    away = np.hypot(x, y) / scene.radius_m
    hits = ray[..., 2] < -1e-3
    light = np.where(hits, np.exp(-((away / 1.15) ** 2)), 0)
    picture += (np.array(_GLOW, np.float32) - picture) * (0.85 * light)[..., None]
    # Lines a set width in metres, widened to a pixel far away and weakened in turn, so that nothing shimmers.
    grain = np.where(hits, reach / view.focal_px, 1.0)
    lines = np.zeros_like(u)
    for step, strength in ((0.5, 0.28), (1.0, 0.30)):
        for place in (x + scene.centre[0], y + scene.centre[1]):
            pixel = np.abs(np.gradient(place, axis=0)) + np.abs(np.gradient(place, axis=1)) + 1e-9
            distance = np.abs((place + step / 2) % step - step / 2)
            line = np.clip(1.15 - distance / pixel, 0, 1) * np.clip(step / (6 * pixel), 0, 1)
            lines = np.maximum(lines, strength * line)
    fade = np.where(hits & (grain < 0.1), np.exp(-((away / 1.7) ** 4)), 0)
    picture += (np.array(_GRID, np.float32) - picture) * (lines * fade)[..., None]
    # A dark gradient in 8 bits shows bands unless it is dithered; the seed keeps the picture the same in every run.
    picture += np.random.default_rng(0).uniform(-0.5, 0.5, (height, width, 1)).astype(np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class _Tone:
    """One of the layers that make a limb look round: its size, its shift towards the light, its brightness."""

    size: float
    shift: float
    brightness: float
    white: float = 0.0
    outline_px: float = 0.0


_TONES = (
    _Tone(1.0, 0.0, 0.0, outline_px=1.4),
    _Tone(1.0, 0.0, 0.62),
    _Tone(0.80, 0.20, 0.86),
    _Tone(0.52, 0.36, 1.02),
    _Tone(0.20, 0.52, 1.0, white=0.35),
)
#: Tones of a smaller radius hardly show and are left out, save the outline and the limb itself.
_LEAST_TONE_PX = 2.2
#: Towards the light, in view axes (right, up, forward): over the viewer's left shoulder.
_LIGHT = np.array([-0.45, 0.70, -0.55]) / np.linalg.norm([-0.45, 0.70, -0.55])
#: How far a shadow moves on the floor per metre of height.
_SHADOW_SLANT = np.array([0.22, 0.16])
_ARC = np.linspace(-1, 1, 9, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a body is made of: capsules between two points of two joints each; balls are capsules without length."""

    joints: NDArray  # (N, 2) H36M indices
    along: NDArray  # (N, 2) where the capsule begins and ends between them, 0..1
    radii_m: NDArray  # (N, 2)
    colors: NDArray  # (N, 3) BGR
    balls: NDArray  # (B,) which of the N are balls
    limbs_of_ball: NDArray  # (B, 2) the limbs that meet in each; it is drawn over both


def _body() -> _Parts:
    width = {  # radius at each joint, in metres
        "PELVIS": 0.082,
        "HIP": 0.062,
        "KNEE": 0.049,
        "ANKLE": 0.035,
        "SPINE": 0.088,
        "THORAX": 0.080,
        "NOSE": 0.040,
        "HEAD_TOP": 0.095,
        "SHOULDER": 0.048,
        "ELBOW": 0.037,
        "WRIST": 0.026,
    }
    special = {  # limbs that are not simply joint to joint: begin, end, radii
        "HEAD_TOP": (0.35, 0.60, 0.098, 0.100),
        "NOSE": (0.0, 0.9, 0.042, 0.040),
        "HIP": (0.2, 1.0, 0.064, 0.060),
        "SHOULDER": (0.2, 1.0, 0.048, 0.046),
    }

    def kind(joint: int) -> str:
        name = H36M(joint).name
        return name.partition("_")[2] if name.startswith(("LEFT_", "RIGHT_")) else name

    joints, shape, colors = [], [], []
    for e in H36M_EDGES:
        joints.append((e.a, e.b))
        shape.append(special.get(kind(e.b), (0.0, 1.0, width[kind(e.a)], width[kind(e.b)])))
        colors.append(SIDE_COLORS[e.side])
    limbs_of_ball = []
    for joint in H36M:
        if joint.name.startswith(("LEFT_", "RIGHT_")):
            meeting = [i for i, e in enumerate(H36M_EDGES) if joint in (e.a, e.b)]
            limbs_of_ball.append((meeting[0], meeting[-1]))
            ball = width[kind(joint)] * 1.10
            joints.append((joint, joint))
            shape.append((0.0, 0.0, ball, ball))
            colors.append(_mix(SIDE_COLORS[joint.name.partition("_")[0].lower()], _rgb(0xFFFFFF), 0.22))
    sizes = np.array(shape)
    balls = np.arange(len(H36M_EDGES), len(joints))
    return _Parts(np.array(joints), sizes[:, :2], sizes[:, 2:], np.array(colors), balls, np.array(limbs_of_ball))


def _mix(a: Color, b: Color, share: float) -> Color:
    return tuple(x + (y - x) * share for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


_PARTS = _body()
_LINES = np.array([[e.a, e.b] for e in COCO_EDGES])
_LINE_COLORS = [SIDE_COLORS[e.side] for e in COCO_EDGES]
_DOT_RADII = [2.4 if joint <= COCO.RIGHT_EAR else 3.8 for joint in COCO]
_DOT_COLORS = [_mix(SIDE_COLORS.get(joint.name.partition("_")[0].lower(), _TEXT), _TEXT, 0.6) for joint in COCO]
_SHADOW = np.array([[e.a, e.b] for e in H36M_EDGES])
_SHADOW_RADII = np.array([0.10 if e.side == "middle" else 0.065 for e in H36M_EDGES])


def _clock(time_s: Fraction) -> str:
    minutes, seconds = divmod(float(time_s), 60)
    return f"{int(minutes):02d}:{seconds:06.3f}"


@lru_cache(maxsize=1)
def font_folder() -> Path:
    """DejaVu, which comes with matplotlib: OpenCV's own letters are made of strokes and look it."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def _font_file(mono: bool) -> Path:
    return font_folder() / ("DejaVuSansMono.ttf" if mono else "DejaVuSans-Bold.ttf")


@lru_cache(maxsize=16)
def _font(size: int, mono: bool) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(str(_font_file(mono)), size)


def _letters(text: str, size: int, mono: bool) -> NDArray[np.float32]:
    """Text as coverage 0..1, cut to the height of the letters."""
    from PIL import Image, ImageDraw

    font = _font(size, mono)
    left, top, right, bottom = font.getbbox(text or " ")
    picture = Image.new("L", (max(1, int(right - left)) + 1, max(1, int(bottom - top)) + 1))
    ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font)
    return np.asarray(np.asarray(picture) / 255, np.float32)


def _pill_shape(width: int, height: int) -> NDArray[np.float32]:
    """A rounded rectangle, a little transparent, as coverage 0..1."""
    v, u = np.mgrid[0:height, 0:width] + 0.5
    radius = min(height, width) / 2 * 0.72
    x = np.maximum(np.abs(u - width / 2) - (width / 2 - radius), 0)
    y = np.maximum(np.abs(v - height / 2) - (height / 2 - radius), 0)
    return (np.clip(radius - np.hypot(x, y) + 0.5, 0, 1) * 0.92).astype(np.float32)


@lru_cache(maxsize=64)
def _text_layer(text: str, size: int, mono: bool, color: Color) -> _Layer:
    share = _letters(text, size, mono)[..., None]
    return 1 - share, share * np.array(color, np.float32) + 0.5


@lru_cache(maxsize=256)
def _pill_layer(text: str, unit: float, back: Color, front: Color) -> _Layer:
    letters = _letters(text, max(8, round(14 * unit)), False)
    ground = _pill_shape(letters.shape[1] + round(14 * unit), letters.shape[0] + round(8 * unit))[..., None]
    top, left = (ground.shape[0] - letters.shape[0]) // 2, (ground.shape[1] - letters.shape[1]) // 2
    ink = np.zeros_like(ground)
    ink[top : top + letters.shape[0], left : left + letters.shape[1], 0] = letters
    paint = np.array(back, np.float32) * ground * (1 - ink) + np.array(front, np.float32) * ink + 0.5
    return np.asarray((1 - ground) * (1 - ink), np.float32), np.asarray(paint, np.float32)


def _lay(canvas: Canvas, layer: _Layer, x: int, y: int) -> None:
    """Lays a layer over the canvas; what lies outside is cut off."""
    keep, paint = layer
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + paint.shape[1], canvas.shape[1]), min(y + paint.shape[0], canvas.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    inside = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
    ground = canvas[y0:y1, x0:x1]
    ground[:] = ground * keep[inside] + paint[inside]
