"""Legs that are left out are in no file: not in tables, markers, poses, the page, nor in the figures of GLB."""

from __future__ import annotations

import csv
import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from test_exports import scene, walking
from test_report import numbers

from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.options import ExportOptions
from sasmamba.app.export.poses import save_poses
from sasmamba.app.export.report.data import MISSING

GONE = ("knee", "ankle", "heel", "toe")


@pytest.fixture(params=[False, True], ids=["", "keep inferred"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Exports of two people, the first of whom has no legs."""
    take, placement = scene({1: walking(30), 2: walking(30)}, fps=Fraction(30))
    take.upper = frozenset({1})
    options = ExportOptions("vrm", keep_inferred=request.param)
    export_motion(take, placement, tmp_path / "clip", ["csv", "json", "trc", "angles", "bvh"], options=options)
    save_poses(take, tmp_path / "poses.npz", keep_inferred=request.param)
    return tmp_path


def test_tables_leave_them_out(folder: Path) -> None:
    with (folder / "clip.csv").open() as file:
        rows = list(csv.DictReader(file))
    legs = [name for name in rows[0] if re.match(rf".*({'|'.join(GONE)})_[xyz]_m", name)]
    assert len(legs) == 8 * 3
    places = [name for name in rows[0] if re.fullmatch(r".*_[xyz]_m", name)]
    whole = {name: {row["track_id"] for row in rows if row[name]} for name in places}
    assert all(whole[name] <= {"2"} for name in legs)
    assert all("1" in whole[name] for name in ("left_wrist_x_m", "pelvis_z_m", "left_hip_x_m", "head_top_z_m"))
    assert all("2" in whole[name] for name in legs if "knee" in name)


def test_no_foot_is_planted(tmp_path: Path) -> None:
    take, placement = scene({1: walking(30), 2: walking(30)}, fps=Fraction(30))
    take.upper = frozenset({1})
    placement.planted.update((i, {frame: np.array([True, False]) for frame in range(30)}) for i in (1, 2))
    export_motion(take, placement, tmp_path / "clip", ["csv", "json", "npz"])
    told = json.loads((tmp_path / "clip.json").read_text())
    in_json = [any(any(row["planted"]) for row in person["frames"]) for person in told["people"]]
    with np.load(tmp_path / "clip.npz") as file:
        in_npz = file["planted"].any((1, 2)).tolist()
    assert in_json == in_npz == [False, True]
    with (tmp_path / "clip.csv").open() as table:
        assert {row["track_id"] for row in csv.DictReader(table) if row["left_foot_planted"] == "1"} == {"2"}


def test_json_leaves_them_out(folder: Path) -> None:
    told = json.loads((folder / "clip.json").read_text())
    names = [*told["joints"], *told["foot_points"]]
    for person in told["people"]:
        for row in person["frames"]:
            points = [*row["joints"], *row["feet"]]
            missing = [name for name, at in zip(names, points, strict=True) if at is None]
            want = [name for name in names if name.partition("_")[2] in GONE] if person["track_id"] == 1 else []
            assert missing == want or (person["track_id"] == 2 and set(missing) <= set(names))


def test_poses_leave_them_out(folder: Path) -> None:
    with np.load(folder / "poses.npz") as poses:
        missing = np.isnan(poses["joints3d"]).all((1, 3))
    assert np.flatnonzero(missing[0]).tolist() == [2, 3, 5, 6]
    assert not missing[1].any()


def test_bvh_has_legs_at_rest(folder: Path) -> None:
    """A skeleton keeps its bones; those that are not known do not turn."""
    lines = (folder / "clip_1.bvh").read_text().splitlines()
    values = np.loadtxt(lines[lines.index("MOTION") + 3 :], ndmin=2)
    columns, names = [], []
    for line in lines:
        words = line.split()
        if words[:1] in (["ROOT"], ["JOINT"]):
            names.append(words[1])
        elif words[:1] == ["CHANNELS"]:
            columns += [names[-1]] * int(words[1])
    turns = {name: values[:, [i for i, column in enumerate(columns) if column == name]] for name in names}
    for name in names:
        if re.search("LowerLeg|Foot|Toes|UpperLeg", name):
            assert np.abs(turns[name][:, -3:]).max() < 1e-6, name
    assert np.abs(turns["leftUpperArm"][:, -3:]).max() > 10


def test_figures_have_no_legs(tmp_path: Path) -> None:
    gltf = pytest.importorskip("pygltflib", reason="pygltflib, which writes GLB, is not installed")
    take, placement = scene({1: walking(30), 2: walking(30)}, fps=Fraction(30))
    take.upper = frozenset({1})
    export_motion(take, placement, tmp_path / "clip", ["glb"])
    file = gltf.GLTF2.load_binary(str(tmp_path / "clip.glb"))
    corners = [file.accessors[mesh.primitives[0].attributes.POSITION].count for mesh in file.meshes]
    assert corners[0] < 0.75 * corners[1]


def test_the_page_leaves_them_out(tmp_path: Path) -> None:
    from sasmamba.app.export.motion_table import motions
    from sasmamba.app.export.report.data import payload

    take, placement = scene({1: walking(30)}, fps=Fraction(30))
    take.upper = frozenset({1})
    told = payload(take, placement, motions(take, placement))
    joints = numbers(told["people"][0]["joints"], "<i2", (-1, 21, 3))
    missing = (joints == MISSING).all((0, 2))
    assert [told["joints"][k].partition("_")[2] in GONE for k in range(21)] == missing.tolist()
