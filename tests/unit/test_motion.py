"""Motion files: every way a file can be wrong gets its own sentence; clips come back resampled in time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_motion import motion_arrays, walker, write_motion
from numpy.typing import NDArray

from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M_MIRROR
from sasmamba.training.motion import Motion, load_motion
from sasmamba.training.schema import MotionClip, check_motion, read_motion_file, write_motion_file

Arrays = dict[str, NDArray]
CLIPS = [("S1", "walk", 60), ("S8", "walk", 40)]


def test_good_file_passes() -> None:
    check_motion(motion_arrays(CLIPS), "good.npz")


def _nan(z: Arrays) -> None:
    z["root"][3, 1] = np.nan


def _nan_joints(z: Arrays) -> None:
    z["joints"] = z["joints"].astype(np.float32)
    z["joints"][3, 1, 1] = np.nan


def _short(z: Arrays) -> None:
    z["clip_start"] = np.array([0, 99], np.int32)


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        pytest.param(lambda z: z.pop("clip_fps"), "lacks clip_fps", id="missing field"),
        pytest.param(lambda z: z.update(joints=z["joints"][:, :16]), r"want \(N, 17, 3\)", id="16 joints"),
        pytest.param(lambda z: z.update(root=z["root"][:-1]), r"want \(N, 17, 3\)", id="root of another length"),
        pytest.param(lambda z: z.update(clip_fps=z["clip_fps"][:1]), "one entry for each of 2 clips", id="labels"),
        pytest.param(lambda z: z.update(joints=(z["joints"] / 1e4).astype(np.float32)), "want int16", id="metres"),
        pytest.param(lambda z: z.update(joints=(z["joints"] // 1000).astype(np.int16)), "0.1 mm", id="1000 too small"),
        pytest.param(lambda z: z.update(joints=(z["joints"] // 10).astype(np.int16)), "0.1 mm", id="millimetres"),
        pytest.param(lambda z: z.update(root=z["root"] * 1000), "root .* in metres", id="root in millimetres"),
        pytest.param(lambda z: z.update(joints=z["joints"] + np.int16(500)), "subtract the pelvis", id="not relative"),
        pytest.param(lambda z: z.update(joints=z["joints"][:, list(H36M_MIRROR)]), "exchange left", id="swap"),
        pytest.param(lambda z: z.update(joints=z["joints"] * np.array([1, -1, 1], np.int16)), "mirrored", id="mirror"),
        pytest.param(_nan, "root holds NaN", id="NaN in root"),
        pytest.param(_nan_joints, "joints hold NaN", id="NaN in joints"),
        pytest.param(_short, "1 frames: too few", id="too few frames"),
        pytest.param(lambda z: z.update(clip_start=z["clip_start"] + 1), "begin with 0", id="starts late"),
        pytest.param(lambda z: z.update(clip_fps=z["clip_fps"] * 0), "above 0", id="no frame rate"),
        pytest.param(lambda z: z.update(keypoints=np.zeros((5, 17, 3))), "paired file wants", id="half a pair"),
    ],
)
def test_bad_files(tmp_path: Path, break_it: Callable[[Arrays], object], sentence: str) -> None:
    arrays = motion_arrays(CLIPS)
    break_it(arrays)
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=sentence) as caught:
        load_motion([path])
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"hello"], ids=["empty", "broken zip", "text"])
def test_not_an_npz(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a readable NPZ"):
        read_motion_file(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_motion_file(tmp_path / "x.npz")


def test_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, joints=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="not a readable NPZ"):
        read_motion_file(path)


def test_written_and_read_again(tmp_path: Path) -> None:
    joints, root = walker(30)
    write_motion_file(tmp_path / "m.npz", [MotionClip("a", "S1", "walk", 50, joints + root[:, None])], "free", "test")
    motion = load_motion([tmp_path / "m.npz"])
    np.testing.assert_allclose(motion.joints.numpy(), joints, atol=6e-5)  # rounding to 0.1 mm
    np.testing.assert_allclose(motion.root.numpy(), root, atol=1e-6)


def test_writer_checks_units(tmp_path: Path) -> None:
    joints, root = walker(30)
    with pytest.raises(UserError, match="unit"):
        write_motion_file(tmp_path / "m.npz", [MotionClip("a", "S1", "walk", 50, 1000 * joints, root)], "free", "test")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def motion(tmp_path: Path) -> Motion:
    return load_motion([write_motion(tmp_path / "m.npz", CLIPS), write_motion(tmp_path / "n.npz", CLIPS[:1])])


def test_files_are_joined(motion: Motion) -> None:
    assert motion.clips == 3
    assert motion.source.tolist() == [0, 0, 1]
    assert motion.length.tolist() == [60, 40, 60]
    first, second = (motion.at(torch.tensor([c]), torch.arange(60.0)[None])[0] for c in (0, 2))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("position", "same_as"),
    [(5.0, 5.0), (59.0, 59.0), (61.0, 57.0), (118.0, 0.0), (123.0, 5.0), (-4.0, 4.0)],
    ids=["inside", "last", "past the end", "back at the start", "round again", "before the start"],
)
def test_clips_play_to_and_fro(motion: Motion, position: float, same_as: float) -> None:
    clip = torch.tensor([0])
    there, here = (motion.at(clip, torch.tensor([[p]])) for p in (position, same_as))
    torch.testing.assert_close(there, here)


def test_between_frames(motion: Motion) -> None:
    clip = torch.tensor([1])
    a, b, half = (motion.at(clip, torch.tensor([[p]]))[0] for p in (7.0, 8.0, 7.5))
    torch.testing.assert_close(half, (a + b) / 2)


def test_selection(motion: Motion) -> None:
    held = motion.select(motion.subject == "S8")
    assert held.name.tolist() == ["S8/walk_1"]
    whole = motion.at(torch.tensor([1]), torch.arange(40.0)[None])
    torch.testing.assert_close(held.at(torch.tensor([0]), torch.arange(40.0)[None]), whole)


def test_bone_lengths(motion: Motion) -> None:
    assert motion.bones[0, 2].item() == pytest.approx(0.45, abs=1e-3)
    assert motion.bones[0, 3].item() == pytest.approx(0.44, abs=1e-3)


def test_real_files_pass(shared: Path) -> None:
    assert load_motion([shared / f"data/mocap/{n}.npz" for n in ("cmu", "deepmimic")]).clips == 106
