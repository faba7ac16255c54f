"""A person's joints as the motion of a rig: bones of one length each, and how every one turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.rigs import Node, heel, toe
from sasmamba.app.motion.feet import leg_axes
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import H36M


@dataclass(frozen=True, slots=True)
class RigMotion:
    """A rig that moves.

    Attributes:
        nodes: its joints.
        offsets: (N, 3) of each from its parent in the rest pose, metres, y up, facing +z; 0 for the root.
        ends: (N, 3) where the bones of joints without children end, from the joint; NaN for the others.
        local: (F, N, 3, 3) rotations against the rest pose, in the parent's axes.
        root: (F, 3) where the root is, metres, y up, floor at y = 0.
    """

    nodes: tuple[Node, ...]
    offsets: NDArray
    ends: NDArray
    local: NDArray
    root: NDArray

    def world(self) -> tuple[NDArray, NDArray]:
        """How the joints are turned (F, N, 3, 3) and where they are (F, N, 3), in the axes of `root`."""
        turned, places = np.empty_like(self.local), np.empty((*self.local.shape[:2], 3))
        for n, node in enumerate(self.nodes):
            if node.parent < 0:
                turned[:, n], places[:, n] = self.local[:, n], self.root
            else:
                turned[:, n] = turned[:, node.parent] @ self.local[:, n]
                places[:, n] = places[:, node.parent] + turned[:, node.parent] @ self.offsets[n]
        return turned, places

    def axes(self) -> NDArray:
        """(N, 3, 3) the joints' own axes in the rest pose, as columns."""
        y, z = (unit(np.array([getattr(node, which) for node in self.nodes])) for which in ("y_axis", "z_axis"))
        x = unit(np.cross(y, z))
        return np.stack([x, y, np.cross(x, y)], -1)

    def in_own_axes(self) -> tuple[NDArray, NDArray, NDArray]:
        """The same rig in the joints' own axes, for formats that have a rest rotation.

        Returns:
            Rotations in the rest pose (N, 3, 3) and offsets (N, 3), both in the parent's own axes, and rotations
            (F, N, 3, 3) from the parent's own axes to the joint's, those of the rest pose included.
        """
        own = self.axes()
        above = np.stack([np.eye(3) if node.parent < 0 else own[node.parent] for node in self.nodes])
        back = np.swapaxes(above, -1, -2)
        return back @ own, np.einsum("nij,nj->ni", back, self.offsets), back @ self.local @ own


def rig_motion(nodes: tuple[Node, ...], points: NDArray, known: NDArray | None = None) -> RigMotion:
    """Dresses a rig with somebody's motion.

    Joints stand where the take has them, to a fraction of a millimetre, wherever the rig's bones allow it: bones have
    one length each, the median of the motion, and rotations lead each joint to where the next one is, from where the
    rig itself has got to. A bone's turn about its own axis cannot be seen in joints; each turns the shortest way from
    its parent, so that hands follow forearms.

    Args:
        points: (F, 21, 3) joints, then heels and toes, metres, y up, floor at y = 0; no gaps.
        known: (F, 21) bool, whose places mean something; None for all. A joint turned by one that does not holds how it
            was turned before and after, on the way between both, and is at rest where there is neither.
    """
    points = np.asarray(points, np.float64)
    offsets, ends = _rest(nodes, points)
    F, N = len(points), len(nodes)
    local, turned, places = np.empty((F, N, 3, 3)), np.empty((F, N, 3, 3)), np.empty((F, N, 3))
    still = np.broadcast_to(np.eye(3), (F, 3, 3))
    root = _root(nodes, points)
    for n, node in enumerate(nodes):
        above = still if node.parent < 0 else turned[:, node.parent]
        places[:, n] = root
        if node.parent >= 0:
            places[:, n] = places[:, node.parent] + above @ offsets[n]
        if node.turn == "aim":
            direction = points[:, node.target] - places[:, n]
            local[:, n] = shortest_turn(np.array(node.aim), np.einsum("fji,fj->fi", above, direction))
        elif node.turn == "with parent":
            local[:, n] = still
        else:
            local[:, n] = np.swapaxes(above, 1, 2) @ _frame(node, points)
        if known is not None and node.turn != "with parent":
            local[:, n] = held(local[:, n], np.asarray(known[:, _turned_by(node)].all(1)))
        turned[:, n] = above @ local[:, n]
    return RigMotion(nodes, offsets, ends, local, root)


def _turned_by(node: Node) -> list[int]:
    """Which points say how a joint turns."""
    if node.turn == "hips":
        return [H36M.LEFT_HIP, H36M.RIGHT_HIP, H36M.SPINE]
    if node.turn == "chest":
        return [H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER, H36M.THORAX]
    if node.turn == "foot":
        side = H36M(node.at).name.partition("_")[0]
        return [node.at, toe(side), heel(side)]
    return [node.at, node.target]


def held(R: NDArray, known: NDArray) -> NDArray:
    """Rotations (F, 3, 3) where they are known (F,) bool; elsewhere between those before and after, as time goes on
    evenly, the last or first known beyond them, and none where none is known."""
    if known.all():
        return R
    if not known.any():
        return np.broadcast_to(np.eye(3), R.shape)
    frame, at = np.arange(len(R)), np.flatnonzero(known)
    mixed = np.stack([np.interp(frame, at, R[known, i, j]) for i in range(3) for j in range(3)], -1).reshape(-1, 3, 3)
    # the rotation nearest to a mean of rotations (Moakher, SIAM J. Matrix Analysis 24, 2002)
    U, _, V = np.linalg.svd(mixed)
    V[:, 2] *= np.sign(np.linalg.det(U @ V))[:, None]
    return np.where(known[:, None, None], R, U @ V)


def _root(nodes: Sequence[Node], points: NDArray) -> NDArray:
    """(F, 3) where the root is: on the pelvis or, where both thighs hang on it, midway between the hips, which keeps
    feet where they stand. The two differ by as much as a lifted pelvis is bent, up to two centimetres."""
    if any(node.parent == 0 and node.at == H36M.LEFT_HIP for node in nodes):
        return np.asarray(points[:, [H36M.LEFT_HIP, H36M.RIGHT_HIP]].mean(1))
    return points[:, nodes[0].at]


def _frame(node: Node, points: NDArray) -> NDArray:
    """Rotations (F, 3, 3) in world axes of a node from which several bones go out, or a foot."""
    if node.turn == "hips":
        left = points[:, H36M.LEFT_HIP] - points[:, H36M.RIGHT_HIP]
        x = unit(left)
        z = unit(np.cross(x, points[:, H36M.SPINE] - points[:, H36M.PELVIS]))
        return np.stack([x, np.cross(z, x), z], -1)
    if node.turn == "chest":
        left = points[:, H36M.LEFT_SHOULDER] - points[:, H36M.RIGHT_SHOULDER]
        y = unit(points[:, H36M.THORAX] - points[:, H36M.SPINE])
        z = unit(np.cross(left, y))
        return np.stack([np.cross(y, z), y, z], -1)
    side = H36M(node.at).name.partition("_")[0]
    z = unit(points[:, toe(side)] - points[:, heel(side)])
    left = leg_axes(points[:, : len(H36M)])[:, 0 if side == "LEFT" else 1, 2] * (1 if side == "LEFT" else -1)
    x = unit(left - (left * z).sum(-1, keepdims=True) * z)
    return np.stack([x, np.cross(z, x), z], -1)


def _rest(nodes: Sequence[Node], points: NDArray) -> tuple[NDArray, NDArray]:
    """Offsets (N, 3) and ends (N, 3) in the rest pose, as long as bones are in the motion."""
    offsets, ends = np.zeros((len(nodes), 3)), np.full((len(nodes), 3), np.nan)

    def length(a: int, b: int) -> float:
        return float(np.median(np.linalg.norm(points[:, b] - points[:, a], axis=-1)))

    points = points.copy()
    points[:, nodes[0].at] = _root(nodes, points)

    for n, node in enumerate(nodes):
        if node.end is not None:
            ends[n] = node.end
        elif node.at == H36M.NOSE:
            ends[n] = length(H36M.NOSE, H36M.HEAD_TOP) * unit(np.array(node.aim))
        if node.parent < 0:
            continue
        above = nodes[node.parent]
        if above.turn == "foot":  # the toe, from the ankle, in the foot's own axes
            out = points[:, node.at] - points[:, above.at]
            offsets[n] = np.median(np.einsum("fji,fj->fi", _frame(above, points), out), 0) * [0, 1, 1]
        elif node.rest is not None:
            if above.share < 1:  # the rest of a way that the parent went a part of
                start = nodes[above.parent].at
                far = (1 - above.share) * length(start, above.at)
            else:
                far = node.share * length(above.at, node.at)
            offsets[n] = far * unit(np.array(node.rest))
    return offsets, ends


def shortest_turn(rest: NDArray, direction: NDArray) -> NDArray:
    """Rotations (F, 3, 3) that bring rest (3,) onto direction (F, 3) the shortest way (Rodrigues)."""
    a, b = unit(rest), unit(direction)
    axis, cosine = np.cross(a, b), b @ a
    zero = np.zeros(len(b))
    K = np.stack([zero, -axis[:, 2], axis[:, 1], axis[:, 2], zero, -axis[:, 0], -axis[:, 1], axis[:, 0], zero], -1)
    K = K.reshape(-1, 3, 3)
    turned = np.eye(3) + K + K @ K / np.maximum(1 + cosine, 1e-9)[:, None, None]
    # straight back there is no shortest way: half a turn about any axis across
    across = unit(np.cross(a, np.eye(3)[np.abs(a).argmin()]))
    return np.where((cosine < -1 + 1e-7)[:, None, None], 2 * np.outer(across, across) - np.eye(3), turned)


def quaternions(R: NDArray) -> NDArray:
    """x, y, z, w (F, 4) of rotations (F, 3, 3), of length 1 and without a change of sign from frame to frame.

    Each is the column of 4 q qᵀ, which the matrix gives entry by entry, that is longest (Shepperd, J. Guidance and
    Control 1, 1978).
    """
    trace = np.trace(R, axis1=-2, axis2=-1)
    products = np.empty((len(R), 4, 4))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        products[:, i, i] = 1 + 2 * R[:, i, i] - trace
        products[:, i, j] = products[:, j, i] = R[:, i, j] + R[:, j, i]
        products[:, i, 3] = products[:, 3, i] = R[:, k, j] - R[:, j, k]
    products[:, 3, 3] = 1 + trace
    longest = np.einsum("fii->fi", products).argmax(1)
    q = unit(products[np.arange(len(R)), longest])
    flips = np.where((q[1:] * q[:-1]).sum(-1) < 0, -1.0, 1.0)
    return q * np.cumprod(np.concatenate([[1.0], flips]))[:, None]
