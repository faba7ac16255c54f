"""Crops, random views and heatmaps to aim at: where points go, and that use reads back what training aimed at."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from sasmamba.app.pose2d.person_crops import Crops
from sasmamba.models.heatmap_codec import decode
from sasmamba.models.skeletons import POSETRACK, POSETRACK_MIRROR
from sasmamba.training.crops import (
    STRIDE,
    Augmentation,
    box_region,
    crop_transform,
    heatmap_targets,
    mirrored,
    plain_transform,
    random_transform,
)

BOX = np.array([40, 20, 100, 180], np.float32)
INPUT = (96, 128)
UPPER = np.array([not j.name.endswith(("HIP", "KNEE", "ANKLE")) for j in POSETRACK])
LABELLED = np.ones(15, bool)


def joints(rng: np.random.Generator) -> np.ndarray:
    return (BOX[:2] + rng.random((15, 2)) * (BOX[2:] - BOX[:2])).astype(np.float32)


def test_plain_view_is_what_the_application_cuts() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (200, 150, 3), np.uint8)
    seen = plain_transform(BOX, INPUT)
    crops = Crops.around(BOX[None], INPUT)
    assert np.abs(seen.cut(picture).astype(int) - crops.cut(picture)[0]).max() <= 1
    heat = np.random.default_rng(1).random((1, 15, 2)).astype(np.float32) * 20
    ours = seen.to_picture(heat[0] * STRIDE)
    assert np.allclose(ours, crops.to_picture(heat, (24, 32))[0], atol=1e-3)


def test_region_is_the_box_enlarged_to_125_percent() -> None:
    centre, width = box_region(BOX, INPUT)
    assert (centre.tolist(), width) == ([70, 100], 160 * 0.75 * 1.25)
    wide = np.array([0, 0, 200, 10], np.float32)
    assert box_region(wide, INPUT)[1] == 250


@pytest.mark.parametrize(("angle", "flipped"), [(0, False), (30, False), (-45, True), (0, True), (180, True)])
def test_points_go_where_their_pixels_go(angle: float, flipped: bool) -> None:
    """A bright spot in the picture is found in the crop where `points` says."""
    at = np.array([[80.0, 130.0]], np.float32)
    picture = np.zeros((200, 150, 3), np.uint8)
    cv2.circle(picture, (80, 130), 4, (255, 255, 255), -1)
    seen = crop_transform(np.array([70, 100], np.float32), 120, INPUT, angle, flipped)
    crop = seen.cut(picture)[..., 0].astype(float)
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]]
    found = np.array([(x * crop).sum(), (y * crop).sum()]) / crop.sum()
    assert np.allclose(found, seen.points(at)[0], atol=0.15)
    assert np.allclose(seen.to_picture(seen.points(at)), at, atol=1e-3)


def test_turns_clockwise_and_mirrors_about_the_crop() -> None:
    centre = np.array([70, 100], np.float32)
    above = np.array([70, 80], np.float32)
    turned = crop_transform(centre, 96, INPUT, 90).points(above)
    assert np.allclose(turned, [48 + 20, 64], atol=1e-4)  # what was above is on the right
    plain, flipped = crop_transform(centre, 96, INPUT), crop_transform(centre, 96, INPUT, flipped=True)
    picture = np.random.default_rng(0).integers(0, 255, (200, 150, 3), np.uint8)
    assert np.array_equal(plain.cut(picture)[:, ::-1], flipped.cut(picture))


def test_mirrored_joints_change_sides() -> None:
    names = np.array([j.name for j in POSETRACK])
    other = mirrored(names, POSETRACK_MIRROR)
    assert other[POSETRACK.LEFT_WRIST] == "RIGHT_WRIST"
    assert other[POSETRACK.RIGHT_HIP] == "LEFT_HIP"
    assert other[POSETRACK.NOSE] == "NOSE"


def drawn(n: int = 400, **kind: float) -> list:
    still = {"rotation_deg": 0, "scale": 0, "half_body": 0, "flip": 0}
    made = Augmentation(**{**still, **kind})  # type: ignore[arg-type]
    points = joints(np.random.default_rng(5))
    return [random_transform(BOX, points, LABELLED, UPPER, INPUT, made, np.random.default_rng(i)) for i in range(n)]


def test_without_augmentation_the_view_is_plain() -> None:
    assert all(np.allclose(v.matrix, plain_transform(BOX, INPUT).matrix) for v in drawn(3))


@pytest.mark.parametrize(
    ("kind", "low", "high", "measure"),
    [
        ({"rotation_deg": 45, "rotation_share": 1}, -45, 45, lambda m: np.degrees(np.arctan2(m[1, 0], m[0, 0]))),
        ({"scale": 0.35}, 1 / 1.35, 1 / 0.65, lambda m: np.hypot(m[0, 0], m[1, 0]) / (96 / 150)),
    ],
    ids=["rotation", "scale"],
)
def test_random_views_fill_their_range(kind, low, high, measure) -> None:  # type: ignore[no-untyped-def]
    values = np.array([measure(v.matrix) for v in drawn(**kind)])
    span = high - low
    assert low - 1e-6 <= values.min() < low + 0.05 * span
    assert high - 0.05 * span < values.max() <= high + 1e-6


def test_shares_of_flips_and_rotations() -> None:
    assert 0.42 < np.mean([v.flipped for v in drawn(flip=0.5)]) < 0.58
    turned = [abs(v.matrix[0, 1]) > 1e-9 for v in drawn(rotation_deg=45, rotation_share=0.6)]
    assert 0.52 < np.mean(turned) < 0.68


def test_truncation_shows_half_of_the_body() -> None:
    points = np.where(UPPER[:, None], [[70, 40]], [[70, 150]]).astype(np.float32)
    points += np.random.default_rng(0).normal(0, 5, points.shape).astype(np.float32)
    made = Augmentation(0, 0, 0, half_body=1.0, flip=0)
    seen = [
        random_transform(BOX, points, LABELLED, UPPER, INPUT, made, np.random.default_rng(i)).points(points)
        for i in range(40)
    ]
    inside = np.array([((p >= 0) & (p < INPUT)).all(1) for p in seen])
    upper = inside[:, UPPER].all(1) & ~inside[:, ~UPPER].any(1)
    lower = inside[:, ~UPPER].all(1) & ~inside[:, UPPER].any(1)
    assert (upper | lower).all()
    assert 8 < upper.sum() < 32
    few = np.arange(15) < 8  # too few labelled joints to cut somebody in half
    whole = random_transform(BOX, points, few, UPPER, INPUT, made, np.random.default_rng(0))
    assert np.allclose(whole.matrix, plain_transform(BOX, INPUT).matrix)


def test_heatmaps_are_gaussians_that_use_reads_back() -> None:
    points = np.random.default_rng(2).uniform(20, 76, (15, 2)).astype(np.float32)
    heat, weight = heatmap_targets(points, np.ones(15, np.float32), INPUT, 2.0)
    assert (heat.shape, weight.tolist()) == ((15, 32, 24), [1.0] * 15)
    x, y = points[3] / STRIDE
    assert heat[3, 7, 11] == pytest.approx(np.exp(-((11 - x) ** 2 + (7 - y) ** 2) / 8), abs=1e-6)
    read, score = decode(torch.from_numpy(heat[None]), "dark")
    assert np.abs(read[0] * STRIDE - points).max() < 0.5
    assert score.min() > 0.9


def test_heatmaps_of_joints_that_do_not_count_are_empty() -> None:
    points = np.array([[10, 10], [10, 10], [-1, 10], [10, 127.4], [10, 128], [np.nan, 3]], np.float32)
    heat, weight = heatmap_targets(points, np.array([1, 0, 1, 1, 1, 1], np.float32), INPUT)
    assert weight.tolist() == [1, 0, 0, 1, 0, 0]
    assert heat.sum((1, 2)).astype(bool).tolist() == [True, False, False, True, False, False]
    assert np.isfinite(heat).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: crop_transform(BOX[:2], 0, INPUT), "width_px"),
        (lambda: plain_transform(np.array([5, 5, 5, 9], np.float32), INPUT), "box_px"),
        (lambda: Augmentation(flip=2), "flip"),
        (lambda: Augmentation(scale=1), "scale"),
        (lambda: Augmentation(rotation_deg=-1), "rotation_deg"),
        (lambda: heatmap_targets(np.zeros((3, 3), np.float32), np.ones(3, np.float32), INPUT), "joints_px"),
    ],
)
def test_refuses(call, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        call()
