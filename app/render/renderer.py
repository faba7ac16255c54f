"""The picture: the video with its 2D skeletons on the left, the people in 3D on a floor on the right.

World axes of the 3D panel: metres, x right, y forward (away from the camera), z up, floor at z = 0. Everything is
drawn with numpy and OpenCV; what does not change between frames (floor, grid, background) is drawn once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import camera_to_world
from sasmamba.app.render.bodies import (
    LEAST_TONE_PX,
    LIGHT,
    PARTS,
    SHADOW,
    SHADOW_RADII,
    SHADOW_SLANT,
    TONES,
    capsules,
    fixed_point,
)
from sasmamba.app.render.palette import (
    BACK_BOTTOM,
    BACK_TOP,
    DIM,
    INK,
    SIDE_COLORS,
    TEXT,
    Canvas,
    Color,
    mix,
    track_color,
)
from sasmamba.app.render.scene import Scene, SceneCamera, draw_floor
from sasmamba.app.render.text import lay, pill_layer, text_layer
from sasmamba.app.types import Frame, Person2D, Pose3D, VideoMeta
from sasmamba.models.skeletons import COCO, COCO_EDGES, H36M


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
        self._canvas = np.full((height, self.size[0], 3), INK, np.uint8)
        self.see_from(self._config.azimuth_deg, self._config.elevation_deg)

    def see_from(self, azimuth_deg: float, elevation_deg: float, scene: Scene | None = None) -> None:
        """Sees the 3D panel from elsewhere, or another part of the floor; costs about as much as drawing 30 frames."""
        self._scene = scene or self._scene
        panel = self._panel, self.size[1]
        self._view = SceneCamera.framing(self._scene, azimuth_deg, elevation_deg, *panel)
        self._floor = draw_floor(self._view, self._scene, *panel)
        # Chosen once, by the size of people at the scene's middle: chosen frame by frame, tones would come and go.
        px_per_m = self._view.focal_px / float(np.linalg.norm(self._view.position[:2] - self._scene.centre))
        size = np.array([t.size for t in TONES])
        shows = (PARTS.radii_m.max(-1, keepdims=True) * size * px_per_m >= LEAST_TONE_PX) | (size == 1)
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
        panel[:] = self._floor
        if poses:
            self._draw_people(panel, poses, roots)
        else:
            self._text(panel, "no person", (self._panel / 2, self.size[1] * 0.93), 17, DIM, anchor=(0.5, 0.5))
        if hud:
            for i, line in enumerate(hud.splitlines()):
                self._text(panel, line, (18 * self._unit, (16 + 19 * i) * self._unit), 13, DIM, mono=True)
        if self._config.show_numbers:
            text = f"frame {frame.index}   {_clock(frame.time_s)}"
            self._pill(self._canvas, text, (14 * self._unit, self.size[1] - 14 * self._unit), INK, TEXT, (0, 1))
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
        dark, bright = (fixed_point(bars(pixels[:, _LINES], h)) for h in (half + 1, half))
        at = fixed_point(pixels).tolist()
        rim = round(16 * self._unit)
        for i, person in enumerate(people2d):
            lines = np.flatnonzero(drawn[i]).tolist()
            for line in lines:
                cv2.fillConvexPoly(shown, dark[i, line], INK, cv2.LINE_AA, 4)
            for line in lines:
                cv2.fillConvexPoly(shown, bright[i, line], _LINE_COLORS[line], cv2.LINE_AA, 4)
            for joint in np.flatnonzero(seen[i]).tolist():
                radius = round(_DOT_RADII[joint] * self._unit * 16)
                cv2.circle(shown, at[i][joint], radius + rim, INK, -1, cv2.LINE_AA, 4)
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
        self._pill(shown, f"#{person.track_id}", (x, y - 4 * self._unit), colour, INK, (0.5, 1))

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
            colour = track_color(track) if poses[i].observed else mix(track_color(track), BACK_BOTTOM, 0.5)
            self._pill(panel, f"#{track}", (pixels[i, 0], pixels[i, 1]), colour, INK, (0.5, 1))

    def _draw_shadows(self, panel: Canvas, world: NDArray, observed: list[bool]) -> None:
        """Soft shadows on the floor, deep where a limb is near it; drawn small, blurred, and laid over."""
        small = 6
        above = np.maximum(world[..., 2:], 0)
        floor = np.concatenate((world[..., :2] + above * SHADOW_SLANT, np.zeros_like(above)), -1)
        pixels, depth = self._view(floor)
        a, b = pixels[:, SHADOW[:, 0]], pixels[:, SHADOW[:, 1]]
        flat = 0.75 * self._view.focal_px / depth
        radii = SHADOW_RADII[:, None] * np.stack((flat[:, SHADOW[:, 0]], flat[:, SHADOW[:, 1]]), -1)
        outlines = capsules(a.reshape(-1, 2), b.reshape(-1, 2), radii[..., 0].ravel(), radii[..., 1].ravel())
        low, high = outlines.min((0, 1)), outlines.max((0, 1))
        margin = 24 * self._unit
        x0, y0 = np.clip((low - margin) // small * small, 0, (self._panel, self.size[1])).astype(int)
        x1, y1 = np.clip((high + margin) // small * small + small, 0, (self._panel, self.size[1])).astype(int)
        if x1 - x0 < small or y1 - y0 < small:
            return
        mask = np.zeros((-(-(y1 - y0) // small), -(-(x1 - x0) // small)), np.uint8)
        height = (world[:, SHADOW[:, 0], 2] + world[:, SHADOW[:, 1], 2]) / 2
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
        ends = world[:, PARTS.joints]  # (people, parts, 2, 3)
        a, b = (ends[:, :, 0] + (ends[:, :, 1] - ends[:, :, 0]) * t[:, None] for t in PARTS.along.T)
        (pa, da), (pb, db) = self._view(a), self._view(b)
        ra, rb = (PARTS.radii_m[:, i] * self._view.focal_px / d for i, d in enumerate((da, db)))
        depth = (da + db) / 2
        depth[:, PARTS.balls] = depth[:, PARTS.limbs_of_ball].min(-1) - 0.01
        # A cylinder is brightest where the light falls square on its axis.
        axis = (b - a) @ self._view.axes.T
        length = np.linalg.norm(axis, axis=-1, keepdims=True)
        along = np.abs((axis / np.maximum(length, 1e-6)) @ LIGHT)
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
        towards = np.array([LIGHT[0], -LIGHT[1]])
        stretched = np.minimum(span / np.maximum(ra, 1e-6)[..., None], 1)
        towards = towards - direction * (direction @ towards)[..., None] * stretched
        size, shift, grow = np.array([(t.size, t.shift, t.outline_px * max(self._unit, 0.6)) for t in TONES]).T
        shift = towards * shift[:, None]  # (parts of all people, tones, 2)
        centres = (pa + shift * ra[..., None]).reshape(-1, 2), (pb + shift * rb[..., None]).reshape(-1, 2)
        radii = ra * size + grow, rb * size + grow
        outlines = capsules(*centres, radii[0].ravel(), radii[1].ravel()).reshape(people * parts, len(TONES), -1, 2)
        fixed = fixed_point(np.clip(outlines, -4000, 8000))

        shade = np.stack([t.brightness * lit if t.brightness else np.zeros_like(lit) for t in TONES], -1)[..., None]
        white = np.array([t.white for t in TONES])[:, None]
        base = PARTS.colors[None, :, None]
        colors = np.clip(base * shade * (1 - white) + 255 * white, 0, 255)
        colors[:, :, 0] = INK
        haze = 1 - (1 - fog) * (1 - fade)
        colors = colors + (np.array(BACK_TOP) - colors) * haze[..., None, None]
        table = colors.reshape(people * parts, len(TONES), 3).tolist()
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
        layer = text_layer(text, max(8, round(size * self._unit)), mono, color)
        height, width, _ = layer[0].shape
        lay(canvas, layer, round(at[0] - anchor[0] * width), round(at[1] - anchor[1] * height))

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
        layer = pill_layer(text, self._unit, back, front)
        height, width, _ = layer[0].shape
        x = round(min(max(at[0] - anchor[0] * width, 2), canvas.shape[1] - width - 2))
        y = round(min(max(at[1] - anchor[1] * height, 2), canvas.shape[0] - height - 2))
        lay(canvas, layer, x, y)


def bars(ends: NDArray, half: float) -> NDArray:
    """Outlines (..., 4, 2) of straight bars of half a width, between ends (..., 2, 2)."""
    along = ends[..., 1, :] - ends[..., 0, :]
    length = np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9)
    side = along[..., ::-1] * (-half, half) / length[..., None]
    a, b = ends[..., 0, :], ends[..., 1, :]
    return np.stack((a + side, b + side, b - side, a - side), -2)


_LINES = np.array([[e.a, e.b] for e in COCO_EDGES])
_LINE_COLORS = [SIDE_COLORS[e.side] for e in COCO_EDGES]
_DOT_RADII = [2.4 if joint <= COCO.RIGHT_EAR else 3.8 for joint in COCO]
_DOT_COLORS = [mix(SIDE_COLORS.get(joint.name.partition("_")[0].lower(), TEXT), TEXT, 0.6) for joint in COCO]


def _clock(time_s: Fraction) -> str:
    minutes, seconds = divmod(float(time_s), 60)
    return f"{int(minutes):02d}:{seconds:06.3f}"
