"""From a video to OpenSim: inverse kinematics on a TRC file, and how far the model's markers stay from ours.

    sasmamba-demo video.mp4 --export trc --markers opensim
    pip install opensim "numpy<2"       # in an environment of its own: it does not know numpy 2
    python examples/opensim_ik.py video_3d_1.trc --out video_3d_1_ik.mot
    python examples/opensim_ik.py video_3d_1.trc --model scaled.osim --out video_3d_1_ik.mot

Without --model a plain one is built from the file's own segment lengths: pelvis, trunk, ball joints at hips, shoulders
and ankles, hinges at knees and elbows, markers at the joint centres. A model of yours takes part with every marker that
has one of the file's names, RHJC, RKJC, RAJC, RCAL, RTOE, RSJC, REJC, RWJC and the left ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import opensim  # type: ignore # an example need not have it


def read_markers(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, times (F,) and positions (F, markers, 3) in metres, NaN in gaps."""
    table = opensim.TimeSeriesTableVec3(str(path))
    names = list(table.getColumnLabels())
    rows = [table.getRowAtIndex(f) for f in range(table.getNumRows())]
    places = np.array([[[row[m][k] for k in range(3)] for m in range(len(names))] for row in rows]) / 1000
    return names, np.array(table.getIndependentColumn()), places


def built_model(names: list[str], places: np.ndarray) -> opensim.Model:
    """A model as large as the person: x ahead, y up, z to the right, as OpenSim has it."""

    def length(a: str, b: str) -> float:
        return float(np.nanmedian(np.linalg.norm(places[:, names.index(a)] - places[:, names.index(b)], axis=-1)))

    model = opensim.Model()
    vec = opensim.Vec3

    def body(name: str) -> opensim.Body:
        made = opensim.Body(name, 1.0, vec(0), opensim.Inertia(0.01, 0.01, 0.01))
        model.addBody(made)
        return made

    def mark(name: str, frame: opensim.Body, *at: float) -> None:
        model.addMarker(opensim.Marker(name, frame, vec(*at)))

    def join(kind: type, name: str, parent: opensim.Body, at: tuple[float, float, float], child: opensim.Body) -> None:
        model.addJoint(kind(name, parent, vec(*at), vec(0), child, vec(0), vec(0)))

    pelvis, torso = body("pelvis"), body("torso")
    join(opensim.FreeJoint, "ground_pelvis", model.getGround(), (0, 0, 0), pelvis)
    join(opensim.BallJoint, "back", pelvis, (0, 0, 0), torso)
    shoulders = (places[:, names.index("RSJC")] + places[:, names.index("LSJC")]) / 2
    hips = (places[:, names.index("RHJC")] + places[:, names.index("LHJC")]) / 2
    trunk = float(np.nanmedian(np.linalg.norm(shoulders - hips, axis=-1)))
    for side, sign in (("R", 1), ("L", -1)):
        femur, tibia, foot, humerus, radius = (
            body(f"{part}_{side.lower()}") for part in ("femur", "tibia", "foot", "humerus", "radius")
        )
        hip = (0.0, 0.0, sign * length("RHJC", "LHJC") / 2)
        shoulder = (0.0, trunk, sign * length("RSJC", "LSJC") / 2)
        thigh, shank = length(f"{side}HJC", f"{side}KJC"), length(f"{side}KJC", f"{side}AJC")
        upper_arm, forearm = length(f"{side}SJC", f"{side}EJC"), length(f"{side}EJC", f"{side}WJC")
        join(opensim.BallJoint, f"hip_{side.lower()}", pelvis, hip, femur)
        join(opensim.PinJoint, f"knee_{side.lower()}", femur, (0, -thigh, 0), tibia)
        join(opensim.BallJoint, f"ankle_{side.lower()}", tibia, (0, -shank, 0), foot)
        join(opensim.BallJoint, f"shoulder_{side.lower()}", torso, shoulder, humerus)
        join(opensim.PinJoint, f"elbow_{side.lower()}", humerus, (0, -upper_arm, 0), radius)
        ahead, behind = length(f"{side}AJC", f"{side}TOE"), length(f"{side}AJC", f"{side}CAL")
        whole = length(f"{side}CAL", f"{side}TOE")
        # where the ankle stands over the line from heel to toe
        front = (ahead**2 - behind**2 + whole**2) / (2 * whole)
        sole = float(np.sqrt(max(ahead**2 - front**2, 0)))
        mark(f"{side}HJC", pelvis, *hip)
        mark(f"{side}KJC", tibia, 0, 0, 0)
        mark(f"{side}AJC", foot, 0, 0, 0)
        mark(f"{side}TOE", foot, front, -sole, 0)
        mark(f"{side}CAL", foot, front - whole, -sole, 0)
        mark(f"{side}SJC", torso, *shoulder)
        mark(f"{side}EJC", radius, 0, 0, 0)
        mark(f"{side}WJC", radius, 0, -forearm, 0)
    model.finalizeConnections()
    return model


def main() -> None:
    """Runs inverse kinematics on what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trc", type=Path, help="markers, written with --markers opensim")
    parser.add_argument("--out", type=Path, required=True, help="the motion, .mot")
    parser.add_argument("--model", type=Path, help="an .osim with markers of the file's names")
    arguments = parser.parse_args()
    names, times, places = read_markers(arguments.trc)
    model = opensim.Model(str(arguments.model)) if arguments.model else built_model(names, places)
    state = model.initSystem()
    known = [m.getName() for m in model.getMarkerSet() if m.getName() in names]
    whole = np.flatnonzero(np.isfinite(places).all((1, 2)))
    weights = opensim.SetMarkerWeights()
    for name in known:
        weights.cloneAndAppend(opensim.MarkerWeight(name, 1.0))
    data = opensim.MarkersReference(str(arguments.trc), weights)
    solver = opensim.InverseKinematicsSolver(model, data, opensim.SimTKArrayCoordinateReference(), 1e3)
    solver.setAccuracy(1e-6)
    coordinates = [model.getCoordinateSet().get(i) for i in range(model.getNumCoordinates())]
    rows, errors = [], []
    for k, f in enumerate(whole):
        state.setTime(float(times[f]))
        solver.assemble(state) if k == 0 else solver.track(state)
        rows.append([times[f], *(c.getValue(state) for c in coordinates)])
        errors.append([solver.computeCurrentMarkerError(name) for name in known])
    header = [arguments.out.name, "version=1", f"nRows={len(rows)}", f"nColumns={len(rows[0])}", "inDegrees=no"]
    lines = [*header, "endheader", "\t".join(["time", *(c.getName() for c in coordinates)])]
    arguments.out.write_text("\n".join([*lines, *("\t".join(f"{v:.6f}" for v in row) for row in rows)]) + "\n")
    off = 1000 * np.array(errors)
    figures = f"median error {np.median(off):.1f} mm, 90 % below {np.quantile(off, 0.9):.1f} mm"
    print(f"{len(rows)} frames, {len(known)} markers: {figures}")


if __name__ == "__main__":
    main()
