"""A figure on a rig: capsules in the rest pose, each of them held by one bone, in the colours of the render."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.rig_motion import RigMotion
from sasmamba.app.motion.feet import HEEL, TIP, TOE
from sasmamba.app.render.bodies import RADIUS_M
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import FOOT, H36M

#: Edges around a capsule, and rings of each of its round ends.
_AROUND, _RINGS = 12, 4
SIDES = ("left", "right", "middle")


@dataclass(frozen=True, slots=True)
class Figure:
    """Triangles in the rest pose, metres, y up.

    Attributes:
        vertices, normals: (V, 3).
        bone: (V,) index of the rig's joint that each vertex turns with.
        triangles: by side of the body, (T, 3) indices of vertices, counter-clockwise from outside.
    """

    vertices: NDArray
    normals: NDArray
    bone: NDArray
    triangles: dict[str, NDArray]


def rest_positions(motion: RigMotion) -> NDArray:
    """(N, 3) where the rig's joints are at rest: soles on the floor at y = 0, the root above the origin."""
    at = np.zeros((len(motion.nodes), 3))
    for n, node in enumerate(motion.nodes):
        if node.parent >= 0:
            at[n] = at[node.parent] + motion.offsets[n]
    feet = [n for n, node in enumerate(motion.nodes) if node.at >= len(H36M)]
    at[:, 1] -= at[feet, 1].min() - RADIUS_M["TOE"]
    return at


def figure(motion: RigMotion, gone: NDArray) -> Figure:
    """The figure of a rig, as large as its bones.

    Args:
        gone: (21,) bool, of the 17 joints and then heels and toes: what ends there is not part of it.
    """
    at, parts = rest_positions(motion), []
    for n, node in enumerate(motion.nodes):
        if gone[node.at]:
            continue
        if node.parent >= 0 and np.linalg.norm(motion.offsets[n]) > 1e-6 and motion.nodes[node.parent].turn != "foot":
            above = motion.nodes[node.parent]
            parts.append((node.parent, at[node.parent], at[n], _radius(above.at), _radius(node.at)))
        if node.at == H36M.NOSE:  # the head is round
            head = motion.ends[n]
            parts.append((n, at[n] + 0.35 * head, at[n] + 0.6 * head, RADIUS_M["HEAD_TOP"], RADIUS_M["HEAD_TOP"]))
        elif node.end is not None and node.at < len(H36M):  # a hand
            parts.append((n, at[n], at[n] + 0.7 * motion.ends[n], RADIUS_M["WRIST"], 0.8 * RADIUS_M["WRIST"]))
        if node.turn == "foot":
            toe = next(m for m, other in enumerate(motion.nodes) if other.parent == n)
            length = np.linalg.norm(motion.offsets[n]) * (TOE + HEEL)
            heel, tip = at[toe] - [0, 0, length], at[toe] + [0, 0, (TIP - 1) * length]
            parts.append((n, at[n], at[toe], RADIUS_M["ANKLE"], RADIUS_M["TOE"]))
            parts.append((n, heel, at[toe], RADIUS_M["HEEL"], RADIUS_M["TOE"]))
            parts.append((toe, at[toe], tip, RADIUS_M["TOE"], 0.8 * RADIUS_M["TOE"]))
    vertices, normals, bones, count = [], [], [], 0
    triangles: dict[str, list[NDArray]] = {side: [] for side in SIDES}
    for bone, a, b, ra, rb in parts:
        points, outwards, faces = _capsule(np.asarray(a), np.asarray(b), ra, rb)
        vertices.append(points)
        normals.append(outwards)
        bones.append(np.full(len(points), bone))
        triangles[_side(motion, bone)].append(faces + count)
        count += len(points)
    joined = {side: np.concatenate(faces) for side, faces in triangles.items()}
    return Figure(np.concatenate(vertices), np.concatenate(normals), np.concatenate(bones), joined)


def _side(motion: RigMotion, bone: int) -> str:
    point = motion.nodes[bone].target if motion.nodes[bone].at in (H36M.PELVIS, H36M.THORAX) else motion.nodes[bone].at
    name = FOOT(point - len(H36M)).name if point >= len(H36M) else H36M(max(point, 0)).name
    side = name.partition("_")[0].lower()
    return side if side in SIDES else "middle"


def _radius(point: int) -> float:
    name = FOOT(point - len(H36M)).name if point >= len(H36M) else H36M(point).name
    kind = name.partition("_")[2] if name.startswith(("LEFT_", "RIGHT_")) else name
    return RADIUS_M[kind]


def _capsule(a: NDArray, b: NDArray, ra: float, rb: float) -> tuple[NDArray, NDArray, NDArray]:
    """Vertices (V, 3), normals (V, 3) and triangles (T, 3) of a tapered capsule from a to b."""
    axis = unit(b - a)
    across = unit(np.cross(axis, np.eye(3)[np.abs(axis).argmin()]))
    other = np.cross(axis, across)
    turn = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    round_it = np.cos(turn)[:, None] * across + np.sin(turn)[:, None] * other
    tilt = np.concatenate([np.linspace(-np.pi / 2, 0, _RINGS), np.linspace(0, np.pi / 2, _RINGS)])
    centre = np.concatenate([np.repeat(a[None], _RINGS, 0), np.repeat(b[None], _RINGS, 0)])
    radius = np.repeat([ra, rb], _RINGS)
    normals = np.cos(tilt)[:, None, None] * round_it + np.sin(tilt)[:, None, None] * axis
    points = centre[:, None] + radius[:, None, None] * normals
    ring, edge = np.meshgrid(np.arange(2 * _RINGS - 1), np.arange(_AROUND), indexing="ij")
    here, beside = ring * _AROUND + edge, ring * _AROUND + (edge + 1) % _AROUND
    faces = np.stack([here, beside, beside + _AROUND, here, beside + _AROUND, here + _AROUND], -1).reshape(-1, 3)
    flat = points.reshape(-1, 3)
    corners = flat[faces]
    # the tips are single points: the triangles that vanish there are left out
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
    return flat, normals.reshape(-1, 3), faces[area > 1e-10]
