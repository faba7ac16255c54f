"""Pictures look as they are meant: high dynamic range, ranges, matrices, transparency, EXIF's turns, odd side data."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideDataType
from helpers_video import MATRICES, corner_of, set_display_matrix, write_video
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sasmamba.app.io.upright import upright
from sasmamba.app.io.video_file import VideoFile

PQ, HLG, BT2020, BT709, BT601 = 16, 18, 9, 1, 5
LIMITED, FULL = 1, 2
#: Luma's share of red and blue, by matrix.
KR_KB = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114), BT2020: (0.2627, 0.0593)}
#: Neutral, and as people look.
PATCHES = [(0, 0, 0), (60, 60, 60), (128, 128, 128), (200, 200, 200), (250, 250, 250), (150, 110, 90), (90, 120, 150)]


def pq(light: NDArray) -> NDArray:
    """SMPTE ST 2084 of light that is 1 where a usual screen is white, which is 203 cd/m² (ITU-R BT.2408)."""
    y = (light * 203 / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(light: NDArray) -> NDArray:
    """ITU-R BT.2100 HLG, white at 75 % of the signal (BT.2408), shown on a screen of 1000 cd/m² (system gamma 1.2)."""
    luminance = light @ [0.2627, 0.6780, 0.0593]
    scene = light * (203 / 1000) * (np.maximum(luminance, 1e-9) * 203 / 1000)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


#: Linear BT.709 to BT.2020 (ITU-R BT.2087).
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def planes(rgb: NDArray, matrix: int, bits: int, *, full: bool) -> NDArray:
    """Signals 0..1 (..., 3) as Y, Cb, Cr (3, ...) of so many bits, by the equations of ITU-R BT.601, 709 and 2020."""
    kr, kb = KR_KB[matrix]
    y = rgb @ [kr, 1 - kr - kb, kb]
    cb, cr = (rgb[..., 2] - y) / (2 - 2 * kb), (rgb[..., 0] - y) / (2 - 2 * kr)
    scale = 1 << (bits - 8)
    top = (1 << bits) - 1
    if full:
        return np.rint([y * top, cb * top + 128 * scale, cr * top + 128 * scale])
    return np.rint([(16 + 219 * y) * scale, (128 + 224 * cb) * scale, (128 + 224 * cr) * scale])


def write_yuv(path: Path, yuv: NDArray, bits: int, size: tuple[int, int], **tags: int) -> Path:
    """One lossless picture of side-by-side patches, yuv (3, patches), with the container's tags."""
    width, height = size
    pix_fmt = "yuv444p" if bits == 8 else f"yuv444p{bits}le"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        picture = av.VideoFrame(width, height, pix_fmt)
        columns = np.repeat(yuv, width // yuv.shape[1], 1).astype("<u2" if bits > 8 else np.uint8)
        for plane, row in zip(picture.planes, columns, strict=True):
            padded = np.zeros((height, plane.line_size // row.itemsize), row.dtype)
            padded[:, : len(row)] = row
            plane.update(padded.tobytes())
        for name, value in tags.items():
            setattr(picture, name, value)
        picture.pts, picture.time_base = 0, Fraction(1, 25)
        out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def patches_read(path: Path) -> NDArray:
    """RGB in the middle of each patch."""
    (frame,) = VideoFile(path)
    width = frame.bgr.shape[1] // len(PATCHES)
    return frame.bgr[frame.bgr.shape[0] // 2, width // 2 :: width][: len(PATCHES), ::-1].astype(float)


@pytest.mark.parametrize(("transfer", "curve"), [(PQ, pq), (HLG, hlg)], ids=["PQ", "HLG"])
def test_high_dynamic_range_looks_as_on_a_usual_screen(tmp_path: Path, transfer: int, curve: Any) -> None:
    light = (np.array(PATCHES) / 255) ** 2.4 @ TO_2020.T  # as a screen shows it, ITU-R BT.1886
    yuv = planes(curve(light), BT2020, 10, full=False)
    tags = {"color_trc": transfer, "color_primaries": BT2020, "colorspace": BT2020, "color_range": LIMITED}
    got = patches_read(write_yuv(tmp_path / "hdr.mkv", yuv, 10, (len(PATCHES) * 16, 32), **tags))
    np.testing.assert_allclose(got, PATCHES, atol=8)


@pytest.mark.parametrize("matrix", [BT709, BT601], ids=["BT.709", "BT.601"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("size", [(112, 32), (1400, 32)], ids=["small", "large"])
def test_ranges_and_matrices(tmp_path: Path, matrix: int, full: bool, size: tuple[int, int]) -> None:
    yuv = planes(np.array(PATCHES) / 255, matrix, 8, full=full)
    tags = {"colorspace": matrix, "color_range": FULL if full else LIMITED}
    got = patches_read(write_yuv(tmp_path / "a.mkv", yuv, 8, size, **tags))
    np.testing.assert_allclose(got, PATCHES, atol=2)


@pytest.mark.parametrize(("size", "matrix"), [((112, 32), BT601), ((1400, 32), BT709), ((112, 720), BT709)], ids=str)
def test_what_is_not_tagged_is_read_by_its_size(tmp_path: Path, size: tuple[int, int], matrix: int) -> None:
    yuv = planes(np.array(PATCHES) / 255, matrix, 8, full=False)
    np.testing.assert_allclose(patches_read(write_yuv(tmp_path / "a.mkv", yuv, 8, size)), PATCHES, atol=2)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_what_one_can_see_through_stands_before_white(tmp_path: Path, suffix: str) -> None:
    rgba = np.full((40, 60, 4), (200, 30, 10, 255), np.uint8)
    rgba[:, 20:40, 3], rgba[:, 40:, 3] = 128, 0
    Image.fromarray(rgba).save(tmp_path / f"a{suffix}", lossless=True)
    (frame,) = VideoFile(tmp_path / f"a{suffix}")
    middles = frame.bgr[20, [10, 30, 50], ::-1].astype(float)
    np.testing.assert_allclose(middles, [(200, 30, 10), (227, 142, 132), (255, 255, 255)], atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_exif_turns_and_mirrors(tmp_path: Path, suffix: str, orientation: int) -> None:
    """Pillow is asked what is right."""
    rgb = np.full((48, 64, 3), 60, np.uint8)
    rgb[:24, :32] = 255
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Camera"
    Image.fromarray(rgb).save(tmp_path / f"a{suffix}", exif=exif)
    with Image.open(tmp_path / f"a{suffix}") as picture:
        right = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))[..., ::-1]
    (frame,) = VideoFile(tmp_path / f"a{suffix}")
    assert frame.bgr.shape == right.shape
    assert corner_of(frame.bgr) == corner_of(right)


def test_side_data_without_a_name() -> None:
    assert SideDataType(31).value == SideDataType(31).value == 31
    assert SideDataType(SideDataType.DISPLAYMATRIX.value) is SideDataType.DISPLAYMATRIX
    assert SideDataType(9999) is not SideDataType.DISPLAYMATRIX


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in another way there")
def test_pictures_that_are_kept_keep_no_threads() -> None:
    """Each kept two, hundreds in a live run."""
    pictures = [av.VideoFrame.from_ndarray(np.zeros((360, 640, 3), np.uint8), format="rgb24") for _ in range(20)]
    upright(pictures[0], None)
    before = len(list(Path("/proc/self/task").iterdir()))
    kept = [(picture, upright(picture, None)) for picture in pictures]
    assert len(list(Path("/proc/self/task").iterdir())) <= before + 2
    assert len(kept) == 20


def test_pictures_go_when_nobody_holds_them() -> None:
    """Each stayed until the garbage collector came by, which of large ones is too late."""

    def pictures() -> int:
        return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    before = pictures()
    try:
        for _ in range(20):
            upright(av.VideoFrame(640, 360, "yuv420p"), None)
        assert pictures() <= before + 1
    finally:
        gc.enable()
        gc.collect()


def test_what_turns_in_the_middle_of_a_stream(tmp_path: Path) -> None:
    """A phone that is turned while it streams: alike in size, not in rotation."""
    ways = [MATRICES[name] for name in ("quarter turn right", "quarter turn left")]
    clip = write_video(tmp_path / "v.mp4", 2, size=(64, 48))
    pictures = []
    for matrix in ways:
        set_display_matrix(clip, matrix, 64, 48)
        with av.open(str(clip)) as file:
            pictures.append(next(file.decode(video=0)))
    right, left = (upright(picture, None) for picture in pictures)
    assert (right[::-1, ::-1] == left).all()
