"""Square crops: where they lie, what is in them, and that joints come back to where they were."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from helpers_crossings import figure

from sasmamba.app.pose2d.squares import LEAST_SIDE_PX, Square, beside, unmirrored
from sasmamba.models.skeletons import COCO


def spot(width: int, height: int, x: int, y: int, radius: int = 6) -> np.ndarray:
    bgr = np.zeros((height, width, 3), np.uint8)
    cv2.circle(bgr, (x, y), radius, (0, 0, 255), -1)
    return bgr


class TestAround:
    def test_hips_in_the_middle_and_everybody_inside(self) -> None:
        person = figure(500, 300, 200)
        square = Square.around(person.joints_px, person.score)
        assert square is not None
        assert square.centre_px == pytest.approx((500, 300))
        assert square.side == pytest.approx(2 * 1.9 * 0.35 * 200)  # the shoulders are the farthest of the torso

    def test_without_hips_the_middle_of_what_is_seen(self) -> None:
        person = figure(500, 300, 200)
        score = person.score.copy()
        score[COCO.LEFT_HIP :] = 0
        square = Square.around(person.joints_px, score)
        assert square is not None
        seen = person.joints_px[score > 0]
        assert square.centre_px == pytest.approx((seen.min(0) + seen.max(0)) / 2)

    @pytest.mark.parametrize("seen", [5, 7], ids=["a head alone", "head and shoulders"])
    def test_a_face_does_not_fill_it(self, seen: int) -> None:
        """A face that fills a crop is taken for a body: eyes for shoulders, and arms across the cheeks."""
        person = figure(500, 300, 200)
        person.joints_px[:5] = (500, 190), (504, 185), (496, 185), (509, 190), (491, 190)
        score = person.score.copy()
        score[seen:] = 0
        square = Square.around(person.joints_px, score)
        assert square is not None
        head = np.ptp(person.joints_px[:5, 0])
        assert square.side > 6 * head
        assert square.side < 250  # the body is 200 high

    def test_too_little_to_go_by(self) -> None:
        person = figure(500)
        assert Square.around(person.joints_px, np.eye(17, dtype=np.float32)[3]) is None
        small = Square.around(person.joints_px * 1e-3, person.score)
        assert small is not None
        assert small.side == LEAST_SIDE_PX

    def test_arms_stretched_out_make_it_wider(self) -> None:
        person = figure(500, 300, 200)
        person.joints_px[COCO.LEFT_WRIST] = 700, 250
        square = Square.around(person.joints_px, person.score)
        assert square is not None
        assert square.side == pytest.approx(2 * 1.2 * 200)


class TestCut:
    @pytest.mark.parametrize("side", [40.0, 100.0, 256.0, 700.5, 3000.0])
    @pytest.mark.parametrize("size", [(640, 480), (480, 1200), (7680, 4320)], ids=lambda s: f"{s[0]}x{s[1]}")
    def test_a_point_comes_back_to_where_it_was(self, side: float, size: tuple[int, int]) -> None:
        width, height = size
        x, y = width // 3, height // 2
        square = Square(x - 0.4 * side, y - 0.7 * side, side)
        rgb = square.cut(spot(width, height, x, y, radius=max(3, round(side / 30))), 256)
        assert rgb.shape == (256, 256, 3)
        rows, columns = np.mgrid[:256, :256]
        red = rgb[..., 0].astype(float)
        at = np.array([(red * (columns + 0.5)).sum(), (red * (rows + 0.5)).sum()]) / red.sum() / 256
        # The middle of pixel (x, y) is half a pixel from its corner.
        assert square.to_picture(at[None].astype(np.float32))[0] == pytest.approx((x + 0.5, y + 0.5), abs=0.01 * side)

    def test_beyond_the_picture_it_is_black(self) -> None:
        white = np.full((100, 100, 3), 255, np.uint8)
        rgb = Square(50, 50, 100).cut(white, 64)
        assert (rgb[:30, :30] == 255).all()
        assert (rgb[34:] == 0).all()
        assert (rgb[:, 34:] == 0).all()
        assert (Square(200, 0, 50).cut(white, 64) == 0).all()

    @pytest.mark.parametrize("turns", range(4))
    def test_what_is_hidden_is_black(self, turns: int) -> None:
        white = np.full((100, 100, 3), 255, np.uint8)
        rgb = Square(0, 0, 100, turns, ((-50, 25, 50, 200), (90, 90, 95, 95))).cut(white, 200)
        straight = np.rot90(rgb, -turns)
        assert (straight[50:, :100] == 0).all()
        assert (straight[180:190, 180:190] == 0).all()
        assert (straight == 0).all(-1).sum() == 150 * 100 + 10 * 10

    def test_fine_stripes_are_averaged_when_it_shrinks(self) -> None:
        stripes = np.zeros((2048, 2048, 3), np.uint8)
        stripes[::2] = 255
        inside = Square(0, 0, 2048).cut(stripes, 256)[8:-8, 8:-8].astype(int)
        assert np.abs(inside - 127.5).max() < 8

    def test_the_picture_is_left_as_it_was(self) -> None:
        bgr = spot(300, 300, 100, 100)
        bgr.flags.writeable = False
        before = bgr.copy()
        Square(-20, 10, 200).cut(bgr, 192)
        np.testing.assert_array_equal(bgr, before)


@pytest.mark.parametrize(
    ("other", "pieces"),
    [
        ((40, 40, 60, 60), []),  # within one's own
        ((300, 0, 400, 100), [(300, 0, 400, 100)]),
        ((80, 20, 200, 80), [(110, 20, 200, 80)]),  # ten pixels of room
        (
            (-50, -50, 150, 150),
            [(-50, -50, 150, -10), (-50, 110, 150, 150), (-50, -10, -10, 110), (110, -10, 150, 110)],
        ),
        ((50, 105, 60, 300), [(50, 110, 60, 300)]),
        ((109, 0, 110, 100), []),
    ],
)
def test_what_of_others_lies_beside_one(other: tuple[float, ...], pieces: list[tuple[float, ...]]) -> None:
    assert list(beside(np.array([0, 0, 100, 100], np.float32), [np.array(other, np.float32)])) == pieces


def test_what_a_mirror_shows() -> None:
    joints = np.random.default_rng(0).random((17, 3)).astype(np.float32)
    back = unmirrored(joints)
    assert back[COCO.LEFT_WRIST] == pytest.approx([1 - joints[COCO.RIGHT_WRIST, 0], *joints[COCO.RIGHT_WRIST, 1:]])
    assert back[COCO.NOSE, 0] == pytest.approx(1 - joints[COCO.NOSE, 0])
    np.testing.assert_allclose(unmirrored(back), joints, atol=1e-6)
