"""BVH, the animation format that Blender, Maya and MotionBuilder read: a skeleton of fixed bones and its rotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.euler import best_order, euler, unwrapped
from sasmamba.app.export.motion_table import R_YUP_WORLD, PersonMotion, held_throughout
from sasmamba.app.export.options import Footage
from sasmamba.app.export.rig_motion import RigMotion, rig_motion
from sasmamba.app.export.rigs import rig_named
from sasmamba.common.files import atomic_path

_CM = 100.0


def write_bvh(paths: Sequence[Path], people: Sequence[PersonMotion], footage: Footage) -> None:
    """Writes everybody, one file each: centimetres (or as `ExportOptions.scale` says), y up, at rest in a T that faces
    +z, left is +x; in the video's terms x is right, y up and z towards the camera, floor at y = 0.

    All files begin with the video's first frame and are as long as it: who is not there yet or any more holds the first
    or the last pose; NAME_about.json says from when to when everybody is there. Gaps are bridged on straight lines, but
    where the video's clock has a hole of more than a minute, a file holds only the part that its person is in. A limb
    whose place is unknown holds the pose from before and after, and where there is none the rest pose. A variable frame
    rate is resampled to the average.

    Names, hierarchy and rest pose are those of `ExportOptions.rig`. Bones have constant lengths; rotations reproduce
    the joints' positions, as far as the rig's bones allow it; a planted foot is level as in the rest pose. All
    rotations of a clip are in one order, the one with the fewest leaps of its angles, which are continuous over time.

    Raises:
        UserError: the disk refuses.
    """
    nodes = rig_named(footage.options.rig)
    moving = [
        rig_motion(
            nodes, person.points.astype(np.float64) @ R_YUP_WORLD.T, person.drawable(footage.options.keep_inferred)
        )
        for person in (held_throughout(person, footage.times_s, footage.fps) for person in people)
    ]
    order = best_order([motion.local for motion in moving])
    for path, motion in zip(paths, moving, strict=True):
        with atomic_path(path) as temporary, temporary.open("w", newline="\n", encoding="utf-8") as out:
            _write(out, motion, order, footage)


def _write(out: TextIO, motion: RigMotion, order: str, footage: Footage) -> None:
    unit = _CM * footage.options.scale
    sequence = _depth_first(motion, 0)
    angles = np.degrees(unwrapped(euler(motion.local[:, sequence], order)))
    out.write("HIERARCHY\n")
    _write_node(out, motion, 0, order, unit, "")
    out.write(f"MOTION\nFrames: {len(motion.root)}\nFrame Time: {float(1 / footage.fps):.12f}\n")
    np.savetxt(out, np.concatenate([unit * motion.root, angles.reshape(len(angles), -1)], 1), "%.6f")


def _write_node(out: TextIO, motion: RigMotion, index: int, order: str, unit: float, indent: str) -> None:
    node = motion.nodes[index]
    rotations = " ".join(f"{axis}rotation" for axis in order)
    root = node.parent < 0
    channels = f"6 Xposition Yposition Zposition {rotations}" if root else f"3 {rotations}"
    out.write(f"{indent}{'ROOT' if root else 'JOINT'} {node.name}\n{indent}{{\n")
    inner = indent + "\t"
    out.write(f"{inner}OFFSET {_numbers(unit * motion.offsets[index])}\n{inner}CHANNELS {channels}\n")
    for child, other in enumerate(motion.nodes):
        if other.parent == index:
            _write_node(out, motion, child, order, unit, inner)
    if np.isfinite(motion.ends[index]).all():
        out.write(f"{inner}End Site\n{inner}{{\n{inner}\tOFFSET {_numbers(unit * motion.ends[index])}\n{inner}}}\n")
    out.write(f"{indent}}}\n")


def _numbers(values: NDArray[Any]) -> str:
    return " ".join(f"{v:.6f}" for v in values)


def _depth_first(motion: RigMotion, index: int) -> list[int]:
    """Nodes in the order in which the file names them."""
    children = [i for i, node in enumerate(motion.nodes) if node.parent == index]
    return [index, *(i for child in children for i in _depth_first(motion, child))]
