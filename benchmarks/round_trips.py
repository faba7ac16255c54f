"""How far joints are off after others' readers have read our files: `python benchmarks/round_trips.py`.

Two people of 60 frames at 30 per second, one who walks and one who turns about every axis, come into the clip late.
Each format is read back by a package that is not ours; the table has the largest distance of a joint from the take's,
over all frames (Blender: every tenth) and both people, millimetres. A rig's joint between two of ours is not counted.
Readers that are not installed are named and left out: pybvh, bvhio, trc-data-reader, c3d, pygltflib, usd-core, bpy.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "unit")]
from test_exports import scene, tumbling, walking  # noqa: E402

from sasmamba.app.export.formats import FORMATS, export_motion  # noqa: E402
from sasmamba.app.export.motion_table import FEET, JOINTS, R_YUP_WORLD, PersonMotion, motions  # noqa: E402
from sasmamba.app.export.options import ExportOptions  # noqa: E402
from sasmamba.app.export.rigs import RIGS  # noqa: E402
from sasmamba.models.skeletons import H36M  # noqa: E402

LATE, FRAMES = 10, 60
POINTS = (*JOINTS, *FEET)
#: Positions (frames of the clip, joints, 3) that a reader finds, metres, in our axes, and which of our points they are.
Found = tuple[NDArray, list[int]]


def joints_of(rig: str) -> dict[str, int]:
    """By name, the joints of a rig that stand on joints of ours."""
    return {node.name: int(node.at) for node in RIGS[rig] if node.share == 1 and node.at < len(H36M)}


def by_pybvh(path: Path, rig: str, person: int) -> Found:
    """BVH."""
    import pybvh

    file = pybvh.read_bvh_file(str(path))
    names = joints_of(rig)
    places = np.asarray(file.node_positions())[:, [file.node_index[name] for name in names]]
    return places / 100 @ R_YUP_WORLD, list(names.values())


def by_bvhio(path: Path, rig: str, person: int) -> Found:
    """BVH."""
    import bvhio

    root, names, places = bvhio.readAsHierarchy(str(path)), joints_of(rig), []
    for frame in range(LATE + FRAMES):
        root.loadPose(frame)
        found = {joint.Name: np.array(joint.PositionWorld) for joint, _, _ in root.layout()}
        places.append([found[name] for name in names])
    return np.array(places) / 100 @ R_YUP_WORLD, list(names.values())


def by_trc_reader(path: Path, rig: str, person: int) -> Found:
    """TRC."""
    import trc

    data = trc.TRCData()
    data.load(str(path))
    places = np.array([data[name] for name in POINTS]).transpose(1, 0, 2) / 1000
    return held(places @ R_YUP_WORLD), list(range(len(POINTS)))


def by_c3d(path: Path, rig: str, person: int) -> Found:
    """C3D."""
    import c3d

    with path.open("rb") as file:
        frames = [points[:, :3] for _, points, _ in c3d.Reader(file).read_frames()]
    return held(np.stack(frames) / 1000), list(range(len(POINTS)))


def by_csv(path: Path, rig: str, person: int) -> Found:
    """CSV, by Python's own reader."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["track_id"]) == person]
    return held(np.array([[[float(row[f"{p}_{k}_m"]) for k in "xyz"] for p in POINTS] for row in rows])), list(
        range(21)
    )


def by_json(path: Path, rig: str, person: int) -> Found:
    """JSON, by Python's own reader."""
    (told,) = (p for p in json.loads(path.read_text())["people"] if p["track_id"] == person)
    return held(np.array([[*frame["joints"], *frame["feet"]] for frame in told["frames"]])), list(range(21))


def by_numpy(path: Path, rig: str, person: int) -> Found:
    """NPZ."""
    with np.load(path) as z:
        p = z["track_id"].tolist().index(person)
        return held(np.concatenate([z["world3d"][p], z["feet3d"][p]], 1)[LATE:]), list(range(21))


def by_usd(path: Path, rig: str, person: int) -> Found:
    """USD, by UsdSkel."""
    from pxr import Usd, UsdSkel

    stage, cache = Usd.Stage.Open(str(path)), UsdSkel.Cache()
    cache.Populate(UsdSkel.Root(stage.GetPrimAtPath(f"/World/person_{person}")), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(UsdSkel.Skeleton(stage.GetPrimAtPath(f"/World/person_{person}/skeleton")))
    wanted = [n for n, node in enumerate(RIGS[rig]) if node.name in joints_of(rig)]
    places = [
        [list(m.ExtractTranslation()) for m in query.ComputeJointSkelTransforms(frame)]
        for frame in range(LATE + FRAMES)
    ]
    return np.array(places)[:, wanted] @ R_YUP_WORLD, list(joints_of(rig).values())


def by_blender(path: Path, rig: str, person: int) -> Found:
    """BVH, GLB and USD, every tenth frame."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        script = ROOT / "tests" / "blender_positions.py"
        command = [sys.executable, str(script), str(path), str(LATE + FRAMES), str(out)]
        subprocess.run(command, check=True, capture_output=True)
        rigs = json.loads(out.read_text())["rigs"]
    found = rigs.get(f"person_{person}") or rigs[path.stem]
    names, places = joints_of(rig), np.full((LATE + FRAMES, len(joints_of(rig)), 3), np.nan)
    for frame, at in found["at"].items():
        places[int(frame)] = [at.get(name) or at[name.replace(":", "_")] for name in names]
    return places, list(names.values())


def held(places: NDArray) -> NDArray:
    """From the person's first frame on as from the clip's: nobody there is not a number."""
    return np.concatenate([np.full((LATE, *places.shape[1:]), np.nan), places])


READERS: tuple[tuple[str, str, Callable[[Path, str, int], Found]], ...] = (
    ("bvh", "pybvh", by_pybvh),
    ("bvh", "bvhio", by_bvhio),
    ("bvh", "bpy", by_blender),
    ("glb", "bpy", by_blender),
    ("usd", "pxr", by_usd),
    ("usd", "bpy", by_blender),
    ("trc", "trc", by_trc_reader),
    ("c3d", "c3d", by_c3d),
    ("csv", "csv", by_csv),
    ("json", "json", by_json),
    ("npz", "numpy", by_numpy),
)
NEEDS = {"glb": "pygltflib", "usd": "pxr", "c3d": "ezc3d"}


def worst_mm(found: Found, person: PersonMotion) -> float:
    """The largest distance of a joint from the take's; frames of the reader that are not numbers do not count."""
    places, which = found
    frames = np.flatnonzero(np.isfinite(places).all((1, 2)) & (np.arange(len(places)) >= LATE))
    off = np.linalg.norm(places[frames] - person.points[frames - LATE][:, which], axis=-1)
    return 1000 * float(off.max())


def main() -> None:
    """Prints the table."""
    take, placement = scene({1: walking(FRAMES), 2: tumbling(FRAMES)}, fps=Fraction(30), start=LATE)
    people = motions(take, placement)
    print("| Format | Rig | Read by | Largest error, mm |\n|---|---|---|---|")
    for form, package, reader in READERS:
        if any(find_spec(name) is None for name in {package, NEEDS.get(form, package)}):
            print(f"| {form} | | {package} | not installed |")
            continue
        for rig in RIGS if form in ("bvh", "glb", "usd") else ("-",):
            with tempfile.TemporaryDirectory() as folder:
                options = ExportOptions() if rig == "-" else ExportOptions(rig)
                files = export_motion(take, placement, Path(folder) / "clip", [form], options=options)
                each = FORMATS[form][0][1]
                worst = max(
                    worst_mm(reader(files[k if each else 0], rig, person.track_id), person)
                    for k, person in enumerate(people)
                )
            print(f"| {form} | {rig} | {package} | {worst:.4f} |", flush=True)


if __name__ == "__main__":
    main()
