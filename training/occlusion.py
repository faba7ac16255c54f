"""What hides joints from a camera, and what a detector makes of a joint that it cannot see.

Bodies are capsules: trunk, head and limbs with a thickness. A joint behind one of them is guessed: near its place, on
its twin of the other side, somewhere else, or not at all. It stays so for as long as it is hidden, and the score is
low often but not always. Rates follow a detector measured on fast motion seen from the side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sasmamba.models.skeletons import COCO, COCO_MIRROR, H36M

#: Ends (H36M-17 joints) and radius in metres of each capsule; and the share of the first bone that it leaves out: a
#: head begins above the neck.
_CAPSULES = (
    (H36M.PELVIS, H36M.THORAX, 0.10, 0.0),
    (H36M.LEFT_HIP, H36M.LEFT_SHOULDER, 0.08, 0.0),
    (H36M.RIGHT_HIP, H36M.RIGHT_SHOULDER, 0.08, 0.0),
    (H36M.THORAX, H36M.HEAD_TOP, 0.09, 0.45),
    (H36M.LEFT_SHOULDER, H36M.LEFT_ELBOW, 0.05, 0.0),
    (H36M.RIGHT_SHOULDER, H36M.RIGHT_ELBOW, 0.05, 0.0),
    (H36M.LEFT_ELBOW, H36M.LEFT_WRIST, 0.04, 0.0),
    (H36M.RIGHT_ELBOW, H36M.RIGHT_WRIST, 0.04, 0.0),
    (H36M.LEFT_HIP, H36M.LEFT_KNEE, 0.075, 0.0),
    (H36M.RIGHT_HIP, H36M.RIGHT_KNEE, 0.075, 0.0),
    (H36M.LEFT_KNEE, H36M.LEFT_ANKLE, 0.055, 0.0),
    (H36M.RIGHT_KNEE, H36M.RIGHT_ANKLE, 0.055, 0.0),
)
_START, _END = [c[0] for c in _CAPSULES], [c[1] for c in _CAPSULES]
#: (joints, capsules) True where a capsule ends in the joint and so cannot hide it.
_OWN = torch.tensor([[j.name in (a.name, b.name) for a, b, _, _ in _CAPSULES] for j in COCO])
#: Of a joint's hidden stretches, the shares in which it goes to its twin and in which it is somewhere else; the rest
#: is guessed near its place. Shares of all frames of far joints were measured; these are of hidden ones.
_ON_TWIN = {"WRIST": 0.28, "ELBOW": 0.18, "KNEE": 0.25, "ANKLE": 0.3, "SHOULDER": 0.04, "HIP": 0.04}
_ELSEWHERE = {"WRIST": 0.5, "ELBOW": 0.55, "KNEE": 0.2, "ANKLE": 0.25, "SHOULDER": 0.1, "HIP": 0.04}
_LOST = 0.08
#: Spread of the wrong place and of the guess near the right one, shares of the box's height.
_ASTRAY, _GUESSED = 0.06, 0.02
#: How far beyond a capsule's edge a detector is still disturbed, as a share of the radius: clothes, hands, blur.
_WIDER = 1.5
#: A limb whose upper joint is hidden is sought in the wrong place: what its next joint has of that.
_CHAIN = (("SHOULDER", "ELBOW", 0.6), ("ELBOW", "WRIST", 0.9), ("KNEE", "ANKLE", 0.8))
#: Stretches of one joint in a clip that differ from each other; later ones repeat them.
_STRETCHES = 8


def _by_part(shares: dict[str, float]) -> Tensor:
    return torch.tensor([shares.get(j.name.rpartition("_")[2], 0.0) for j in COCO])


def hidden(joints: Tensor, points: Tensor) -> Tensor:
    """How deep each point lies behind another part of the body, seen from the camera.

    Args:
        joints: (B, T, 17, 3) H36M-17 in camera axes, metres.
        points: (B, T, 17, 3) COCO-17, the same body.

    Returns:
        (B, T, 17) 0: in sight, 1: well behind a capsule, or, less, below a joint that is.
    """
    dev = joints.device
    radius = torch.tensor([c[2] for c in _CAPSULES], device=dev)
    skip = torch.tensor([c[3] for c in _CAPSULES], device=dev)[:, None]
    a, b = joints[:, :, _START], joints[:, :, _END]
    a = torch.lerp(a, b, skip)
    at, from_, to = (p[..., :2] / p[..., 2:].clamp(min=0.05) for p in (points, a, b))
    along = (to - from_)[:, :, None]  # (B, T, 1, C, 2)
    rest = at[:, :, :, None] - from_[:, :, None]  # (B, T, 17, C, 2)
    share = ((rest * along).sum(-1) / along.square().sum(-1).clamp(min=1e-9)).clamp(0, 1)
    apart = (rest - share[..., None] * along).norm(dim=-1)
    depth = torch.lerp(a[:, :, None, :, 2], b[:, :, None, :, 2], share)
    wide = radius / depth.clamp(min=0.05)
    # a capsule's middle is nearer than a point on its own surface by a radius at most
    before = (depth < points[..., 2:] - 0.5 * radius - 0.03) & (depth > 0.05) & ~_OWN.to(dev)
    deep = list(torch.where(before, 2 * (1 - apart / (_WIDER * wide)), 0).clamp(0, 1).amax(-1).unbind(-1))
    for side in ("LEFT", "RIGHT"):
        for upper, lower, share_of in _CHAIN:
            at_joint = COCO[f"{side}_{lower}"]
            deep[at_joint] = torch.maximum(deep[at_joint], share_of * deep[COCO[f"{side}_{upper}"]])
    return torch.stack(deep, -1)


def obscure(
    xy: Tensor, score: Tensor, depth: Tensor, wander: Tensor, box: Tensor, strength: Tensor, g: torch.Generator
) -> tuple[Tensor, Tensor]:
    """What a detector reports of joints that are hidden.

    Args:
        xy: (B, T, 17, 2) COCO-17 as they would be found in sight.
        score: (B, T, 17).
        depth: (B, T, 17) of `hidden`.
        wander: (B, T, 17, 2) smooth noise of unit variance.
        box: (B,) height of the person in the unit of xy.
        strength: (B,) 0: no effect, 1: as measured.

    Returns:
        xy and score; a joint that is lost has score 0.
    """
    B, _, J, _ = xy.shape
    dev = xy.device

    def uniform(low: float = 0.0, high: float = 1.0) -> Tensor:
        """(B, T, 17): one number for each stretch."""
        table = torch.empty(B, _STRETCHES, J, device=dev).uniform_(low, high, generator=g)
        return table.gather(1, stretch)

    on = depth > 0.3
    begins = on & ~torch.cat([torch.zeros_like(on[:, :1]), on[:, :-1]], 1)
    stretch = begins.cumsum(1) % _STRETCHES
    blur = torch.empty(B, _STRETCHES, J, 2, device=dev).normal_(generator=g)
    blur = blur.gather(1, stretch[..., None].expand(-1, -1, -1, 2))
    weight = (strength.view(B, 1, 1) * depth).clamp(max=1) * on
    many = strength.view(B, 1, 1)
    fate, twin_rate, astray_rate = uniform(), _by_part(_ON_TWIN).to(dev), _by_part(_ELSEWHERE).to(dev)
    mirror = list(COCO_MIRROR)
    twin_seen = depth[:, :, mirror] < 0.5
    on_twin = on & (fate < many * twin_rate) & twin_seen
    astray = on & ~on_twin & (fate < many * (twin_rate + astray_rate))
    lost = on & (fate > 1 - many * _LOST) & ~on_twin & ~astray
    size = box.view(B, 1, 1, 1)
    pull = (weight * uniform(0.7, 1.0))[..., None]
    guess = xy + size * weight[..., None] * (
        _GUESSED * wander + torch.where(astray[..., None], _ASTRAY * blur + 0.02 * torch.sign(blur), 0)
    )
    placed = torch.where(on_twin[..., None], torch.lerp(guess, xy[:, :, mirror], pull), guess)
    wrong = on_twin | astray
    low = torch.where(wrong, uniform(0.08, 0.5), score * uniform(0.35, 1.0))
    told = uniform() < torch.where(wrong, 0.75, 0.6)
    score = torch.where(on & told & (many > 0), torch.minimum(score, torch.lerp(score, low, weight)), score)
    return placed, torch.where(lost & (depth > 0.6), 0, score)
