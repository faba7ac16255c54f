"""Bodies in the 3D panel: limbs as shaded capsules, and their shadows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.render.palette import SIDE_COLORS, mix, rgb
from sasmamba.models.skeletons import H36M, H36M_EDGES


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


TONES = (
    _Tone(1.0, 0.0, 0.0, outline_px=1.4),
    _Tone(1.0, 0.0, 0.62),
    _Tone(0.80, 0.20, 0.86),
    _Tone(0.52, 0.36, 1.02),
    _Tone(0.20, 0.52, 1.0, white=0.35),
)
#: Tones of a smaller radius hardly show and are left out, save the outline and the limb itself.
LEAST_TONE_PX = 2.2
#: Towards the light, in view axes (right, up, forward): over the viewer's left shoulder.
LIGHT = np.array([-0.45, 0.70, -0.55]) / np.linalg.norm([-0.45, 0.70, -0.55])
#: How far a shadow moves on the floor per metre of height.
SHADOW_SLANT = np.array([0.22, 0.16])
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
            colors.append(mix(SIDE_COLORS[joint.name.partition("_")[0].lower()], rgb(0xFFFFFF), 0.22))
    sizes = np.array(shape)
    balls = np.arange(len(H36M_EDGES), len(joints))
    return _Parts(np.array(joints), sizes[:, :2], sizes[:, 2:], np.array(colors), balls, np.array(limbs_of_ball))


PARTS = _body()
SHADOW = np.array([[e.a, e.b] for e in H36M_EDGES])
SHADOW_RADII = np.array([0.10 if e.side == "middle" else 0.065 for e in H36M_EDGES])
