"""Characters: rigs have the names that programs know, and Blender, glTF's and USD's own validators agree with us."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from test_exports import scene, somersault, tumbling, walking, written_bvh

from sasmamba.app.export.euler import ORDERS, best_order, euler, leaps, turns, unwrapped
from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import R_YUP_WORLD, motions
from sasmamba.app.export.options import ExportOptions
from sasmamba.app.export.rig_motion import quaternions, rig_motion, shortest_turn
from sasmamba.app.export.rigs import RIGS
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M

HERE = Path(__file__).parents[1]
#: Names by which programs map a rig to their own; the Mixamo prefix, Unity's HumanBodyBones, VRM 1.0's humanoid bones.
LIMBS = {
    "cmu": ("LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "RightArm", "RightForeArm", "RightHand", "LHipJoint"),
    "mixamo": (
        "mixamorig:Hips",
        "mixamorig:Spine2",
        "mixamorig:LeftUpLeg",
        "mixamorig:LeftToeBase",
        "mixamorig:RightForeArm",
    ),
    "unity": ("Hips", "UpperChest", "LeftUpperLeg", "LeftLowerLeg", "LeftToes", "RightUpperArm", "RightLowerArm"),
    "vrm": ("hips", "upperChest", "leftUpperLeg", "leftLowerLeg", "leftToes", "rightUpperArm", "rightLowerArm"),
}
#: At most so far a joint of a rig stands from the take's, where the rig has a joint of its own for it.
WORST_MM = 1.0


def placed(rig: str, move=walking, frames: int = 60) -> tuple[Any, Any, Any]:
    take, placement = scene({1: move(frames), 2: tumbling(frames)}, fps=Fraction(30), start=10)
    return take, placement, motions(take, placement)[0]


@pytest.mark.parametrize("rig", RIGS)
def test_rigs_have_the_names_and_the_rest_pose(rig: str, tmp_path: Path) -> None:
    take, placement, _ = placed(rig)
    path = export_motion(take, placement, tmp_path / "clip", ["bvh"], options=ExportOptions(rig))[0]
    lines, values = written_bvh(path)
    names = [line.split()[1] for line in lines if line.split()[0] in ("ROOT", "JOINT")]
    assert set(LIMBS[rig]) <= set(names)
    assert sorted(names) == sorted(node.name for node in RIGS[rig])
    assert (
        len({line.split(" ", 2)[2].removeprefix("Xposition Yposition Zposition ") for line in lines if "CHANN" in line})
        == 1
    )
    assert values.shape == (70, 3 + 3 * len(names))
    offsets = {}
    for line, after in zip(lines, lines[2:], strict=False):
        if line.split()[0] == "JOINT":
            offsets[line.split()[1]] = np.array([float(x) for x in after.split()[1:]])
    name = {node.at: node.name for node in RIGS[rig] if node.share == 1}
    hand, ankle = offsets[name[H36M.LEFT_WRIST]], offsets[name[H36M.LEFT_ANKLE]]
    assert (hand[0] > 20, ankle[1] < -30) == (True, True)  # arms to the side, legs down
    np.testing.assert_allclose([*hand[1:], ankle[0]], 0, atol=1e-6)
    assert np.degrees(np.arctan2(ankle[2], -ankle[1])) == pytest.approx(-3.92 if rig == "mixamo" else 0, abs=1e-3)
    toes = next(node.name for node in RIGS[rig] if node.parent >= 0 and RIGS[rig][node.parent].turn == "foot")
    assert offsets[toes][2] > 10  # feet ahead
    assert offsets[toes][1] < 0


@pytest.mark.parametrize("rig", RIGS)
@pytest.mark.parametrize("move", [walking, tumbling, somersault])
def test_a_rig_s_joints_are_where_the_take_s_are(rig: str, move) -> None:
    person = placed(rig, move)[2]
    points = person.points.astype(float) @ R_YUP_WORLD.T
    motion = rig_motion(RIGS[rig], points)
    found = motion.world()[1]
    for n, node in enumerate(RIGS[rig]):
        if node.share == 1 and node.at < len(H36M):
            off = np.linalg.norm(found[:, n] - points[:, node.at], axis=-1)
            assert 1000 * off.max() < 0.1, node.name
    np.testing.assert_allclose(
        motion.local @ np.swapaxes(motion.local, -1, -2), np.broadcast_to(np.eye(3), motion.local.shape), atol=1e-9
    )


#: By bone of a Mixamo character, the joints that it goes from and to.
LIMB_ENDS = {
    f"mixamorig:{word}{bone}": (H36M[f"{side}_{a}"], H36M[f"{side}_{b}"])
    for side, word in (("LEFT", "Left"), ("RIGHT", "Right"))
    for bone, a, b in (
        ("UpLeg", "HIP", "KNEE"),
        ("Leg", "KNEE", "ANKLE"),
        ("Arm", "SHOULDER", "ELBOW"),
        ("ForeArm", "ELBOW", "WRIST"),
    )
}


def x_bot() -> dict[str, NDArray]:
    """How the bones of Mixamo's X Bot, which faces +z, are turned in its bind pose, (3, 3) by name: columns are a
    bone's own axes, y along it."""
    told = json.loads((HERE / "data" / "mixamo_xbot.json").read_text())
    return {name: np.reshape(entries, (3, 3)) for name, entries in told.items()}


@pytest.mark.parametrize("move", [walking, tumbling])
def test_mixamo_s_own_character_plays_it_by_the_names(move) -> None:
    """Limbs of the X Bot point where the person's do, whether a program copies rotations by the names, as three.js
    does, or turns bones away from their rest as far as ours are turned from theirs."""
    bound, nodes = x_bot(), RIGS["mixamo"]
    points = placed("mixamo", move)[2].points.astype(float) @ R_YUP_WORLD.T
    motion = rig_motion(nodes, points)
    assert {node.name for node in nodes} == set(bound)
    copied, local = {}, motion.in_own_axes()[2]
    for n, node in enumerate(nodes):
        copied[node.name] = local[:, n] if node.parent < 0 else copied[nodes[node.parent].name] @ local[:, n]
    turned = {node.name: motion.world()[0][:, n] @ bound[node.name] for n, node in enumerate(nodes)}
    for name, (a, b) in LIMB_ENDS.items():
        true = points[:, b] - points[:, a]
        true /= np.linalg.norm(true, axis=-1, keepdims=True)
        for played in (copied, turned):
            off = np.degrees(np.arccos((played[name][..., 1] * true).sum(-1).clip(-1, 1)))
            assert off.max() < 0.1, name
    np.testing.assert_allclose(motion.axes(), [bound[node.name] for node in nodes], atol=1e-4)  # at rest it is bound


def test_planted_feet_are_as_level_as_at_rest(tmp_path: Path) -> None:
    from test_feet import stander

    take, placement = scene({1: stander(30, turned_deg=40)}, fps=Fraction(30))
    person = motions(take, placement)[0]
    assert person.planted.all()
    for rig in RIGS.values():
        motion = rig_motion(rig, person.points.astype(float) @ R_YUP_WORLD.T)
        turned, _ = motion.world()
        for n, node in enumerate(rig):
            if node.turn == "foot":  # its own y axis, up at rest, is up
                assert np.degrees(np.arccos(turned[:, n, 1, 1].clip(-1, 1))).max() < 1


def test_everybody_begins_with_the_clip_and_holds_the_first_pose(tmp_path: Path) -> None:
    take, placement = scene({1: walking(40)}, fps=Fraction(30), start=25)
    late, _ = scene({2: walking(65)}, fps=Fraction(30))
    take.tracks[2] = late.tracks[2]
    other = scene({2: walking(65)}, fps=Fraction(30))[1]
    placement.poses[2], placement.roots[2] = other.poses[2], other.roots[2]
    files = export_motion(take, placement, tmp_path / "clip", ["bvh"])
    first, second = (written_bvh(path)[1] for path in files[:2])
    assert len(first) == len(second) == 65
    np.testing.assert_array_equal(first[:25], np.repeat(first[25:26], 25, 0))
    assert np.abs(np.diff(first[25:], axis=0)).max() > 0.1
    told = json.loads(files[-1].read_text())["present"]
    times = {"first_frame": 25, "last_frame": 64, "from_s": round(25 / 30, 6), "to_s": round(64 / 30, 6)}
    assert told["1"] == {**times, "never_known": []}
    assert told["2"]["first_frame"] == 0


def test_scale(tmp_path: Path) -> None:
    take, placement, _ = placed("cmu")
    big = written_bvh(export_motion(take, placement, tmp_path / "a", ["bvh"])[0])[1]
    small = written_bvh(export_motion(take, placement, tmp_path / "b", ["bvh"], options=ExportOptions(scale=0.01))[0])[
        1
    ]
    np.testing.assert_allclose(small[:, :3], big[:, :3] / 100, atol=1e-5)
    np.testing.assert_allclose(small[:, 3:], big[:, 3:])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"rig": "maya"}, "--rig knows cmu"), ({"markers": "x"}, "--markers knows ours"), ({"scale": 0.0}, "--bvh-scale")],
)
def test_choices_that_there_are_not(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as told:
        ExportOptions(**options)
    assert told.value.exit_code == 2


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_are_the_rotation(order: str) -> None:
    rng = np.random.default_rng(5)
    R = np.linalg.qr(rng.normal(size=(200, 1, 3, 3)))[0]
    R *= np.linalg.det(R)[..., None, None]
    angles = unwrapped(euler(R, order))
    axes = {"X": (1, 2), "Y": (2, 0), "Z": (0, 1)}
    out = np.broadcast_to(np.eye(3), R.shape)
    for k, axis in enumerate(order):
        i, j = axes[axis]
        one = np.broadcast_to(np.eye(3), R.shape).copy()
        c, s = np.cos(angles[..., k]), np.sin(angles[..., k])
        one[..., i, i], one[..., j, j], one[..., i, j], one[..., j, i] = c, c, -s, s
        out = out @ one
    np.testing.assert_allclose(out, R, atol=1e-9)


def test_the_order_is_the_one_that_leaps_least() -> None:
    about_x = np.radians(np.linspace(0, 180, 91))
    c, s, zero = np.cos(about_x), np.sin(about_x), 0 * about_x
    tilt = shortest_turn(np.array([0, 0, 1.0]), np.array([[0.01, 0, 1.0]]))[0]
    swing = np.stack([zero + 1, zero, zero, zero, c, -s, zero, s, c], -1).reshape(-1, 1, 3, 3)
    swing = tilt @ swing
    assert leaps(swing, "ZXY").any()
    assert not leaps(swing, best_order([swing])).any()
    np.testing.assert_allclose(turns(swing), 2, atol=1e-6)


def test_quaternions_turn_as_matrices_do() -> None:
    rng = np.random.default_rng(6)
    R = np.linalg.qr(rng.normal(size=(300, 3, 3)))[0]
    R *= np.linalg.det(R)[:, None, None]
    q = quaternions(R)
    v = rng.normal(size=3)
    t = 2 * np.cross(q[:, :3], v)
    np.testing.assert_allclose(v + q[:, 3:] * t + np.cross(q[:, :3], t), R @ v, atol=1e-9)
    smooth = quaternions(
        shortest_turn(np.array([1.0, 0, 0]), np.stack([np.cos(a := np.linspace(0, 3, 50)), np.sin(a), 0 * a], -1))
    )
    assert (np.diff(smooth, axis=0) ** 2).sum(-1).max() < 0.01


def in_blender(path: Path, frames: int, out: Path) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "blender_positions.py"), str(path), str(frames), str(out)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240)
    return json.loads(out.read_text())


@pytest.mark.parametrize("rig", ["cmu", "mixamo"])
@pytest.mark.parametrize("form", ["bvh", "glb", "usd"])
def test_blender_finds_every_joint(form: str, rig: str, tmp_path: Path) -> None:
    """World positions in every tenth frame, the rest pose, and which way is up."""
    for package, needed in (("bpy", True), ("pygltflib", form == "glb"), ("pxr", form == "usd")):
        if needed and find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")
    take, placement, person = placed(rig)
    path = export_motion(take, placement, tmp_path / "clip", [form], options=ExportOptions(rig))[0]
    told = in_blender(path, 70, tmp_path / "found.json")
    assert len(told["rigs"]) == (1 if form == "bvh" else 2)
    assert form == "bvh" or len(told["skinned"]) == 2
    found = told["rigs"]["clip_1" if form == "bvh" else "person_1"]
    names = [node.name.replace(":", "_") if form == "usd" else node.name for node in RIGS[rig]]
    assert set(names) <= found["rest"].keys()
    for name, node in zip(names, RIGS[rig], strict=True):
        assert found["parents"][name] == (None if node.parent < 0 else names[node.parent])
    worst = 0.0
    for frame, places in found["at"].items():
        if form != "bvh" and int(frame) < 10:
            continue  # before the person's first key
        truth = person.points[max(int(frame) - 10, 0)]
        for name, node in zip(names, RIGS[rig], strict=True):
            if node.share == 1 and node.at < len(H36M):
                worst = max(worst, float(np.linalg.norm(np.array(places[name]) - truth[node.at])) * 1000)
    assert worst < WORST_MM
    rest = {node.at: np.array(found["rest"][name]) for name, node in zip(names, RIGS[rig], strict=True)}
    assert rest[H36M.NOSE][2] - rest[H36M.PELVIS][2] > 0.4  # up is up
    assert rest[H36M.LEFT_WRIST][0] - rest[H36M.RIGHT_WRIST][0] > 1.2
    assert rest[H36M.LEFT_WRIST][2] == pytest.approx(rest[H36M.LEFT_SHOULDER][2], abs=1e-4)
    if form != "bvh":
        assert min(place[2] for place in rest.values()) == pytest.approx(0.025, abs=1e-3)


def test_gltf_s_own_validator_has_nothing_to_say(tmp_path: Path) -> None:
    """Khronos's validator, where npm installed gltf-validator in the folder that NODE_PACKAGES names."""
    pytest.importorskip("pygltflib", reason="pygltflib, which writes GLB, is not installed")
    folder = os.environ.get("NODE_PACKAGES", "")
    if not (folder and shutil.which("node") and (Path(folder) / "node_modules" / "gltf-validator").is_dir()):
        pytest.skip("node and gltf-validator are not installed")
    script = (
        "const v = require('gltf-validator'), fs = require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1]))).then(r => console.log(JSON.stringify(r)));"
    )
    for rig in RIGS:
        take, placement, _ = placed(rig)
        path = export_motion(take, placement, tmp_path / rig, ["glb"], options=ExportOptions(rig))[0]
        out = subprocess.run(["node", "-e", script, str(path)], cwd=folder, capture_output=True, text=True, check=True)
        told = json.loads(out.stdout)
        assert told["issues"]["messages"] == []
        assert told["info"]["animationCount"] == 1
        assert told["info"]["hasSkins"]


@pytest.mark.parametrize("rig", RIGS)
def test_usd_s_own_validators_have_nothing_to_say(rig: str, tmp_path: Path) -> None:
    pytest.importorskip("pxr", reason="usd-core, which writes and checks USD, is not installed")
    from pxr import Usd, UsdGeom, UsdSkel, UsdUtils

    take, placement, person = placed(rig)
    path = export_motion(take, placement, tmp_path / "clip", ["usd"], options=ExportOptions(rig))[0]
    stage = Usd.Stage.Open(str(path))
    if hasattr(UsdUtils, "ComplianceChecker"):
        checker = UsdUtils.ComplianceChecker()
        checker.CheckCompliance(str(path))
        assert checker.GetErrors() + checker.GetFailedChecks() + checker.GetWarnings() == []
    else:
        from pxr import UsdValidation

        registry = UsdValidation.ValidationRegistry()
        names = [told.name for told in registry.GetAllValidatorMetadata()]
        assert len(names) > 10
        found = UsdValidation.ValidationContext(registry.GetOrLoadValidatorsByName(names)).Validate(stage)
        assert [error.GetMessage() for error in found] == []
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode(), stage.GetTimeCodesPerSecond()) == (0, 69, 30)
    cache = UsdSkel.Cache()
    cache.Populate(UsdSkel.Root(stage.GetPrimAtPath("/World/person_1")), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(UsdSkel.Skeleton(stage.GetPrimAtPath("/World/person_1/skeleton")))
    for frame in range(10, 70, 10):
        places = [m.ExtractTranslation() for m in query.ComputeJointSkelTransforms(frame)]
        truth = person.points[frame - 10] @ R_YUP_WORLD.T
        for place, node in zip(places, RIGS[rig], strict=True):
            if node.share == 1 and node.at < len(H36M):
                assert np.linalg.norm(np.array(place) - truth[node.at]) < WORST_MM / 1000
