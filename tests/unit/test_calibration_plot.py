"""The picture of calibration: curves that mean what they say, a file that others can read, refusals before the work."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import cv2
import numpy as np
import pytest
import torch

from sasmamba.common.errors import UserError
from sasmamba.training.calibration_plot import by_stated_width, check_picture, draw_calibration


@pytest.mark.parametrize("share", [0.68, 0.95])
@pytest.mark.parametrize("wrong", [1.0, 2.0, 0.5])
def test_groups_tell_by_how_much_intervals_are_wrong(share: float, wrong: float) -> None:
    g = np.random.default_rng(0)
    deviation = g.uniform(5, 80, 60_000)
    error = np.abs(g.normal(0, deviation))
    stated, needed = by_stated_width(wrong * NormalDist().inv_cdf(0.5 + share / 2) * deviation, error, share)
    assert len(stated) == 12
    assert (np.diff(stated) > 0).all()
    assert needed * wrong / stated == pytest.approx(np.ones(12), rel=0.08)


def test_a_lifter_that_says_the_same_of_every_joint_is_found_out() -> None:
    g = np.random.default_rng(0)
    known, lost = np.abs(g.normal(0, 10, 6000)), np.abs(g.normal(0, 100, 6000))
    # in all 68 % lie within; those it called a little surer are far surer, and the others far less
    stated = np.r_[np.full(6000, 41.0), np.full(6000, 43.0)]
    _, needed = by_stated_width(stated, np.r_[known, lost], 0.68)
    assert needed[0] < 0.5 * 41
    assert needed[-1] > 2 * 43


def test_few_errors_are_one_group() -> None:
    stated, needed = by_stated_width(np.arange(1.0, 11.0), np.full(10, 3.0), 0.95)
    assert (stated.tolist(), needed.tolist()) == ([5.5], [3.0])


def test_the_picture_is_a_small_png(tmp_path: Path) -> None:
    g = torch.Generator().manual_seed(0)
    width = 0.01 + 0.05 * torch.rand(3000, 2, generator=g)
    error = width[:, [0, 0, 1]] * torch.randn(3000, 3, generator=g)
    path = tmp_path / "new folder" / "sure.png"
    draw_calibration({"coco": (width, error), "detected": (width, 2 * error)}, (1.97, 2.2), path)
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape == (414, 810, 3)
    assert [p.name for p in path.parent.iterdir()] == ["sure.png"]


@pytest.mark.parametrize(
    ("name", "sentence"), [("sure.jpg", "give a name that ends in .png"), ("folder.png", "is a folder")]
)
def test_names_that_cannot_be_drawn_to(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=sentence):
        check_picture(tmp_path / name)
