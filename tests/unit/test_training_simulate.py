"""Training pairs: motion retargeted, joints derived as in the wild, mirrored consistently, nobody held out is drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_motion import walker, write_motion, write_rig
from torch import Tensor

from sasmamba.models.normalise import normalise_window
from sasmamba.models.skeletons import COCO, COCO_MIRROR, H36M, H36M_MIRROR, H36M_PARENTS, coco17_to_h36m17
from sasmamba.training import simulate
from sasmamba.training.cameras import load_rig, surrounding_rig
from sasmamba.training.evaluation import windows
from sasmamba.training.motion import load_motion
from sasmamba.training.noise import Severity
from sasmamba.training.simulate import (
    Simulator,
    alike_on_both_sides,
    body_lengths,
    coco_points,
    derive,
    observe,
    random_rotation,
    rebuild,
)


def body(frames: int = 8) -> Tensor:
    return torch.from_numpy(walker(frames)[0]).float()[None]


def bones(joints: Tensor) -> Tensor:
    return joints - joints[..., list(H36M_PARENTS), :]


def quiet(B: int) -> Severity:
    zero = torch.zeros(B)
    return Severity(zero, zero, zero, zero, zero, zero + 1)


def test_rebuild_keeps_directions_and_sets_lengths() -> None:
    joints = body()
    factor = torch.rand(1, 17) + 0.5
    before, after = bones(joints)[:, :, 1:], bones(rebuild(joints, factor))[:, :, 1:]
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1) * factor[:, None, 1:])
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(unit(after, dim=-1), unit(before, dim=-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(rebuild(joints, torch.ones(1, 17)), joints)


def test_proportions_vary_by_the_stated_share_whatever_the_bone() -> None:
    noise = torch.randn(40_000, 17, generator=torch.Generator().manual_seed(0))
    varied = alike_on_both_sides(noise)
    torch.testing.assert_close(varied[:, list(H36M_MIRROR)], varied)
    torch.testing.assert_close(varied.std(0), torch.ones(17), atol=0.02, rtol=0)


def test_drawn_bodies_vary_by_the_stated_share(simulator: Simulator) -> None:
    """Of one person's body, so that nothing else differs; the middle line as well as the limbs."""
    simulator.bodies = simulator.bodies[:1]
    g = torch.Generator().manual_seed(0)
    clip = torch.zeros(4000, dtype=torch.long)
    joints, root = simulator.motion.at(clip, torch.zeros(4000, 1))
    person, _ = simulator._body(joints, root, clip, g)
    lengths = bones(person)[:, 0, 1:].norm(dim=-1)
    spread = lengths.log().std(0)
    torch.testing.assert_close(spread, torch.full((16,), simulate._PROPORTIONS), atol=0.006, rtol=0)


def test_derive_is_the_documented_conversion() -> None:
    xyc = torch.rand(5, 7, 17, 3)
    xyc[torch.rand(5, 7, 17) < 0.2] = 0
    want, score = coco17_to_h36m17(xyc[..., :2].numpy(), xyc[..., 2].numpy())
    got = derive(xyc).numpy()
    np.testing.assert_allclose(got[..., :2], want, atol=1e-6)
    np.testing.assert_array_equal(got[..., 2], score)


def test_coco_points_share_the_limbs() -> None:
    points = coco_points(body())
    for joint in COCO:
        if joint.name in H36M.__members__ and joint != COCO.NOSE:
            torch.testing.assert_close(points[:, :, joint], body()[:, :, H36M[joint.name]])


def test_coco_points_face() -> None:
    """Somebody who faces +x: the nose is in front, the left eye and ear on the left (+y), ears 15 cm apart."""
    points = coco_points(body())[0, 0]
    assert points[COCO.NOSE, 0] > points[COCO.LEFT_EYE, 0] > points[COCO.LEFT_EAR, 0]
    for part in ("EYE", "EAR"):
        assert points[COCO[f"LEFT_{part}"], 1] > 0 > points[COCO[f"RIGHT_{part}"], 1]
    apart = (points[COCO.LEFT_EAR] - points[COCO.RIGHT_EAR]).norm().item()
    assert apart == pytest.approx(0.15, abs=1e-3)


def test_coco_points_of_a_mirrored_body() -> None:
    mirror = torch.tensor([1.0, -1, 1])
    joints = body() + 0.02 * torch.randn(1, 8, 17, 3)
    mirrored = coco_points(joints[:, :, list(H36M_MIRROR)] * mirror)
    torch.testing.assert_close(mirrored, coco_points(joints)[:, :, list(COCO_MIRROR)] * mirror)


def test_derived_joints_are_a_few_centimetres_off() -> None:
    """What COCO lacks is derived near the true joint; the limbs are exact."""
    points = coco_points(body())
    derived, _ = coco17_to_h36m17(points.numpy(), np.ones(points.shape[:-1], np.float32))
    off = np.linalg.norm(derived - body().numpy(), axis=-1).max((0, 1))
    assert off[[H36M.LEFT_WRIST, H36M.RIGHT_ANKLE, H36M.LEFT_HIP]].max() < 1e-6
    assert 0.001 < off[H36M.THORAX] < 0.08
    assert 0.001 < off[H36M.HEAD_TOP] < 0.08
    assert off[H36M.PELVIS] < 0.02


@pytest.fixture
def simulator(tmp_path: Path) -> Simulator:
    clips = [("S1", "walk", 120), ("S8", "walk", 120), ("actor", "walk", 40)]
    motion = load_motion([write_motion(tmp_path / "m.npz", clips)])
    kept = motion.select(motion.subject != "S8")
    rig = load_rig(write_rig(tmp_path / "c.json", ["S1", "S8"]))
    return Simulator(kept, torch.ones(1), body_lengths(kept), rig)


def test_draw_is_repeatable_and_well_formed(simulator: Simulator) -> None:
    a, b = (simulator.draw(16, 9, (1, 30), torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(a.xyc, b.xyc)
    assert a.xyc.shape == a.target.shape == (16, 9, 17, 3)
    assert a.R_cam_facing.shape == (16, 9, 3, 3)
    assert a.xyc.isfinite().all()
    assert a.target.isfinite().all()
    assert (a.target[:, :, 0] == 0).all()
    assert a.stride.min() >= 1
    assert a.stride.max() <= 30
    # up is -y in the axes of a camera, in spite of roll and of acrobatic cameras
    assert (a.target[:, :, H36M.HEAD_TOP, 1] < a.target[:, :, H36M.LEFT_ANKLE, 1]).float().mean() > 0.95


def test_held_out_is_never_drawn(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: set[str] = set()
    at = type(simulator.motion).at

    def spy(motion, clip: Tensor, position: Tensor):  # type: ignore[no-untyped-def]
        drawn.update(motion.subject[clip.numpy()])
        return at(motion, clip, position)

    monkeypatch.setattr(type(simulator.motion), "at", spy)
    for seed in range(10):
        simulator.draw(32, 3, (1, 30), torch.Generator().manual_seed(seed))
    assert drawn == {"S1", "actor"}


def test_both_mirror_images_are_drawn(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirrored clip is a right-handed body: knees still bend forwards, left is left."""
    monkeypatch.setattr(simulate, "hard", lambda B, g, dev: quiet(B))
    target = simulator.draw(64, 3, (1, 1), torch.Generator().manual_seed(0)).target
    across = target[:, :, H36M.LEFT_HIP] - target[:, :, H36M.RIGHT_HIP]
    forward = torch.linalg.cross(across, target[:, :, H36M.THORAX])
    knees = target[:, :, H36M.LEFT_KNEE] + target[:, :, H36M.RIGHT_KNEE]
    ankles = target[:, :, H36M.LEFT_ANKLE] + target[:, :, H36M.RIGHT_ANKLE]
    assert ((forward * (knees - 0.5 * ankles)).sum(-1) > 0).float().mean() > 0.9


def test_flipping_the_input_mirrors_the_truth(simulator: Simulator) -> None:
    """A body mirrored before a camera that looks straight at it: the flip that training at test time relies on."""
    joints = body()
    turn = torch.tensor([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])  # the walker comes towards the camera
    cam = joints @ turn.T + torch.tensor([0.0, 0, 5])
    lens = simulator.rig
    assert lens is not None
    ideal = lens.pick(torch.tensor([0]))
    ideal = replace(
        ideal,
        R_world_cam=torch.eye(3)[None],
        position=torch.zeros(1, 3),
        focal=torch.ones(1, 2),
        distortion=torch.zeros(1, 5),
    )
    mirror = torch.tensor([-1.0, 1, 1])
    time = torch.arange(8.0)[None]
    seen = [
        observe(world, ideal, time, quiet(1), torch.zeros(1, dtype=torch.bool), torch.Generator().manual_seed(0))
        for world in (cam, cam[:, :, list(H36M_MIRROR)] * mirror)
    ]
    (xyc, target, _), (xyc_m, target_m, _) = seen
    torch.testing.assert_close(target_m, target[:, :, list(H36M_MIRROR)] * mirror, atol=1e-5, rtol=0)
    flipped = xyc[:, :, list(H36M_MIRROR), :2] * mirror[:2]
    torch.testing.assert_close(xyc_m[..., :2], flipped, atol=1e-5, rtol=0)
    a, b = normalise_window(xyc)[..., :2], normalise_window(xyc_m)[..., :2]
    torch.testing.assert_close(b, a[:, :, list(H36M_MIRROR)] * mirror[:2], atol=1e-4, rtol=0)


def test_target_does_not_depend_on_where_the_person_stands() -> None:
    """The same body, carried round the camera and turned with it, has the same answer and nearly the same picture."""
    from sasmamba.training.cameras import Cameras

    joints = body(1)
    turn = torch.tensor([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    cam = joints @ turn.T + torch.tensor([0.0, 0, 6])
    angle = torch.tensor(0.35)
    c, s = angle.cos(), angle.sin()
    about = torch.stack([torch.stack([c, s * 0, s]), torch.tensor([0.0, 1, 0]), torch.stack([-s, s * 0, c])])
    ideal = Cameras(torch.eye(3)[None], torch.zeros(1, 3), torch.ones(1, 2), torch.zeros(1, 5), torch.ones(1, 2))
    results = [
        observe(world, ideal, torch.zeros(1, 1), quiet(1), torch.ones(1, dtype=torch.bool), torch.Generator())
        for world in (cam, cam @ about.T)
    ]
    (xyc, target, _), (xyc_2, target_2, _) = results
    torch.testing.assert_close(target, target_2, atol=1e-5, rtol=0)
    assert (normalise_window(xyc) - normalise_window(xyc_2))[..., :2].abs().max() < 0.15
    assert math.isclose(target.norm().item(), joints.norm().item(), rel_tol=1e-4)


def test_random_rotation_turns_some_bodies_rigidly_and_leaves_the_others() -> None:
    g = torch.Generator().manual_seed(0)
    joints = body(9).expand(400, -1, -1, -1).clone()
    root = torch.randn(400, 9, 3, generator=g)
    seconds = (torch.arange(9) / 30).expand(400, 9)
    turned, path = random_rotation(joints, root, seconds, g)
    changed = (turned - joints).abs().amax((1, 2, 3)) > 1e-4
    assert 20 <= changed.sum() <= 65  # a tenth of 400, within four standard deviations
    torch.testing.assert_close(path[~changed], root[~changed])
    torch.testing.assert_close(bones(turned).norm(dim=-1), bones(joints).norm(dim=-1))
    # each frame is turned by one proper rotation: distances between all joints stay, sides are not exchanged
    first, second = (torch.linalg.det(x[changed][:, :, [1, 7, 3]]) for x in (joints, turned))
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(
        torch.cdist(turned[changed].flatten(0, 1), turned[changed].flatten(0, 1)),
        torch.cdist(joints[changed].flatten(0, 1), joints[changed].flatten(0, 1)),
        atol=1e-4,
        rtol=1e-4,
    )

    # about half of them go on turning
    def lean(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(x[:, :, 8], dim=-1)

    spun = (lean(turned[changed]) - lean(turned[changed])[:, :1]).norm(dim=-1).amax(1)
    still = (lean(joints[changed]) - lean(joints[changed])[:, :1]).norm(dim=-1).amax(1)
    share = (spun > still + 0.05).float().mean()
    assert 0.2 < share < 0.8


@pytest.mark.parametrize("kind", ["true", "coco"])
def test_windows_leave_missing_what_lies_outside_the_picture(tmp_path: Path, kind: str) -> None:
    """A joint that nobody reported has score 0, not score 1 at the place 0, 0."""
    motion = load_motion([write_motion(tmp_path / "m.npz", [("S8", "walk", 120)] * 4)])
    rig = surrounding_rig()
    close = replace(rig, cameras=replace(rig.cameras, position=0.35 * rig.cameras.position))
    xyc = windows(motion, close, "", 40, 8, kind).xyc
    missing = (xyc[..., :2] == 0).all(-1)
    assert 0 < missing.sum() < missing.numel()
    assert (xyc[..., 2][missing] == 0).all()
    assert (xyc[..., 2][~missing] == 1).all()
