"""Draws every joint angle's definition: docs/angles.md and docs/pictures/angle_NAME.svg, out of models/angles.py.

    python tools/angle_drawings.py

A figure is bent by so many degrees, once by none and once by the number that is drawn; `joint_angles` must find both,
or there is no drawing. Words are those of `ANGLES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.angles import ANGLES, joint_angles
from sasmamba.models.skeletons import FOOT, H36M

DOCS = Path(__file__).parents[1] / "docs"
SIZE = 240
PAGE = """# Joint angles

This page and its drawings are written by `python tools/angle_drawings.py` out of `models/angles.py`: a figure is bent,
and what the program finds in it is the number beside the arc. Dashed is where the limb is at 0°.

{rows}

`left_hip_flexion` and the like are columns of the motion file and curves of the page; the table of angles has them in
rows ([Formats](formats.md#angles-name_anglescsv-name_id_anglesmot)). The trunk goes from pelvis to thorax. Joint
centres do not show how a limb turns about its own axis, so that is not given; nor is an angle whose limb nearly lies
along the axis that it is measured about. The conventions are those of the International Society of Biomechanics (Wu et
al. 2002, 2005) as far as joint centres tell them.
"""


@dataclass(frozen=True)
class Bend:
    """A standing figure that looks along +x, left along +y, z up, bent so far, degrees."""

    lean: float = 0  # trunk forward
    right: float = 0  # trunk to the right
    hip: float = 0  # the right thigh forward, against the trunk
    out: float = 0  # the right thigh away from the other
    knee: float = 0
    ankle: float = 0
    shoulder: float = 0  # the right arm, sideways
    ahead: float = 0  # the right arm, forward
    elbow: float = 0


def turn(v: NDArray, axis: str, degrees: float) -> NDArray:
    """A vector (3,) turned about x, y or z, right-handed."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rows = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return np.asarray(np.array(rows[axis]) @ v)


def figure(bend: Bend) -> tuple[NDArray, NDArray]:
    """Joints (17, 3) and feet (4, 3), metres."""
    down, joints, feet = np.array([0.0, 0, -1]), np.zeros((17, 3)), np.zeros((4, 3))

    def trunk(v: NDArray) -> NDArray:
        return turn(turn(v, "y", bend.lean), "x", bend.right)

    thorax = trunk(np.array([0, 0, 0.5]))
    joints[H36M.SPINE], joints[H36M.THORAX] = thorax / 2, thorax
    joints[H36M.NOSE], joints[H36M.HEAD_TOP] = thorax + trunk(np.array([0.08, 0, 0.12])), 1.5 * thorax
    for side, sign, b in (("LEFT", 1, Bend(lean=bend.lean, right=bend.right)), ("RIGHT", -1, bend)):
        hip = np.array([0, 0.13 * sign, 0])
        # the other leg stays upright, under the pelvis; this one is bent against the trunk
        stands = b is not bend
        thigh = down if stands else turn(turn(down, "y", -b.hip + b.lean), "x", -b.out)
        shank = down if stands else turn(turn(down, "y", -b.hip + b.lean + b.knee), "x", -b.out)
        level = np.array([1.0, 0, 0])
        foot = level if stands else turn(level, "y", -b.hip + b.lean + b.knee - b.ankle)
        knee, ankle = hip + 0.45 * thigh, hip + 0.45 * thigh + 0.43 * shank
        shoulder = thorax + trunk(np.array([0, 0.18 * sign, -0.03]))
        arm = trunk(turn(turn(down, "y", -b.ahead), "x", -b.shoulder))
        forearm = trunk(turn(turn(down, "y", -b.ahead - b.elbow), "x", -b.shoulder))
        places = {"HIP": hip, "KNEE": knee, "ANKLE": ankle, "SHOULDER": shoulder, "ELBOW": shoulder + 0.3 * arm}
        places["WRIST"] = places["ELBOW"] + 0.26 * forearm
        for joint, at in places.items():
            joints[H36M[f"{side}_{joint}"]] = at
        sole = ankle + 0.07 * turn(foot, "y", 90)
        feet[FOOT[f"{side}_HEEL"]], feet[FOOT[f"{side}_TOE"]] = sole - 0.05 * foot, sole + 0.15 * foot
    return joints, feet


@dataclass(frozen=True)
class Drawing:
    """How one angle of `ANGLES` is shown."""

    degrees: float
    bent: Callable[[float], Bend]
    vertex: str  # of H36M
    end: str  # the bone that turns goes from the vertex to this joint
    front: bool = False  # seen from the front; otherwise from the person's right, who looks to the right
    zoom: float = 1.0


DRAWINGS = {
    "hip_flexion": Drawing(50, lambda a: Bend(lean=15, hip=a, knee=max(a - 10, 0)), "RIGHT_HIP", "RIGHT_KNEE"),
    "hip_abduction": Drawing(30, lambda a: Bend(out=a), "RIGHT_HIP", "RIGHT_KNEE", front=True),
    "knee_flexion": Drawing(70, lambda a: Bend(hip=35, knee=a), "RIGHT_KNEE", "RIGHT_ANKLE"),
    "shank_inclination": Drawing(
        25, lambda a: Bend(lean=20, hip=65, knee=45 + a, ankle=a), "RIGHT_ANKLE", "RIGHT_KNEE"
    ),
    "ankle_dorsiflexion": Drawing(20, lambda a: Bend(hip=30, knee=20, ankle=a), "RIGHT_HEEL", "RIGHT_TOE", zoom=2.4),
    "shoulder_elevation": Drawing(100, lambda a: Bend(shoulder=a), "RIGHT_SHOULDER", "RIGHT_ELBOW", front=True),
    "elbow_flexion": Drawing(80, lambda a: Bend(ahead=20, elbow=a), "RIGHT_ELBOW", "RIGHT_WRIST"),
    "trunk_forward_lean": Drawing(35, lambda a: Bend(lean=a, hip=a), "PELVIS", "THORAX"),
    "trunk_right_lean": Drawing(25, lambda a: Bend(right=a), "PELVIS", "THORAX", front=True),
}
BONES = (
    *("PELVIS SPINE", "SPINE THORAX", "PELVIS LEFT_HIP", "PELVIS RIGHT_HIP"),
    *(f"{s}_{a} {s}_{b}" for s in ("LEFT", "RIGHT") for a, b in (("HIP", "KNEE"), ("KNEE", "ANKLE"), ("HEEL", "TOE"))),
    *(f"{s}_{a} {s}_{b}" for s in ("LEFT", "RIGHT") for a, b in (("SHOULDER", "ELBOW"), ("ELBOW", "WRIST"))),
    *(f"{s}_{a} {s}_{b}" for s in ("LEFT", "RIGHT") for a, b in (("ANKLE", "HEEL"), ("ANKLE", "TOE"))),
    *("THORAX LEFT_SHOULDER", "THORAX RIGHT_SHOULDER"),
)  # fmt: skip
STYLE = """<style>
.card{fill:#fff}.far{stroke:#c3c9d1}.near{stroke:#7d8794}.bone{stroke:#e07b28}.zero{stroke:#2f7fe0}.arc{fill:none;stroke:#2f7fe0}
text{fill:#24292f;font:600 17px system-ui,sans-serif;stroke:#fff;stroke-width:6px;paint-order:stroke}
@media(prefers-color-scheme:dark){.card{fill:#1e2129}.far{stroke:#4b5260}.near{stroke:#8d97a5}text{fill:#e6e9ee;stroke:#1e2129}}
</style>"""


def in_drawing(drawing: Drawing, bend: Bend) -> dict[str, NDArray]:
    """Where every joint is on paper, (2,) pixels, right and down."""
    joints, feet = figure(bend)
    places = {joint.name: joints[joint] for joint in H36M} | {point.name: feet[point] for point in FOOT}
    along = np.array([0, 1.0, 0]) if drawing.front else np.array([1.0, 0, 0])
    scale, middle = 118 * drawing.zoom, np.zeros(3) if drawing.zoom == 1 else places["RIGHT_ANKLE"]
    flat = {name: np.array([(at - middle) @ along, middle[2] - at[2]]) for name, at in places.items()}
    return {name: np.array([SIZE / 2, 112]) + scale * at for name, at in flat.items()}


def checked(name: str, drawing: Drawing) -> None:
    """What is drawn is what `joint_angles` says: 0° and the number beside the arc."""
    side = "" if name.startswith("trunk") else "right_"
    for degrees in (0.0, drawing.degrees):
        joints, feet = figure(drawing.bent(degrees))
        found = joint_angles(joints[None], feet[None], np.ones((1, 2), bool))[f"{side}{name}"][0]
        if not abs(found - degrees) < 0.01:
            raise SystemExit(f"{name}: drawn is {degrees}°, the program finds {found:.2f}°")


def svg(name: str, drawing: Drawing) -> str:
    """One drawing."""
    bent, rest = in_drawing(drawing, drawing.bent(drawing.degrees)), in_drawing(drawing, drawing.bent(0))
    vertex = bent[drawing.vertex]
    to, zero = bent[drawing.end] - vertex, rest[drawing.end] - rest[drawing.vertex]
    angles = [float(np.arctan2(v[1], v[0])) for v in (zero, to)]
    swept = (angles[1] - angles[0] + np.pi) % (2 * np.pi) - np.pi
    radius = 34 if drawing.zoom == 1 else 66
    begin, end = (vertex + radius * np.array([np.cos(a), np.sin(a)]) for a in angles)
    middle = vertex + (radius + 26) * np.array([np.cos(angles[0] + swept / 2), np.sin(angles[0] + swept / 2)])

    def line(kind: str, a: NDArray, b: NDArray, width: float, more: str = "") -> str:
        ends = f'x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"'
        return f'<line class="{kind}" {ends} stroke-width="{width}" stroke-linecap="round"{more}/>'

    drawn = [line("far" if "LEFT" in bone else "near", *(bent[j] for j in bone.split()), 7) for bone in BONES]
    drawn.sort(key=lambda text: '"near"' in text)
    neck = bent["HEAD_TOP"] - bent["THORAX"]
    head, across = bent["THORAX"] + 0.62 * neck, np.array([-neck[1], neck[0]]) / np.linalg.norm(neck)
    drawn += [
        line("near", bent["THORAX"], bent["THORAX"] + 0.3 * neck, 7),
        f'<circle class="near" fill="none" cx="{head[0]:.1f}" cy="{head[1]:.1f}" r="15" stroke-width="6"/>',
        *([] if drawing.front else [line("near", head + 17 * across, head + 22 * across, 6)]),
        line("zero", vertex, vertex + 1.25 * zero, 3, ' stroke-dasharray="2 7"'),
        line("bone", vertex, bent[drawing.end], 8),
        f'<path class="arc" stroke-width="3" d="M{begin[0]:.1f} {begin[1]:.1f}A{radius} {radius} 0 0 {int(swept > 0)} '
        f'{end[0]:.1f} {end[1]:.1f}"/>',
        f'<text x="{middle[0]:.1f}" y="{middle[1] + 6:.1f}" text-anchor="middle">{drawing.degrees:g}°</text>',
    ]
    box = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" height="{SIZE}">'
    return "\n".join([box, STYLE, f'<rect class="card" width="{SIZE}" height="{SIZE}" rx="8"/>', *drawn, "</svg>\n"])


def page() -> str:
    """docs/angles.md."""
    rows = ["| drawing | angle |", "| --- | --- |"]
    for angle in ANGLES:
        seen = "seen from the front" if DRAWINGS[angle.name].front else "seen from the right"
        sides = "`, `".join(angle.series)
        told = f"**{angle.label}** (`{sides}`)<br>{angle.definition}. Drawn {seen}."
        rows.append(
            f"| ![{angle.label}, {DRAWINGS[angle.name].degrees:g}°](pictures/angle_{angle.name}.svg) | {told} |"
        )
    return PAGE.format(rows="\n".join(rows))


def written() -> dict[Path, str]:
    """Every file, and what belongs in it."""
    for angle in ANGLES:
        checked(angle.name, DRAWINGS[angle.name])
    files = {DOCS / f"pictures/angle_{name}.svg": svg(name, drawing) for name, drawing in DRAWINGS.items()}
    return files | {DOCS / "angles.md": page()}


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text)
