"""Generated clips of people for 2D pose from video: moving figures drawn over real pictures, behind moving occluders.

What such a clip is for: to show whether a network uses a person's neighbouring frames. Motion is captured motion,
projected without perspective; bodies are capsules and ellipses with hair, skin, a shirt and trousers; every frame is
exposed for part of its time, so what moves is blurred. Occluders cut out of pictures cross the body, fast enough that
what they hide in the middle frame is seen in another one, most of the time.

Figures are drawn at twice the crop's size and averaged down. Coordinates are the crop's pixels, whole numbers at the
centres of pixels; joints are PoseTrack's fifteen.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sasmamba.common.arrays import Picture
from sasmamba.models.heatmap_codec import PADDING
from sasmamba.models.skeletons import H36M, POSETRACK
from sasmamba.training.motion import Motion

Points = NDArray[np.floating[Any]]
Colour = tuple[int, int, int]

_FINE = 2  # drawn at this many times the crop's size
_EXPOSURES = 3  # pictures that are averaged into one frame
#: PoseTrack's joints in Human3.6M's skeleton; the bottom of the head is the base of the neck.
_OF_H36M = [int(H36M[{"HEAD_BOTTOM": "THORAX"}.get(j.name, j.name)]) for j in POSETRACK]
_SIDES = ("LEFT", "RIGHT")
#: Joints that occluders are aimed at: those whose place the rest of the body does not tell.
_LIMBS = [int(j) for j in POSETRACK if j.name.endswith(("ELBOW", "WRIST", "KNEE", "ANKLE"))]


@dataclass(frozen=True)
class ClipStyle:
    """How clips look.

    Attributes:
        input_px: width and height.
        frames: of a clip.
        fps: frames per second of the clip, whatever the motion's rate.
        exposure: share of a frame's time that it is exposed for.
        occluders: most of them in a clip, fewest 1.
        occluder_radius: half an occluder's side, lowest and highest, as a share of the crop's height.
        occluder_speed: pixels per frame as a multiple of its own radius, lowest and highest.
        yaw_deg: people face the camera within this to either side.
    """

    input_px: tuple[int, int] = (96, 128)
    frames: int = 5
    fps: float = 15.0
    exposure: float = 0.5
    occluders: int = 3
    occluder_radius: tuple[float, float] = (0.09, 0.16)
    occluder_speed: tuple[float, float] = (0.7, 1.6)
    yaw_deg: float = 60.0

    def __post_init__(self) -> None:
        if self.frames < 1 or self.frames % 2 == 0:
            raise ValueError(f"frames: want an odd number, got {self.frames}")
        if self.occluders < 1:
            raise ValueError(f"occluders: want at least 1, got {self.occluders}")


@dataclass(frozen=True)
class GeneratedClip:
    """A clip and what is true of it.

    Attributes:
        frames: (T, H, W, 3) uint8 BGR.
        joints_px: (T, 15, 2).
        inside: (T, 15) within the crop.
        occluded: (T, 15) behind an occluder, in the middle of the exposure.
        head_px: from the base of the neck to the top of the head, in the middle frame.
    """

    frames: Picture
    joints_px: Points
    inside: NDArray[np.bool_]
    occluded: NDArray[np.bool_]
    head_px: float


@dataclass(frozen=True)
class _Occluder:
    """Where one is at times in frames from the middle one, and its picture."""

    place: Points  # (2,) centre at time 0, crop pixels
    speed: Points  # (2,) pixels per frame
    mask: Picture  # (s, s) 0 or 255, fine pixels
    texture: Picture  # (s, s, 3)


def draw_clip(motion: Motion, pictures: list[Picture], seed: tuple[int, ...], style: ClipStyle) -> GeneratedClip:
    """The clip of a seed: the same whenever it is asked for.

    Args:
        motion: whose clips are moved.
        pictures: BGR; backgrounds and occluders are cut out of them.
    """
    rng = np.random.default_rng(seed)
    T, n = style.frames, style.frames * _EXPOSURES
    # times of all exposures, in frames from the middle one
    within = (np.arange(_EXPOSURES) - _EXPOSURES // 2) * style.exposure / (_EXPOSURES - 1)
    times: Points = (np.repeat(np.arange(T) - T // 2, _EXPOSURES) + np.tile(within, T)).astype(np.float64)
    points, depth = _projected(motion, times, rng, style)  # (n, 17, 2) crop pixels, (n, 17)
    appearance = _Appearance.random(rng, float(np.linalg.norm(_bone(points[n // 2], "HEAD_TOP", "THORAX"))))
    background = _background(pictures, rng, style)
    drift = rng.normal(0, 1.0, 2)  # the camera pans a little: the picture moves, pixels per frame
    joints = points[:, _OF_H36M]
    middle = joints.reshape(T, _EXPOSURES, len(_OF_H36M), 2)[T // 2, _EXPOSURES // 2]
    occluders = [_occluder(middle, pictures, rng, style) for _ in range(rng.integers(1, style.occluders + 1))]
    W, H = style.input_px
    hidden = np.zeros((n, H, W), bool)
    exposures = np.empty((n, H, W, 3), np.float32)
    for i, t in enumerate(times):
        fine = _shifted(background, drift * t * _FINE, style)
        _draw_body(fine, points[i] * _FINE + (_FINE - 1) / 2, depth[i], appearance)
        covered = np.zeros(fine.shape[:2], np.uint8)
        for occluder in occluders:
            _paste(fine, covered, occluder, t)
        exposures[i] = cv2.resize(fine, (W, H), interpolation=cv2.INTER_AREA)
        hidden[i] = cv2.resize(covered, (W, H), interpolation=cv2.INTER_AREA) > 127
    noise = rng.normal(0, rng.uniform(1, 5), (T, H, W, 3)).astype(np.float32)
    frames = exposures.reshape(T, _EXPOSURES, H, W, 3).mean(1) * rng.uniform(0.7, 1.1) + noise
    central = slice(_EXPOSURES // 2, None, _EXPOSURES)
    joints = joints[central]
    inside = np.asarray(((joints >= -0.5) & (joints < np.array([W, H]) - 0.5)).all(-1))
    at = np.clip(np.rint(joints).astype(int), 0, [W - 1, H - 1])
    occluded = np.take_along_axis(hidden[central].reshape(T, -1), at[..., 1] * W + at[..., 0], 1)  # (T, 15)
    pixels = np.clip(frames, 0, 255).astype(np.uint8)
    return GeneratedClip(pixels, joints.astype(np.float32), inside, np.asarray(occluded & inside), appearance.head)


def _bone(points: Points, a: str, b: str) -> Points:
    return points[H36M[a]] - points[H36M[b]]


def _projected(motion: Motion, times: Points, rng: np.random.Generator, style: ClipStyle) -> tuple[Points, Points]:
    """Joints (n, 17, 2) in crop pixels at times in frames, and their depth (n, 17), larger is farther."""
    seconds = motion.length.numpy() / motion.fps.numpy()
    clip = int(rng.choice(motion.clips, p=seconds / seconds.sum()))
    step = float(motion.fps[clip]) / style.fps
    span = times[-1] * step
    begin = rng.uniform(span, max(span + 1e-3, float(motion.length[clip]) - 1 - span))
    at = torch.tensor(begin + times * step, dtype=torch.float32)[None]
    joints, root = (v[0].numpy().astype(np.float64) for v in motion.at(torch.tensor([clip]), at))
    middle = len(times) // 2
    world = joints + (root - root[middle])[:, None]
    world *= rng.uniform(0.95, 1.05, 3)  # other builds
    return _to_crop(world, rng, style)


def _to_crop(world: Points, rng: np.random.Generator, style: ClipStyle) -> tuple[Points, Points]:
    """World joints (n, 17, 3), z up, seen by a camera that the person faces, in a crop around the middle pose."""
    middle = len(world) // 2
    across = world[middle, H36M.LEFT_HIP] - world[middle, H36M.RIGHT_HIP]
    facing = math.atan2(-across[0], across[1])  # left to the left of where one looks: forward = (across_y, -across_x)
    turn = -facing + math.radians(rng.uniform(-style.yaw_deg, style.yaw_deg)) - math.pi / 2  # to look along -y
    pitch = math.radians(rng.uniform(-15, 15))
    c, s = math.cos(turn), math.sin(turn)
    x, y, z = world[..., 0] * c - world[..., 1] * s, world[..., 0] * s + world[..., 1] * c, world[..., 2]
    down, depth = -z * math.cos(pitch) + y * math.sin(pitch), y * math.cos(pitch) + z * math.sin(pitch)
    roll = math.radians(rng.normal(0, 8))
    seen = np.stack([x * math.cos(roll) - down * math.sin(roll), x * math.sin(roll) + down * math.cos(roll)], -1)
    low, high = seen[middle].min(0), seen[middle].max(0)
    W, H = style.input_px
    side = max(high[1] - low[1], (high[0] - low[0]) * H / W) * PADDING * rng.uniform(0.85, 1.3)
    centre = (low + high) / 2 + rng.uniform(-0.07, 0.07, 2) * side
    return (seen - centre) * (H / side) + np.array([W, H]) / 2, depth


@dataclass(frozen=True)
class _Appearance:
    """Colours BGR and the head's length in crop pixels, by which everything else is as thick as it is."""

    head: float
    skin: Colour
    hair: Colour
    shirt: Colour
    stripe: Colour
    trousers: Colour
    shoes: Colour
    long_sleeves: bool
    girth: float

    @classmethod
    def random(cls, rng: np.random.Generator, head: float) -> _Appearance:
        def colour(low: int = 10, high: int = 245) -> Colour:
            b, g, r = rng.integers(low, high, 3).tolist()
            return b, g, r

        tone = rng.uniform(0.35, 1.0)
        skin = (int(150 * tone), int(180 * tone), int(230 * tone))
        return cls(
            head,
            skin,
            colour(5, 110),
            colour(),
            colour(),
            colour(),
            colour(),
            bool(rng.random() < 0.5),
            float(rng.uniform(0.85, 1.25)),
        )


def _draw_body(fine: Picture, p: Points, depth: Points, appearance: _Appearance) -> None:
    """Draws joints p (17, 2) in fine pixels, far parts first."""
    unit = max(2.0, appearance.head * _FINE * appearance.girth)

    def capsule(a: int, b: int, thick: float, colour: Colour) -> None:
        line = max(1, round(thick * unit))
        ends = [tuple(int(v) for v in np.rint(p[k] * 16)) for k in (a, b)]
        cv2.line(fine, ends[0], ends[1], tuple(int(c * 0.55) for c in colour), line + 2, cv2.LINE_AA, 4)
        cv2.line(fine, ends[0], ends[1], colour, line, cv2.LINE_AA, 4)

    parts: list[tuple[float, str, str]] = []
    for side in _SIDES:
        for a, b in (("HIP", "KNEE"), ("KNEE", "ANKLE"), ("SHOULDER", "ELBOW"), ("ELBOW", "WRIST")):
            parts.append((float(depth[H36M[f"{side}_{a}"]] + depth[H36M[f"{side}_{b}"]]) / 2, f"{side}_{a}", b))
    trunk = (H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER, H36M.LEFT_HIP, H36M.RIGHT_HIP)
    parts.append((float(depth[list(trunk)].mean()), "TRUNK", ""))
    parts.append((float(depth[[H36M.HEAD_TOP, H36M.NOSE]].mean()) - 0.03, "HEAD", ""))
    for _, start, end in sorted(parts, reverse=True):
        if start == "TRUNK":
            corners = p[[H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER, H36M.RIGHT_HIP, H36M.LEFT_HIP]]
            cv2.fillConvexPoly(
                fine, cv2.convexHull(np.rint(corners * 16).astype(np.int32)), appearance.shirt, cv2.LINE_AA, 4
            )
            rim = (H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER, H36M.RIGHT_HIP, H36M.LEFT_HIP, H36M.LEFT_SHOULDER)
            for first, second in itertools.pairwise(rim):
                belt = (first, second) == (H36M.RIGHT_HIP, H36M.LEFT_HIP)
                capsule(first, second, 0.4, appearance.trousers if belt else appearance.shirt)
            capsule(H36M.THORAX, H36M.SPINE, 0.16, appearance.stripe)
        elif start == "HEAD":
            _draw_head(fine, p, appearance, unit)
        else:
            side = start.split("_")[0]
            colour, thick = {
                "KNEE": (appearance.trousers, 0.52),
                "ANKLE": (appearance.trousers, 0.4),
                "ELBOW": (appearance.shirt, 0.34),
                "WRIST": (appearance.shirt if appearance.long_sleeves else appearance.skin, 0.26),
            }[end]
            capsule(H36M[start], H36M[f"{side}_{end}"], thick, colour)
            if end in ("WRIST", "ANKLE"):  # a hand, a shoe
                tip = H36M[f"{side}_{end}"]
                capsule(
                    tip, tip, 0.34 if end == "WRIST" else 0.46, appearance.skin if end == "WRIST" else appearance.shoes
                )


def _draw_head(fine: Picture, p: Points, appearance: _Appearance, unit: float) -> None:
    """Hair, a face towards the nose's side, a dark nose."""
    top, bottom, nose = p[H36M.HEAD_TOP], p[H36M.THORAX], p[H36M.NOSE]
    length = appearance.head * _FINE
    angle = math.degrees(math.atan2(*(top - bottom)[::-1])) + 90
    ends = [tuple(int(v) for v in np.rint(q * 16)) for q in (bottom, (top + bottom) / 2)]
    cv2.line(fine, ends[0], ends[1], appearance.skin, max(1, round(0.3 * unit)), cv2.LINE_AA, 4)

    def ellipse(centre: Points, wide: float, high: float, colour: Colour) -> None:
        axes = (max(16, int(wide * length * 16)), max(16, int(high * length * 16)))
        cv2.ellipse(fine, tuple(int(v) for v in np.rint(centre * 16)), axes, angle, 0, 360, colour, -1, cv2.LINE_AA, 4)

    middle = top + 0.42 * (bottom - top)
    ellipse(middle, 0.32, 0.42, appearance.hair)
    ellipse(0.6 * middle + 0.4 * nose, 0.22, 0.29, appearance.skin)
    ellipse(nose, 0.06, 0.09, (30, 30, 60))


def _patch(pictures: list[Picture], rng: np.random.Generator, wide: int, high: int) -> Picture:
    """A random piece of a picture, scaled to (high, wide), in other colours, perhaps mirrored."""
    picture = pictures[rng.integers(len(pictures))]
    h, w = picture.shape[:2]
    share = rng.uniform(0.3, 1.0)
    cut_w = min(w, int(h * wide / high)) * share
    cut_h = cut_w * high / wide
    x, y = rng.uniform(0, w - cut_w), rng.uniform(0, h - cut_h)
    piece = cv2.resize(picture[int(y) : int(y + cut_h) + 1, int(x) : int(x + cut_w) + 1], (wide, high))
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    shaded = piece.astype(np.float32) * rng.uniform(0.6, 1.2, 3).astype(np.float32) + float(rng.uniform(-20, 20))
    return np.clip(shaded, 0, 255).astype(np.uint8)


def _background(pictures: list[Picture], rng: np.random.Generator, style: ClipStyle) -> Picture:
    """A piece of a picture with a margin for the drift, in fine pixels."""
    W, H = style.input_px
    return _patch(pictures, rng, int(W * _FINE * 1.2), int(H * _FINE * 1.2))


def _shifted(background: Picture, by: Points, style: ClipStyle) -> Picture:
    W, H = style.input_px[0] * _FINE, style.input_px[1] * _FINE
    h, w = background.shape[:2]
    x, y = (int(np.clip(round(m / 2 + b), 0, m)) for m, b in ((w - W, by[0]), (h - H, by[1])))
    return background[y : y + H, x : x + W].copy()


def _occluder(joints: Points, pictures: list[Picture], rng: np.random.Generator, style: ClipStyle) -> _Occluder:
    """One that hides a random joint of a limb in the middle frame and moves on."""
    radius = rng.uniform(*style.occluder_radius) * style.input_px[1]
    side = int(2 * radius * _FINE) + 1
    mask = np.zeros((side, side), np.uint8)
    middle, angle = (side // 2, side // 2), rng.uniform(0, 180)
    if rng.random() < 0.5:
        axes = (side // 2, int(side / 2 * rng.uniform(0.6, 1)))
        cv2.ellipse(mask, middle, axes, angle, 0, 360, 255, -1)
    else:
        box = cv2.boxPoints(((side / 2, side / 2), (side * 0.8, side * rng.uniform(0.4, 0.8)), angle))
        cv2.fillConvexPoly(mask, np.rint(box).astype(np.int32), 255)
    if rng.random() < 0.5:
        texture = _patch(pictures, rng, side, side)
    else:
        texture = np.empty((side, side, 3), np.uint8)
        texture[:] = rng.integers(0, 255, 3)
    heading = rng.uniform(0, 2 * math.pi)
    speed = radius * rng.uniform(*style.occluder_speed)
    place = joints[rng.choice(_LIMBS)] + rng.normal(0, 0.3 * radius, 2)
    return _Occluder(place, speed * np.array([math.cos(heading), math.sin(heading)]), mask, texture)


def _paste(fine: Picture, covered: Picture, occluder: _Occluder, time: float) -> None:
    """Draws an occluder where it is at a time, in frames from the middle one, and marks what it covers."""
    side = len(occluder.mask)
    corner = np.rint((occluder.place + occluder.speed * time) * _FINE - side / 2).astype(int)
    x0, y0 = np.maximum(corner, 0)
    x1, y1 = np.minimum(corner + side, [fine.shape[1], fine.shape[0]])
    if x0 >= x1 or y0 >= y1:
        return
    own = (slice(y0 - corner[1], y1 - corner[1]), slice(x0 - corner[0], x1 - corner[0]))
    there = (slice(y0, y1), slice(x0, x1))
    mask = occluder.mask[own] > 0
    fine[there][mask] = occluder.texture[own][mask]
    covered[there][mask] = 255
