"""BVH motion files: the skeleton, the frames, and where every joint is in the world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.errors import UserError

#: Shortest and longest time between frames that is taken for one, seconds.
_SECONDS = (1e-6, 1e6)
_CHANNELS = frozenset(axis + kind for axis in "xyz" for kind in ("position", "rotation"))


@dataclass
class BvhJoint:
    """A joint: offset (3,) from its parent (an index, -1 for the root), channels in the file's order."""

    name: str
    parent: int
    offset: NDArray = field(default_factory=lambda: np.zeros(3))
    channels: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bvh:
    """joints, parents before children, end sites named after their joint with "_End"; values (T, channels)."""

    joints: list[BvhJoint]
    values: NDArray
    fps: float

    def positions(self) -> NDArray:
        """(T, J, 3) positions in the file's unit and axes."""
        T, J = len(self.values), len(self.joints)
        R, p = np.zeros((T, J, 3, 3)), np.zeros((T, J, 3))
        column = 0
        for j, joint in enumerate(self.joints):
            turn, move = np.broadcast_to(np.eye(3), (T, 3, 3)), np.broadcast_to(joint.offset, (T, 3)).copy()
            placed = False
            for channel in joint.channels:
                axis, value = "XYZ".index(channel[0].upper()), self.values[:, column]
                column += 1
                if channel.lower().endswith("position"):
                    # position channels stand in place of the offset
                    move = move if placed else np.zeros((T, 3))
                    placed = True
                    move[:, axis] = value
                else:
                    turn = turn @ _about(axis, np.radians(value))
            if joint.parent < 0:
                R[:, j], p[:, j] = turn, move
            else:
                above = R[:, joint.parent]
                R[:, j] = above @ turn
                p[:, j] = p[:, joint.parent] + np.einsum("tij,tj->ti", above, move)
        return p


def _about(axis: int, angle: NDArray) -> NDArray:
    """(T, 3, 3) rotations by angle (T,) about a coordinate axis."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    R = np.zeros((len(angle), 3, 3))
    R[:, axis, axis] = 1
    R[:, a, a] = R[:, b, b] = np.cos(angle)
    R[:, b, a], R[:, a, b] = np.sin(angle), -np.sin(angle)
    return R


def read_bvh(path: Path) -> Bvh:
    """Reads a BVH file.

    Raises:
        UserError: a file that is missing, breaks off, or is not of this format.
    """
    try:
        words = iter(path.read_text(errors="replace").split())
        joints = _hierarchy(words)
        if next(words).upper() != "MOTION" or next(words).lower() != "frames:":
            raise ValueError("MOTION and Frames: do not follow the skeleton")
        frames = int(next(words))
        if [next(words).lower(), next(words).lower()] != ["frame", "time:"]:
            raise ValueError("Frame Time: does not follow Frames:")
        seconds = float(next(words))
        if not _SECONDS[0] <= seconds <= _SECONDS[1]:  # not a number is neither
            raise ValueError(f"frame time is {seconds}, want seconds")
        values = np.array([float(w) for w in words])
        channels = sum(len(j.channels) for j in joints)
        if frames < 0 or not channels or values.size != frames * channels:
            raise ValueError(f"want {frames} frames of {channels} numbers, got {values.size} numbers")
        if not np.isfinite(values).all():
            raise ValueError("a frame holds NaN or infinity")
        return Bvh(joints, values.reshape(frames, channels), 1 / seconds)
    except StopIteration as error:
        raise UserError(f"{path} is not a whole BVH file: it breaks off.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a BVH file: {error}.") from error


def _hierarchy(it: Iterator[str]) -> list[BvhJoint]:
    """The skeleton: joints are pushed by their opening brace, and what follows is theirs until the closing one."""
    joints: list[BvhJoint] = []
    stack: list[int] = []
    opened = 0  # so many joints have had their opening brace
    if next(it).upper() != "HIERARCHY":
        raise ValueError("it does not begin with HIERARCHY")
    for word in it:
        kind = word.upper()
        if opened < len(joints) and kind != "{":
            raise ValueError(f"{word!r} stands where the opening brace of {joints[-1].name} should")
        if not stack and kind in ("JOINT", "END", "OFFSET", "CHANNELS", "}"):
            raise ValueError(f"{word!r} stands outside of a joint's braces")
        match kind:
            case "ROOT" | "JOINT":
                joints.append(BvhJoint(next(it), stack[-1] if stack else -1))
            case "END":
                next(it)  # "Site"
                joints.append(BvhJoint(f"{joints[stack[-1]].name}_End", stack[-1]))
            case "{":
                if opened == len(joints):
                    raise ValueError("a brace opens without a joint")
                stack.append(opened)
                opened += 1
            case "}":
                stack.pop()
                if not stack:
                    return joints
            case "OFFSET":
                offset = np.array([float(next(it)) for _ in range(3)])
                if not np.isfinite(offset).all():
                    raise ValueError("an offset is NaN or infinity")
                joints[stack[-1]].offset = offset
            case "CHANNELS":
                joints[stack[-1]].channels = [_channel(next(it)) for _ in range(int(next(it)))]
            case _:
                raise ValueError(f"{word!r} is no word of a skeleton")
    raise ValueError("the skeleton is not closed")


def _channel(word: str) -> str:
    if word.lower() not in _CHANNELS:
        raise ValueError(f"{word!r} is no channel, want Xposition, Zrotation and the like")
    return word
