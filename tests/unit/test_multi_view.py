"""The measure by four cameras, against points and cameras that are made up."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_benchmarks import benchmark

multi_view = benchmark("multi_view")
K = np.array([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]])
#: Four cameras around the origin that look at a point 1 m above it: right, down and forward in the world's axes.
CAMERAS = [
    multi_view.Camera(
        K, np.zeros(4), np.array([[-np.sin(a), np.cos(a), 0], [0, 0, -1], [-np.cos(a), -np.sin(a), 0]]), c
    )
    for a in np.radians([10, 80, 170, 260])
    for c in [np.array([4000 * np.cos(a), 4000 * np.sin(a), 1000])]
]
POINTS = np.random.default_rng(3).normal([0, 0, 1000], 300, (12, 3))


def views() -> list[np.ndarray]:
    return [np.column_stack([camera.pixels(POINTS), np.ones(12)]) for camera in CAMERAS]


def test_points_come_back_from_their_pictures() -> None:
    np.testing.assert_allclose(multi_view.triangulated(CAMERAS, views(), [400] * 4), POINTS, atol=1e-6)


@pytest.mark.parametrize("how", ["elsewhere", "not found"])
def test_a_view_that_disagrees_is_left_out(how: str) -> None:
    seen = views()
    seen[2][5] = (900, 100, 1) if how == "elsewhere" else (0, 0, 0)
    np.testing.assert_allclose(multi_view.triangulated(CAMERAS, seen, [400] * 4), POINTS, atol=1e-6)


def test_two_views_are_not_enough() -> None:
    seen = views()
    seen[0][5, 2] = seen[2][5, 2] = 0
    assert np.isnan(multi_view.triangulated(CAMERAS, seen, [400] * 4)).all(1).tolist() == [n == 5 for n in range(12)]


def test_a_fit_takes_away_scale_turn_and_place_and_nothing_else() -> None:
    turned = 0.5 * POINTS @ cv2.Rodrigues(np.array([0.4, -0.7, 1.2]))[0] + 100
    np.testing.assert_allclose(multi_view.turned_onto(turned, POINTS), POINTS, atol=1e-6)
    mirrored = turned * [-1, 1, 1]
    assert np.abs(multi_view.turned_onto(mirrored, POINTS) - POINTS).max() > 50


def test_a_qualisys_camera(tmp_path: Path) -> None:
    """Lengths on the sensor are in 64ths of a pixel; the rows of r are the camera's right, up and backward."""
    R = CAMERAS[1].R
    rows = np.diag([1, -1, -1]) @ R
    place = " ".join(f'{axis}="{v}"' for axis, v in zip("xyz", CAMERAS[1].centre, strict=True))
    turns = " ".join(f'r{i + 1}{j + 1}="{rows[i, j]}"' for i in range(3) for j in range(3))
    (tmp_path / "cameras.qca.txt").write_text(
        f'<calibration><cameras><camera><fov_video left="0" top="0"/><transform {place} {turns}/><intrinsic '
        'focalLengthU="64000" focalLengthV="64000" centerPointU="32000" centerPointV="32000" radialDistortion1="0" '
        'radialDistortion2="0" tangentalDistortion1="0" tangentalDistortion2="0"/></camera></cameras></calibration>'
    )
    (camera,) = multi_view.read_cameras(tmp_path / "cameras.qca.txt")
    np.testing.assert_allclose(camera.pixels(POINTS), CAMERAS[1].pixels(POINTS), atol=1e-6)
