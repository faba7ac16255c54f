"""The picture: the video with its 2D skeletons on the left, the people in 3D on a floor on the right.

World axes of the 3D panel: metres, x right, y forward (away from the camera), z up, floor at z = 0. Everything is
drawn with numpy and OpenCV; what does not change between frames (floor, grid, background) is drawn once, and laid
anew only where the last picture covered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import camera_to_world
from sasmamba.app.motion.body import left_out, without_legs
from sasmamba.app.motion.certainty import FAINT, FOOT_ANKLES, Certainty
from sasmamba.app.motion.feet import feet_now
from sasmamba.app.render.bodies import draw_bodies, draw_shadows, visible_tones
from sasmamba.app.render.overlay import draw_skeletons
from sasmamba.app.render.palette import (
    BACK_BOTTOM,
    DIM,
    INK,
    TEXT,
    Area,
    Canvas,
    mix,
    track_color,
)
from sasmamba.app.render.scene import Scene, SceneCamera, draw_floor
from sasmamba.app.render.text import draw_pill, draw_text
from sasmamba.app.types import Frame, Person2D, Pose3D, VideoMeta
from sasmamba.models.skeletons import H36M

#: Who comes nearer to whoever looks at the 3D panel is not drawn in it.
_NEAREST_M = 0.5


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


@dataclass(slots=True)
class _Page:
    """A canvas to draw on, and where what was drawn last covers the ground."""

    canvas: Canvas
    covered: list[Area | None] = field(default_factory=list)


class Renderer:
    """Draws one frame after another.

    Args:
        meta: of the video.
        config: how it looks.
        scene: the floor the first shot plays on, see `Scene.around`.
        pages: canvases used in turn: a picture stays as it is until so many more are drawn.

    Attributes:
        size: width and height of the pictures, even numbers.
    """

    def __init__(
        self, meta: VideoMeta, config: RenderConfig | None = None, scene: Scene | None = None, *, pages: int = 1
    ) -> None:
        if pages < 1:
            raise ValueError(f"pages: want at least 1, got {pages}")
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
        self._ground = np.full((height, self.size[0], 3), INK, np.uint8)
        self._pages = [_Page(np.empty_like(self._ground)) for _ in range(pages)]
        self._drawn = 0
        self.see_from(self._config.azimuth_deg, self._config.elevation_deg)

    def see_from(self, azimuth_deg: float, elevation_deg: float, scene: Scene | None = None) -> None:
        """Sees the 3D panel from elsewhere, or another part of the floor; costs about as much as drawing 20 frames."""
        self._scene = scene or self._scene
        panel = self._panel, self.size[1]
        self._camera = SceneCamera.framing(self._scene, azimuth_deg, elevation_deg, *panel)
        self._ground[:, self._split :] = draw_floor(self._camera, self._scene, *panel)
        for page in self._pages:
            page.covered = [np.s_[:, :]]
        self._tones = visible_tones(self._camera, self._scene)

    def draw(
        self,
        frame: Frame,
        people2d: tuple[Person2D, ...],
        poses: tuple[Pose3D, ...],
        hud: str | None,
        roots: Mapping[int, NDArray],
        feet: Mapping[int, NDArray] | None = None,
        faint: Mapping[int, NDArray] | None = None,
        upper: frozenset[int] = frozenset(),
    ) -> Canvas:
        """The picture of one frame.

        Args:
            frame: of the size given by `meta`.
            people2d: drawn over the video.
            poses: drawn in the 3D panel.
            hud: lines of text for the corner of the 3D panel.
            roots: pelvis position (3,) in world axes by track, one for every pose.
            feet: heels and toes (4, 3) in world axes by track; who has none gets those of `feet_now`.
            faint: how faintly the joints (17,) are drawn by track, 0 as ever to 1 not at all; of whom it does not say,
                all are drawn as ever where they were seen, and as inferred where not, see `certainty.faintness`.
            upper: the tracks whose legs are left out, in both panels.

        Returns:
            (height, width, 3) uint8 BGR, to be read only. It is the renderer's own and drawn over as many calls
            later as there are pages: copy it to keep it.
        """
        if frame.bgr.shape != (self._meta.height, self._meta.width, 3):
            raise ValueError(f"frame: want {(self._meta.height, self._meta.width, 3)}, got {frame.bgr.shape}")
        page = self._pages[self._drawn % len(self._pages)]
        self._drawn += 1
        canvas, panel = page.canvas, page.canvas[:, self._split :]
        for area in filter(None, page.covered):
            canvas[area] = self._ground[area]
        self._draw_video(canvas, frame, tuple(without_legs(p) if p.track_id in upper else p for p in people2d))
        if poses:
            covered = self._draw_people(panel, poses, roots, feet or {}, faint or {}, upper)
        else:
            at = self._panel / 2, self.size[1] * 0.93
            covered = [draw_text(panel, "no person", at, 17 * self._unit, DIM, anchor=(0.5, 0.5))]
        for i, line in enumerate(hud.splitlines() if hud else ()):
            at = 18 * self._unit, (16 + 19 * i) * self._unit
            covered.append(draw_text(panel, line, at, 13 * self._unit, DIM, mono=True))
        page.covered = [area and (area[0], _shifted(area[1], self._split)) for area in covered]
        if self._config.show_numbers:
            text = f"frame {frame.index}   {_clock(frame.time_s)}"
            at = 14 * self._unit, self.size[1] - 14 * self._unit
            page.covered.append(draw_pill(canvas, text, at, INK, TEXT, (0, 1), self._unit))
        return canvas

    def _draw_video(self, canvas: Canvas, frame: Frame, people2d: tuple[Person2D, ...]) -> None:
        (x, y), (width, height) = self._offset, self._shown
        shown = canvas[y : y + height, x : x + width]
        if (self._meta.width, self._meta.height) == self._shown:
            shown[:] = frame.bgr
        else:
            # INTER_AREA is right for shrinking, and OpenCV's is fast only by whole factors; linear will do above 1/2.
            way = cv2.INTER_AREA if self._scale <= 0.5 else cv2.INTER_LINEAR
            cv2.resize(frame.bgr, self._shown, dst=shown, interpolation=way)
        if people2d:
            draw_skeletons(shown, people2d, scale=self._scale, min_score=self._config.min_score, unit=self._unit)

    def _draw_people(
        self,
        panel: Canvas,
        poses: tuple[Pose3D, ...],
        roots: Mapping[int, NDArray],
        feet: Mapping[int, NDArray],
        faint: Mapping[int, NDArray],
        upper: frozenset[int],
    ) -> list[Area | None]:
        """Everybody, the farthest first; returns what they cover of the panel."""
        turned = camera_to_world(np.stack([p.joints for p in poses]), self._scene.R_world_cam)
        world = turned + np.stack([roots[p.track_id] for p in poses])[:, None]  # (people, 17, 3)
        sound = np.isfinite(world).all((1, 2))
        if not sound.all():  # a pose that is not a number cannot be drawn; the others can
            world, poses = world[sound], tuple(p for p, ok in zip(poses, sound, strict=True) if ok)
        if not len(world):
            return []
        guessed = feet_now(world)
        soles = np.stack([feet.get(p.track_id, own) for p, own in zip(poses, guessed, strict=True)])
        world = np.concatenate([world, soles], 1)
        # the view is ruled by those who matter: somebody else may stand behind whoever looks at it
        shown = np.asarray((self._camera(world)[1] > _NEAREST_M).all(1))
        if not shown.any():
            return []
        world, poses = world[shown], tuple(p for p, is_so in zip(poses, shown, strict=True) if is_so)
        world[np.stack([left_out(p.track_id in upper) for p in poses])] = np.nan
        unsaid = {
            seen: np.full(len(H36M), FAINT[Certainty.SEEN if seen else Certainty.INFERRED]) for seen in (True, False)
        }
        fading = np.stack([faint.get(p.track_id, unsaid[p.observed]) for p in poses])
        fading = np.concatenate([fading, fading[:, FOOT_ANKLES]], 1)  # a foot is as sure as its ankle
        covered = [
            draw_shadows(panel, self._camera, world, fading, self._unit),
            draw_bodies(panel, self._camera, self._scene, world, fading, self._tones, self._unit),
        ]
        tops = world[:, H36M.HEAD_TOP] + np.array([0, 0, 0.14])
        pixels, depth = self._camera(tops)
        for i in np.argsort(-depth):
            track = poses[i].track_id
            colour = track_color(track) if poses[i].observed else mix(track_color(track), BACK_BOTTOM, 0.5)
            at = pixels[i, 0], pixels[i, 1]
            covered.append(draw_pill(panel, f"#{track}", at, colour, INK, (0.5, 1), self._unit))
        return covered


def _shifted(columns: slice, by: int) -> slice:
    return slice(columns.start + by, columns.stop + by)


def _clock(time_s: Fraction) -> str:
    minutes, seconds = divmod(float(time_s), 60)
    return f"{int(minutes):02d}:{seconds:06.3f}"
