"""2D that people bring themselves, in every way it can be wrong."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_cli import command, left_in, one_sentence, walker

GOOD: dict[str, Any] = {"keypoints": walker(6), "fps": 25.0, "width": 320, "height": 240, "skeleton": "coco17"}
POINTS = GOOD["keypoints"]

RANGES = ": fps must lie between 0.0001 and 10000, width and height between 1 and 1000000, got "

FORMAT = [
    ("no keypoints", {"keypoints": None}, "lacks keypoints; it must hold keypoints, fps, width, height, skeleton."),
    ("no fps", {"fps": None, "width": None}, "lacks fps, width; it must hold keypoints, fps, width, height, skeleton."),
    ("skeleton", {"skeleton": "smpl"}, ": skeleton 'smpl' is unknown; use one of h36m17, coco17, mediapipe33."),
    (
        "skeletons",
        {"skeleton": ["coco17", "h36m17"]},
        """: skeleton "['coco17', 'h36m17']" is unknown; use one of h36m17, coco17, mediapipe33.""",
    ),
    (
        "joints",
        {"keypoints": POINTS[:, :16]},
        ": keypoints for coco17 must have shape (frames, 17, 3), got (6, 16, 3).",
    ),
    (
        "other joints",
        {"skeleton": "mediapipe33"},
        ": keypoints for mediapipe33 must have shape (frames, 33, 3), got (6, 17, 3).",
    ),
    (
        "no score",
        {"keypoints": POINTS[..., :2]},
        ": keypoints for coco17 must have shape (frames, 17, 3), got (6, 17, 2).",
    ),
    ("no frames", {"keypoints": POINTS[:0]}, ": keypoints for coco17 must have shape (frames, 17, 3), got (0, 17, 3)."),
    ("words", {"keypoints": np.full((6, 17, 3), "a")}, ": keypoints must be numbers, got <U1."),
    ("yes and no", {"keypoints": POINTS > 5}, ": keypoints must be numbers, got bool."),
    (
        "normalised",
        {"keypoints": POINTS / [320, 240, 1]},
        ": keypoints must be pixels of the 320 × 240 picture, and these look normalised. Where they run from 0 to 1, "
        "as MediaPipe's do, multiply x by 320 and y by 240.",
    ),
    ("a time span", {"keypoints": POINTS.astype("m8[s]")}, ": keypoints must be numbers, got timedelta64[s]."),
    (
        "objects",
        {"keypoints": np.array([None])},
        " is not a readable NPZ file (keypoints holds Python objects, which could run code; save plain arrays); write "
        "one with numpy.savez.",
    ),
    ("no rate", {"fps": 0}, RANGES + "0, 320, 240."),
    ("rate nan", {"fps": np.nan}, RANGES + "nan, 320, 240."),
    ("rate inf", {"fps": np.inf}, RANGES + "inf, 320, 240."),
    ("width inf", {"width": np.inf}, ": fps, width, height and fov_deg must be single numbers."),
    ("two rates", {"fps": [25.0, 30.0]}, ": fps, width, height and fov_deg must be single numbers."),
    ("rate in words", {"fps": "fast"}, ": fps, width, height and fov_deg must be single numbers."),
    ("view", {"fov_deg": 300.0}, ": fov_deg must lie between 10 and 150 degrees, got 300."),
    ("view nan", {"fov_deg": np.nan}, ": fov_deg must lie between 10 and 150 degrees, got nan."),
    ("height", {"height": -240}, RANGES + "25, 320, -240."),
    (
        "all missing",
        {"keypoints": POINTS * [1, 1, 0]},
        ": every joint is missing in every frame, there is nothing to lift.",
    ),
    ("all nan", {"keypoints": POINTS * np.nan}, ": every joint is missing in every frame, there is nothing to lift."),
    (
        "too far",
        {"keypoints": POINTS * np.array([1e300, 1, 1])},
        ": every joint is missing in every frame, there is nothing to lift.",
    ),
]


def lift(folder: Path) -> tuple[int, str]:
    before = left_in(folder)
    result = command("lift", folder / "in.npz", folder / "out.npz")
    assert result.out == ""
    assert left_in(folder) == before
    return result.code, one_sentence(result.err)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("change", "says"), [c[1:] for c in FORMAT], ids=[c[0] for c in FORMAT])
def test_format(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "in.npz", **{k: v for k, v in (GOOD | change).items() if v is not None})
    got, sep = f"{tmp_path / 'in.npz'}", "" if says[0] in ": " else " "
    assert lift(tmp_path) == (1, got + sep + says)


def altered(path: Path) -> None:
    np.savez_compressed(path, **GOOD)
    data = bytearray(path.read_bytes())
    data[100:110] = b"0123456789"
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    np.savez(path, **GOOD)
    path.write_bytes(path.read_bytes()[:1000])


def boasting(path: Path) -> None:
    """Claims more numbers than any memory holds."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 17, 3)})
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("keypoints.npy", head.getvalue())


def header_of_no_python(path: Path) -> None:
    """numpy reads headers with Python's own parser, which has errors of its own."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("keypoints.npy", b"\x93NUMPY\x01\x00\x20\x00{'descr': (\x00" + b" " * 40)


def single_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, POINTS)


BROKEN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("x y score"),
    "header": header_of_no_python,
    "empty": lambda path: path.write_bytes(b""),
    "folder": lambda path: path.mkdir(),
    "altered": altered,
    "cut": cut,
    "boasting": boasting,
    "a single array": single_array,
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
def test_broken_files(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "in.npz")
    code, sentence = lift(tmp_path)
    assert code == 1
    assert sentence.startswith(f"{tmp_path / 'in.npz'} is not a readable NPZ file (")
    assert sentence.endswith("); write one with numpy.savez.")


def test_no_file(tmp_path: Path) -> None:
    assert lift(tmp_path) == (2, f"{tmp_path / 'in.npz'} does not exist.")


@pytest.mark.parametrize(
    ("out", "code", "says"),
    [
        ("out.json", 2, "Poses are saved as .npz, not 'out.json'."),
        (
            "in.npz/out.npz",
            1,
            "{out} could not be written: part of that path is a file, not a folder; choose another folder.",
        ),
    ],
)
def test_bad_places(tmp_path: Path, out: str, code: int, says: str) -> None:
    np.savez(tmp_path / "in.npz", **GOOD)
    result = command("lift", tmp_path / "in.npz", tmp_path / out)
    assert (result.code, one_sentence(result.err)) == (code, says.format(out=tmp_path / out))
    assert left_in(tmp_path) == ["in.npz"]
