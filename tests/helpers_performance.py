"""Bodies whose measures are known by construction: walkers, jumpers, people on a chair, all facing along +x."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import Body, planted_feet
from sasmamba.app.motion.performance import Performance, View
from sasmamba.models.angles import joint_angles
from sasmamba.models.skeletons import H36M

THIGH_M = SHANK_M = 0.45
ANKLE_M, G = 0.08, 9.81
#: Where the hips are beside the pelvis, left.
HIP_M = 0.12


def body(pelvis: NDArray, ankles: NDArray, lean_deg: NDArray | float = 0.0) -> NDArray:
    """Joints (F, 17, 3) of pelvis (F, 3) and ankles (F, 2, 3), left first; the trunk leans forward, arms hang."""
    F = len(pelvis)
    out = np.zeros((F, 17, 3))
    lean = np.radians(np.broadcast_to(lean_deg, F))
    trunk = np.stack([np.sin(lean), 0 * lean, np.cos(lean)], 1)
    out[:, H36M.PELVIS] = pelvis
    for joint, up in (("SPINE", 0.25), ("THORAX", 0.5), ("NOSE", 0.6), ("HEAD_TOP", 0.72)):
        out[:, H36M[joint]] = pelvis + up * trunk
    for k, (side, sign) in enumerate((("LEFT", 1.0), ("RIGHT", -1.0))):
        hip = pelvis + np.array([0, sign * HIP_M, 0])
        way = ankles[:, k] - hip
        far = np.linalg.norm(way, axis=1, keepdims=True)
        assert (far < THIGH_M + SHANK_M).all(), "a leg does not reach"
        axis = way / far
        forward = np.array([1.0, 0, 0]) - axis[:, :1] * axis
        forward /= np.linalg.norm(forward, axis=1, keepdims=True)
        out[:, H36M[f"{side}_HIP"]] = hip
        out[:, H36M[f"{side}_KNEE"]] = hip + far / 2 * axis + np.sqrt(THIGH_M**2 - far**2 / 4) * forward
        out[:, H36M[f"{side}_ANKLE"]] = ankles[:, k]
        shoulder = pelvis + 0.45 * trunk + [0, sign * 0.18, 0]
        for joint, down in (("SHOULDER", 0.0), ("ELBOW", 0.28), ("WRIST", 0.53)):
            out[:, H36M[f"{side}_{joint}"]] = shoulder - [0, 0, down]
    return out


def walker_of(
    length_m: tuple[float, float],
    time_s: tuple[float, float],
    fps: float = 50.0,
    steps: int = 14,
    support: float = 0.12,
) -> tuple[NDArray, NDArray]:
    """Times (F,) and joints of somebody with left and right steps of these lengths and times, of which all but two are
    whole; both feet are on the floor for `support` seconds from every contact on."""
    contacts, places = [0.0], [0.0]
    for k in range(1, steps + 2):
        contacts.append(contacts[-1] + time_s[k % 2])
        places.append(places[-1] + length_m[k % 2])
    # both feet stand where they came down first
    time = np.arange(round((contacts[steps] - contacts[1]) * fps)) / fps + contacts[1]
    ankles = np.zeros((len(time), 2, 3))
    for foot in range(2):  # contact k is of the left foot where k is even
        x, z = np.full(len(time), places[foot]), np.full(len(time), ANKLE_M)
        for k in range(foot, steps, 2):
            # the foot leaves when the other has been down for a while, and comes down two contacts later
            off, down = contacts[k + 1] + support, contacts[min(k + 2, steps + 1)]
            share = ((time - off) / (down - off)).clip(0, 1)
            x += share * (places[min(k + 2, steps + 1)] - places[k])
            z += 0.06 * np.sin(np.pi * share) ** 2
        ankles[:, foot] = np.stack([x, np.full(len(time), HIP_M - 2 * HIP_M * foot), z], 1)
    middle = np.interp(time, contacts, np.array(places) - np.array(length_m)[np.arange(steps + 2) % 2] / 2)
    pelvis = np.stack([middle, 0 * time, np.full(len(time), 0.82)], 1)
    return time, body(pelvis, ankles)


def jumper_of(flight_s: float, fps: float = 50.0, drop_m: float = 0.0) -> tuple[NDArray, NDArray]:
    """Somebody who stands, rises on the toes, is in the air from 1 s on, and stands again, lower perhaps."""
    time = np.arange(round((2.5 + flight_s) * fps)) / fps
    t = time - 1.0
    up = G * flight_s / 2 - drop_m / flight_s
    heel = 0.09 * (1 + t / 0.12).clip(0, 1) ** 2
    air = up * t - 0.5 * G * t**2 + 0.09
    settled = -drop_m + 0.09 * (1 - (t - flight_s) / 0.12).clip(0, 1) ** 2
    lift = np.where(t < 0, heel, np.where(t < flight_s, air, settled))
    pelvis = np.stack([0 * time, 0 * time, 0.94 + drop_m + lift], 1)
    ankles = np.zeros((len(time), 2, 3))
    ankles[..., 1], ankles[..., 2] = [HIP_M, -HIP_M], (ANKLE_M + drop_m + lift)[:, None]
    return time, body(pelvis, ankles)


def sitter_of(rises: int, cycle_s: float = 3.0, rise_s: float = 1.0, fps: float = 50.0, chair: bool = True):
    """Somebody who comes up so many times, every so many seconds, from a chair or from a squat: times and joints."""
    time = np.arange(round((rises * cycle_s + 1) * fps)) / fps
    t = (time % cycle_s) / cycle_s
    down, up = 1 - rise_s / cycle_s, rise_s / cycle_s
    low = 1 - _ease((t - 0.35) / up) + _ease((t - down) / up)
    low = np.where(time < rises * cycle_s, low, 0 if time[-1] < 0 else 1.0)
    seat, lean = ((-0.42, 0.52), 5.0) if chair else ((-0.2, 0.52), 40.0)
    pelvis = np.stack([seat[0] * low, 0 * time, 0.94 + (seat[1] - 0.94) * low], 1)
    ankles = np.zeros((len(time), 2, 3))
    ankles[..., 1], ankles[..., 2] = [HIP_M, -HIP_M], ANKLE_M
    return time, body(pelvis, ankles, lean * low)


def _ease(x: NDArray) -> NDArray:
    x = x.clip(0, 1)
    return x * x * (3 - 2 * x)


def performance(time: NDArray, joints: NDArray, heading_deg: float = 0.0, view: View | None = None) -> Performance:
    """What measures are taken of, turned to a heading, seen along +y and known everywhere."""
    c, s = np.cos(np.radians(heading_deg)), np.sin(np.radians(heading_deg))
    world = joints @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    angles = joint_angles(world)
    return Performance(
        1,
        time,
        world,
        planted_feet(Body(time, world - world[:, :1], world[:, 0])),
        angles,
        {name: np.full(len(time), np.nan) for name in angles},
        np.tile([0.0, 1, 0], (len(time), 1)),
        view or View(height_given=True),
    )
