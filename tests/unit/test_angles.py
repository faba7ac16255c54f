"""Joint angles: poses whose angles are known by hand, what must not change them, and gaps."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sasmamba.models.angles import ANGLES, joint_angles
from sasmamba.models.skeletons import H36M

ALL = [name for angle in ANGLES for name in angle.series]
AGAINST_GRAVITY = [name for name in ALL if "lean" in name or "shank" in name]


def standing() -> NDArray:
    """Somebody who stands straight with hanging arms and looks along +x: (17, 3), left is +y, up is +z."""
    pose = np.zeros((17, 3))
    for joint, place in {
        "PELVIS": (0, 0, 1.0),
        "SPINE": (0, 0, 1.25),
        "THORAX": (0, 0, 1.5),
        "NOSE": (0.1, 0, 1.6),
        "HEAD_TOP": (0, 0, 1.75),
        "HIP": (0, 0.1, 1.0),
        "KNEE": (0, 0.1, 0.5),
        "ANKLE": (0, 0.1, 0.1),
        "SHOULDER": (0, 0.2, 1.5),
        "ELBOW": (0, 0.2, 1.2),
        "WRIST": (0, 0.2, 0.95),
    }.items():
        if joint in H36M.__members__:
            pose[H36M[joint]] = place
        else:
            pose[H36M[f"LEFT_{joint}"]] = place
            pose[H36M[f"RIGHT_{joint}"]] = np.array(place) * [1, -1, 1]
    return pose


def with_joints(**places: tuple[float, float, float]) -> NDArray:
    """`standing` with some joints elsewhere, given from the joint before them in the limb."""
    pose = standing()
    before = {"KNEE": "HIP", "ANKLE": "KNEE", "ELBOW": "SHOULDER", "WRIST": "ELBOW"}
    for name in sorted(places, key=lambda n: n.split("_")[1] in ("ANKLE", "WRIST")):
        side, _, joint = name.partition("_")
        pose[H36M[name]] = pose[H36M[f"{side}_{before[joint]}"]] + places[name]
    return pose


def leaning(forward_deg: float, right_deg: float) -> NDArray:
    """Everything above the hips turned forward about the line of the hips, or to the right about the way ahead."""
    a, b = np.radians([forward_deg, right_deg])
    pitch = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    roll = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    pose, hip = standing(), np.array([0, 0, 1.0])
    upper = [j for j in H36M if not any(part in j.name for part in ("HIP", "KNEE", "ANKLE", "PELVIS"))]
    pose[upper] = (pose[upper] - hip) @ (pitch @ roll).T + hip
    return pose


C60, S60, C45 = 0.5, np.sqrt(0.75), np.sqrt(0.5)

#: A pose and its angles in degrees, worked out by hand; every other angle of it is 0.
CASES = {
    "standing": (standing(), {}),
    "left knee bent to 90° behind": (
        with_joints(LEFT_ANKLE=(-0.4, 0, 0)),
        {"left_knee_flexion": 90, "left_shank_inclination": 90},
    ),
    "right thigh 60° up, shank hanging": (
        with_joints(RIGHT_KNEE=(0.5 * S60, 0, -0.5 * C60), RIGHT_ANKLE=(0, 0, -0.4)),
        {"right_hip_flexion": 60, "right_knee_flexion": 60},
    ),
    "left leg 45° behind, straight": (
        with_joints(LEFT_KNEE=(-0.5 * C45, 0, -0.5 * C45), LEFT_ANKLE=(-0.4 * C45, 0, -0.4 * C45)),
        {"left_hip_flexion": -45, "left_shank_inclination": 45},
    ),
    "both legs 45° out, straight": (
        with_joints(
            LEFT_KNEE=(0, 0.5 * C45, -0.5 * C45),
            LEFT_ANKLE=(0, 0.4 * C45, -0.4 * C45),
            RIGHT_KNEE=(0, -0.5 * C45, -0.5 * C45),
            RIGHT_ANKLE=(0, -0.4 * C45, -0.4 * C45),
        ),
        {"left_hip_abduction": 45, "right_hip_abduction": 45},
    ),
    "left leg crosses the right by 30°": (
        with_joints(LEFT_KNEE=(0, -0.25, -0.5 * S60), LEFT_ANKLE=(0, 0, -0.4)),
        {"left_hip_abduction": -30, "left_knee_flexion": 30},
    ),
    "left arm level to the side, right arm overhead": (
        with_joints(LEFT_ELBOW=(0, 0.3, 0), LEFT_WRIST=(0, 0.25, 0), RIGHT_ELBOW=(0, 0, 0.3), RIGHT_WRIST=(0, 0, 0.25)),
        {"left_shoulder_elevation": 90, "right_shoulder_elevation": 180},
    ),
    "right elbow bent to 120°": (
        with_joints(RIGHT_WRIST=(0.25 * S60, 0, 0.25 * C60)),
        {"right_elbow_flexion": 120},
    ),
    "trunk 30° forward, arms along it": (
        leaning(30, 0),
        {"trunk_forward_lean": 30, "left_hip_flexion": 30, "right_hip_flexion": 30},
    ),
    "sitting": (
        with_joints(
            **{f"{s}_KNEE": (0.5, 0, 0) for s in ("LEFT", "RIGHT")},
            **{f"{s}_ANKLE": (0, 0, -0.4) for s in ("LEFT", "RIGHT")},
        ),
        {f"{s}_{a}": 90 for s in ("left", "right") for a in ("hip_flexion", "knee_flexion")},
    ),
}


def feet_of(poses: NDArray, toes_up_deg: float = 0.0) -> NDArray:
    """Heels and toes (F, 4, 3) of feet that make a right angle with the shank, or have the toes up from there."""
    out = np.zeros((len(poses), 4, 3))
    for k, side in enumerate(("LEFT", "RIGHT")):
        ankle = poses[:, H36M[f"{side}_ANKLE"]]
        shank = ankle - poses[:, H36M[f"{side}_KNEE"]]
        shank /= np.linalg.norm(shank, axis=-1, keepdims=True)
        ahead = np.cross([0.0, 1.0, 0.0], -shank)
        ahead += (np.linalg.norm(ahead, axis=-1, keepdims=True) < 1e-6) * [1.0, 0, 0]
        ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
        up = np.radians(toes_up_deg)
        out[:, 2 * k : 2 * k + 2] = np.stack([ankle, ankle + 0.2 * (np.cos(up) * ahead - np.sin(up) * shank)], 1)
    return out


@pytest.mark.parametrize("toes_up_deg", [-40.0, 0.0, 25.0])
def test_the_ankle_has_an_angle_where_its_foot_was_seen(toes_up_deg: float) -> None:
    poses = np.stack([standing(), CASES["sitting"][0], CASES["left leg 45° behind, straight"][0]])
    seen = np.array([[True, True], [False, True], [True, False]])
    found = joint_angles(poses, feet_of(poses, toes_up_deg), seen)
    for k, side in enumerate(("left", "right")):
        np.testing.assert_allclose(
            found[f"{side}_ankle_dorsiflexion"], np.where(seen[:, k], toes_up_deg, np.nan), atol=1e-6
        )
    without = joint_angles(poses)
    assert all(np.isnan(without[f"{side}_ankle_dorsiflexion"]).all() for side in ("left", "right"))


@pytest.mark.parametrize("name", CASES)
def test_angles_known_by_hand(name: str) -> None:
    pose, expected = CASES[name]
    found = joint_angles(pose[None], feet_of(pose[None]), np.ones((1, 2), bool))
    assert list(found) == ALL
    assert {n: round(float(v[0]), 6) + 0.0 for n, v in found.items()} == {n: expected.get(n, 0) for n in ALL}


def test_lean_to_the_right() -> None:
    found = joint_angles(leaning(0, 20)[None])
    assert found["trunk_right_lean"][0] == pytest.approx(20)
    assert found["trunk_forward_lean"][0] == pytest.approx(0, abs=1e-9)
    assert found["left_hip_abduction"][0] == pytest.approx(-found["right_hip_abduction"][0])


def rotation(rng: np.random.Generator) -> NDArray:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q * np.linalg.det(q)


def test_size_place_and_rotation_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    poses = standing() + rng.normal(scale=0.1, size=(200, 17, 3))
    truth = joint_angles(poses)
    R, a = rotation(rng), 2.0
    turned = joint_angles(3.7 * poses @ R.T + [5, -7, 2])
    about_down = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    level = joint_angles(0.01 * poses @ about_down.T + [1, 1, 9])
    for name in ALL:
        np.testing.assert_allclose(level[name], truth[name], atol=1e-6, err_msg=name)
        if name not in AGAINST_GRAVITY:
            np.testing.assert_allclose(turned[name], truth[name], atol=1e-6, err_msg=name)
    assert np.nanmax(np.abs(turned["trunk_forward_lean"] - truth["trunk_forward_lean"])) > 10


def test_the_mirror_swaps_left_and_right() -> None:
    poses = standing() + np.random.default_rng(2).normal(scale=0.1, size=(50, 17, 3))
    swap = [int(H36M[j.name.replace("LEFT", "R_").replace("RIGHT", "LEFT").replace("R_", "RIGHT")]) for j in H36M]
    truth, mirrored = joint_angles(poses), joint_angles((poses * [1, -1, 1])[:, swap])
    for angle in ANGLES:
        for here, there in zip(angle.series, angle.series[::-1], strict=True):
            sign = -1 if here == "trunk_right_lean" else 1
            np.testing.assert_allclose(mirrored[here], sign * truth[there], atol=1e-6, err_msg=here)


def test_gaps_are_not_numbers_and_stay_where_they_are() -> None:
    poses = np.repeat(standing()[None], 5, 0)
    poses[2] = np.nan
    poses[3, H36M.LEFT_WRIST] = np.nan
    found = joint_angles(poses, feet_of(np.repeat(standing()[None], 5, 0)), np.ones((5, 2), bool))
    for name, values in found.items():
        missing = [2, 3] if name == "left_elbow_flexion" else [2]
        assert np.flatnonzero(np.isnan(values)).tolist() == missing, name


def test_what_has_no_direction_has_no_angle() -> None:
    side = standing()  # somebody lying on the side: the hips are above each other and say nothing of forward
    side = side @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]).T
    found = joint_angles(side[None])
    assert np.isnan(found["trunk_forward_lean"][0])
    assert np.isnan(found["left_shank_inclination"][0])
    assert found["left_knee_flexion"][0] == pytest.approx(0, abs=1e-6)
    assert found["left_hip_flexion"][0] == pytest.approx(0, abs=1e-6)
    split = with_joints(LEFT_KNEE=(0, 0.5, 0), LEFT_ANKLE=(0, 0.4, 0))  # a thigh straight out to the side
    assert np.isnan(joint_angles(split[None])["left_hip_flexion"][0])
    assert joint_angles(split[None])["left_hip_abduction"][0] == pytest.approx(90)
    point = joint_angles(np.zeros((1, 17, 3)))
    assert all(np.isnan(values).all() for values in point.values())


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"want \(F, 17, 3\), got \(17, 3\)"):
        joint_angles(standing())
    assert all(len(v) == 0 for v in joint_angles(np.zeros((0, 17, 3))).values())
