"""Rigs: the bones that animation programs know, by their names, their hierarchy and their rest pose.

Every rig rests in a T: y up, facing +z, left along +x, legs down, feet level and straight ahead. Joints stand where the
take's joints stand; which names they have there and which extra joints stand between them is the rig's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, radians, sin
from typing import Literal

from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import FOOT, H36M

Direction = tuple[float, float, float]
UP, DOWN, LEFT, RIGHT, AHEAD = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
NOSE_REST, TOP_REST = (0.0, 0.87, 0.5), (0.0, 0.9, -0.43)
#: How a node turns: with its parent; by the hips' or the shoulders' line and the spine; by the foot; or so that the
#: direction at rest, `Node.aim`, points to a joint.
Turn = Literal["with parent", "hips", "chest", "foot", "aim"]


def heel(side: str) -> int:
    """Its index among the 17 joints and then the points of `FOOT`."""
    return len(H36M) + FOOT[f"{side}_HEEL"]


def toe(side: str) -> int:
    """Its index among the 17 joints and then the points of `FOOT`."""
    return len(H36M) + FOOT[f"{side}_TOE"]


@dataclass(frozen=True, slots=True)
class Node:
    """A joint of a rig.

    Attributes:
        name: as the rig's programs know it.
        parent: by index, -1 for the root; parents come before their children.
        at: where it stands: an index among the 17 joints and then the points of `FOOT`.
        share: of the way from its parent to `at`, 1 for all of it.
        rest: direction from the parent in the rest pose; None for one that stands where its parent stands, and for
            toes, which are fixed to the foot.
        turn: how it turns.
        target: the joint that it turns towards, for "aim".
        aim: the direction to it in the rest pose.
        end: what its bone ends in, metres in the rest pose, where no child says it.
        y_axis, z_axis: of its own axes, where they point in the rest pose: what its turns are told in, by formats that
            have a rest rotation. Plain ones stand as the world's.
    """

    name: str
    parent: int
    at: int
    share: float = 1.0
    rest: Direction | None = None
    turn: Turn = "with parent"
    target: int = -1
    aim: Direction = UP
    end: Direction | None = None
    y_axis: Direction = UP
    z_axis: Direction = AHEAD


@dataclass(frozen=True, slots=True)
class _Names:
    """What a rig calls its joints; %s stands for the side as `left` and `right` have it."""

    hips: str
    spine: tuple[str, str, str]
    neck: str
    head: str
    arm: tuple[str, str, str, str]
    leg: tuple[str, str, str, str]
    left: str = "Left"
    right: str = "Right"


_MIXAMO = _Names(
    "mixamorig:Hips",
    ("mixamorig:Spine", "mixamorig:Spine1", "mixamorig:Spine2"),
    "mixamorig:Neck",
    "mixamorig:Head",
    ("mixamorig:%sShoulder", "mixamorig:%sArm", "mixamorig:%sForeArm", "mixamorig:%sHand"),
    ("mixamorig:%sUpLeg", "mixamorig:%sLeg", "mixamorig:%sFoot", "mixamorig:%sToeBase"),
)
_UNITY = _Names(  # Unity's HumanBodyBones
    "Hips",
    ("Spine", "Chest", "UpperChest"),
    "Neck",
    "Head",
    ("%sShoulder", "%sUpperArm", "%sLowerArm", "%sHand"),
    ("%sUpperLeg", "%sLowerLeg", "%sFoot", "%sToes"),
)
_VRM = _Names(  # VRM 1.0's humanoid bones
    "hips",
    ("spine", "chest", "upperChest"),
    "neck",
    "head",
    ("%sShoulder", "%sUpperArm", "%sLowerArm", "%sHand"),
    ("%sUpperLeg", "%sLowerLeg", "%sFoot", "%sToes"),
    "left",
    "right",
)
#: CMU's own files and their conversions; the hips' and the back's extra joints stand where their parents stand.
_CMU = _Names(
    "Hips",
    ("LowerBack", "Spine", "Spine1"),
    "Neck",
    "Head",
    ("%sShoulder", "%sArm", "%sForeArm", "%sHand"),
    ("%sUpLeg", "%sLeg", "%sFoot", "%sToeBase"),
)


def _rig(names: _Names, cmu: bool = False) -> tuple[Node, ...]:
    lower, middle, upper = names.spine
    thorax = H36M.THORAX
    nodes = [
        Node(names.hips, -1, H36M.PELVIS, turn="hips"),
        Node(lower, 0, H36M.PELVIS, turn="aim", target=H36M.SPINE),
        Node(middle, 1, H36M.SPINE, rest=UP, turn="aim", target=thorax),
        Node(upper, 2, thorax, 1.0 if cmu else 0.5, UP, "chest"),
        Node(names.neck, 3, thorax, rest=None if cmu else UP, turn="aim", target=H36M.NOSE, aim=NOSE_REST),
        Node(names.head, 4, H36M.NOSE, rest=NOSE_REST, turn="aim", target=H36M.HEAD_TOP, aim=TOP_REST),
    ]
    for side, word, out in (("LEFT", names.left, LEFT), ("RIGHT", names.right, RIGHT)):
        hip, knee, ankle = (H36M[f"{side}_{joint}"] for joint in ("HIP", "KNEE", "ANKLE"))
        shoulder, elbow, wrist = (H36M[f"{side}_{joint}"] for joint in ("SHOULDER", "ELBOW", "WRIST"))
        thigh, shank, foot, toes = (name % word for name in names.leg)
        clavicle, upper_arm, forearm, hand = (name % word for name in names.arm)
        parent = 0
        if cmu:
            nodes.append(Node(f"{word[0]}HipJoint", 0, H36M.PELVIS, turn="aim", target=hip, aim=out))
            parent = len(nodes) - 1
        n = len(nodes)
        nodes += [
            Node(thigh, parent, hip, rest=out, turn="aim", target=knee, aim=DOWN),
            Node(shank, n, knee, rest=DOWN, turn="aim", target=ankle, aim=DOWN),
            Node(foot, n + 1, ankle, rest=DOWN, turn="foot"),
            Node(toes, n + 2, toe(side), end=(0, 0, 0.07)),
            Node(clavicle, 3, thorax, rest=None if cmu else UP, turn="aim", target=shoulder, aim=out),
            Node(upper_arm, n + 4, shoulder, rest=out, turn="aim", target=elbow, aim=out),
            Node(forearm, n + 5, elbow, rest=out, turn="aim", target=wrist, aim=out),
            Node(hand, n + 6, wrist, rest=out, end=(0.1 * out[0], 0, 0)),
        ]
    return tuple(nodes)


#: How characters of Mixamo are bound, by the X Bot: so many degrees a bone of the trunk leans ahead of up and one of a
#: leg ahead of down. Characters differ in these by a few degrees, and in nothing else that is said here.
_TRUNK_DEG = {"Hips": 0.74, "Spine": -8.455, "Spine1": -8.455, "Spine2": -6.979, "Neck": -6.979, "Head": -6.979}
_LEG_DEG = {"UpLeg": 0.448, "Leg": -3.92, "Foot": 50.822, "ToeBase": 90.0}


def _as_mixamo_binds(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Mixamo's axes (a bone lies along its own y) and legs in place of plain ones, so that a clip can be played on its
    characters by the names alone."""
    out: list[Node] = []
    for node in nodes:
        kind = node.name.removeprefix("mixamorig:").replace("Left", "").replace("Right", "")
        left = -1.0 if "Right" in node.name else 1.0
        if kind in _TRUNK_DEG:
            a = radians(_TRUNK_DEG[kind])
            y, z = (0.0, cos(a), sin(a)), (0.0, -sin(a), cos(a))
        elif kind in _LEG_DEG:
            a = radians(_LEG_DEG[kind])
            y, z = (0.0, -cos(a), sin(a)), (0.0, sin(a), cos(a))
        elif kind == "Shoulder":
            y, z = (0.97737 * left, -0.0484, -0.20595), (-0.04947 * left, -0.99878, 0.0)
        else:
            y, z = (left, 0.0, 0.0), DOWN
        aim = y if kind in ("UpLeg", "Leg") else node.aim
        rest = out[node.parent].aim if kind in ("Leg", "Foot") else node.rest
        out.append(replace(node, y_axis=y, z_axis=z, aim=aim, rest=rest))
    return tuple(out)


#: By name: the joints of each rig.
RIGS: dict[str, tuple[Node, ...]] = {
    "cmu": _rig(_CMU, cmu=True),
    "mixamo": _as_mixamo_binds(_rig(_MIXAMO)),
    "unity": _rig(_UNITY),
    "vrm": _rig(_VRM),
}


def rig_named(name: str) -> tuple[Node, ...]:
    """Raises UserError (exit code 2) for a rig that there is not."""
    if name not in RIGS:
        raise UserError(f"--rig knows {', '.join(RIGS)}, not {name!r}.", exit_code=2)
    return RIGS[name]
