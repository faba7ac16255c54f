"""What was never in the picture is in no file, is drawn faintly, and has no curve; what is sure stays as it was."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_exports import POINTS, scene, walking

from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import JOINTS, motions
from sasmamba.app.export.options import ExportOptions
from sasmamba.app.export.rig_motion import held, shortest_turn
from sasmamba.app.motion.angle_bands import WIDTHS, angle_bands, angle_half_widths, angle_states
from sasmamba.app.motion.certainty import (
    FAINT,
    FOOT_SHARE,
    NEAR_S,
    Certainty,
    faintness,
    joint_states,
    point_half_widths,
)
from sasmamba.app.motion.placing import Placement
from sasmamba.app.render.renderer import RenderConfig, Renderer
from sasmamba.app.take import Take
from sasmamba.app.types import Frame, Person2D, VideoMeta
from sasmamba.models.angles import ANGLES, joint_angles
from sasmamba.models.skeletons import COCO, FOOT, H36M

LEGS = [H36M[f"{side}_{joint}"] for side in ("LEFT", "RIGHT") for joint in ("KNEE", "ANKLE")]
LEGS_2D = [COCO[joint.name] for joint in LEGS]
SEEN, INFERRED, UNKNOWN = Certainty.SEEN, Certainty.INFERRED, Certainty.UNKNOWN


def seen_take(frames: int = 90, every: int = 1) -> tuple[Take, Placement]:
    """Somebody who is seen all the time, in the middle of the picture."""
    take, placement = scene({1: walking(frames)})
    take.detection_frames = list(range(0, frames, every))
    take.tracks[1].people = {f: person() for f in take.detection_frames}
    return take, placement


def person(score: np.ndarray | None = None, y: float = 200.0) -> Person2D:
    joints = np.tile(np.array([300, y], np.float32), (17, 1))
    scores = np.full(17, 0.9, np.float32) if score is None else score
    return Person2D(1, np.array([200, 100, 400, 400], np.float32), joints, scores)


def without_legs(take: Take, frames: range, how: str = "score") -> None:
    """Legs that the 2D stage does not find there, or sees beyond the picture."""
    for f in frames:
        if (was := take.tracks[1].people.get(f)) is not None:
            joints, score = was.joints_px.copy(), was.score.copy()
            if how == "score":
                score[LEGS_2D] = 0.1
            else:
                joints[LEGS_2D] = (300, 481)
            take.tracks[1].people[f] = replace(was, joints_px=joints, score=score)


@pytest.mark.parametrize("how", ["score", "outside"])
def test_legs_that_were_never_in_the_picture_are_unknown(how: str) -> None:
    take, _ = seen_take()
    without_legs(take, range(90), how)
    frames, states = joint_states(take, take.tracks[1])
    assert frames.tolist() == list(range(90))
    assert (states[:, LEGS] == UNKNOWN).all()
    assert (np.delete(states, LEGS, 1) == SEEN).all()


@pytest.mark.parametrize("every", [1, 3])
def test_a_limb_is_inferred_for_a_second_and_then_unknown(every: int) -> None:
    take, _ = seen_take(301, every)
    without_legs(take, range(60, 200))
    _, states = joint_states(take, take.tracks[1])
    near = int(NEAR_S * 30)
    last, first = (59 // every * every, -(-200 // every) * every)  # the last sighting before and the first after
    assert (states[: last + 1] == SEEN).all()
    assert (states[last + 1 : last + near, LEGS] == INFERRED).all()
    assert (states[last + near + 2 : first - near - 1, LEGS] == UNKNOWN).all()
    assert (states[first - near + 1 : first, LEGS] == INFERRED).all()
    assert (states[first:] == SEEN).all()


def test_one_frame_s_sighting_tells_nothing_of_those_around() -> None:
    take, _ = seen_take()
    without_legs(take, range(90))
    take.tracks[1].people[40] = person()
    _, states = joint_states(take, take.tracks[1])
    assert (states[40] == SEEN).all()
    assert (np.delete(states, 40, 0)[:, LEGS] == UNKNOWN).all()


def test_half_a_face_and_one_hip_show_the_head_and_the_pelvis() -> None:
    take, _ = seen_take()
    score = np.full(17, 0.9, np.float32)
    score[[COCO.LEFT_EYE, COCO.LEFT_EAR, COCO.LEFT_HIP, COCO.LEFT_SHOULDER]] = 0
    take.tracks[1].people = {f: person(score) for f in range(90)}
    _, states = joint_states(take, take.tracks[1])
    hidden = [H36M.LEFT_HIP, H36M.LEFT_SHOULDER]
    assert (states[:, hidden] == UNKNOWN).all()
    assert (np.delete(states, hidden, 1) == SEEN).all()


@pytest.mark.parametrize(
    ("wrist_m", "state"),
    [
        pytest.param((0.2, 0.2), UNKNOWN, id="place"),  # 0.39 m at 95 %
        pytest.param((0.05, 0.2), INFERRED, id="distance"),
    ],
)
def test_a_joint_that_the_lifter_cannot_tell(wrist_m: tuple[float, float], state: Certainty) -> None:
    take, _ = seen_take()
    width = np.full((17, 2), 0.02, np.float32)
    width[H36M.LEFT_WRIST] = wrist_m
    for f, pose in take.tracks[1].poses.items():
        take.tracks[1].poses[f] = replace(pose, half_width_m=width)
    _, states = joint_states(take, take.tracks[1])
    assert (states[:, H36M.LEFT_WRIST] == state).all()
    assert (np.delete(states, H36M.LEFT_WRIST, 1) == SEEN).all()
    take.wide = (1.2, 1.2)
    assert (joint_states(take, take.tracks[1])[1] == SEEN).all()


@pytest.mark.parametrize("keep", [False, True])
def test_no_file_has_legs_that_were_never_seen_unless_they_are_asked_for(tmp_path: Path, keep: bool) -> None:
    take, placement = seen_take()
    without_legs(take, range(90))
    names = {JOINTS[joint] for joint in LEGS} | {"left_heel", "left_toe", "right_heel", "right_toe"}
    options = ExportOptions(keep_inferred=keep)
    export_motion(take, placement, tmp_path / "clip", ["csv", "json", "npz", "trc", "angles", "bvh"], options=options)
    with (tmp_path / "clip.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in POINTS:
        assert {row[f"{name}_state"] for row in rows} <= ({"unknown"} if name in names else {"seen"})
        assert all((row[f"{name}_{axis}_m"] == "") == (name in names and not keep) for row in rows for axis in "xyz")
    told = json.loads((tmp_path / "clip.json").read_text())  # NaN would be no JSON for others
    assert "NaN" not in (tmp_path / "clip.json").read_text()
    for frame in told["people"][0]["frames"]:
        for name, place, state in zip(POINTS, [*frame["joints"], *frame["feet"]], frame["states"], strict=True):
            assert (place is None) == (name in names and not keep)
            assert told["certainty"]["states"][state] == ("unknown" if name in names else "seen")
    z = np.load(tmp_path / "clip.npz")
    for array in ("world3d", "joints3d"):
        missing = np.isnan(z[array][0]).any(-1)
        assert (missing[:, LEGS] == (not keep)).all()
        assert not np.delete(missing, LEGS, 1).any()
    assert [str(z["states"][s]) for s in z["state"][0, 5, [H36M.NOSE, H36M.LEFT_KNEE]]] == ["seen", "unknown"]
    cells = (tmp_path / "clip_1.trc").read_text().splitlines()[10].split("\t")[2:]
    assert [cell == "nan" for cell in cells[::3]] == [name in names and not keep for name in POINTS]
    with (tmp_path / "clip_angles.csv").open() as file:
        told_of = {(row["joint"], row["angle"]) for row in csv.DictReader(file)}
    assert (("knee", "flexion") in told_of) == keep
    assert ("elbow", "flexion") in told_of
    about = json.loads((tmp_path / "clip_about.json").read_text())
    assert set(about["present"]["1"]["never_known"]) == {JOINTS[joint] for joint in LEGS}


def test_bvh_holds_the_rest_pose_of_legs_that_were_never_seen(tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio", reason="bvhio, an independent BVH reader, is not installed")
    take, placement = seen_take(30)
    without_legs(take, range(30))
    root = bvhio.readAsHierarchy(str(export_motion(take, placement, tmp_path / "clip", ["bvh"])[0]))
    bent = {}
    for f in (0, 13, 29):
        root.loadPose(f)
        at = {joint.Name: np.array(joint.PositionWorld) for joint, _, _ in root.layout()}
        for limb in (("LeftUpLeg", "LeftLeg", "LeftFoot"), ("LeftArm", "LeftForeArm", "LeftHand")):
            a, b = (at[limb[k + 1]] - at[limb[k]] for k in range(2))
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            bent[limb[0], f] = np.degrees(np.arccos(min(cosine, 1.0)))
    assert max(angle for (limb, _), angle in bent.items() if limb == "LeftUpLeg") < 0.1
    assert min(angle for (limb, _), angle in bent.items() if limb == "LeftArm") > 10


def test_a_limb_that_is_lost_for_a_while_turns_evenly_from_before_to_after() -> None:
    angle = np.radians(np.linspace(0, 80, 81))
    R = shortest_turn(np.array([1.0, 0, 0]), np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1))
    wild = R.copy()
    known = np.ones(81, bool)
    known[20:60] = known[70:] = False
    wild[~known] = shortest_turn(np.array([1.0, 0, 0]), np.array([[0, 0, 1.0]]))[0]
    out = held(wild, known)
    np.testing.assert_array_equal(out[known], R[known])
    np.testing.assert_allclose(np.linalg.det(out), 1)
    found = np.degrees(np.arctan2(out[:, 1, 0], out[:, 0, 0]))
    np.testing.assert_allclose(found[20:60], np.linspace(20, 59, 40), atol=1.5)  # chords, not arcs
    np.testing.assert_allclose(found[70:], 69)
    np.testing.assert_array_equal(held(wild, np.zeros(81, bool)), np.broadcast_to(np.eye(3), R.shape))


def test_feet_are_less_sure_than_their_ankles_by_a_share_of_the_shank() -> None:
    joints = np.zeros((2, 17, 3))
    joints[:, [H36M.LEFT_KNEE, H36M.RIGHT_KNEE], 2] = 0.4
    half = np.zeros((2, 17, 2), np.float32)
    half[:, H36M.LEFT_ANKLE] = 0.03, 0.1
    half[1, H36M.RIGHT_ANKLE] = np.nan
    widths = point_half_widths(joints, half)
    np.testing.assert_array_equal(widths[:, :17], half)
    for point in (FOOT.LEFT_HEEL, FOOT.LEFT_TOE):
        np.testing.assert_allclose(widths[:, 17 + point], np.hypot([[0.03, 0.1]] * 2, FOOT_SHARE * 0.4), rtol=1e-6)
    assert widths[0, 17 + FOOT.RIGHT_HEEL] == pytest.approx(FOOT_SHARE * 0.4)
    assert np.isnan(widths[1, 17 + FOOT.RIGHT_TOE]).all()


def test_c3d_residuals_are_what_is_known_of_a_point(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d", reason="ezc3d, which writes C3D, is not installed")
    c3d = pytest.importorskip("c3d", reason="c3d, an independent C3D reader, is not installed")
    take, placement = seen_take(120)
    without_legs(take, range(30, 120))
    for f, pose in take.tracks[1].poses.items():
        take.tracks[1].poses[f] = replace(pose, half_width_m=np.tile(np.float32([0.03, 0.06]), (17, 1)))
    (path,) = [p for p in export_motion(take, placement, tmp_path / "clip", ["c3d"]) if p.suffix == ".c3d"]
    # c3d takes the two bytes of the fourth word the other way round: it tells what is missing, not the number
    residual = ezc3d.c3d(str(path))["data"]["meta_points"]["residuals"][0].T
    with path.open("rb") as file:
        missing = np.stack([points[:, 3] for _, points, _ in c3d.Reader(file).read_frames()]) < 0
    np.testing.assert_array_equal(missing, residual < 0)
    wanted = 1000 * np.sqrt((2 * 0.03**2 + 0.06**2) / 3)
    assert residual[5, :17] == pytest.approx(wanted, rel=0.02)
    assert (residual[5, 17:] == 0).all()  # the 2D shows no feet here: heels and toes are made up
    assert residual[40, LEGS] == pytest.approx(0)
    assert (residual[100, LEGS] == -1).all()
    assert residual[100, H36M.NOSE] == pytest.approx(wanted, rel=0.02)


def test_glb_says_when_which_joint_was_not_seen(tmp_path: Path) -> None:
    gltf = pytest.importorskip("pygltflib", reason="pygltflib, which writes GLB, is not installed")
    take, placement = seen_take(120)
    without_legs(take, range(30, 120))
    file = gltf.GLTF2().load(str(export_motion(take, placement, tmp_path / "clip", ["glb"])[0]))
    (extras,) = [node.extras for node in file.nodes if node.extras]
    ((begin, end),) = extras["unknown"]["left_knee"]
    assert (begin, end) == pytest.approx((60 / 29.97, 119 / 29.97), abs=0.04)
    assert "left_elbow" not in extras["unknown"] | extras["inferred"]


def test_unsure_limbs_fade_and_sure_ones_stay_as_they_were() -> None:
    take, placement = seen_take(60)
    frame = Frame(0, take.times_s[0], np.zeros((480, 640, 3), np.uint8))
    poses, roots = placement.at(0)

    def drawn(faint: dict[int, np.ndarray] | None) -> np.ndarray:
        renderer = Renderer(VideoMeta(640, 480, take.meta.fps, 60), RenderConfig(height=360))
        return renderer.draw(frame, (), poses, None, roots, None, faint).astype(int)

    sure = faintness(take, take.tracks[1])[0]
    np.testing.assert_array_equal(drawn({1: sure}), drawn(None))
    without_legs(take, range(60))
    unsure = faintness(take, take.tracks[1])[0]
    assert unsure[LEGS] == pytest.approx(FAINT[UNKNOWN])
    assert unsure[H36M.NOSE] == 0
    empty = Renderer(VideoMeta(640, 480, take.meta.fps, 60), RenderConfig(height=360)).draw(frame, (), (), None, {})
    apart = np.abs(drawn({1: sure}) - empty.astype(int)).sum(), np.abs(drawn({1: unsure}) - empty.astype(int)).sum()
    assert apart[1] < 0.9 * apart[0]


def test_limbs_do_not_flicker_where_a_score_hovers() -> None:
    take, _ = seen_take()
    for f in range(0, 90, 2):
        without_legs(take, range(f, f + 1))
    faint = np.stack(list(faintness(take, take.tracks[1]).values()))[10:80]
    assert np.abs(np.diff(faint[:, LEGS], axis=0)).max() < 0.05
    assert (np.delete(faint, LEGS, 1) == 0).all()


def test_angle_bands_are_those_of_many_draws() -> None:
    """Against drawing joints at random; angles that are far from where they have a kink."""
    rng = np.random.default_rng(0)
    joints = walking(40)[[7]].astype(np.float64)
    joints[:, [H36M.LEFT_WRIST, H36M.RIGHT_WRIST]] += [0.1, 0.05, 0.12]
    width = np.zeros((1, 17, 2))
    width[:, 1:] = 0.004, 0.009
    sight = np.array([[0.2, 0.97, -0.1]]) / np.linalg.norm([0.2, 0.97, -0.1])
    told = angle_half_widths(joints, width, sight)
    draws = np.repeat(joints, 20_000, 0)
    noise = rng.normal(size=draws.shape) * width[..., :1]
    along = (noise @ sight[0])[..., None]
    noise += (rng.normal(size=along.shape) * width[..., 1:] - along) * sight[0]
    draws[:] += noise
    seen, here = joint_angles(draws), joint_angles(joints)
    for angle in ANGLES:
        for name in angle.series:
            if angle.name == "ankle_dorsiflexion":
                assert np.isnan(told[name]).all()
            elif angle.name != "knee_flexion" or here[name] > 10:
                assert told[name][0] == pytest.approx(seen[name].std(), rel=0.05), name


def test_bands_are_made_of_joints_a_least_width_and_gravity() -> None:
    joints = walking(40)[[7, 8]].astype(np.float64)
    sight, known = np.tile([0.0, 1.0, 0.0], (2, 1)), np.full((2, 17, 2), 0.02)
    own, up = angle_half_widths(joints, known, sight), np.array([0.0, 6.0])
    told = angle_bands(joints, known, sight, up)
    for angle in ANGLES:
        width = WIDTHS[angle.name]
        for name in angle.series:
            made_of = own[name.replace("ankle_dorsiflexion", "shank_inclination")]
            assert told[name] ** 2 == pytest.approx(
                (width.joints * made_of) ** 2 + width.least_deg**2 + (width.up * up) ** 2
            )
    # whoever is not known to stand upright may lean; a knee does not ask which way is up
    assert told["trunk_forward_lean"][1] > told["trunk_forward_lean"][0] + 3
    assert WIDTHS["knee_flexion"].up == 0
    nothing = angle_bands(joints, known * np.nan, sight, up)
    assert all(np.isnan(values).all() for values in nothing.values())


def test_plots_of_unseen_legs_are_blank_and_bands_are_there_only_where_the_lifter_tells() -> None:
    take, placement = seen_take(120)
    without_legs(take, range(30, 120))
    (motion,) = motions(take, placement)
    assert np.isnan(motion.angle_bands["left_elbow_flexion"]).all()
    knee = motion.angles()["left_knee_flexion"]
    assert np.isfinite(knee[:59]).all()
    assert np.isnan(knee[61:]).all()
    assert np.isfinite(motion.angles(keep_inferred=True)["left_knee_flexion"]).all()
    states = angle_states(motion.states)
    assert set(states) == set(motion.angles())
    assert (states["left_knee_flexion"][[0, 40, 100]] == [SEEN, INFERRED, UNKNOWN]).all()
    assert (states["left_elbow_flexion"] == SEEN).all()
    for f, pose in take.tracks[1].poses.items():
        take.tracks[1].poses[f] = replace(pose, half_width_m=np.full((17, 2), 0.01, np.float32))
    (motion,) = motions(take, placement)
    band = motion.angle_bands
    assert np.isfinite(band["left_elbow_flexion"]).all()
    assert np.isnan(band["left_knee_flexion"][61:]).all()
