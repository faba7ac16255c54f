"""Training pairs from motion capture: bodies varied, cameras placed, 2D joints derived and corrupted as in the wild."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sasmamba.models.geometry import bones_of, facing_rotation, joints_of
from sasmamba.models.skeletons import COCO, H36M, H36M_MIRROR, coco17_to_h36m17
from sasmamba.training.body_proportions import Bodies
from sasmamba.training.cameras import Cameras, Rig, random_cameras
from sasmamba.training.motion import Motion
from sasmamba.training.noise import Severity, detect, hard
from sasmamba.training.occlusion import hidden
from sasmamba.training.pose_variety import varied_poses
from sasmamba.training.rarity import moments

#: Share of the clips that `random_rotation` turns, and how fast at most: a somersault takes two thirds of a second.
_ROTATED, _TURNS_PER_SECOND = 0.1, 1.5
#: How much the bones of a body differ from those of the one it is made of, as a share.
_PROPORTIONS = 0.06
#: Share of the bodies that are measured people's, where there are some.
_MEASURED = 0.75


@dataclass(frozen=True)
class Sample:
    """A batch of clips.

    Attributes:
        xyc: (B, T, 17, 3) H36M-17 x, y in image heights and score, as a lifter will get them.
        target: (B, T, 17, 3) metres relative to the pelvis in the axes of a camera that looks straight at the person.
        stride: (B,) source frames between samples: how far apart in time neighbours are.
        R_cam_facing: (B, T, 3, 3), takes camera axes to those of `target`.
    """

    xyc: Tensor
    target: Tensor
    stride: Tensor
    R_cam_facing: Tensor


def rebuild(joints: Tensor, factor: Tensor) -> Tensor:
    """Poses (B, T, 17, 3) with the bone to each joint's parent scaled by factor (B, 17)."""
    return joints_of(bones_of(joints) * factor[:, None, :, None])


def alike_on_both_sides(noise: Tensor) -> Tensor:
    """Independent noise (..., 17) of one spread, made equal for mirrored joints; the spread of each joint stays."""
    mirror = torch.tensor(H36M_MIRROR, device=noise.device)
    alone = mirror == torch.arange(17, device=noise.device)  # the middle line: a joint that is its own mirror image
    return torch.where(alone, noise, (noise + noise[..., mirror]) / 2**0.5)


def coco_points(joints: Tensor) -> Tensor:
    """COCO-17 points (..., 17, 3) of a body given by H36M-17 joints (..., 17, 3) in metres.

    Limb joints are shared. The face is placed on the head: the nose 4.5 cm in front of H36M's nose joint, the ears
    1 cm above the middle of the head-neck segment, 7.5 cm to the sides.
    """
    thorax, nose, top = joints[..., H36M.THORAX, :], joints[..., H36M.NOSE, :], joints[..., H36M.HEAD_TOP, :]
    middle = 0.5 * (thorax + top)
    unit = torch.nn.functional.normalize
    forward, up = unit(nose - middle, dim=-1), unit(top - thorax, dim=-1)
    left = torch.linalg.cross(up, forward)
    face = {
        COCO.NOSE: nose + 0.045 * forward,
        COCO.LEFT_EYE: nose + 0.03 * forward + 0.03 * up + 0.03 * left,
        COCO.RIGHT_EYE: nose + 0.03 * forward + 0.03 * up - 0.03 * left,
        COCO.LEFT_EAR: middle + 0.01 * up + 0.075 * left,
        COCO.RIGHT_EAR: middle + 0.01 * up - 0.075 * left,
    }
    points = [face[j] if j in face else joints[..., H36M[j.name], :] for j in COCO]
    return torch.stack(points, -2)


def derive(coco_xyc: Tensor) -> Tensor:
    """H36M-17 x, y, score (..., 17, 3) from COCO-17's, see `skeletons.coco17_to_h36m17`."""
    xy, score = coco17_to_h36m17(coco_xyc[..., :2], coco_xyc[..., 2])
    return torch.cat([xy, torch.where(score > 0, score, 0)[..., None]], -1)


def observe(
    world: Tensor, cameras: Cameras, time: Tensor, severity: Severity, true_joints: Tensor, g: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """What a detector sees of bodies in front of cameras.

    Args:
        world: (B, T, 17, 3) H36M-17 joints.
        time: (B, T) in frames of 60 per second.
        true_joints: (B,) True where the 17 joints themselves are seen instead of COCO points they are derived from.

    Returns:
        xyc (B, T, 17, 3), joints relative to the pelvis in facing axes (B, T, 17, 3), R_cam_facing (B, T, 3, 3).
    """
    cam = cameras.to_camera(world)
    B = len(cam)
    points = cameras.to_camera(coco_points(world))
    xy = cameras.project(points)
    box = (xy[..., 1].amax(2) - xy[..., 1].amin(2)).median(1).values.clamp(min=1e-3)
    outside = (xy.abs() > cameras.half_size.view(B, 1, 1, 2)).any(-1)
    behind = None if severity.hiding is None else hidden(cam, points)
    seen = derive(detect(xy, time, box, outside, severity, g, behind))
    R = facing_rotation(cam[:, :, 0])
    target = torch.einsum("btij,btkj->btki", R, cam - cam[:, :, :1])
    # the 17 joints themselves err as those they would be derived from
    clean = derive(torch.cat([xy, torch.ones_like(xy[..., :1])], -1))
    moved = torch.cat([cameras.project(cam) + seen[..., :2] - clean[..., :2], seen[..., 2:]], -1)
    return torch.where(true_joints.view(B, 1, 1, 1) & (seen[..., 2:] > 0), moved, seen), target, R


def random_rotation(joints: Tensor, root: Tensor, seconds: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Turns the whole motion of a few clips about a horizontal axis through its middle, and some while it goes on.

    Motion capture is nearly all upright; people on video also lie, climb, stand on their hands and turn somersaults.

    Args:
        joints: (B, T, 17, 3) relative to the pelvis, z up.
        root: (B, T, 3).
        seconds: (B, T).
    """
    B, dev = len(joints), joints.device

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(B, 1, device=dev).uniform_(low, high, generator=g)

    chosen = uniform(0, 1) < _ROTATED
    frame = (seconds[:, 1:2] - seconds[:, :1]) if seconds.shape[1] > 1 else torch.ones_like(seconds)
    # turns so fast that a frame misses half of them teach nothing
    rate = uniform(-1, 1) * torch.minimum(torch.full_like(frame, 2 * math.pi * _TURNS_PER_SECOND), 0.5 / frame)
    angle = uniform(-math.pi, math.pi) + torch.where(uniform(0, 1) < 0.5, rate, 0) * (seconds - seconds[:, :1])
    angle = torch.where(chosen, angle, 0)
    axis = uniform(0, math.pi)
    across = torch.stack([axis.cos(), axis.sin(), torch.zeros_like(axis)], -1)  # (B, 1, 3)
    up = torch.zeros_like(across)
    up[..., 2] = 1
    ahead = torch.linalg.cross(across, up)

    def turned(x: Tensor, by: Tensor) -> Tensor:
        # in the basis (across, ahead, up) the turn mixes the last two
        a, h, z = ((x * e).sum(-1, keepdim=True) for e in (across, ahead, up))
        c, s = by.cos()[..., None], by.sin()[..., None]
        return a * across + (c * h - s * z) * ahead + (s * h + c * z) * up

    middle = root.mean(1, keepdim=True)
    moved = turned(root - middle, angle[:, :1].expand_as(angle)) + middle  # the path is tilted, it does not spin
    across, ahead, up = across[:, None], ahead[:, None], up[:, None]
    return turned(joints, angle[..., None]), moved


def body_lengths(motion: Motion) -> Tensor:
    """(P, 17) bone lengths of real people (subjects of Human3.6M, "S1" and the like), else of everybody."""
    people = np.array([s.startswith("S") and s[1:].isdigit() for s in motion.subject])
    chosen = motion.select(people if people.any() else np.ones(motion.clips, bool))
    first = [int(np.flatnonzero(chosen.subject == s)[0]) for s in np.unique(chosen.subject)]
    return chosen.bones[first]


def retargeted(motion: Motion, lengths: Tensor) -> Motion:
    """The same motion retargeted to a body of other bone lengths (17,), or each clip to one of (clips, 17).

    Paths are scaled by the legs.

    Clips of game characters have proportions no person has; measured on them as they are, a lifter's error says more
    about the body than about the motion.
    """
    joints, root = motion.joints.clone(), motion.root.clone()
    lengths = lengths.expand(motion.clips, 17)
    for clip, (first, count) in enumerate(zip(motion.start.tolist(), motion.length.tolist(), strict=True)):
        factor = lengths[clip] / motion.bones[clip].clamp(min=1e-4)
        frames = slice(first, first + count)
        joints[frames] = rebuild(joints[None, frames], factor[None])[0]
        root[frames] *= factor[[H36M.LEFT_KNEE, H36M.LEFT_ANKLE]].mean()
    return replace(motion, joints=joints, root=root, bones=lengths)


class Simulator:
    """Draws training batches from motion capture.

    Args:
        motion: clips to draw from.
        weights: (sources,) share of each file in `motion`.
        bodies: (P, 17) bone lengths of people to retarget the motion to; clips carry skeletons of game characters too.
        rig: Human3.6M's cameras to use for a quarter of the clips, or None.
        people: measured people to retarget most of the motion to, or None.
        rare: share of the clips that are drawn by how rare the pose in their middle is.
        varied: share of the clips whose poses are changed, see `varied_poses`.
    """

    def __init__(
        self,
        motion: Motion,
        weights: Tensor,
        bodies: Tensor,
        rig: Rig | None,
        people: Bodies | None = None,
        rare: float = 0.0,
        varied: float = 0.0,
    ) -> None:
        self.people, self.rare, self.varied = people, rare, varied
        self.motion, self.bodies, self.rig = motion, bodies, rig
        counts = torch.zeros(len(weights), device=motion.length.device).index_add_(
            0, motion.source, motion.length.float().sqrt()
        )
        # Within a file clips count by the root of their length: an hour of walking teaches little more than a minute.
        self.chance = weights.to(counts)[motion.source] * motion.length.float().sqrt() / counts[motion.source]
        if rare:
            self.moments = moments(motion)
            many = torch.bincount(self.moments.clip, minlength=motion.clips)
            self.moment_chance = self.moments.rarity * (self.chance / many)[self.moments.clip]

    def draw(
        self, B: int, T: int, stride: tuple[float, float], g: torch.Generator, severity: Severity | None = None
    ) -> Sample:
        """B clips of T frames, `stride` (lowest, highest) video frames apart, log-uniformly.

        Without a severity of the noise each clip has its own.
        """
        m, dev = self.motion, self.motion.joints.device

        def uniform(low: float, high: float) -> Tensor:
            return torch.empty(B, device=dev).uniform_(low, high, generator=g)

        clip = torch.multinomial(self.chance, B, replacement=True, generator=g)
        if self.rare:
            moment = torch.multinomial(self.moment_chance, B, replacement=True, generator=g)
            by_rarity = uniform(0, 1) < self.rare
            clip = torch.where(by_rarity, self.moments.clip[moment], clip)
            middle = self.moments.frame[moment].to(m.fps)
        step = torch.exp(uniform(math.log(stride[0]), math.log(stride[1]))).round().clamp(min=1)
        fps = uniform(24, 60)
        speed = torch.exp(uniform(-0.22, 0.22))
        source_step = step * m.fps[clip] / fps * speed
        room = (m.length[clip] - 1 - source_step * (T - 1)).clamp(min=0)
        start = uniform(0, 1) * torch.where(room > 0, room, m.length[clip].to(room))
        if self.rare:
            middle = (middle - source_step * (T - 1) * uniform(0.2, 0.8)).clamp(min=0).minimum(room)
            start = torch.where(by_rarity & (room > 0), middle, start)
        frame = torch.arange(T, device=dev)
        joints, root = m.at(clip, start[:, None] + frame * source_step[:, None])
        time = frame * (step * 60 / fps)[:, None]

        joints, root = self._body(joints, root, clip, g)
        flip = uniform(0, 1) < 0.5
        mirrored = joints[:, :, list(H36M_MIRROR)] * joints.new_tensor([-1, 1, 1])
        joints = torch.where(flip.view(B, 1, 1, 1), mirrored, joints)
        root = torch.where(flip.view(B, 1, 1), root * root.new_tensor([-1, 1, 1]), root)
        yaw = uniform(-math.pi, math.pi)
        zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
        turn = torch.stack([yaw.cos(), -yaw.sin(), zero, yaw.sin(), yaw.cos(), zero, zero, zero, one], -1)
        joints, root = (torch.einsum("bij,bt...j->bt...i", turn.view(B, 3, 3), x) for x in (joints, root))
        if self.varied:
            joints = varied_poses(joints, time / 60, self.varied, g)
        joints, root = random_rotation(joints, root, time / 60, g)

        cameras, root = self._cameras(joints, root, g)
        world = joints + root[:, :, None]
        true_joints = uniform(0, 1) < 0.25
        xyc, target, R = observe(world, cameras, time, severity or hard(B, g, dev), true_joints, g)
        return Sample(xyc, target, step, R)

    def lengths(self, clip: Tensor, g: torch.Generator) -> Tensor:
        """(B, 17) bone lengths of somebody for each clip (B,).

        Overall size is not varied: seen in units of the person it leaves no trace in the 2D, so it would only be noise
        in the target. Proportions are.
        """
        B, dev = len(clip), clip.device
        person = self.bodies[torch.randint(len(self.bodies), (B,), device=dev, generator=g)]
        own = self.motion.bones[clip]
        own = own * (self.bodies.mean(0).sum() / own.sum(-1, keepdim=True))
        keep = torch.rand(B, 1, device=dev, generator=g) < 0.15
        wish = torch.where(keep, own, person)
        vary = torch.empty(B, 17, device=dev).normal_(0, _PROPORTIONS, generator=g)
        wish = wish * torch.exp(alike_on_both_sides(vary))
        if self.people is not None:
            measured = torch.rand(B, 1, device=dev, generator=g) < _MEASURED
            wish = torch.where(measured, self.people.draw(B, g), wish)
        return wish

    def _body(self, joints: Tensor, root: Tensor, clip: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
        """Retargets the motion to other bodies."""
        factor = self.lengths(clip, g) / self.motion.bones[clip].clamp(min=1e-4)
        factor[:, 0] = 1
        legs = [H36M.LEFT_KNEE, H36M.LEFT_ANKLE]
        return rebuild(joints, factor), root * factor[:, legs].mean(1).view(-1, 1, 1)

    def _cameras(self, joints: Tensor, root: Tensor, g: torch.Generator) -> tuple[Cameras, Tensor]:
        B, dev = len(joints), joints.device
        size = joints.amax((1, 2)) - joints.amin((1, 2))
        # who lies down is wide rather than high; pictures are too
        extent = torch.maximum(size[:, 2], 0.6 * size[:, :2].amax(1))
        cameras = random_cameras(root.mean(1), extent, g)
        if self.rig is None:
            return cameras, root
        index = torch.randint(len(self.rig.subject), (B,), device=dev, generator=g)
        real = self.rig.pick(index)
        use = torch.rand(B, device=dev, generator=g) < 0.25
        moved = root - root.mean(1, keepdim=True) * root.new_tensor([1, 1, 0])
        moved = moved + torch.empty(B, 1, 3, device=dev).uniform_(-1, 1, generator=g) * root.new_tensor([1, 1, 0])

        def choose(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(use.view(B, *(1,) * (a.dim() - 1)), a, b)

        mixed = Cameras(
            choose(real.R_world_cam, cameras.R_world_cam),
            choose(real.position, cameras.position),
            choose(real.focal, cameras.focal),
            choose(real.distortion, cameras.distortion),
            choose(real.half_size, cameras.half_size),
        )
        return mixed, choose(moved, root)
