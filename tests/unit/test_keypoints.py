"""2D poses of a user's own, one person or several, with and without a known camera."""

from __future__ import annotations

import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sasmamba.app.io.keypoints import read_keypoints
from sasmamba.app.lift_file import lift_file
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.common.errors import UserError


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
    got = read_keypoints(write(tmp_path / "in.npz", points, skeleton=skeleton))
    assert got.xyc.shape == (1, 4, 17, 3)
    hips = {"coco17": (11, 12), "mediapipe33": (23, 24)}[skeleton]
    np.testing.assert_allclose(got.xyc[0, :, 0, :2], points[:, hips, :2].mean(1), rtol=1e-5)


@pytest.mark.parametrize("skeleton", ["h36m17", "mediapipe33"])
@pytest.mark.parametrize("zero", ["corner", "middle"])
def test_normalised_keypoints_are_refused(tmp_path: Path, skeleton: str, zero: str) -> None:
    """Somebody in a Full HD picture, a joint outside it, as MediaPipe gives them, and as -1…1."""
    count = {"h36m17": 17, "mediapipe33": 33}[skeleton]
    px = np.random.default_rng(0).uniform((300, 100), (900, 1060), (5, count, 2))
    px[0, 0] = -200, 1300
    xy = px / (1920, 1080) if zero == "corner" else px / 960 - (1, 1080 / 1920)
    size = {"skeleton": skeleton, "width": 1920, "height": 1080}
    score = np.ones((5, count, 1))
    with pytest.raises(UserError, match=r"look normalised\. .*multiply x by 1920 and y by 1080"):
        read_keypoints(write(tmp_path / "in.npz", np.concatenate([xy, score], -1), **size))
    got = read_keypoints(write(tmp_path / "in.npz", np.concatenate([px, score], -1), **size))
    assert got.xyc[..., :2].max() > 200


def test_the_same_poses_scaled_and_not(shared: Path, tmp_path: Path) -> None:
    """Real ones: pixels, and the same divided by the size of the picture; the advice makes them equal again."""
    pixels = read_keypoints(shared / "failing/pixels.npz")
    with pytest.raises(UserError, match="multiply x by 1920 and y by 1080"):
        read_keypoints(shared / "failing/same_but_normalised_0_to_1.npz")
    with np.load(shared / "failing/same_but_normalised_0_to_1.npz") as z:
        scaled = z["keypoints"] * [1920, 1080, 1]
    got = read_keypoints(write(tmp_path / "in.npz", scaled, fps=30.0, width=1920, height=1080))
    np.testing.assert_allclose(got.xyc, pixels.xyc, atol=1e-3)


def test_pixels_that_are_small_are_pixels(tmp_path: Path) -> None:
    """In a thumbnail; and where a few joints lie in the very corner of a large picture."""
    xyc = np.random.default_rng(0).uniform(0.1, 1, (4, 17, 3))
    read_keypoints(write(tmp_path / "in.npz", xyc * [10, 10, 1], width=16, height=16))
    read_keypoints(write(tmp_path / "in.npz", xyc * [2, 2, 1], width=16, height=16))
    xyc[:, 3:, :2] += 40
    read_keypoints(write(tmp_path / "in.npz", xyc, width=1920, height=1080))


def test_other_arrays_are_not_read(tmp_path: Path) -> None:
    """A stray one of a gigabyte, as zeros in a small file; one of Python objects; one that is damaged."""
    path = tmp_path / "in.npz"
    fields = {"keypoints": people(1)[0], "fps": 25.0, "width": 640, "height": 480, "skeleton": "h36m17"}
    objects = np.array([{"made": "by hand"}], object)
    np.savez_compressed(path, video=np.zeros((1000, 1000, 1000), np.uint8), notes=objects, **fields)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("damaged.npy", b"\x93NUMPY\x01\x00nonsense")
    tracemalloc.start()
    try:
        got = read_keypoints(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert got.xyc.shape == (1, 20, 17, 3)
    assert most < 50e6


def test_progress_is_told(tmp_path: Path, lifter: Lifter) -> None:
    told: list[tuple[str, int, int | None]] = []
    source = write(tmp_path / "in.npz", people(2, frames=500))
    lift_file(source, tmp_path / "out.npz", lifter, False, lambda *t: told.append(t))
    assert {(stage, total) for stage, _, total in told} == {("lift", 1000)}
    done = [n for _, n, _ in told]
    assert done == sorted(done)
    assert len(set(done)) > 4
    assert done[-1] == 1000


def test_places_are_checked_before_the_work(tmp_path: Path) -> None:
    def never(*_: object) -> None:
        pytest.fail("lifted, and then nowhere to put it")

    (tmp_path / "file").touch()
    source = write(tmp_path / "in.npz", people(1))
    with pytest.raises(UserError, match="part of that path is a file"):
        lift_file(source, tmp_path / "file" / "out.npz", never)  # type: ignore[arg-type]


KINDS = st.sampled_from(["f2", "f4", "f8", "g", "i1", "i8", "u8", "?", "c8", "U3", "S3", "M8[s]", "m8[s]", "f4,i2"])
SHAPES = st.one_of(
    st.sampled_from([(3, 17, 3), (2, 3, 17, 3), (3, 33, 3), (1, 1, 33, 3), (0, 17, 3), (2, 0, 17, 3), (0, 2, 17, 3)]),
    array_shapes(min_dims=0, max_dims=5, max_side=4),
)
POINTS = st.one_of(
    arrays(KINDS, SHAPES),
    arrays("f8", st.sampled_from([(3, 17, 3), (2, 3, 17, 3), (3, 33, 3)]), elements=st.floats(width=64)),
)
#: What stands where a single number should.
SINGLE = st.one_of(
    st.floats(),
    st.integers(-5, 5000),
    st.integers(-(2**63), 2**64 - 1),
    st.booleans(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.just([25.0, 30.0]),
    st.just([]),
    st.complex_numbers(),
    arrays(KINDS, SHAPES),
)


@settings(max_examples=200)
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "keypoints": POINTS,
            "fps": st.one_of(st.just(25.0), SINGLE),
            "width": st.one_of(st.just(640), SINGLE),
            "height": st.one_of(st.just(480), SINGLE),
            "fov_deg": st.one_of(st.just(60.0), SINGLE),
            "skeleton": st.one_of(st.sampled_from(["h36m17", "coco17", "mediapipe33", b"coco17"]), SINGLE),
            "else": SINGLE,
        },
    )
)
def test_whatever_the_file_holds_it_is_poses_or_one_sentence(tmp_path: Path, fields: dict[str, Any]) -> None:
    np.savez(tmp_path / "in.npz", **fields)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            got = read_keypoints(tmp_path / "in.npz")
        except UserError as error:
            said = str(error)
            assert (said[-1], "\n" in said, len(said) < 500) == (".", False, True), said
            return
    assert got.xyc.ndim == 4
    assert got.xyc.shape[2:] == (17, 3)
    assert got.xyc.dtype == np.float32
    assert np.isfinite(got.xyc).all()
    assert (got.xyc[..., 2] > 0).any()
    assert got.fps > 0
    assert got.width > 0
    assert got.height > 0


@settings(max_examples=60)
@given(
    xyc=arrays(
        "f8",
        st.sampled_from([(1, 17, 3), (9, 17, 3), (2, 9, 17, 3)]),
        elements=st.one_of(st.floats(0, 4000), st.floats(width=64)),
    ),
    fps=st.one_of(st.floats(0.01, 1000), st.floats(min_value=0)),
    size=st.tuples(st.integers(1, 2**40), st.integers(1, 2**40)),
    fov_deg=st.one_of(st.none(), st.floats(10, 150)),
)
def test_whatever_is_read_is_lifted(
    tmp_path: Path, lifter: Lifter, xyc: np.ndarray, fps: float, size: tuple[int, int], fov_deg: float | None
) -> None:
    extra = {"fps": fps, "width": size[0], "height": size[1]} | ({} if fov_deg is None else {"fov_deg": fov_deg})
    source, out = write(tmp_path / "in.npz", xyc, **extra), tmp_path / "out.npz"
    try:
        frames = lift_file(source, out, lifter)
    except UserError:
        return
    with np.load(out) as z:
        joints = z["joints3d"]
    assert joints.shape == xyc.shape
    assert frames == xyc.shape[-3]
    seen = np.isfinite(joints).all((-1, -2))
    assert (np.isnan(joints).all((-1, -2)) | seen).all()  # a pose is whole, or there is none
    assert seen.any()
