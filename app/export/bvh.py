"""BVH, the animation format that Blender, Maya and MotionBuilder read: a skeleton of fixed bones and its rotations."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import R_YUP_WORLD, PersonMotion, at_fixed_rate
from sasmamba.common.files import atomic_path
from sasmamba.models.skeletons import H36M

_UP, _DOWN, _LEFT, _RIGHT = (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0)
_CM = 100.0


@dataclass(frozen=True, slots=True)
class _Node:
    """A joint of the file.

    at: the joint of ours that stands there. parent: by index, -1 for the root. rest: direction in the rest pose from
    the parent; a node that stands where its parent stands has none and turns one bone of several that begin there.
    aims: the joint of ours whose direction from `at` this node's rotation shows, with `aim`, that direction at rest.
    end: decoration at a limb's end, centimetres, in the rest pose.
    """

    name: str
    at: H36M
    parent: int
    rest: tuple[float, float, float] | None = None
    aims: H36M | None = None
    aim: tuple[float, float, float] = _UP
    end: tuple[float, float, float] | None = None

    @property
    def order(self) -> str:
        """Axes of the rotations, outermost first. The middle one is along the bone, about which nothing turns far:
        Euler angles break down only where it turns by 90°."""
        return "ZXY" if self.aims is None or self.aim in (_LEFT, _RIGHT) else "ZYX"


_NOSE_REST, _TOP_REST = (0.0, 0.87, 0.5), (0.0, 0.9, -0.43)


def _arm_and_leg(side: str, first: int, out: tuple[float, float, float]) -> tuple[list[_Node], list[_Node]]:
    """Leg and arm of a side; the arm's parent is node 3, the chest; `first` is the index the leg begins at."""
    name, s = side.capitalize(), side.upper()
    hip, knee, ankle = H36M[f"{s}_HIP"], H36M[f"{s}_KNEE"], H36M[f"{s}_ANKLE"]
    shoulder, elbow, wrist = H36M[f"{s}_SHOULDER"], H36M[f"{s}_ELBOW"], H36M[f"{s}_WRIST"]
    leg = [
        _Node(f"{name[0]}HipJoint", H36M.PELVIS, 0, None, hip, out),
        _Node(f"{name}UpLeg", hip, first, out, knee, _DOWN),
        _Node(f"{name}Leg", knee, first + 1, _DOWN, ankle, _DOWN),
        _Node(f"{name}Foot", ankle, first + 2, _DOWN, end=(0, -5, 15)),
    ]
    arm = [
        _Node(f"{name}Shoulder", H36M.THORAX, 3, None, shoulder, out),
        _Node(f"{name}Arm", shoulder, first + 4, out, elbow, out),
        _Node(f"{name}ForeArm", elbow, first + 5, out, wrist, out),
        _Node(f"{name}Hand", wrist, first + 6, out, end=tuple(10 * x for x in out)),  # type: ignore[arg-type]
    ]
    return leg, arm


def _skeleton() -> list[_Node]:
    """Parents before children; names and the extra joints that stand on others are those of CMU's files."""
    trunk = [
        _Node("Hips", H36M.PELVIS, -1),
        _Node("LowerBack", H36M.PELVIS, 0, None, H36M.SPINE, _UP),
        _Node("Spine", H36M.SPINE, 1, _UP, H36M.THORAX, _UP),
        _Node("Spine1", H36M.THORAX, 2, _UP),
        _Node("Neck", H36M.THORAX, 3, None, H36M.NOSE, _NOSE_REST),
        _Node("Head", H36M.NOSE, 4, _NOSE_REST, H36M.HEAD_TOP, _TOP_REST),
    ]
    left = _arm_and_leg("left", len(trunk), _LEFT)
    right = _arm_and_leg("right", len(trunk) + 8, _RIGHT)
    return trunk + left[0] + left[1] + right[0] + right[1]


_NODES = _skeleton()
#: Nodes from which several bones go out show how the body is turned: left minus right, and the way up.
_FRAMES = {
    "Hips": (H36M.LEFT_HIP, H36M.RIGHT_HIP, H36M.SPINE, H36M.PELVIS),
    "Spine1": (H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER, H36M.THORAX, H36M.SPINE),
}


def write_bvh(path: Path, motion: PersonMotion, fps: Fraction, notes: dict[str, Any]) -> None:
    """Writes one person: centimetres, y up, the person at rest stands in a T and faces +z, left is +x; in the video's
    terms x is right, y up and z towards the camera, floor at y = 0.

    The bones have constant lengths, those of the motion (`Placement` makes them constant); rotations reproduce the
    joints' positions. A bone's turn about itself cannot be seen in joints; each turns the shortest way. The order of
    the three rotations differs by joint and stands in the file, as the format has it. The joint names are:
    Hips (pelvis), LeftUpLeg, LeftLeg, LeftFoot (hip, knee, ankle), Spine, Spine1 (spine, thorax), Head and its end site
    (nose, head top), LeftArm, LeftForeArm, LeftHand (shoulder, elbow, wrist), and right ones. LHipJoint, RHipJoint,
    LowerBack, Neck, LeftShoulder, RightShoulder stand where their parents stand and turn one bone each.

    The format needs every frame: gaps are bridged on straight lines. A variable frame rate is resampled to the average.
    The file begins with the person's first frame; it has no room for notes.

    Raises:
        UserError: the disk refuses.
    """
    motion = at_fixed_rate(motion, fps, fill=True)
    joints = _CM * motion.joints.astype(np.float64) @ R_YUP_WORLD.T
    angles = _angles(joints)
    with atomic_path(path) as temporary, temporary.open("w", newline="\n", encoding="utf-8") as out:
        out.write("HIERARCHY\n")
        _write_node(out, 0, joints, "")
        out.write(f"MOTION\nFrames: {len(joints)}\nFrame Time: {float(1 / fps):.12f}\n")
        np.savetxt(out, np.concatenate([joints[:, H36M.PELVIS], angles], 1), "%.6f")


def _write_node(out: TextIO, index: int, joints: NDArray, indent: str) -> None:
    node = _NODES[index]
    offset = np.zeros(3)
    if node.rest is not None:
        offset = _offset(joints, _NODES[node.parent].at, node.at, node.rest)
    rotations = " ".join(f"{axis}rotation" for axis in node.order)
    root = node.parent < 0
    channels = f"6 Xposition Yposition Zposition {rotations}" if root else f"3 {rotations}"
    out.write(f"{indent}{'ROOT' if root else 'JOINT'} {node.name}\n{indent}{{\n")
    inner = indent + "\t"
    out.write(f"{inner}OFFSET {_numbers(offset)}\n{inner}CHANNELS {channels}\n")
    for child, other in enumerate(_NODES):
        if other.parent == index:
            _write_node(out, child, joints, inner)
    end = node.end
    if node.at == H36M.NOSE:
        end = tuple(_offset(joints, H36M.NOSE, H36M.HEAD_TOP, _TOP_REST))
    if end is not None:
        out.write(f"{inner}End Site\n{inner}{{\n{inner}\tOFFSET {_numbers(end)}\n{inner}}}\n")
    out.write(f"{indent}}}\n")


def _offset(joints: NDArray, a: H36M, b: H36M, rest: tuple[float, float, float]) -> NDArray:
    """(3,) from a to b in the rest pose, as long as the bone is in the motion."""
    return float(np.median(np.linalg.norm(joints[:, b] - joints[:, a], axis=-1))) * _unit(np.array(rest))


def _numbers(values: Any) -> str:
    return " ".join(f"{v:.6f}" for v in values)


def _angles(joints: NDArray) -> NDArray:
    """Degrees (F, 3 · nodes) for joints (F, 17, 3) in the file's axes, continuous over time, in the file's order."""
    world: list[NDArray] = []
    angles: list[NDArray] = []
    for node in _NODES:
        above = world[node.parent] if node.parent >= 0 else np.broadcast_to(np.eye(3), (len(joints), 3, 3))
        if node.name in _FRAMES:
            left, right, top, bottom = _FRAMES[node.name]
            turned = _frame(joints[:, left] - joints[:, right], joints[:, top] - joints[:, bottom])
            local = above.transpose(0, 2, 1) @ turned
        elif node.aims is not None:
            direction = joints[:, node.aims] - joints[:, node.at]
            local = _shortest_turn(np.array(node.aim), np.einsum("fji,fj->fi", above, direction))
        else:
            local = np.broadcast_to(np.eye(3), above.shape)
        world.append(above @ local)
        angles.append(_euler(local, node.order))
    columns = np.stack([angles[i] for i in _depth_first(0)], 1)
    return np.degrees(_continuous(columns)).reshape(len(joints), -1)


def _continuous(angles: NDArray) -> NDArray:
    """The same rotations by angles (F, nodes, 3), radians, that leap as little as can be from frame to frame: programs
    draw curves through them, and in a somersault the plain ones turn over by half a turn."""
    same_turn = angles * [1, -1, 1] + np.pi  # α + π, π - β, γ + π
    out = angles.copy()
    for f in range(1, len(out)):
        ways = np.stack([angles[f], same_turn[f]])
        ways += 2 * np.pi * np.round((out[f - 1] - ways) / (2 * np.pi))
        far = np.abs(ways - out[f - 1]).sum(-1)
        out[f] = np.where((far[0] <= far[1])[:, None], ways[0], ways[1])
    return out


def _depth_first(index: int) -> list[int]:
    """Nodes in the order in which the file names them."""
    children = [i for i, node in enumerate(_NODES) if node.parent == index]
    return [index, *(i for child in children for i in _depth_first(child))]


def _unit(v: NDArray) -> NDArray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _frame(left: NDArray, up: NDArray) -> NDArray:
    """Rotations (F, 3, 3) that bring x onto left (F, 3) and y as near to up (F, 3) as that allows."""
    x = _unit(left)
    z = _unit(np.cross(x, up))
    return np.stack([x, np.cross(z, x), z], -1)


def _shortest_turn(rest: NDArray, direction: NDArray) -> NDArray:
    """Rotations (F, 3, 3) that bring rest (3,) onto direction (F, 3) the shortest way (Rodrigues)."""
    a, b = _unit(rest), _unit(direction)
    axis, cosine = np.cross(a, b), b @ a
    zero = np.zeros(len(b))
    K = np.stack([zero, -axis[:, 2], axis[:, 1], axis[:, 2], zero, -axis[:, 0], -axis[:, 1], axis[:, 0], zero], -1)
    K = K.reshape(-1, 3, 3)
    turned = np.eye(3) + K + K @ K / np.maximum(1 + cosine, 1e-9)[:, None, None]
    # straight back there is no shortest way: half a turn about any axis across
    across = _unit(np.cross(a, np.eye(3)[np.abs(a).argmin()]))
    return np.where((cosine < -1 + 1e-7)[:, None, None], 2 * np.outer(across, across) - np.eye(3), turned)


def _euler(R: NDArray, order: str) -> NDArray:
    """Angles (F, 3), radians, of R (F, 3, 3) = R_a(α) R_b(β) R_c(γ) for an order abc of three different axes."""
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1 if (j - i) % 3 == 1 else -1
    sine = (sign * R[:, i, k]).clip(-1, 1)
    locked = np.abs(sine) > 1 - 1e-9  # α and γ turn about one axis: all of it is given to α
    alpha = np.where(locked, np.arctan2(sign * R[:, k, j], R[:, j, j]), np.arctan2(-sign * R[:, j, k], R[:, k, k]))
    gamma = np.where(locked, 0, np.arctan2(-sign * R[:, i, j], R[:, i, i]))
    return np.stack([alpha, np.arcsin(sine), gamma], -1)
