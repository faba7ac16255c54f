"""2D poses of a user's own, one person or several, with and without a known camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sasmamba.app.keypoints import lift_file, read_keypoints
from sasmamba.app.lifting import Lifter


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    return Lifter.load()


def write(path: Path, keypoints: np.ndarray, **extra: object) -> Path:
    fields = {"fps": 25.0, "width": 640, "height": 480, "skeleton": "h36m17"} | extra
    np.savez(path, keypoints=keypoints, **fields)  # type: ignore[arg-type]
    return path


def people(count: int, frames: int = 20) -> np.ndarray:
    rng = np.random.default_rng(count)
    rest = rng.uniform(100, 400, (count, 1, 17, 2))
    moved = rest + np.cumsum(rng.normal(0, 1, (count, frames, 17, 2)), 1)
    return np.concatenate([moved, np.full((count, frames, 17, 1), 0.8)], -1)


def test_several_people_are_lifted_one_by_one(tmp_path: Path, lifter: Lifter) -> None:
    both = people(2)
    both[1, :5, :, 2] = 0  # the second one enters later
    lift_file(write(tmp_path / "both.npz", both), tmp_path / "both3d.npz", lifter)
    joints = np.load(tmp_path / "both3d.npz")["joints3d"]
    assert joints.shape == (2, 20, 17, 3)
    assert np.isnan(joints[1, :5]).all()
    assert np.isfinite(joints[0]).all()
    for p in range(2):
        lift_file(write(tmp_path / "one.npz", both[p]), tmp_path / "one3d.npz", lifter)
        np.testing.assert_array_equal(np.load(tmp_path / "one3d.npz")["joints3d"], joints[p])


def test_axes_are_said_and_depend_on_a_known_camera_only(tmp_path: Path, lifter: Lifter) -> None:
    xyc = people(1)[0]
    results = {}
    for name, extra in {"facing": {}, "camera": {"fov_deg": 60.0}}.items():
        lift_file(write(tmp_path / "in.npz", xyc, **extra), tmp_path / "out.npz", lifter)
        with np.load(tmp_path / "out.npz") as z:
            assert str(z["axes"]) == name
            results[name] = z["joints3d"]
    assert np.abs(results["facing"] - results["camera"]).max() > 1e-3
    lengths = [np.linalg.norm(r, axis=-1) for r in results.values()]
    np.testing.assert_allclose(*lengths, atol=1e-5)  # a turn, nothing else


@pytest.mark.parametrize("skeleton", ["coco17", "mediapipe33"])
def test_other_skeletons_become_h36m(tmp_path: Path, skeleton: str) -> None:
    count = {"coco17": 17, "mediapipe33": 33}[skeleton]
    points = np.random.default_rng(0).uniform(1, 100, (4, count, 3))
    given = read_keypoints(write(tmp_path / "in.npz", points, skeleton=skeleton))
    assert given.xyc.shape == (1, 4, 17, 3)
    hips = {"coco17": (11, 12), "mediapipe33": (23, 24)}[skeleton]
    np.testing.assert_allclose(given.xyc[0, :, 0, :2], points[:, hips, :2].mean(1), rtol=1e-5)
