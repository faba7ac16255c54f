"""Cameras against OpenCV and against the JSON's own words; random cameras keep what they promise."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers_motion import write_rig

from sasmamba.common.errors import UserError
from sasmamba.models.geometry import facing_rotation
from sasmamba.training.cameras import Cameras, camera_rotation, load_rig, random_cameras, surrounding_rig


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_rig(tmp_path / "cameras.json", ["S1", "S8"])


def points_before(R: np.ndarray, position: np.ndarray) -> np.ndarray:
    """(40, 3) world points in front of a camera and near enough to its axis for the lens model."""
    rng = np.random.default_rng(0)
    cam = np.stack([rng.uniform(-1.5, 1.5, 40), rng.uniform(-1.5, 1.5, 40), rng.uniform(4, 8, 40)], -1)
    return cam @ R + position


@pytest.mark.parametrize("index", range(8))
def test_projection_is_opencvs(table: Path, index: int) -> None:
    rig = load_rig(table)
    content = json.loads(table.read_text())
    i = content["intrinsics"][index % 4]
    camera = rig.pick(torch.tensor([index]))
    R, position = camera.R_world_cam[0].double().numpy(), camera.position[0].double().numpy()
    world = points_before(R, position)
    K = np.array([[i["fx"], 0, i["cx"]], [0, i["fy"], i["cy"]], [0, 0, 1]])
    k1, k2, k3 = i["radial"]
    lens = np.array([k1, k2, *i["tangential"], k3])
    want, _ = cv2.projectPoints(world, cv2.Rodrigues(R)[0], -R @ position, K, lens)
    got = camera.project(camera.to_camera(torch.from_numpy(world).float()[None]))[0].numpy() * i["height"]
    np.testing.assert_allclose(got + np.array([i["cx"], i["cy"]]), want[:, 0], atol=2e-2)


def test_projection_of_the_real_rig(shared: Path) -> None:
    content = json.loads((shared / "data/h36m_cameras.json").read_text())
    rig = load_rig(shared / "data/h36m_cameras.json")
    row = 0
    for subject, cameras in content["extrinsics"].items():
        for c in cameras:
            assert rig.subject[row] == subject
            w, x, y, z = c["rotation"]
            # "world = R(q) cam + translation", R(q) through its axis and angle
            angle = 2 * math.atan2(math.hypot(x, y, z), w)
            R_cam_world = cv2.Rodrigues(angle * np.array([x, y, z]) / math.hypot(x, y, z))[0]
            cam = np.array([0.3, -0.2, 4.0])
            world = R_cam_world @ cam + np.array(c["translation"])
            back = rig.pick(torch.tensor([row])).to_camera(torch.tensor(world).float().view(1, 1, 3))
            np.testing.assert_allclose(back[0, 0].numpy(), cam, atol=1e-4)
            row += 1
    assert row == len(rig.subject)


def test_rig_stands_upright(table: Path) -> None:
    """The picture's down is the world's down, and all cameras see the middle of the room."""
    cameras = load_rig(table).cameras
    torch.testing.assert_close(cameras.R_world_cam[:, 1], torch.tensor([0.0, 0, -1]).expand(8, 3), atol=1e-5, rtol=0)
    middle = cameras.to_camera(torch.tensor([0.0, 0, 1.5]).expand(8, 1, 3))[:, 0]
    torch.testing.assert_close(middle, torch.tensor([0.0, 0, 5]).expand(8, 3), atol=1e-4, rtol=0)


def test_surrounding_rig() -> None:
    """Everybody near the middle is in the picture of all four, upright, and they look from four sides."""
    cameras = surrounding_rig().cameras
    middle = cameras.to_camera(torch.tensor([0.0, 0, 1.0]).expand(4, 1, 3))
    torch.testing.assert_close(middle[:, 0, 2], torch.full((4,), 5.0), atol=0.1, rtol=0)
    assert cameras.project(middle).abs().max() < 0.05
    assert (cameras.R_world_cam[:, 1, 2] < -0.99).all()
    torch.testing.assert_close(cameras.R_world_cam[:, 2].sum(0)[:2], torch.zeros(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"intrinsics": [], "extrinsics": {}}', '{"intrinsics": [], "extrinsics": {"S1": [{"id": "a"}]}}'],
)
def test_bad_tables(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(content)
    with pytest.raises(UserError, match="not a readable table of cameras"):
        load_rig(path)


def test_look_rotation() -> None:
    """Level: right is world x, down is -z, ahead is y. Pitch looks down. Roll turns about the axis."""
    zero, some = torch.zeros(1), torch.tensor([0.3])
    want = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    torch.testing.assert_close(camera_rotation(zero, zero)[0], want)
    assert camera_rotation(some, zero)[0, 2, 2] < 0
    torch.testing.assert_close(camera_rotation(some, some)[0, 2], camera_rotation(some, zero)[0, 2])
    R = camera_rotation(some, some)[0]
    torch.testing.assert_close(R @ R.T, torch.eye(3), atol=1e-6, rtol=0)
    assert torch.linalg.det(R) > 0


def test_facing_rotation() -> None:
    pelvis = torch.randn(50, 3) + torch.tensor([0.0, 0, 5])
    R = facing_rotation(pelvis)
    torch.testing.assert_close(R @ R.transpose(1, 2), torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    assert torch.linalg.det(R).allclose(torch.ones(50), atol=1e-5)
    ahead = torch.einsum("bij,bj->bi", R, pelvis)
    torch.testing.assert_close(ahead[:, :2], torch.zeros(50, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(ahead[:, 2], pelvis.norm(dim=-1))
    # the shortest rotation: its angle is the angle between the pelvis and the axis
    turned = torch.arccos(((R.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1))
    torch.testing.assert_close(turned, torch.arccos(pelvis[:, 2] / pelvis.norm(dim=-1)), atol=1e-3, rtol=1e-3)


def test_facing_rotation_of_the_axis_is_nothing() -> None:
    torch.testing.assert_close(facing_rotation(torch.tensor([0.0, 0, 3])), torch.eye(3))


#: 20,000 cameras round people 1.7 m tall.
N, STATURE = 20_000, 1.7


@pytest.fixture(scope="module")
def centre() -> torch.Tensor:
    return torch.randn(N, 3, generator=torch.Generator().manual_seed(1)) + torch.tensor([0, 0, 0.9])


@pytest.fixture(scope="module")
def cameras(centre: torch.Tensor) -> Cameras:
    return random_cameras(centre, torch.full((N,), STATURE), torch.Generator().manual_seed(2))


def test_field_of_view(cameras: Cameras) -> None:
    fov = 2 * torch.atan(0.5 / cameras.focal[:, 1]) * 180 / math.pi
    assert 30 <= fov.min() < 31
    assert 74 < fov.max() <= 75.01


def test_persons_share_of_the_height(cameras: Cameras, centre: torch.Tensor) -> None:
    depth = cameras.to_camera(centre[:, None])[:, 0, 2]
    fill = cameras.focal[:, 1] * STATURE / depth
    assert 0.2 <= fill.min() < 0.21
    assert 0.94 < fill.max() <= 0.951


def test_pitch_and_roll(cameras: Cameras) -> None:
    pitch = -torch.asin(cameras.R_world_cam[:, 2, 2]) * 180 / math.pi
    assert -15.1 <= pitch.min() < -14
    assert 34 < pitch.max() <= 35.1
    assert 0.05 < (pitch > 30).float().mean() < 0.08
    right, down = cameras.R_world_cam[:, 0, 2], cameras.R_world_cam[:, 1, 2]
    roll = (torch.atan2(right, -down) * 180 / math.pi).abs()
    assert (roll < 9).float().mean() > 0.85
    assert 0.04 < (roll > 12).float().mean() < 0.14
    assert roll.max() <= 40.1


def test_off_centre_and_cut_off(cameras: Cameras, centre: torch.Tensor) -> None:
    uv = cameras.project(cameras.to_camera(centre[:, None]))[:, 0]
    assert (uv.abs() <= cameras.half_size).all(1).float().mean() > 0.95
    assert uv.std(0).min() > 0.15
    half_body = cameras.focal[:, 1] * STATURE / cameras.to_camera(centre[:, None])[:, 0, 2] / 2
    cut = uv[:, 1].abs() + half_body > 0.5
    assert 0.03 < cut.float().mean() < 0.4


def test_aspect(cameras: Cameras) -> None:
    aspect = cameras.half_size[:, 0] / cameras.half_size[:, 1]
    assert 0.1 < (aspect < 1).float().mean() < 0.5
    assert aspect.max() <= 1.91
