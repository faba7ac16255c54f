"""Cameras to look at motion with: drawn at random, or Human3.6M's own four.

World: x, y on the floor, z up, metres. Camera: x right, y down, z forward. Pictures are measured in image heights with
the origin at the principal point.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sasmamba.common.errors import UserError


@dataclass(frozen=True)
class Cameras:
    """One camera per clip.

    Attributes:
        R_world_cam: (B, 3, 3) rows are the camera's axes in the world.
        position: (B, 3) metres.
        focal: (B, 2) in image heights.
        distortion: (B, 5) k1, k2, k3, p1, p2 in OpenCV's model.
        half_size: (B, 2) half width and half height of the picture in image heights.
    """

    R_world_cam: Tensor
    position: Tensor
    focal: Tensor
    distortion: Tensor
    half_size: Tensor

    def to_camera(self, world: Tensor) -> Tensor:
        """World points (B, ..., 3) in camera axes."""
        B = len(self.position)
        moved = world - self.position.view(B, *(1,) * (world.dim() - 2), 3)
        return torch.einsum("bij,b...j->b...i", self.R_world_cam, moved)

    def project(self, cam: Tensor) -> Tensor:
        """Camera points (B, ..., 3) on the picture, (B, ..., 2)."""
        shape = (len(self.focal), *(1,) * (cam.dim() - 2))
        xy = cam[..., :2] / cam[..., 2:].clamp(min=0.05)
        k1, k2, k3, p1, p2 = (d.view(shape) for d in self.distortion.unbind(-1))
        # beyond the picture's corners the polynomial bends back; hold it there
        r2 = xy.square().sum(-1).clamp(max=0.6)
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        x, y = xy.unbind(-1)
        tangential = torch.stack([2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], -1)
        return (xy * radial[..., None] + tangential) * self.focal.view(*shape, 2)


def camera_rotation(pitch: Tensor, roll: Tensor) -> Tensor:
    """(B, 3, 3) rotation of cameras that look along world +y, `pitch` radians downwards, then rolled about the axis."""
    cp, sp, zero, one = pitch.cos(), pitch.sin(), torch.zeros_like(pitch), torch.ones_like(pitch)
    level = torch.stack([one, zero, zero, zero, -sp, -cp, zero, cp, -sp], -1).view(-1, 3, 3)
    cr, sr = roll.cos(), roll.sin()
    turn = torch.stack([cr, -sr, zero, sr, cr, zero, zero, zero, one], -1).view(-1, 3, 3)
    return turn @ level


def random_cameras(centre: Tensor, extent: Tensor, generator: torch.Generator) -> Cameras:
    """Cameras round people: pitch -15..30° and often 0..35° downwards, roll mostly small, now and then to 20° and 40°,
    30..75° field of view, the person filling 20..95 % of the height, off-centre, now and then cut off by the edge.

    Args:
        centre: (B, 3) where the person is.
        extent: (B,) the person's height as it stands, metres.
    """
    B = len(centre)

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(B, device=centre.device).uniform_(low, high, generator=generator)

    degrees = math.pi / 180
    roll = torch.empty(B, device=centre.device).normal_(0, 3, generator=generator)
    roll = torch.where(uniform(0, 1) < 0.07, uniform(-40, 40), roll)
    roll = torch.where(uniform(0, 1) < 0.12, uniform(-20, 20), roll)
    pitch = torch.where(uniform(0, 1) < 0.4, uniform(0, 35), uniform(-15, 30))
    R = camera_rotation(pitch * degrees, roll * degrees)
    focal = 0.5 / torch.tan(uniform(30, 75) * degrees / 2)
    aspect = torch.where(uniform(0, 1) < 0.3, uniform(0.5, 1.0), uniform(1.0, 1.9))
    fill = uniform(0.2, 0.95)
    depth = focal * extent.clamp(min=0.8) / fill
    u = uniform(-0.45, 0.45) * aspect
    v = uniform(-0.5, 0.5) * (1 - fill)
    v = torch.where(uniform(0, 1) < 0.12, v + uniform(-0.45, 0.45), v)
    place = torch.stack([u / focal, v / focal, torch.ones_like(u)], -1) * depth[:, None]
    position = centre - torch.einsum("bji,bj->bi", R, place)
    half_size = torch.stack([aspect / 2, torch.full_like(aspect, 0.5)], -1)
    return Cameras(R, position, focal[:, None].expand(-1, 2), centre.new_zeros(B, 5), half_size)


@dataclass(frozen=True)
class Rig:
    """Cameras as they stood for each subject: `cameras` with a leading axis over (subject, camera), named alike."""

    subject: list[str]
    cameras: Cameras
    name: list[str]

    def pick(self, index: Tensor) -> Cameras:
        """Cameras `index` (B,) of the rig."""
        c = self.cameras
        return Cameras(c.R_world_cam[index], c.position[index], c.focal[index], c.distortion[index], c.half_size[index])


def load_rig(path: Path, device: torch.device | None = None) -> Rig:
    """Reads the cameras' JSON: intrinsics in pixels and, per subject, quaternions (w, x, y, z) and metres.

    Raises:
        UserError: a file that is missing, or not such a table.
    """
    subjects: list[str] = []
    names: list[str] = []
    rows: list[list[float]] = []
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        intrinsics = {c["id"]: c for c in table["intrinsics"]}
        for subject, cameras in table["extrinsics"].items():
            for camera in cameras:
                i = intrinsics[camera["id"]]
                h, (k1, k2, k3), (p1, p2) = i["height"], i["radial"], i["tangential"]
                (qw, qx, qy, qz), (x, y, z) = camera["rotation"], camera["translation"]
                lens, half_size = (i["fx"] / h, i["fy"] / h), (i["width"] / h / 2, 0.5)
                subjects.append(subject)
                names.append(str(camera["id"]))
                rows.append([float(v) for v in (qw, qx, qy, qz, x, y, z, *lens, k1, k2, k3, p1, p2, *half_size)])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{path} is not a readable table of cameras ({error!r}).") from error
    if not rows:
        raise UserError(f"{path} is not a readable table of cameras: there is no camera in it.")
    q, position, focal, distortion, half = torch.tensor(rows, device=device).split([4, 3, 2, 5, 2], -1)
    if not (torch.tensor(rows).isfinite().all() and (focal > 0).all() and (half > 0).all() and q.any(-1).all()):
        raise UserError(
            f"{path} is not a readable table of cameras: want finite numbers, focal lengths and sizes above 0, and "
            "quaternions that are not 0."
        )
    w, x, y, z = (q / q.norm(dim=-1, keepdim=True)).unbind(-1)
    # the quaternion turns camera axes into world axes; its transpose's rows are wanted
    R_cam_world = torch.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - z * w),
            2 * (x * z + y * w),
            2 * (x * y + z * w),
            1 - 2 * (x * x + z * z),
            2 * (y * z - x * w),
            2 * (x * z - y * w),
            2 * (y * z + x * w),
            1 - 2 * (x * x + y * y),
        ],
        -1,
    ).view(-1, 3, 3)
    return Rig(subjects, Cameras(R_cam_world.transpose(1, 2), position, focal, distortion, half), names)


def rig_from(cameras: Path | None) -> Rig:
    """The cameras of a table, or four ideal ones where there is none."""
    return load_rig(cameras) if cameras else surrounding_rig()


def surrounding_rig(device: torch.device | None = None) -> Rig:
    """Four ideal cameras 5 m from the middle of the room, 1.5 m high and 5° down: for people without a camera table."""
    yaw = torch.arange(4, device=device) * (math.pi / 2) + math.pi / 4
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    turn = torch.stack([yaw.cos(), yaw.sin(), zero, -yaw.sin(), yaw.cos(), zero, zero, zero, one], -1).view(-1, 3, 3)
    R = camera_rotation(zero + math.radians(5), zero) @ turn
    position = torch.stack([5 * yaw.sin(), -5 * yaw.cos(), 1.5 * one], -1)
    half = torch.full((4, 2), 0.5, device=device)
    return Rig([""] * 4, Cameras(R, position, torch.full_like(half, 1.15), zero[:, None].expand(4, 5), half), [""] * 4)
