"""Windows, gaps and blending: any length, nothing invented, bounded memory, no seams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_cli import command, walker_2d
from helpers_video import write_video

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.offline import lift_people, lift_sequence, lift_tracks, tracked_rows
from sasmamba.app.types import Person2D
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.errors import UserError
from sasmamba.models.blocks import BlockConfig
from sasmamba.models.checkpoint import save_lifter
from sasmamba.models.normalise import normalise_window, upside_down
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig
from tests.unit.test_placing import STANDING


class Echo:
    """Stands in for a lifter: returns x, y and which window lifted the frame, so that the plumbing shows."""

    name, frames, refine, unsure, wide, detected = "echo", 243, False, True, None, False

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def many(self, windows: Iterable[np.ndarray], later: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for xyc in windows:
            self.lengths.append(len(xyc))
            out = xyc.copy()
            out[..., 2] = len(self.lengths)
            yield out, out[..., ::2].copy()


def walk(frames: int) -> np.ndarray:
    """A sequence in which every frame can be told from every other."""
    xyc = np.ones((frames, 17, 3), np.float32)
    xyc[..., 0] = np.arange(frames)[:, None]
    return xyc


@pytest.mark.parametrize("frames", [1, 10, 243, 244, 364, 365, 5000])
def test_every_frame_comes_out_once_in_order(frames: int) -> None:
    echo = Echo()
    joints = lift_sequence(echo, walk(frames))  # type: ignore[arg-type]
    np.testing.assert_allclose(joints[:, 0, 0], np.arange(frames), rtol=1e-6)
    assert max(echo.lengths) == min(frames, 243)
    assert min(echo.lengths) == min(frames, 243)  # the last window is as long as the others


def test_how_sure_poses_are_fades_as_they_do() -> None:
    lifted = lift_people(Echo(), [walk(1000)], fps=30)[0]  # type: ignore[list-item, arg-type]
    assert lifted.half_width_m is not None
    np.testing.assert_array_equal(lifted.half_width_m, lifted.joints[..., ::2])


def test_windows_fade_into_each_other() -> None:
    """Where two windows overlap the weight moves over evenly; where two fades meet, two steps come together."""
    joints = lift_sequence(Echo(), walk(1000))  # type: ignore[arg-type]
    window_number = joints[:, 0, 2]
    assert (np.diff(window_number) >= 0).all()
    assert np.diff(window_number).max() < 2.01 / 122


@pytest.mark.parametrize("fps", [10, 30, 60])
def test_gaps_of_a_second_are_bridged_longer_ones_are_not(fps: int) -> None:
    xyc = walk(6 * fps)
    xyc[fps : 2 * fps] = 0
    xyc[3 * fps : 4 * fps + 1] = np.nan
    joints = lift_sequence(Echo(), xyc, fps=fps)  # type: ignore[arg-type]
    there = np.isfinite(joints).all((1, 2))
    assert there.tolist() == [not 3 * fps <= f <= 4 * fps for f in range(6 * fps)]


def test_people_do_not_mix() -> None:
    told: list[int] = []
    people = [walk(600), -walk(300), walk(0)]
    people[1][:, :, 2] = 1
    lifted = lift_people(Echo(), people, fps=30, progress=told.append)  # type: ignore[arg-type]
    for out, xyc in zip(lifted, people, strict=True):
        np.testing.assert_allclose(out.joints[..., 0], xyc[..., 0], rtol=1e-6)
    assert told == sorted(told)
    assert told[-1] == 900


def test_frames_between_are_marked_and_far_ones_are_two_lives() -> None:
    row = walk(1)[0]
    tracks = {7: {f: row + np.array([f, 0, 0], np.float32) for f in (*range(10), *range(20, 30), 100_000)}, 3: {5: row}}
    poses = list(lift_tracks(Echo(), tracks, fps=30))  # type: ignore[arg-type]
    assert [(p.track_id, p.frame) for p in poses] == [(7, f) for f in (*range(30), 100_000)] + [(3, 5)]
    assert {p.frame for p in poses if not p.observed} == set(range(10, 20))
    assert all(p.joints[0, 0] == pytest.approx(p.frame) for p in poses if p.observed and p.track_id == 7)


@pytest.mark.parametrize("settings", [{"fps": 0}, {"fps": float("nan")}, {"max_gap_s": -1}, {"window": 0}], ids=str)
def test_settings_that_cannot_be(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="want"):
        lift_sequence(Echo(), walk(3), **settings)  # type: ignore[arg-type]


def test_untracked_people_are_refused() -> None:
    zeros = np.zeros((17, 2), np.float32)
    with pytest.raises(ValueError, match="track_id"):
        tracked_rows([Person2D(None, np.zeros(4, np.float32), zeros, zeros[:, 0])])


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    return Lifter.load(DEFAULT_LIFTER)


def person(frames: int, seed: int = 0) -> np.ndarray:
    """A plausible moving stick figure in pixels."""
    rng = np.random.default_rng(seed)
    rest = np.array(
        [
            [0, 0],
            [-14, 2],
            [-15, 45],
            [-16, 88],
            [14, 2],
            [15, 45],
            [16, 88],
            [0, -25],
            [0, -50],
            [2, -62],
            [0, -75],
            [18, -48],
            [30, -20],
            [32, 6],
            [-18, -48],
            [-30, -20],
            [-32, 6],
        ],
        np.float32,
    )
    sway = np.cumsum(rng.normal(0, 0.4, (frames, 17, 2)), 0)
    drift = np.arange(frames)[:, None, None] * [1.5, 0.1]
    xy = (rest + sway + drift + [400, 300]).astype(np.float32)
    return np.concatenate([xy, np.full((frames, 17, 1), 0.9, np.float32)], -1)


@pytest.mark.parametrize(("scale", "shift"), [(1, (900, -200)), (0.2, (0, 0)), (7.3, (-5000, 321))], ids=str)
def test_where_and_how_large_somebody_appears_does_not_matter(
    lifter: Lifter, scale: float, shift: tuple[float, float]
) -> None:
    xyc = person(40)
    moved = xyc.copy()
    moved[..., :2] = moved[..., :2] * scale + shift
    assert np.abs(lifter(moved) - lifter(xyc)).max() < 1e-3


def test_a_panning_camera_does_not_matter(lifter: Lifter) -> None:
    xyc = person(40)
    panned = xyc.copy()
    panned[..., :2] += np.linspace(0, 800, 40)[:, None, None].astype(np.float32)
    assert np.abs(lifter(panned) - lifter(xyc)).max() < 1e-3


def test_positions_of_missing_joints_do_not_matter(lifter: Lifter) -> None:
    xyc = person(30)
    xyc[5:9, 3, 2] = 0
    junk = xyc.copy()
    junk[5:9, 3, :2] = 1e6
    np.testing.assert_array_equal(lifter(junk), lifter(xyc))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("part", [0, 2], ids=["x", "score"])
def test_what_is_no_number_is_missing(lifter: Lifter, value: float, part: int) -> None:
    xyc = person(30).astype(np.float64)
    without = xyc.copy()
    without[7, 4, 2] = 0
    xyc[7, 4, part] = value
    np.testing.assert_array_equal(lifter(xyc), lifter(without))


@pytest.mark.parametrize("shape", [(0, 17, 3), (5, 17, 2), (244, 17, 3), (17, 3)], ids=str)
def test_windows_of_another_shape_are_refused(lifter: Lifter, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="window: want"):
        lifter(np.zeros(shape, np.float32))


def test_missing_kernels_are_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("sasmamba.models.kernels.load", lambda: (None, "native CPU kernels were not built"))
    Lifter.load(DEFAULT_LIFTER)
    assert "not built" in caplog.text


def test_the_pelvis_is_the_origin_and_a_lift_repeats(lifter: Lifter) -> None:
    xyc = person(30)
    joints = lifter(xyc)
    assert joints.shape == (30, 17, 3)
    assert (joints[:, 0] == 0).all()
    np.testing.assert_array_equal(joints, lifter(xyc))


def test_flip_averaging_makes_mirrored_input_give_the_mirrored_pose(lifter: Lifter) -> None:
    from sasmamba.models.skeletons import H36M_MIRROR

    both = Lifter(lifter.model, lifter.name, flip=True)
    xyc = person(20)
    mirrored = xyc[:, list(H36M_MIRROR)] * np.array([-1, 1, 1], np.float32)
    want = both(xyc)[:, list(H36M_MIRROR)] * np.array([-1, 1, 1], np.float32)
    np.testing.assert_allclose(both(mirrored), want, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 3])
def test_windows_lifted_side_by_side_are_as_if_alone(lifter: Lifter, threads: int) -> None:
    several = Lifter(lifter.model, lifter.name, threads=threads)
    windows = [person(n, seed) for seed, n in enumerate((30, 30, 30, 30, 30, 12, 30))]
    for (got, _), xyc in zip(several.many(windows), windows, strict=True):
        np.testing.assert_allclose(got, lifter(xyc), atol=1e-6)


@pytest.mark.parametrize("settings", [{"flip": False, "refine": False}, {"flip": True}], ids=["plain", "as offline"])
@pytest.mark.parametrize(("frames", "newest"), [(30, 1), (30, 14), (30, 29), (30, 30), (30, 50), (12, 1), (12, 50)])
def test_the_newest_frames_alone_are_those_of_the_whole_window(
    lifter: Lifter, frames: int, newest: int, settings: dict[str, bool]
) -> None:
    some = Lifter(lifter.model, lifter.name, **settings)
    xyc = person(frames)
    (whole,), (end,) = list(some.many([xyc])), list(some.many([xyc], newest=newest))
    assert len(end[0]) == min(newest, frames)
    np.testing.assert_array_equal(end[0], whole[0][-newest:])
    assert (whole[1] is None) == (end[1] is None)
    if whole[1] is not None:
        np.testing.assert_array_equal(end[1], whole[1][-newest:])


@pytest.mark.parametrize("frames", [1, 2, 5, 26])
def test_a_picture_is_lifted_as_somebody_who_stands_still(lifter: Lifter, frames: int) -> None:
    """No lifter was trained on windows so short: of one frame it made no body, a quarter of a metre off."""
    plain, still = Lifter(lifter.model, lifter.name, refine=False), np.repeat(person(1), 27, 0)
    here = slice((27 - frames) // 2, (27 - frames) // 2 + frames)
    np.testing.assert_allclose(plain(still[:frames]), plain(still)[here], atol=1e-5)


def test_no_number_of_threads_changes_a_result(lifter: Lifter) -> None:
    people = [person(600), person(300, 1)]
    lifts = [lift_people(Lifter(lifter.model, "x", threads=n), people, fps=30) for n in (1, 2, 5)]
    for other in lifts[1:]:
        for got, want in zip(other, lifts[0], strict=True):
            np.testing.assert_array_equal(got.joints, want.joints)


def test_a_window_that_fails_ends_the_rest(lifter: Lifter) -> None:
    several = Lifter(lifter.model, lifter.name, threads=2)
    with pytest.raises(ValueError, match="window: want"):
        list(several.many([person(30), np.zeros((3, 17, 2), np.float32), person(30)]))


def test_no_random_weights_for_a_user(tmp_path, monkeypatch) -> None:
    with pytest.raises(UserError, match="no lifter called"):
        Lifter.load("no-such-lifter")
    bad = tmp_path / "x.safetensors"
    bad.write_bytes(b"junk")
    with pytest.raises(UserError, match="cannot be used"):
        Lifter.load(str(bad))


@pytest.mark.parametrize("empty", ["all", "a frame", "pelvis"])
def test_normalising_survives_absence(empty: str) -> None:
    xyc = torch.from_numpy(person(12))[None]
    if empty == "all":
        xyc[..., 2] = 0
    elif empty == "a frame":
        xyc[:, 3, :, 2] = 0
    else:
        xyc[:, :, 0, 2] = 0
    out = normalise_window(xyc)
    assert torch.isfinite(out).all()
    assert (out[xyc[..., 2] == 0] == 0).all()


def tiny_lifter(frames: int) -> SasMamba:
    torch.manual_seed(0)
    block = BlockConfig(width=8, states=1)
    return SasMamba(SasMambaConfig(block=block, blocks=2, frames=frames, in_channels=3)).eval()


@pytest.mark.parametrize("frames", [1, 2, 27, 81])
def test_windows_are_as_long_as_the_lifter_takes_them(frames: int) -> None:
    lifter = Lifter(tiny_lifter(frames), "tiny")
    joints = lift_sequence(lifter, person(100))
    assert np.isfinite(joints).all()
    with pytest.raises(ValueError, match="window: want"):
        lift_sequence(lifter, person(100), window=frames + 1)


@pytest.mark.parametrize("command_line", ["run", "lift"])
def test_a_lifter_of_81_frames_runs_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_line: str
) -> None:
    """The window's length is the checkpoint's own."""
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    save_lifter(tiny_lifter(81), tmp_path / "short.safetensors")
    out = tmp_path / "out.npz"
    if command_line == "run":
        video = write_video(tmp_path / "clip.mp4", 100, size=(96, 64))
        arguments: list[object] = [video, "--out", tmp_path / "r.gif", "--save-poses", out, "--height", 64]
        arguments.append("--keep-inferred")  # the walker is not where the pictures are
    else:
        np.savez(tmp_path / "in.npz", keypoints=person(100), fps=30.0, width=800, height=600, skeleton="h36m17")
        arguments = ["lift", tmp_path / "in.npz", out]
    result = command(*arguments, "--lifter", tmp_path / "short.safetensors", "--quiet")
    assert result.code == 0, result.err  # its checks rightly doubt what a lifter that learned nothing makes of it
    saved = np.load(out)
    assert str(saved["model"]) == "short"
    assert np.isfinite(saved["joints3d"]).all()
    assert saved["joints3d"].shape[-3:] == (100, 17, 3)


@pytest.mark.parametrize("name", ["paper", "hrnet-w32", "yolox-s", "sasmamba"])
def test_what_is_no_lifter_is_answered_with_lifters(name: str) -> None:
    with pytest.raises(UserError, match=r"no lifter called .*; there are sasmamba-lean, .*\. One of your own") as told:
        Lifter.load(name)
    assert told.value.exit_code == 2
    assert "yolox" not in str(told.value).replace(repr(name), "")


@pytest.mark.parametrize(("wanted", "sentence"), [("fast", "want one of"), ("triton", "want tensors on a GPU")])
def test_a_scan_that_cannot_run(wanted: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.models.scan._WANTED", wanted)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(UserError, match=f"No scan can run: SASMAMBA_SCAN.*{sentence}") as told:
        Lifter.load(DEFAULT_LIFTER)
    assert told.value.exit_code == 2


def test_whoever_hangs_head_down_is_lifted_as_if_they_stood() -> None:
    """And turned back; who leans or lies is lifted as they are seen."""
    lifter, rng = Lifter.load(DEFAULT_LIFTER), np.random.default_rng(0)
    standing = np.concatenate([STANDING[:, [0, 2]] * (100, -100), np.ones((17, 1))], 1)
    xyc = np.tile(standing, (30, 1, 1)).astype(np.float32)
    xyc[..., :2] += rng.normal(0, 1, (30, 1, 2)).cumsum(0)
    hanging = xyc * np.float32([-1, -1, 1]) + np.float32([500, 300, 0])
    upright, turned = lifter(xyc), lifter(hanging)
    np.testing.assert_allclose(turned * [-1, -1, 1], upright, atol=1e-4)
    batch = torch.from_numpy(np.stack([xyc, hanging, xyc[..., [1, 0, 2]], np.zeros_like(xyc)]))
    assert upside_down(batch).tolist() == [False, True, False, False]
