"""Bodies in the 3D panel: limbs as shaded capsules, and their shadows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.render.palette import BACK_TOP, INK, SIDE_COLORS, Area, Canvas, mix, rgb
from sasmamba.app.render.scene import Scene, SceneCamera
from sasmamba.models.skeletons import FOOT, FOOT_EDGES, H36M, H36M_EDGES


def fixed_point(points: NDArray) -> NDArray[np.int32]:
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
#: OpenCV's smoothed lines cover less than this beyond an outline.
_SOFT_EDGE_PX = 3
#: How far a shadow moves on the floor per metre of height.
_SHADOW_SLANT = np.array([0.22, 0.16])
_ARC = np.linspace(-1, 1, 9, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a body is made of: capsules between two points of two joints each; balls are capsules without length."""

    joints: NDArray  # (N, 2) indices among the 17 joints and then the 4 points of `FOOT`
    along: NDArray  # (N, 2) where the capsule begins and ends between them, 0..1
    radii_m: NDArray  # (N, 2)
    colors: NDArray  # (N, 3) BGR
    balls: NDArray  # (B,) which of the N are balls
    limbs_of_ball: NDArray  # (B, 2) the limbs that meet in each; it is drawn over both


#: Radius of a body at each joint, metres.
RADIUS_M = {
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
    "HEEL": 0.032,
    "TOE": 0.025,
}


def _body() -> _Parts:
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
        shape.append(special.get(kind(e.b), (0.0, 1.0, RADIUS_M[kind(e.a)], RADIUS_M[kind(e.b)])))
        colors.append(SIDE_COLORS[e.side])
    # the instep, and the sole from the heel to the tip of the toes
    foot = {"ANKLE": (0.0, 0.8, 0.036, 0.027), "HEEL": (0.06, 1.28, 0.032, 0.022)}
    for e in FOOT_EDGES:
        joints.append((e.a, e.b))
        name = H36M(e.a).name if e.a < len(H36M) else FOOT(e.a - len(H36M)).name
        shape.append(foot[name.partition("_")[2]])
        colors.append(SIDE_COLORS[e.side])
    limbs_of_ball = []
    for joint in H36M:
        if joint.name.startswith(("LEFT_", "RIGHT_")):
            meeting = [i for i, e in enumerate(H36M_EDGES) if joint in (e.a, e.b)]
            limbs_of_ball.append((meeting[0], meeting[-1]))
            ball = RADIUS_M[kind(joint)] * 1.10
            joints.append((joint, joint))
            shape.append((0.0, 0.0, ball, ball))
            colors.append(mix(SIDE_COLORS[joint.name.partition("_")[0].lower()], rgb(0xFFFFFF), 0.22))
    sizes = np.array(shape)
    balls = np.arange(len(H36M_EDGES) + len(FOOT_EDGES), len(joints))
    return _Parts(np.array(joints), sizes[:, :2], sizes[:, 2:], np.array(colors), balls, np.array(limbs_of_ball))


_PARTS = _body()
_EDGES = (*H36M_EDGES, *FOOT_EDGES)
_SHADOW = np.array([[e.a, e.b] for e in _EDGES])
_SHADOW_RADII = np.array([0.045 if e in FOOT_EDGES else 0.10 if e.side == "middle" else 0.065 for e in _EDGES])


def visible_tones(camera: SceneCamera, scene: Scene) -> list[list[int]]:
    """Of each part of a body, the tones that are large enough to show.

    Chosen once, by the size of people at the scene's middle: chosen frame by frame, tones would come and go.
    """
    px_per_m = camera.focal_px / float(np.linalg.norm(camera.position[:2] - scene.centre))
    size = np.array([t.size for t in _TONES])
    shows = (_PARTS.radii_m.max(-1, keepdims=True) * size * px_per_m >= _LEAST_TONE_PX) | (size == 1)
    return [np.flatnonzero(part).tolist() for part in shows]


def draw_shadows(panel: Canvas, camera: SceneCamera, world: NDArray, faint: NDArray, unit: float) -> Area | None:
    """Soft shadows on the floor, deep where a limb is near it; drawn small, blurred, and laid over.

    Args:
        world: (people, 21, 3) joints, then heels and toes, in world axes, metres; what ends in one that is not a number
            is not drawn.
        faint: (people, 21) how faintly each of these is drawn, 0 as ever to 1 not at all, see `certainty.faintness`.
        unit: what one pixel of a picture 720 pixels high has become.

    Returns:
        What they cover of the panel, None if that is nothing.
    """
    small = 6
    known = np.isfinite(world).all(-1)[:, _SHADOW].all(-1)
    world = _filled(world)
    above = np.maximum(world[..., 2:], 0)
    floor = np.concatenate((world[..., :2] + above * _SHADOW_SLANT, np.zeros_like(above)), -1)
    pixels, depth = camera(floor)
    a, b = pixels[:, _SHADOW[:, 0]], pixels[:, _SHADOW[:, 1]]
    flat = 0.75 * camera.focal_px / depth
    radii = _SHADOW_RADII[:, None] * np.stack((flat[:, _SHADOW[:, 0]], flat[:, _SHADOW[:, 1]]), -1)
    outlines = capsules(a.reshape(-1, 2), b.reshape(-1, 2), radii[..., 0].ravel(), radii[..., 1].ravel())
    low, high = outlines.min((0, 1)), outlines.max((0, 1))
    margin = 24 * unit
    x0, y0 = np.clip((low - margin) // small * small, 0, panel.shape[1::-1]).astype(int)
    x1, y1 = np.clip((high + margin) // small * small + small, 0, panel.shape[1::-1]).astype(int)
    if x1 - x0 < small or y1 - y0 < small:
        return None
    mask = np.zeros((-(-(y1 - y0) // small), -(-(x1 - x0) // small)), np.uint8)
    height = (world[:, _SHADOW[:, 0], 2] + world[:, _SHADOW[:, 1], 2]) / 2
    strength = 205 * np.exp(-np.maximum(height, 0) / 1.3) * (1 - 0.8 * faint[:, _SHADOW].max(-1)) * known
    fixed = np.rint((outlines - (x0, y0)) / small * 16).astype(np.int32)
    for i in np.argsort(strength.ravel()):
        cv2.fillConvexPoly(mask, fixed[i], float(strength.ravel()[i]), cv2.LINE_8, 4)
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.6, 1.15 * unit))
    keep = cv2.resize(255 - mask, (int(x1 - x0), int(y1 - y0)), interpolation=cv2.INTER_LINEAR)
    ground = panel[y0:y1, x0:x1]
    cv2.multiply(ground, cv2.cvtColor(keep, cv2.COLOR_GRAY2BGR), dst=ground, scale=1 / 255)
    return slice(y0, y1), slice(x0, x1)


def _filled(world: NDArray) -> NDArray:
    """Points (people, 21, 3) with those that are not numbers at the pelvis, where they cover nothing more."""
    return np.where(np.isfinite(world), world, world[:, : H36M.PELVIS + 1])


def draw_bodies(
    panel: Canvas,
    camera: SceneCamera,
    scene: Scene,
    world: NDArray,
    faint: NDArray,
    tones: list[list[int]],
    unit: float,
) -> Area:
    """Limbs as shaded capsules, the farthest first across all people.

    Args:
        world, faint, unit: as for `draw_shadows`.
        tones: of each part of a body, those to draw, see `visible_tones`.

    Returns:
        What they cover of the panel, with a margin for soft edges.
    """
    known = np.isfinite(world).all(-1)[:, _PARTS.joints].all(-1).ravel()
    ends = _filled(world)[:, _PARTS.joints]  # (people, parts, 2, 3)
    a, b = (ends[:, :, 0] + (ends[:, :, 1] - ends[:, :, 0]) * t[:, None] for t in _PARTS.along.T)
    (pa, da), (pb, db) = camera(a), camera(b)
    ra, rb = (_PARTS.radii_m[:, i] * camera.focal_px / d for i, d in enumerate((da, db)))
    depth = (da + db) / 2
    depth[:, _PARTS.balls] = depth[:, _PARTS.limbs_of_ball].min(-1) - 0.01
    # A cylinder is brightest where the light falls square on its axis.
    axis = (b - a) @ camera.axes.T
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    along = np.abs((axis / np.maximum(length, 1e-6)) @ _LIGHT)
    lit = 0.72 + 0.28 * np.sqrt(np.maximum(1 - along**2, 0))
    reach = scene.radius_m
    middle = float(np.linalg.norm(camera.position[:2] - scene.centre))
    fog = 0.24 * np.clip((depth - middle + reach) / (2 * reach), 0, 1)
    fade = faint[:, _PARTS.joints].max(-1)  # a limb is no surer than its ends

    people, parts = depth.shape
    pa, pb, ra, rb = (v.reshape(people * parts, 1, *v.shape[2:]) for v in (pa, pb, ra, rb))
    direction = pb - pa
    span = np.linalg.norm(direction, axis=-1, keepdims=True)
    direction = direction / np.maximum(span, 1e-6)
    # The highlight lies across a limb, not towards its end; on a ball it lies towards the light.
    towards = np.array([_LIGHT[0], -_LIGHT[1]])
    stretched = np.minimum(span / np.maximum(ra, 1e-6)[..., None], 1)
    towards = towards - direction * (direction @ towards)[..., None] * stretched
    size, shift, grow = np.array([(t.size, t.shift, t.outline_px * max(unit, 0.6)) for t in _TONES]).T
    shift = towards * shift[:, None]  # (parts of all people, tones, 2)
    centres = (pa + shift * ra[..., None]).reshape(-1, 2), (pb + shift * rb[..., None]).reshape(-1, 2)
    radii = ra * size + grow, rb * size + grow
    outlines = capsules(*centres, radii[0].ravel(), radii[1].ravel()).reshape(people * parts, len(_TONES), -1, 2)
    fixed = fixed_point(np.clip(outlines, -4000, 8000))

    shade = np.stack([t.brightness * lit if t.brightness else np.zeros_like(lit) for t in _TONES], -1)[..., None]
    white = np.array([t.white for t in _TONES])[:, None]
    base = _PARTS.colors[None, :, None]
    colors = np.clip(base * shade * (1 - white) + 255 * white, 0, 255)
    colors[:, :, 0] = INK
    haze = 1 - (1 - fog) * (1 - fade)
    colors = colors + (np.array(BACK_TOP) - colors) * haze[..., None, None]
    table = colors.reshape(people * parts, len(_TONES), 3).tolist()
    order = np.argsort(-depth, axis=None)
    for i in order[known[order]].tolist():
        for tone in tones[i % parts]:
            cv2.fillConvexPoly(panel, fixed[i, tone], table[i][tone], cv2.LINE_AA, 4)
    x0, y0 = np.maximum(fixed.min((0, 1, 2)) // 16 - _SOFT_EDGE_PX, 0).tolist()
    x1, y1 = np.maximum(fixed.max((0, 1, 2)) // 16 + 1 + _SOFT_EDGE_PX, 0).tolist()
    return slice(y0, y1), slice(x0, x1)
