"""Who fills the picture is searched for with room around it, while nobody is followed."""

from __future__ import annotations

import numpy as np
import pytest

from sasmamba.app.pose2d.close_ups import FIND_CLOSE_S, CloseUps, find_close_up


def finder_of(box: tuple[float, float, float, float]) -> object:
    """Finds one person in that box, with joints in its middle, in a picture of 200 × 100 with room around it."""

    def find(bgr: np.ndarray, /) -> list:
        assert bgr.shape == (150, 300, 3)
        assert bgr[25:125, 50:250].all()
        assert bgr.sum() == bgr[25:125, 50:250].sum()
        joints = np.tile(np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 0.9], np.float32), (17, 1))
        return [(joints, np.array(box, np.float32), 0.5)]

    return find


def test_in_pixels_of_the_picture_and_cut_at_its_edge() -> None:
    ((person, sure),) = find_close_up(finder_of((40, 45, 110, 140)), np.ones((100, 200, 3), np.uint8))  # type: ignore[arg-type]
    assert sure == 0.5
    np.testing.assert_allclose(person.box_px, [0, 20, 60, 100])
    np.testing.assert_allclose(person.joints_px[0], [25, 67.5])


@pytest.mark.parametrize("box", [(60, 60, 90, 90), (0, 0, 40, 150)], ids=["small", "beside the picture"])
def test_others_are_found_without_it(box: tuple[float, float, float, float]) -> None:
    assert find_close_up(finder_of(box), np.ones((100, 200, 3), np.uint8)) == []  # type: ignore[arg-type]


def test_how_often_is_a_matter_of_seconds() -> None:
    close_ups = CloseUps()
    times = [i / 30 for i in range(31)]
    assert sum(close_ups.due(t) for t in times) == 1 + int(1 / FIND_CLOSE_S)
