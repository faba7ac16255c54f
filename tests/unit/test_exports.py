"""Exports open elsewhere: what other people's readers find in the files is where the joints were."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers_motion import walker

from sasmamba.app.export import formats
from sasmamba.app.export import motion_table as exports
from sasmamba.app.export.formats import export_motion, export_paths, parse_formats
from sasmamba.app.export.motion_table import FEET, JOINTS, motions
from sasmamba.app.export.options import ExportOptions
from sasmamba.app.motion.axes import R_WORLD_CAM
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take, Track
from sasmamba.app.types import Person2D, Pose3D, VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M
from sasmamba.training.converters import bvh_clip

NTSC = Fraction(30000, 1001)
POINTS = (*JOINTS, *FEET)
#: The joints of ours by the names that they have in BVH files; the nose is the head's joint.
BVH_NAMES = {
    "Hips": "PELVIS",
    "Spine": "SPINE",
    "Spine1": "THORAX",
    "Head": "NOSE",
    **{
        f"{side}{theirs}": f"{side.upper()}_{ours}"
        for side in ("Left", "Right")
        for theirs, ours in (
            ("UpLeg", "HIP"),
            ("Leg", "KNEE"),
            ("Foot", "ANKLE"),
            ("Arm", "SHOULDER"),
            ("ForeArm", "ELBOW"),
            ("Hand", "WRIST"),
        )
    },
}


def tumbling(frames: int) -> np.ndarray:
    """Somebody who walks, turns about every axis and lifts straight legs over the head: (F, 17, 3) world metres."""
    joints, root = walker(frames, fps=30)
    t = np.linspace(0, 1, frames)
    out = np.empty_like(joints)
    for f in range(frames):
        a, b, c = 4 * np.pi * t[f], 2 * np.pi * t[f], np.pi * t[f]
        Rz = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        Rx = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        Ry = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
        out[f] = joints[f] @ (Rz @ Rx @ Ry).T + root[f]
    return out


def walking(frames: int) -> np.ndarray:
    joints, root = walker(frames, fps=30)
    root[:, 2] += 0.05  # ankles where a standing person has them
    return joints + root[:, None]


def written_bvh(path: Path) -> tuple[list[str], np.ndarray]:
    """The lines of the hierarchy, and the values (frames, channels)."""
    head, _, tail = path.read_text().partition("MOTION")
    return head.splitlines(), np.loadtxt(tail.partition("Frame Time:")[2].splitlines()[1:], ndmin=2)


def scene(
    people: dict[int, np.ndarray],
    *,
    fps: Fraction = NTSC,
    times: list[Fraction] | None = None,
    start: int = 0,
    gap: range = range(0),
) -> tuple[Take, Placement]:
    """A take of people whose joints are given in world axes, from frame `start` on, with a gap in their frames."""
    frames = start + len(next(iter(people.values())))
    take = Take(VideoMeta(640, 480, fps, frames), "truth", times_s=times or [f / fps for f in range(frames)])
    take.detection_frames = list(range(frames))
    placement = Placement(R_WORLD_CAM, {}, {}, 60.0, {"floor": "one"})
    for i, world in people.items():
        take.tracks[i] = Track(i)
        placement.poses[i], placement.roots[i] = {}, {}
        for f, joints in enumerate(world.astype(np.float32), start):
            if f in gap:
                continue
            pose = Pose3D(f, i, (joints - joints[:1]) @ R_WORLD_CAM)
            placement.poses[i][f], placement.roots[i][f] = pose, joints[0]
            take.tracks[i].poses[f] = replace(pose)
            if f % 2 == 0:
                take.tracks[i].people[f] = Person2D(
                    i, np.zeros(4, np.float32), np.ones((17, 2), np.float32), np.full(17, 0.5, np.float32)
                )
    return take, placement


def y_up_mm(world: np.ndarray) -> np.ndarray:
    return 1000 * np.stack([world[..., 0], world[..., 2], -world[..., 1]], -1)


def worst_mm(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found - truth, axis=-1).max())


@pytest.mark.parametrize("move", [walking, tumbling])
def test_bvh_round_trip_through_pybvh(tmp_path: Path, move) -> None:
    pybvh = pytest.importorskip("pybvh", reason="pybvh, an independent BVH reader, is not installed")
    world = move(120)
    take, placement = scene({1: world})
    path = export_motion(take, placement, tmp_path / "clip", ["bvh"])[0]
    file = pybvh.read_bvh_file(str(path))
    assert file.frame_count == 120
    assert file.fps == pytest.approx(float(NTSC), abs=1e-6)
    position = 10 * np.asarray(file.node_positions())
    for name, joint in {**BVH_NAMES, "EndSiteHead": "HEAD_TOP"}.items():
        assert worst_mm(position[:, file.node_index[name]], y_up_mm(world)[:, H36M[joint]]) < 0.1, name


@pytest.mark.parametrize("move", [walking, tumbling])
def test_bvh_round_trip_through_bvhio(tmp_path: Path, move) -> None:
    bvhio = pytest.importorskip("bvhio", reason="bvhio, an independent BVH reader, is not installed")
    world = move(40)
    take, placement = scene({1: world})
    path = export_motion(take, placement, tmp_path / "clip", ["bvh"])[0]
    root = bvhio.readAsHierarchy(str(path))
    for f in range(0, 40, 13):
        root.loadPose(f)
        found = {joint.Name: np.array(joint.PositionWorld) for joint, _, _ in root.layout()}
        for name, joint in BVH_NAMES.items():
            assert worst_mm(10 * found[name], y_up_mm(world)[f, H36M[joint]]) < 0.1, (f, name)


def somersault(frames: int) -> np.ndarray:
    """Somebody who walks and turns over forward twice."""
    joints, root = walker(frames, fps=30)
    turn = np.linspace(0, 4 * np.pi, frames)
    c, s, zero = np.cos(turn), np.sin(turn), 0 * turn
    R = np.stack([c, zero, s, zero, zero + 1, zero, -s, zero, c], -1).reshape(-1, 3, 3)
    return np.einsum("fij,fkj->fki", R, joints) + root[:, None]


@pytest.mark.parametrize("move", [walking, somersault])
def test_bvh_angles_do_not_leap(tmp_path: Path, move) -> None:
    """Programs draw curves through the angles: a whole turn between two frames shows as a spin."""
    take, placement = scene({1: move(300)})
    path = export_motion(take, placement, tmp_path / "clip", ["bvh"])[0]
    values = written_bvh(path)[1]
    assert np.abs(np.diff(values[:, 3:], axis=0)).max() < 30


def test_bvh_needs_every_frame_so_gaps_are_bridged(tmp_path: Path) -> None:
    pybvh = pytest.importorskip("pybvh", reason="pybvh, an independent BVH reader, is not installed")
    world = walking(60)
    take, placement = scene({1: world}, gap=range(20, 24))
    file = pybvh.read_bvh_file(str(export_motion(take, placement, tmp_path / "clip", ["bvh"])[0]))
    hips = 10 * np.asarray(file.node_positions())[:, file.node_index["Hips"]]
    assert len(hips) == 60
    assert worst_mm(hips, y_up_mm(world)[:, H36M.PELVIS]) < 20
    assert np.linalg.norm(np.diff(hips, axis=0), axis=1).max() < 60


def test_bvh_is_read_by_the_training_data_s_converter(tmp_path: Path) -> None:
    world = walking(60)
    take, placement = scene({1: world})
    clip = bvh_clip(export_motion(take, placement, tmp_path / "clip", ["bvh"])[0])
    knee = np.linalg.norm(clip.joints[:, H36M.LEFT_KNEE] - clip.joints[:, H36M.LEFT_HIP], axis=-1)
    np.testing.assert_allclose(knee, 0.45, atol=1e-3)


def test_trc_header_is_what_opensim_documents(tmp_path: Path) -> None:
    take, placement = scene({3: walking(10)}, start=5)
    lines = export_motion(take, placement, tmp_path / "clip", ["trc"])[0].read_text().split("\n")
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\tclip_3.trc"
    assert lines[1].split("\t") == [
        "DataRate",
        "CameraRate",
        "NumFrames",
        "NumMarkers",
        "Units",
        "OrigDataRate",
        "OrigDataStartFrame",
        "OrigNumFrames",
    ]
    assert lines[2] == "29.970030\t29.970030\t10\t21\tmm\t29.970030\t1\t10"
    assert lines[3] == "Frame#\tTime\t" + "\t\t\t".join(POINTS) + "\t\t"
    assert lines[4].startswith("\t\tX1\tY1\tZ1\tX2")
    assert lines[5] == ""
    assert {len(line.split("\t")) for line in lines[6:-1]} == {2 + 3 * 21}
    assert lines[6].startswith("1\t0.166833\t")


def test_trc_round_trip_through_trc_data_reader(tmp_path: Path) -> None:
    trc = pytest.importorskip("trc", reason="trc-data-reader, an independent TRC reader, is not installed")
    world = tumbling(60)
    take, placement = scene({1: world}, gap=range(20, 24))
    data = trc.TRCData()
    data.load(str(export_motion(take, placement, tmp_path / "my clip", ["trc"])[0]))
    assert data["Markers"] == list(POINTS)
    assert (data["Units"], data["NumFrames"]) == ("mm", 60)
    found = np.array([data[name] for name in JOINTS]).transpose(1, 0, 2)
    missing = np.isin(np.arange(60), range(20, 24))
    assert np.isnan(found[missing]).all()
    assert worst_mm(found[~missing], y_up_mm(world)[~missing]) < 0.01
    np.testing.assert_allclose(data["Time"], [f / float(NTSC) for f in range(60)], atol=1e-6)


def test_c3d_round_trip_through_c3d(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d", reason="ezc3d, which writes C3D, is not installed")
    c3d = pytest.importorskip("c3d", reason="c3d, an independent C3D reader, is not installed")
    world = tumbling(60)
    take, placement = scene({1: world}, gap=range(20, 24))
    path = export_motion(take, placement, tmp_path / "clip", ["c3d"])[0]
    with path.open("rb") as file:
        reader = c3d.Reader(file)
        assert [label.strip() for label in reader.point_labels] == list(POINTS)
        assert reader.point_rate == pytest.approx(float(NTSC), abs=1e-5)
        assert reader.get("POINT:UNITS").string_value.strip() == "mm"
        notes = "".join(line for line in reader.get("SASMAMBA:ASSUMPTIONS").string_array)
        frames = np.stack([points for _, points, _ in reader.read_frames()])
    assert json.loads(notes) == {"floor": "one"}
    missing = np.isin(np.arange(60), range(20, 24))
    assert (frames[missing, :, 3] == -1).all()
    assert (frames[~missing, :, 3] >= 0).all()
    assert worst_mm(frames[~missing, :17, :3], 1000 * world[~missing]) < 0.01
    feet = motions(take, placement)[0].feet
    assert worst_mm(frames[~missing, 17:, :3], 1000 * feet[~missing]) < 0.01


def test_csv_and_json_hold_everybody_with_times_and_scores(tmp_path: Path) -> None:
    people = {1: walking(30), 4: tumbling(30)}
    take, placement = scene(people, start=3, gap=range(10, 12))
    table, document, _ = export_motion(take, placement, tmp_path / "a “b” 🙂", ["csv", "json"])
    motion_of = {motion.track_id: motion for motion in motions(take, placement)}
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = json.loads(document.read_text())
    assert told["units"] == "metres"
    assert told["joints"] == list(JOINTS)
    assert told["assumptions"] == {"floor": "one"}
    assert told["video"]["fps_exact"] == "30000/1001"
    assert len(rows) == 2 * 28 == sum(len(p["frames"]) for p in told["people"])
    lines = [(p["track_id"], f) for p in told["people"] for f in p["frames"]]
    for row, (track_id, line) in zip(rows, lines, strict=True):
        frame = int(row["frame"])
        assert (track_id, frame) == (int(row["track_id"]), line["frame"])
        assert float(row["time_s"]) == pytest.approx(float(frame / NTSC), abs=1e-6)
        assert bool(int(row["observed"])) == line["observed"] == (frame % 2 == 0)
        assert float(row["left_knee_score"]) == line["score"][H36M.LEFT_KNEE] == (0.5 if frame % 2 == 0 else 0)
        truth = people[track_id][frame - 3]
        found = [[float(row[f"{joint}_{axis}_m"]) for axis in "xyz"] for joint in JOINTS]
        np.testing.assert_allclose(found, truth, atol=1e-4)
        np.testing.assert_allclose(line["joints"], truth, atol=1e-4)
        feet = motion_of[track_id].feet[frame - 3]
        np.testing.assert_allclose([[float(row[f"{p}_{axis}_m"]) for axis in "xyz"] for p in FEET], feet, atol=1e-4)
        np.testing.assert_allclose(line["feet"], feet, atol=1e-4)
        assert line["feet_seen"] == [False, False] == [bool(int(row[f"{s}_foot_seen"])) for s in ("left", "right")]
        rests = [bool(int(row[f"{side}_foot_planted"])) for side in ("left", "right")]
        assert line["planted"] == rests == motion_of[track_id].planted[frame - 3].tolist()


def test_npz_has_the_world_beside_the_poses(tmp_path: Path) -> None:
    world = walking(20)
    take, placement = scene({1: world}, start=2)
    (path,) = export_motion(take, placement, tmp_path / "clip", ["npz"])
    with np.load(path) as z:
        assert np.isnan(z["world3d"][0, :2]).all()
        np.testing.assert_allclose(z["world3d"][0, 2:], world, atol=1e-5)
        assert json.loads(str(z["about"]))["axes"] == exports.AXES


def test_a_row_that_ends_in_a_gap_has_all_its_cells(tmp_path: Path) -> None:
    """OpenSim counts the cells of a row, and overlooks a last one that is empty."""
    take, placement = scene({1: walking(8)}, gap=range(3, 6))
    for markers in ("ours", "pose2sim", "opensim"):
        options = ExportOptions(markers=markers)
        lines = export_motion(take, placement, tmp_path / "clip", ["trc"], options=options)[0].read_text().split("\n")
        count = int(lines[2].split("\t")[3])
        assert {len(line.split("\t")) for line in lines[6:-1]} == {2 + 3 * count}
        assert lines[9].split("\t")[2:] == ["nan"] * 3 * count


def test_files_of_people_who_are_no_longer_there_are_removed(tmp_path: Path) -> None:
    three = scene(dict.fromkeys((1, 2, 3), walking(5)))
    export_motion(*three, tmp_path / "clip", ["bvh", "trc", "angles"])
    bystanders = [tmp_path / "clip_2_mine.bvh", tmp_path / "clip_9.bvh", tmp_path / "other_2.bvh"]
    for path in bystanders:
        path.write_text("not ours")
    files = export_motion(*scene({1: walking(5)}), tmp_path / "clip", ["bvh", "angles"])
    left = {path.name for path in tmp_path.iterdir()}
    # TRC was not asked for again: its files stay, and stay listed
    kept = {f"clip_{i}.trc" for i in (1, 2, 3)}
    assert left == {path.name for path in (*files, *bystanders)} | kept
    assert set(json.loads(files[-1].read_text())["files"]) == {path.name for path in files} | kept
    export_motion(*scene({1: walking(5)}), tmp_path / "clip", ["trc"])
    assert not (tmp_path / "clip_2.trc").exists()
    assert (tmp_path / "clip_9.bvh").exists()


def test_files_of_one_person_each_and_a_page_about_them(tmp_path: Path) -> None:
    take, placement = scene({1: walking(5), 7: walking(5)})
    files = export_motion(take, placement, tmp_path / "v1.2", ["bvh", "trc", "csv"])
    names = ["v1.2_1.bvh", "v1.2_7.bvh", "v1.2_1.trc", "v1.2_7.trc", "v1.2.csv", "v1.2_about.json"]
    assert [f.name for f in files] == names
    assert sorted(names) == sorted(f.name for f in tmp_path.iterdir())
    assert json.loads(files[-1].read_text())["assumptions"] == {"floor": "one"}


@pytest.mark.parametrize(
    ("formats", "names"),
    [
        (["bvh", "csv"], ["c_1.bvh", "c_7.bvh", "c.csv", "c_about.json"]),
        (["trc", "json"], ["c_1.trc", "c_7.trc", "c.json", "c_about.json"]),
        (["angles", "glb"], ["c_angles.csv", "c_1_angles.mot", "c_7_angles.mot", "c.glb", "c_about.json"]),
        (["npz", "html", "rrd"], ["c.npz", "c.html", "c.rrd"]),
        ([], []),
    ],
)
def test_where_files_go_is_known_before(formats: list[str], names: list[str]) -> None:
    assert [path.name for path in export_paths([7, 1], Path("c"), formats)] == names
    shared = [name for name in names if "_1" not in name and "_7" not in name]
    assert [path.name for path in export_paths((), Path("c"), formats)] == shared


def test_nobody_is_an_empty_table(tmp_path: Path) -> None:
    take = Take(VideoMeta(640, 480, NTSC, 3), "truth", times_s=[f / NTSC for f in range(3)])
    placement = Placement(R_WORLD_CAM, {}, {}, 60.0)
    table, document, _ = export_motion(take, placement, tmp_path / "clip", ["bvh", "csv", "json"])
    assert len(table.read_text().splitlines()) == 1
    assert json.loads(document.read_text())["people"] == []


def test_a_variable_rate_is_resampled_where_the_format_knows_only_one(tmp_path: Path) -> None:
    """Frames at 20 and 40 per second in turn, somebody who walks evenly: the resampled walk is even, too."""
    times = [Fraction(f, 30) + (Fraction(1, 120) if f % 2 else 0) for f in range(61)]
    world = np.repeat(walking(2)[:1], 61, 0)
    world[:, :, 0] += np.array([float(t) for t in times])[:, None]
    take, placement = scene({1: world}, fps=Fraction(30), times=times)
    text = export_motion(take, placement, tmp_path / "clip", ["trc"])[0].read_text()
    values = np.array([[float(x) for x in line.split("\t")] for line in text.split("\n")[6:-1]])
    assert len(values) == 61
    np.testing.assert_allclose(np.diff(values[:, 1]), 1 / 30, atol=1e-5)
    np.testing.assert_allclose(np.diff(values[:, 2]), 1000 / 30, atol=0.5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("bvh,fbx", "--export knows bvh"), ("", "--export wants at least one")],
    ids=["unknown", "none"],
)
def test_formats_that_cannot_be(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as told:
        parse_formats(text)
    assert told.value.exit_code == 2


def test_a_missing_package_is_named_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert parse_formats(" BVH, trc,bvh") == ("bvh", "trc")
    for name, extra in (("c3d", "export"), ("glb", "export"), ("usd", "usd"), ("rrd", "rerun")):
        with pytest.raises(UserError, match=rf"--export {name} .*pip install 'sasmamba-demo\[{extra}\]'"):
            parse_formats(f"bvh,{name}")


def test_c3d_counts_so_many_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ezc3d", reason="ezc3d, which writes C3D, is not installed")
    from sasmamba.app.export import c3d

    monkeypatch.setattr(c3d, "MOST_FRAMES", 9)
    take, placement = scene({1: walking(10)})
    with pytest.raises(UserError, match="at most 9 frames"):
        export_motion(take, placement, tmp_path / "clip", ["c3d"])
    assert not list(tmp_path.iterdir())


def test_markers_have_the_names_that_programs_know(tmp_path: Path) -> None:
    trc = pytest.importorskip("trc", reason="trc-data-reader, an independent TRC reader, is not installed")
    take, placement = scene({1: walking(10)})
    person = motions(take, placement)[0]
    known = {
        "pose2sim": {"Hip": 0, "RHip": 1, "LAnkle": 6, "Neck": 8, "Head": 10, "LElbow": 12, "RHeel": 19},
        "opensim": {"RHJC": 1, "LKJC": 5, "RAJC": 3, "LCAL": 17, "RTOE": 20, "LSJC": 11, "REJC": 15, "LWJC": 13},
    }
    for markers, names in known.items():
        path = export_motion(take, placement, tmp_path / markers, ["trc"], options=ExportOptions(markers=markers))[0]
        data = trc.TRCData()
        data.load(str(path))
        for name, point in names.items():
            assert worst_mm(np.array(data[name]), y_up_mm(person.points[:, point])) < 0.01, name
        if markers == "pose2sim":  # its big toe is the tip: ahead of the ball, in line with the heel
            heel, toe, tip = y_up_mm(person.feet[:, 2]), y_up_mm(person.feet[:, 3]), np.array(data["RBigToe"])
            np.testing.assert_allclose(
                np.linalg.norm(tip - heel, axis=1) / np.linalg.norm(toe - heel, axis=1), 1.35, atol=1e-3
            )


def test_angles_as_a_tidy_table_and_as_opensim_s_motion(tmp_path: Path) -> None:
    take, placement = scene({1: walking(20), 2: tumbling(20)}, start=3, gap=range(10, 12))
    table, *mots = export_motion(take, placement, tmp_path / "clip", ["angles"])[:3]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["time_s", "person", "side", "joint", "angle", "degrees", "seen"]
    for person, mot in zip(motions(take, placement), mots, strict=True):
        truth = person.angles()
        lines = mot.read_text().splitlines()
        end = lines.index("endheader")
        assert dict(line.split("=") for line in lines[1:end]) == {
            "version": "1",
            "nRows": "20",
            "nColumns": str(1 + len(truth)),
            "inDegrees": "yes",
        }
        assert lines[end + 1].split("\t") == ["time", *truth]
        values = np.array([[float(x) for x in line.split("\t")] for line in lines[end + 2 :]])
        np.testing.assert_allclose(values[:, 0], person.times_s, atol=1e-6)
        np.testing.assert_allclose(values[:, 1:], np.stack(list(truth.values()), 1), atol=1e-5)
        for name, angles in truth.items():
            side, _, rest = name.partition("_") if name.startswith(("left", "right")) else ("middle", "", name)
            joint, _, what = rest.partition("_")
            key = {"person": str(person.track_id), "side": side, "joint": joint, "angle": what}
            mine = [row for row in rows if key.items() <= row.items()]
            known = np.isfinite(angles)
            assert [row["time_s"] for row in mine] == [f"{t:.6f}" for t in person.times_s[known]]
            np.testing.assert_allclose([float(row["degrees"]) for row in mine], angles[known], atol=0.006)
            assert [row["seen"] for row in mine] == [str(int(s)) for s in person.observed[known]]
