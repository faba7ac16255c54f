"""Where corrected people stand as long as nobody has placed them anew: there where they stood, in their new poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take
from sasmamba.common.arrays import FloatArray


def carried_over(before: Take, placement: Placement, take: Take) -> Placement:
    """A placement for a corrected take: what turned each pose as lifted into one that stands turns the new one, too.

    Placing takes as long as the whole take is; this takes next to no time, and is off by what a correction changes of
    places, floor and upright. Frames in which nobody stood before are left out.

    Args:
        before: lifted, as `placement` is of.
        placement: of it.
        take: the same after a correction, lifted.
    """
    # whoever was exchanged is known by what was seen of them, which is the same array
    numbers = {id(p.joints_px): i for i, track in before.tracks.items() for p in track.people.values()}
    out = replace(placement, poses={}, roots={}, planted={}, floor_m={})
    for i, track in take.tracks.items():
        was = {f: numbers.get(id(track.people[f].joints_px), i) if f in track.people else i for f in track.poses}
        frames = [f for f in sorted(track.poses) if f in placement.poses.get(was[f], {})]
        if not frames:
            continue
        new = np.stack([track.poses[f].joints for f in frames])
        old = np.stack([before.tracks[was[f]].poses[f].joints for f in frames])
        stood = np.stack([placement.poses[was[f]][f].joints for f in frames])
        same = (new == old).all((1, 2))
        joints = np.where(same[:, None, None], stood, _likewise(old, stood, new))
        out.poses[i] = {
            f: replace(track.poses[f], joints=one, space="camera_root_relative_m")
            for f, one in zip(frames, joints, strict=True)
        }
        out.roots[i] = {f: placement.roots[was[f]][f] for f in frames}
        out.planted[i] = {f: placement.planted[was[f]][f] for f in frames}
        out.floor_m[i] = {f: placement.floor_m[was[f]][f] for f in frames}
    return out


def _likewise(old: FloatArray, stood: FloatArray, new: FloatArray) -> FloatArray:
    """What the rotation and scale that lead from `old` nearest to `stood` make of `new`, all (F, 17, 3).

    Source: Umeyama, PAMI 1991, "Least-squares estimation of transformation parameters between two point patterns",
    without a translation.
    """
    U, stretch, Vt = np.linalg.svd(np.einsum("fji,fjk->fik", stood.astype(float), old.astype(float)))
    sign = np.ones_like(stretch)
    sign[:, 2] = np.sign(np.linalg.det(U) * np.linalg.det(Vt))
    scale = (stretch * sign).sum(1) / np.maximum((old.astype(float) ** 2).sum((1, 2)), 1e-12)
    R: NDArray = (U * sign[:, None]) @ Vt
    return (scale[:, None, None] * np.einsum("fik,fjk->fji", R, new)).astype(np.float32)
