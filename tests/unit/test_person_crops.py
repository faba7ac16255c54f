"""Crops and heatmaps against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sasmamba.app.pose2d.person_crops import Crops, usable
from sasmamba.models import heatmap_codec
from sasmamba.models.heatmap_codec import decode, heatmaps, unflipped
from sasmamba.models.skeletons import COCO

INPUT = (192, 256)


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def hills(*places: tuple[float, float], height: float = 1.0) -> torch.Tensor:
    """(1, len, 64, 48) Gaussians as HRNet is trained on."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    return torch.stack([height * torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py in places])[None]


class TestBoxes:
    @pytest.mark.parametrize(
        ("name", "box", "want"),
        [
            ("inside", (10, 10, 50, 90), True),
            ("across the corner", (-30, -30, 20, 20), True),
            ("larger than the picture", (-100, -100, 900, 900), True),
            ("beside the picture", (650, 10, 700, 90), False),
            ("above the picture", (10, -90, 50, -10), False),
            ("ends where the picture begins", (-50, 10, 0, 90), False),
            ("a speck", (10, 10, 12, 90), False),
            ("inside out", (50, 90, 10, 10), False),
            ("a point", (10, 10, 10, 10), False),
            ("not a number", (float("nan"), 10, 50, 90), False),
            ("endless", (10, 10, float("inf"), 90), False),
        ],
    )
    def test_usable(self, name: str, box: tuple[float, ...], want: bool) -> None:
        assert usable(boxes(box), 640, 480).tolist() == [want], name

    def test_no_boxes(self) -> None:
        assert usable(boxes(), 640, 480).shape == (0,)
        assert Crops.around(boxes(), INPUT).cut(np.zeros((48, 64, 3), np.uint8)).shape == (0, 256, 192, 3)

    def test_wrong_shape(self) -> None:
        with pytest.raises(ValueError, match=r"want \(n, 4\), got \(2, 5\)"):
            usable(np.zeros((2, 5), np.float32), 640, 480)
        with pytest.raises(ValueError, match="want x0 < x1"):
            Crops.around(boxes((10, 10, 10, 90)), INPUT)


class TestCrops:
    @pytest.mark.parametrize(
        ("box", "size"),
        [
            ((100, 50, 196, 178), (120, 160)),  # 3 : 4 as the crop: a quarter more
            ((100, 50, 120, 178), (120, 160)),  # narrower: widened
            ((100, 50, 196, 60), (120, 160)),  # flatter: heightened
        ],
    )
    def test_size(self, box: tuple[float, ...], size: tuple[float, float]) -> None:
        crops = Crops.around(boxes(box), INPUT)
        assert crops.size_px.tolist() == [list(size)]
        assert crops.centre_px.tolist() == [[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]]

    def test_a_crop_of_its_own_size_is_the_picture(self) -> None:
        """Box of 192 / 1.25 by 256 / 1.25 around (200, 150): column 0 is 200 - 96, row 0 is 150 - 128."""
        bgr = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
        (crop,) = Crops.around(boxes((200 - 76.8, 150 - 102.4, 200 + 76.8, 150 + 102.4)), INPUT).cut(bgr)
        assert np.array_equal(crop, bgr[22:278, 104:296])

    def test_black_beyond_the_picture(self) -> None:
        (crop,) = Crops.around(boxes((-76.8, 150 - 102.4, 76.8, 150 + 102.4)), INPUT).cut(
            np.full((300, 400, 3), 200, np.uint8)
        )
        assert (crop[:, :96] == 0).all()
        assert (crop[:, 96:] == 200).all()

    def test_heatmap_to_picture(self) -> None:
        """Size 120 × 160 around (148, 114): heatmap pixel 0 is the crop's edge, 24 its middle, each is 2.5 px."""
        crops = Crops.around(boxes((100, 50, 196, 178)), INPUT)
        points = np.array([[[0, 0], [24, 32], [25, 30]]], np.float32)
        assert crops.to_picture(points, (48, 64)).tolist() == [[[88, 34], [148, 114], [150.5, 109]]]

    def test_there_and_back(self) -> None:
        """A dot in the picture is found again through crop, heatmap and way back, for every person of a batch."""
        dots = np.array([[130, 90], [300, 200], [15, 240]], np.float32)
        bgr = np.zeros((260, 400, 3), np.uint8)
        for x, y in dots.astype(int):
            bgr[y - 3 : y + 4, x - 3 : x + 4] = 255
        crops = Crops.around(np.hstack([dots, dots]) + np.float32([-40, -70, 20, 50]), INPUT)
        bright = torch.from_numpy(crops.cut(bgr)[..., 0].astype(np.float32))[:, None] / 255
        # A heatmap's pixel i is the crop's pixel 4 · i, so it is blurred and then sampled there.
        heat = F.avg_pool2d(bright, 9, 1, 4)[..., ::4, ::4]
        points, score = decode(heat, "dark")
        assert score.min() > 0.5
        assert np.abs(crops.to_picture(points, (48, 64))[:, 0] - dots).max() < 0.6  # px; a heatmap's pixel is 3.1

    def test_normalisation(self) -> None:
        """BGR bytes to RGB with ImageNet's mean at 0 and its deviation at 1."""
        bgr = np.array([103, 116, 124], np.uint8).reshape(1, 1, 1, 3)
        got = heatmap_codec.normalised(np.tile(bgr, (1, 4, 4, 1)))
        want = [(124 - 123.675) / 58.395, (116 - 116.28) / 57.12, (103 - 103.53) / 57.375]
        assert got.shape == (1, 3, 4, 4)
        assert got.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(got[0, :, 2, 1], torch.tensor(want))


class TestDecode:
    PLACES = ((20.3, 31.7), (10.0, 12.0), (24.49, 40.51), (30.8, 9.05))

    def test_dark_finds_the_place_between_pixels(self) -> None:
        points, score = decode(hills(*self.PLACES), "dark")
        assert np.abs(points[0] - self.PLACES).max() < 0.02
        assert score.min() > 0.9

    def test_dark_does_not_mind_noise(self) -> None:
        noisy = hills(*self.PLACES) + 0.02 * torch.randn(1, 4, 64, 48)
        assert np.abs(decode(noisy, "dark")[0][0] - self.PLACES).max() < 0.1

    def test_dark_of_each_is_dark_of_all(self) -> None:
        one, two = hills(*self.PLACES), hills(*reversed(self.PLACES), height=0.4)
        both, _ = decode(torch.cat([one, two]), "dark")
        assert np.allclose(both[0], decode(one, "dark")[0][0])
        assert np.allclose(both[1], decode(two, "dark")[0][0])

    def test_quarter(self) -> None:
        """The highest pixel, and a quarter towards the higher neighbour; an even hill stays."""
        points, _ = decode(hills((20.3, 31.7), (10.0, 12.0)), "quarter")
        assert points[0].tolist() == [[20.25, 31.75], [10, 12]]

    @pytest.mark.parametrize("how", ["quarter", "dark"])
    @pytest.mark.parametrize("corner", [(0, 0), (47, 0), (0, 63), (47, 63), (1, 1), (46, 62)])
    def test_at_the_rim_the_pixel_stands(self, how: heatmap_codec.Decode, corner: tuple[int, int]) -> None:
        points, _ = decode(hills(corner), how)
        assert np.abs(points[0, 0] - corner).max() <= 0.25

    def test_dark_never_throws_a_point_away(self) -> None:
        """Heatmaps of nobody, all noise: their peaks are no Gaussian hills, and a step may not leave the hill."""
        noise = 0.02 * torch.randn(20, 17, 64, 48)
        highest = noise.flatten(2).argmax(-1).numpy()
        points, _ = decode(noise, "dark")
        assert np.abs(points - np.stack([highest % 48, highest // 48], -1)).max() <= 2

    def test_nothing_there(self) -> None:
        points, score = decode(torch.full((1, 2, 64, 48), -0.1), "dark")
        assert (score == 0).all()
        assert np.isfinite(points).all()

    def test_score_is_cut(self) -> None:
        assert decode(hills((20, 30), height=1.3), "dark")[1].tolist() == [[1.0]]

    def test_unknown(self) -> None:
        with pytest.raises(ValueError, match="want quarter or dark, got 'best'"):
            decode(hills((20, 30)), "best")  # type: ignore[arg-type]


class TestFlip:
    def test_joints_change_sides(self) -> None:
        heat = torch.zeros(1, 17, 64, 48)
        heat[0, COCO.LEFT_WRIST, 30, 5] = 1
        assert unflipped(heat, shift=False)[0, COCO.RIGHT_WRIST, 30, 42] == 1
        assert unflipped(heat, shift=True)[0, COCO.RIGHT_WRIST, 30, 43] == 1

    def test_the_first_column_stays_when_the_rest_moves(self) -> None:
        heat = torch.arange(4.0).repeat(1, 17, 2, 1)  # columns 0 1 2 3, mirrored 3 2 1 0
        assert unflipped(heat, shift=True)[0, 0, 0].tolist() == [3, 3, 2, 1]

    def test_a_symmetric_picture_changes_nothing(self) -> None:
        half = torch.randn(1, 3, 64, 24)
        symmetric = torch.cat([half, half.flip(-1)], -1)

        def network(images: torch.Tensor) -> torch.Tensor:
            return F.avg_pool2d(images, 4).mean(1, keepdim=True).expand(-1, 17, -1, -1)

        torch.testing.assert_close(heatmaps(network, symmetric, flip=True, shift=False), network(symmetric))

    def test_the_shift_is_what_a_stride_of_four_needs(self) -> None:
        """A network that samples every fourth pixel: without the shift the average is 3/8 of a pixel off, with, 1/8."""
        images = torch.exp(-((torch.arange(192.0) - 80) ** 2) / 128).expand(1, 3, 256, 192)

        def network(images: torch.Tensor) -> torch.Tensor:
            return images[:, :1, ::4, ::4].expand(-1, 17, -1, -1)

        def centre(heat: torch.Tensor) -> float:
            row = heat[0, 0, 30]
            return float((row * torch.arange(48.0)).sum() / row.sum())

        assert centre(heatmaps(network, images)) == pytest.approx(20, abs=0.01)
        assert centre(heatmaps(network, images, flip=True, shift=False)) == pytest.approx(20 - 3 / 8, abs=0.01)
        assert centre(heatmaps(network, images, flip=True, shift=True)) == pytest.approx(20 + 1 / 8, abs=0.01)
