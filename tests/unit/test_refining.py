"""Fitting lifted poses to their 2D: what it mends, what it leaves, and that it finds the lowest point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from helpers_motion import walker
from numpy.typing import NDArray

from sasmamba.models import kernels, refining
from sasmamba.models.refining import fit_body, refine
from sasmamba.models.skeletons import COCO, H36M, H36M_MIRROR, H36M_PARENTS, SEEN_JOINTS, coco17_to_h36m17

FRAMES, DISTANCE_M = 81, 4.0
EVERY_JOINT = tuple(range(17))


def truth(frames: int = FRAMES, yaw: float = 0.7) -> NDArray:
    """(T, 17, 3) somebody who walks, in the axes of a camera that looks straight at them."""
    joints, _ = walker(frames)
    turn = yaw + np.linspace(0, 1.0, frames)
    x = np.cos(turn)[:, None] * joints[..., 0] - np.sin(turn)[:, None] * joints[..., 1]
    y = np.sin(turn)[:, None] * joints[..., 0] + np.cos(turn)[:, None] * joints[..., 1]
    return np.stack([x, -joints[..., 2], y], -1)


def seen_of(joints: NDArray, noise_m: float = 0.0, seed: int = 0) -> NDArray:
    """(T, 17, 3) what a pinhole camera sees of it, relative to the pelvis, and scores."""
    xy = joints[..., :2] / (1 + joints[..., 2:] / DISTANCE_M)
    xy = xy + np.random.default_rng(seed).normal(0, noise_m, xy.shape)
    return np.concatenate([xy - xy[:, :1], np.ones((*xy.shape[:2], 1))], -1)


def lifted_of(joints: NDArray, seed: int = 1) -> NDArray:
    """As a lifter might have it: off by slow errors, in depth most, and with other bones."""
    rng = np.random.default_rng(seed)
    out = np.zeros_like(joints)
    share = rng.normal(1, 0.05, 17)
    share = 0.5 * (share + share[list(H36M_MIRROR)])
    for joint in range(1, 17):
        out[:, joint] = out[:, H36M_PARENTS[joint]] + share[joint] * (joints[:, joint] - joints[:, H36M_PARENTS[joint]])
    t = np.arange(len(joints))[:, None, None] / 40
    wave = np.sin(t + rng.uniform(0, 6, (1, 17, 3))) * rng.normal(0, 1, (1, 17, 3)) * [0.01, 0.01, 0.03]
    wave[:, 0] = 0
    return (out + wave).astype(np.float32)


def error(a: NDArray, b: NDArray) -> float:
    """Mean distance, mm."""
    return float(np.linalg.norm(a - b, axis=-1)[:, 1:].mean() * 1000)


def bones(joints: NDArray) -> NDArray:
    return np.linalg.norm(joints - joints[:, list(H36M_PARENTS)], axis=-1)[:, 1:]


def off_the_picture(joints: NDArray, seen: NDArray) -> float:
    """Mean distance, mm at the person's distance, of limbs' joints projected from those seen, at the scale and place of
    each frame that fit best."""
    limbs = list(SEEN_JOINTS)
    a, b = ((x - x.mean(1, keepdims=True)) for x in (seen_of(joints)[:, limbs, :2], seen[:, limbs, :2]))
    scale = (a * b).sum((1, 2), keepdims=True) / (b * b).sum((1, 2), keepdims=True)
    return error(a, scale * b)


@pytest.mark.parametrize(
    ("direct", "left"), [(EVERY_JOINT, 0.5), (SEEN_JOINTS, 0.7)], ids=["every joint", "a detector's"]
)
def test_exact_2d_mends_a_pose(direct: tuple[int, ...], left: float) -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true)
    out = refine(lifted, seen, direct)
    assert error(out, true) < left * error(lifted, true)
    assert off_the_picture(out, seen) < 0.35 * off_the_picture(lifted, seen)
    assert bones(out).std(0).mean() < 0.5 * bones(lifted).std(0).mean()


@pytest.mark.parametrize("pixels", [0, 1], ids=["exact", "whole pixels"])
def test_which_joints_were_seen_is_noticed(pixels: int) -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true)
    np.testing.assert_array_equal(refine(lifted, seen), refine(lifted, seen, EVERY_JOINT))
    coco = np.zeros((FRAMES, 17, 3))
    for joint in COCO:
        at = seen[:, H36M[joint.name] if joint.name in H36M.__members__ else H36M.NOSE]
        coco[:, joint] = at
    xy, score = coco17_to_h36m17(coco[..., :2], coco[..., 2])
    xy = np.round(xy * 400) / 400 if pixels else xy
    derived = np.concatenate([xy - xy[:, :1], score[..., None]], -1)
    np.testing.assert_array_equal(refine(lifted, derived), refine(lifted, derived, SEEN_JOINTS))
    derived[:, H36M.SPINE, 2] = 0
    np.testing.assert_array_equal(refine(lifted, derived), refine(lifted, derived, SEEN_JOINTS))


@pytest.mark.parametrize("seed", [2, 4])
def test_exact_joints_tell_how_much_bones_are_foreshortened(seed: int) -> None:
    true = truth(121)
    lifted = lifted_of(true, seed)

    def depth_error(poses: NDArray) -> float:
        return float(np.abs(poses - true)[..., 2].mean())

    exact, noisy = (depth_error(refine(lifted, seen_of(true, m), EVERY_JOINT)) for m in (0.001, 0.03))
    assert exact < 0.42 * depth_error(lifted)
    assert noisy < 0.95 * depth_error(lifted)


def test_noisy_2d_is_hardly_followed() -> None:
    true = truth()
    lifted = lifted_of(true)
    out = refine(lifted, seen_of(true, noise_m=0.03))
    assert error(out, true) < 1.02 * error(lifted, true)
    jerk, before = (np.abs(np.diff(j, 2, axis=0)).mean() for j in (out, lifted))
    assert jerk < 1.3 * before + 1e-4, "the noise of the 2D must not show in the pose"


@pytest.mark.parametrize("every", [2, 5, 10])
def test_frames_filled_in_between_looks_count_for_nothing(every: int) -> None:
    """On a straight line nothing jumps: were it believed, noisy detections would be followed as if they were exact."""
    true = truth(121)
    lifted, seen = lifted_of(true), seen_of(true, noise_m=0.02)
    detection_frames = np.arange(0, 121, every)
    filled, alone = seen.astype(np.float32), np.zeros_like(seen)
    alone[detection_frames] = seen[detection_frames]
    for joint in range(17):
        for axis in range(2):
            filled[:, joint, axis] = (
                np.interp(np.arange(121), detection_frames, 300 * seen[detection_frames, joint, axis]) / 300
            )
    np.testing.assert_allclose(refine(lifted, filled, EVERY_JOINT), refine(lifted, alone, EVERY_JOINT), atol=2e-3)


def test_outliers_and_exchanged_legs_are_not_followed() -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true)
    wrong = seen.copy()
    wrong[30:38, H36M.LEFT_WRIST, :2] += 0.5
    legs = [H36M.LEFT_HIP, H36M.LEFT_KNEE, H36M.LEFT_ANKLE, H36M.RIGHT_HIP, H36M.RIGHT_KNEE, H36M.RIGHT_ANKLE]
    wrong[50:58, legs] = seen[50:58, legs[3:] + legs[:3]]
    out, undisturbed = refine(lifted, wrong), refine(lifted, seen)
    assert error(out, true) < error(lifted, true)
    assert np.linalg.norm(out - undisturbed, axis=-1).max() < 0.08


def test_bones_are_told_by_frames_that_show_them() -> None:
    """While somebody's upper half is out of the picture a lifter makes it up, and with it how large their legs are."""
    true = truth(121)
    legs = [H36M[f"{side}_{joint}"] for side in ("LEFT", "RIGHT") for joint in ("HIP", "KNEE", "ANKLE")]
    lifted, seen, half = lifted_of(true), seen_of(true), slice(50, None)
    lifted[half] *= np.where(np.isin(np.arange(17), legs), 1.15, 0.85)[:, None]
    seen[half, [joint for joint in H36M if joint not in (H36M.PELVIS, *legs)], 2] = 0
    whole = refine(lifted[:50], seen[:50], SEEN_JOINTS)
    together = refine(lifted, seen, SEEN_JOINTS)[:50]

    def legs_by_trunk(joints: NDArray) -> float:
        long = bones(joints).mean(0)
        return float(
            long[[H36M.LEFT_KNEE - 1, H36M.LEFT_ANKLE - 1]].sum() / long[[H36M.SPINE - 1, H36M.THORAX - 1]].sum()
        )

    assert abs(legs_by_trunk(together) / legs_by_trunk(whole) - 1) < 0.03


def test_smoothed_noise_is_noise() -> None:
    """A detector that smooths its joints is as far off as before; it only jumps no more."""
    true = truth(121)
    lifted = lifted_of(true)
    rng, t = np.random.default_rng(5), np.arange(121)
    kernel = np.exp(-0.5 * ((t[:, None] - t) / 4) ** 2)
    noise = np.einsum(
        "st,tjc->sjc", kernel / np.sqrt((kernel**2).sum(1, keepdims=True)), rng.normal(0, 1, (121, 17, 2))
    )
    seen = seen_of(true)
    seen[..., :2] += 0.02 * (noise - noise[:, :1])
    assert error(refine(lifted, seen, SEEN_JOINTS), true) < 1.02 * error(lifted, true)


def test_a_joint_that_stays_at_a_wrong_place_is_left_out() -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true, 0.003)
    seen[:, H36M.LEFT_WRIST, :2] += [1.5, -0.5]
    seen[:, H36M.RIGHT_ANKLE, :2] += [-1.0, 0.5]
    assert error(refine(lifted, seen, SEEN_JOINTS), true) < error(lifted, true)


def test_a_guess_counts_less_than_what_was_seen() -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true, 0.003)
    seen[:, H36M.LEFT_WRIST, :2] += 0.08
    moved = {}
    for score in (1.0, 0.3):
        seen[:, H36M.LEFT_WRIST, 2] = score
        moved[score] = error(refine(lifted, seen, SEEN_JOINTS), true)
    assert moved[1.0] > 1.05 * moved[0.3]


def test_proportions_are_found_and_size_is_kept() -> None:
    """Hips and shoulders broader than the lifter thinks, in somebody who turns right round."""
    joints, _ = walker(243)
    turn = np.linspace(0, 2 * np.pi, 243)[:, None]
    x, y = joints[..., 0], joints[..., 1]
    true = np.stack([np.cos(turn) * x - np.sin(turn) * y, -joints[..., 2], np.sin(turn) * x + np.cos(turn) * y], -1)
    narrow = true.copy()
    for side in ("LEFT", "RIGHT"):
        for first, *rest in (("HIP", "KNEE", "ANKLE"), ("SHOULDER", "ELBOW", "WRIST")):
            bone = true[:, H36M[f"{side}_{first}"]] - true[:, H36M_PARENTS[H36M[f"{side}_{first}"]]]
            for name in (first, *rest):
                narrow[:, H36M[f"{side}_{name}"]] -= 0.12 * bone
    narrow *= bones(true).mean(0).sum() / bones(narrow).mean(0).sum()
    out = refine(narrow, seen_of(true), EVERY_JOINT)
    for side in ("LEFT", "RIGHT"):
        bone = H36M[f"{side}_HIP"] - 1
        before, after, want = (bones(j).mean(0)[bone] for j in (narrow, out, true))
        assert abs(after - want) < 0.35 * abs(before - want)
    assert bones(out).mean(0).sum() == pytest.approx(bones(narrow).mean(0).sum(), rel=0.01)


@pytest.mark.parametrize("distance_m", [2.0, 8.0])
def test_the_distance_shows_in_the_perspective(distance_m: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_refining.DISTANCE_M", distance_m)
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true)
    free = error(refine(lifted, seen), true)
    monkeypatch.setattr(refining, "_NEARNESS_SPREAD", 1e-6)
    assert free < 0.97 * error(refine(lifted, seen), true)


@pytest.mark.parametrize("scale", [1e-6, 3.1, 1e6])
def test_place_and_size_in_the_picture_do_not_matter(scale: float) -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true)
    moved = seen.copy()
    moved[..., :2] = scale * (moved[..., :2] + np.linspace(0, 2, FRAMES)[:, None, None])
    np.testing.assert_allclose(refine(lifted, moved), refine(lifted, seen), atol=2e-5)


def test_mirrored_input_gives_the_mirrored_pose() -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true, 0.004)

    def mirrored(joints: NDArray) -> NDArray:
        return joints[:, list(H36M_MIRROR)] * np.array([-1, 1, 1])

    np.testing.assert_allclose(refine(mirrored(lifted), mirrored(seen)), mirrored(refine(lifted, seen)), atol=2e-5)


def test_joints_and_frames_that_were_not_seen_are_carried_along() -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true)
    seen[20:30] = 0
    seen[:, H36M.LEFT_KNEE] = 0
    seen[60] = 0
    seen[60, H36M.LEFT_HIP, 2] = 1  # one joint tells no scale
    out = refine(lifted, seen)
    assert np.isfinite(out).all()
    assert error(out, true) < error(lifted, true)
    assert np.abs(np.diff(out - lifted, axis=0)).max() < 0.01, "what moves the poses is slow"


def test_windows_of_one_person_have_one_body() -> None:
    """Whoever turns shows their breadth in one window and their depth in the next; alone, each knows half."""
    true = truth(243, yaw=0.0)
    lifted = np.concatenate([lifted_of(true[:122]), lifted_of(true[122:])])  # the same other bones in both
    seen = seen_of(true, 0.002)
    parts = [slice(0, 122), slice(122, 243)]
    body = fit_body([lifted[p] for p in parts], [seen[p] for p in parts])
    assert body is not None
    alone = np.concatenate([refine(lifted[p], seen[p]) for p in parts])
    together = np.concatenate([refine(lifted[p], seen[p], body=body) for p in parts])
    lengths = [[bones(j[p]).mean(0) for p in parts] for j in (alone, together)]
    apart_alone, apart_together = (np.abs(a - b).mean() for a, b in lengths)
    assert apart_together < 0.5 * apart_alone
    assert error(together, true) < error(alone, true)


def test_the_body_of_one_window_is_its_own() -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true, 0.004)
    body = fit_body([lifted], [seen])
    assert np.abs(refine(lifted, seen, body=body) - refine(lifted, seen)).max() < 1e-3


def test_nobody_has_a_body_that_was_not_seen() -> None:
    lifted, seen = lifted_of(truth()), np.zeros((FRAMES, 17, 3))
    assert fit_body([lifted], [seen]) is None


@pytest.mark.skipif(kernels.load()[0] is None, reason=kernels.load()[1])
@pytest.mark.parametrize("frames", [9, 81, 243])
@pytest.mark.parametrize("joints", [EVERY_JOINT, SEEN_JOINTS], ids=["every joint", "a detector's"])
def test_the_kernel_does_what_numpy_does(frames: int, joints: tuple[int, ...]) -> None:
    true = truth(frames)
    lifted, seen = lifted_of(true), seen_of(true, 0.004)
    seen[frames // 2 :, H36M.LEFT_WRIST, :2] += 0.3
    seen[frames // 3] = 0
    seen[:, H36M.LEFT_KNEE, 2] = 0.4
    seen[frames // 4, 2:, 2] = 0
    want = refine(lifted, seen, joints, reference=True)
    assert np.abs(want - lifted).max() > 1e-3
    np.testing.assert_allclose(refine(lifted, seen, joints), want, atol=1e-6)


@pytest.mark.parametrize("emptied", ["short", "nothing seen", "one frame"])
def test_too_little_to_go_by(emptied: str) -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true)
    if emptied == "short":
        lifted, seen = lifted[:2], seen[:2]
    elif emptied == "one frame":
        lifted, seen = lifted[:1], seen[:1]
    else:
        seen[:] = 0
    np.testing.assert_array_equal(refine(lifted, seen), lifted)


@pytest.mark.parametrize("same", ["lifted", "seen"])
def test_a_person_without_extent(same: str) -> None:
    true = truth()
    lifted, seen = lifted_of(true), seen_of(true)
    (lifted if same == "lifted" else seen[..., :2])[:] = 0
    assert np.isfinite(refine(lifted, seen)).all()


@pytest.mark.parametrize(("noise_m", "joints"), [(0.0, range(17)), (0.02, SEEN_JOINTS)], ids=["exact", "noisy"])
def test_it_is_the_lowest_point_of_the_objective(noise_m: float, joints: Sequence[int]) -> None:
    """The objective as the module states it, written once more and lowered by L-BFGS on automatic derivatives.

    With some errors of the lifter it has two lowest points, a head that leans forward and one that leans back.
    """
    true = truth(61)
    lifted, seen = lifted_of(true, 2), seen_of(true, noise_m)
    joints = list(joints)
    seen[:, joints[-1], :2] += noise_m
    seen[:, joints[-1], 2] = 0.4
    sigma = refining._noise(lifted[:, joints, :2].astype(float), seen[:, joints, :2], seen[:, joints, 2])
    assert sigma is not None
    assert noise_m == 0 or sigma > refining._DETECTOR_M
    T, parents = len(lifted), list(H36M_PARENTS)
    start, u = torch.tensor(lifted, dtype=torch.float64), torch.tensor(seen[:, joints, :2])
    score = torch.tensor(seen[:, joints, 2])
    K = round((T - 1) / refining._KNOT) + 1
    hats = (1 - (torch.linspace(0, K - 1, T).double()[:, None] - torch.arange(K)).abs()).clamp(min=0)
    deep = min(max(refining._DEPTH_M2 / sigma, refining._DEPTH_M[0]), refining._DEPTH_M[1])
    off = torch.tensor([refining._OFF_M, refining._OFF_M, deep])
    knots = torch.zeros(K, 16, 3, dtype=torch.float64, requires_grad=True)
    scale, place = torch.ones(T, 1, 1).double().requires_grad_(), torch.zeros(T, 1, 2).double().requires_grad_()
    usual = torch.tensor(bones(lifted.astype(float)).mean(0))
    both = [min(j, H36M_MIRROR[j]) for j in range(1, 17)]
    which = [sorted(set(both)).index(b) for b in both]
    n = max(which) + 1
    proportion, near = torch.zeros(n).double().requires_grad_(), torch.zeros(1).double().requires_grad_()
    lengths = torch.zeros(n).double().index_add(0, torch.tensor(which), usual)
    lengths = (lengths / torch.bincount(torch.tensor(which))).requires_grad_()
    free = [knots, scale, place, proportion, lengths, near]

    leading = torch.zeros(17, 16, dtype=torch.float64)  # bones from the pelvis to each joint
    for joint in range(1, 17):
        leading[joint] = leading[parents[joint]]
        leading[joint, joint - 1] = 1
    bone = start[:, 1:] - start[:, parents[1:]]

    def pose() -> torch.Tensor:
        placed = start[:, :1] + leading[1:] @ ((1 + proportion[which])[:, None] * bone)
        moved = (hats @ knots.flatten(1)).view(T, 16, 3)
        return torch.cat([start[:, :1], placed + moved], 1)

    def objective() -> torch.Tensor:
        Y = pose()
        kappa = refining._NEARNESS + refining._NEARNESS_SPREAD * near
        flat = Y[:, joints, :2] * (1 - kappa * Y[:, joints, 2:])
        far = (flat - scale * u - place).norm(dim=-1) / sigma / refining._FAR
        fit = refining._FAR**2 * (score**2 * (1 + far**2).log()).sum()
        own = (Y[:, 1:] - Y[:, parents[1:]]).norm(dim=-1)
        uneven = (own - lengths[which]) / refining._BONE_M / refining._FAR_BONE
        constant = refining._FAR_BONE**2 * (1 + uneven**2).log().sum()
        correction = (hats @ knots.flatten(1)).view(T, 16, 3) / off
        slow = (knots.diff(dim=0) / off).square().sum() * (K - 1) / (T - 1) / refining._DRIFT**2
        usual_body = (proportion / refining._PROPORTIONS).square().sum() + near.square().sum()
        size = (proportion[which] * usual).sum() / usual.sum() / refining._SIZE
        return fit + constant + correction.square().sum() + slow + usual_body + size.square()

    solver = torch.optim.LBFGS(
        free, max_iter=4000, history_size=60, line_search_fn="strong_wolfe", tolerance_grad=1e-6, tolerance_change=1e-10
    )

    def closure() -> torch.Tensor:
        solver.zero_grad()
        value = objective()
        value.backward()
        return value

    solver.step(closure)  # type: ignore[arg-type]
    lowest = pose().detach().numpy()
    assert np.linalg.norm(refine(lifted, seen, joints, iterations=12) - lowest, axis=-1).max() < 5e-4
    assert np.linalg.norm(refine(lifted, seen, joints) - lowest, axis=-1).mean() < 5e-4, (
        "three steps come as near as it matters"
    )


def test_evaluation_refines_a_persons_windows_as_an_offline_run_does() -> None:
    """Windows that follow each other without overlap are the offline run's own, bones included."""
    from sasmamba.app.lifting.lifter import Lifter
    from sasmamba.training.evaluation import model_lift

    lifter = Lifter.load()
    g = torch.Generator().manual_seed(3)
    xyc = torch.rand(2, 60, 17, 3, generator=g).cumsum(1) * torch.tensor([2.0, 2.0, 0.0]) + torch.tensor([0, 0, 0.9])
    wanted = list(lifter.refined([*xyc.numpy()], [one for one, _ in lifter.many([*xyc.numpy()], later=True)], [0, 0]))
    found = model_lift(lifter.model, flip=True, refined=True, per_person=2)(xyc)
    np.testing.assert_allclose(found.numpy(), np.stack(wanted), atol=1e-5)
    alone = model_lift(lifter.model, flip=True, refined=True)(xyc)
    assert (alone - found).abs().max() > 1e-3
