"""The world of one shot: gravity and the floor, settled once for everybody in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import level, pitch_and_roll
from sasmamba.app.motion.camera_rise import camera_rise, rise_at, seen_standing, walking_height
from sasmamba.app.motion.footing import ANKLE_HEIGHT_M, Body, floor_height, planted_feet, supported, without_tops
from sasmamba.app.motion.gravity import KnownCamera, upright
from sasmamba.app.motion.line_vote import LineVote
from sasmamba.app.motion.sizes import OneFloor
from sasmamba.common.arrays import FloatArray

#: A floor that several stand on is a stage, if the others are so far below it.
_STAGE_M = 0.5


@dataclass(frozen=True, slots=True)
class ShotCamera:
    """How the camera stood in the first frame of a shot.

    Attributes:
        frames: of the shot.
        R_world_cam: (3, 3), its axes to world axes: x right, y away from the camera, z up.
        height_m: above the floor; x and y of its place are 0.
        pitch_deg: by how much it looks down.
        roll_deg: by how much up leans to the right in the picture.
        sd_deg: how unsure upright is, standard deviation of its angle to the true vertical; 0 where the user told both.
        rise_m: by how much higher than in the first frame it is in each, where it is carried about; else empty.
    """

    frames: range
    R_world_cam: FloatArray
    height_m: float
    pitch_deg: float
    roll_deg: float
    sd_deg: float
    rise_m: tuple[float, ...] = ()

    def told(self) -> dict[str, float]:
        """In figures, for every export: angles in degrees, the height in metres."""
        return {
            "first_frame": self.frames.start,
            "frames": len(self.frames),
            "pitch_deg": round(self.pitch_deg, 2),
            "roll_deg": round(self.roll_deg, 2),
            "height_m": round(self.height_m, 3),
            "upright_uncertainty_deg": round(self.sd_deg, 1),
        }


@dataclass(frozen=True, slots=True)
class Shot:
    """A settled shot: its camera, everybody in world axes with the floor at z = 0, and whose feet (F, 2) are planted
    when, and how high what they stand on is (F, 2)."""

    camera: ShotCamera
    bodies: list[Body]
    planted: list[NDArray]
    levels: list[NDArray]


def settle(
    bodies: Sequence[Body],
    sure: Sequence[bool],
    frames: range,
    known: KnownCamera | None = None,
    on_floor: Sequence[tuple[int, int, int]] = (),
    ground: OneFloor | None = None,
    lines: LineVote | None = None,
    carried_s: NDArray | None = None,
) -> Shot:
    """Finds up and the floor, and puts bodies, in the axes of the shot's first camera, there.

    Args:
        sure: of every body, whether its place was seen; guesses have no say unless there is nothing else.
        known: what the user knows of the camera.
        on_floor: feet that stand on the floor, as the user says: body, row of its frames, 0 left or 1 right. Several
            say it together, and nobody else has a say.
        ground: the floor that several stand on, at whose sizes `bodies` are; None where it is still to be found.
        lines: what the edges of the scene tell of up.
        carried_s: (N,) seconds of the frames, of a camera that is carried about: how it rises and sinks is then taken
            out of everybody's places.
    """
    resting = [planted_feet(body) for body in bodies]
    heard = [n for n, seen in enumerate(sure) if seen] or list(range(len(bodies)))
    carried = carried_s is not None
    # where the camera may rise sizes are the floor's, up is found anew
    by_floor = None if ground is None or carried else (ground.angles, ground.covariance)
    up = upright([bodies[n] for n in heard], [resting[n] for n in heard], known, by_floor, lines, carried)
    R, floor, flat = level(up.up), 0.0, list(bodies)
    for n, pose in zip(heard, up.poses, strict=True):
        flat[n] = flat[n].posed(pose)
    flat = [body.turned(R, np.zeros(3)) for body in flat]
    resting = [without_tops(body, rest) for body, rest in zip(flat, resting, strict=True)]
    rise: tuple[float, ...] = ()
    if carried_s is not None:
        rise_m = camera_rise(flat, resting, heard, carried_s)
        flat = [body.posed(body.joints, body.pelvis + rise_at(body.time, carried_s, rise_m)) for body in flat]
        rise = tuple(rise_m.tolist())
    standing = [n for n in heard if bodies[n].shows_legs] or heard  # made-up legs stand on no floor
    tell = [(flat[n], resting[n]) for n in standing]
    if any(rise):
        tell = seen_standing(flat, resting, heard)
        ground = None  # it was found with the rise in it
    if on_floor:
        heights = [flat[n].ankles[row, foot, 2] for n, row, foot in on_floor]
        floor = float(np.median(heights)) - ANKLE_HEIGHT_M
    elif flat:
        floor = floor_height([body for body, _ in tell], [rest for _, rest in tell])
        if ground is not None and floor > -ground.height_m - _STAGE_M:
            floor = -ground.height_m
    settled = [body.posed(body.joints, body.pelvis - [0, 0, floor]) for body in flat]
    if carried:
        walk = [walking_height(*one) for one in zip(settled, resting, strict=True)]
        settled = [
            body.posed(body.joints, body.pelvis - height[:, None] * [0, 0, 1])
            for body, height in zip(settled, walk, strict=True)
        ]
    pitch, roll = np.degrees(pitch_and_roll(up.up)).tolist()
    feet = [supported(body, rest) for body, rest in zip(settled, resting, strict=True)]
    camera = ShotCamera(frames, R, -floor, pitch, roll, up.sd_deg, rise)
    return Shot(camera, settled, [planted for planted, _ in feet], [level for _, level in feet])
