"""Where one person's pelvis is: the place from which their pose, seen by the camera, falls on their 2D joints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import from_facing
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.smoothing import tension_spline, zero_phase
from sasmamba.app.take import Track
from sasmamba.common.arrays import FloatArray
from sasmamba.models.hidden_hips import seen_as_h36m, with_trunk
from sasmamba.models.skeletons import H36M

#: Gaussian smoothing of the path across the picture.
_ACROSS_S = 0.06
#: In depth, which 2D shows far less well, it is a spline under tension, see `tension_spline`: where this person's is
#: seen best it bends within about so many seconds, where it is worth a tenth within twice as many. Chosen by walkers
#: of motion capture before made cameras that lose half of them, and by `benchmarks/camera_motion.py paths --tune`.
_DEPTH_S, _DEPTH_STILL_S = 0.3, 0.1
#: What tells less than so much of what tells most is bridged.
_LEAST_WORTH = 1e-3
#: Where somebody is put of whom so little was seen that not even their size tells.
UNKNOWN_DEPTH_M = 5.0
#: A frame tells how far somebody is where their pose and its picture are at least so alike (cosine, from the pelvis).
#: A pose that is right comes to 0.9 and more; one that is turned about, or of nobody, to nothing or below.
_LEAST_LIKENESS = 0.3
#: 2D joints below this score have no say in where somebody is.
MIN_SCORE = 0.3
#: As few joints as a body's size can be told by.
LEAST_JOINTS = 4
#: A joint that is so far from where the pose puts it counts half: the lifter's own error is of this size.
_USUAL_ERROR_M = 0.05


def sightings(track: Track, frames: Sequence[int], camera: Intrinsics) -> tuple[NDArray, NDArray]:
    """H36M joints as rays (F, 17, 2), x and y at depth 1, and scores (F, 17), 0 where nobody was seen."""
    rays, xyc = np.zeros((len(frames), 17, 2)), np.zeros((len(frames), 17, 3))
    for i, f in enumerate(frames):
        if (person := track.people.get(f)) is not None:
            xyc[i, :, :2], xyc[i, :, 2] = seen_as_h36m(person.joints_px, person.score)
    whole = with_trunk(xyc)
    for i in np.flatnonzero((whole[..., 2] > 0).any(1)).tolist():
        rays[i] = camera.rays(whole[i, :, :2])
    return rays, whole[..., 2]


def apparent_scale(rays: NDArray, found: NDArray, facing: NDArray) -> tuple[NDArray, NDArray]:
    """How large poses look: lengths at depth 1 per metre, the reciprocal of the pelvis's depth, exact for far cameras.

    Args:
        rays: (..., 17, 2) where joints were seen, x and y at depth 1.
        found: (..., 17) bool, which count; the pelvis's ray must be one of them.
        facing: (..., 17, 3) the poses, metres from the pelvis, facing axes.

    Returns:
        (...) the least-squares factor from the pose to its picture, below 0 where they point opposite ways, and (...)
        how alike both are: the cosine between them, 1 where they differ by that factor alone.
    """
    flat = np.where(found[..., None], rays - rays[..., :1, :], 0)
    body = np.where(found[..., None], facing[..., :2], 0)
    both, of_body, of_flat = ((a * b).sum((-2, -1)) for a, b in ((flat, body), (body, body), (flat, flat)))
    return both / np.maximum(of_body, 1e-6), both / np.maximum(np.sqrt(of_flat * of_body), 1e-12)


def pelvis_path(
    rays: NDArray, score: NDArray, facing: FloatArray, time: NDArray, R_first_cam: NDArray | None = None
) -> NDArray | None:
    """The pelvis in camera axes (F, 3), metres: where the whole pose, seen from there, falls on its 2D joints best.

    First each frame by itself (`_fit`), then smoothed over time, each frame by what it is worth, depth far more than
    the place across the picture; at last across the picture once more, at the smooth depth. None where no frame tells.

    Args:
        rays: (F, 17, 2) x and y at depth 1, in each frame's own camera axes.
        score: (F, 17).
        facing: (F, 17, 3) poses in facing axes, metres.
        time: (F,) seconds.
        R_first_cam: (F, 3, 3) where the camera turns, into axes that do not: smoothing is done in these.
    """
    found = score > MIN_SCORE
    factor, likeness = apparent_scale(rays, found, facing)
    seen = found[:, H36M.PELVIS] & (found.sum(1) >= LEAST_JOINTS) & (factor > 0) & (likeness > _LEAST_LIKENESS)
    if not seen.any():
        return None
    at = np.stack([rays[:, 0, 0], rays[:, 0, 1], -np.log(np.where(seen, factor, 1))], 1)
    trust = seen.astype(float)
    at = _calm(time, at, np.stack([trust, trust], 1), R_first_cam)
    weight = np.where(found & seen[:, None], score, 0)
    for _ in range(2):  # where the pelvis is turns the pose a little, and the pose tells where the pelvis is
        turned = from_facing(facing, _point(at))
        own, information = _fit(at, turned, rays, weight)
        at = _calm(time, own, information, R_first_cam)
    own, information = _fit(at, turned, rays, weight, free=2)
    at[:, :2] = _calm(time, own, information, R_first_cam)[:, :2]
    return _point(at)


def guessed_path(rays: NDArray, score: NDArray, facing: FloatArray) -> NDArray:
    """The pelvis in camera axes (F, 3), metres, of somebody whose pose fits no frame: on its own ray, or in the middle
    of the picture, and as far away all the time as somebody of the pose's size looks as large as what was seen; where
    that is hardly anything, joints count that are not sure, or made up."""
    found = (score > MIN_SCORE)[..., None]
    if (found.sum((1, 2)) < LEAST_JOINTS).all():
        found = (score > 0)[..., None]
    count = np.maximum(found.sum(1, keepdims=True), 1)

    def size(points: NDArray) -> NDArray:  # (F,) of the joints found, from their middle
        middle = np.where(found, points, 0).sum(1, keepdims=True) / count
        return np.sqrt((np.where(found, points - middle, 0) ** 2).sum((1, 2)))

    looks, is_so = size(rays), size(facing[..., :2])
    tells = (found.sum((1, 2)) >= LEAST_JOINTS) & (looks > 0) & (is_so > 0)
    depth = np.median(is_so[tells] / looks[tells]) if tells.any() else UNKNOWN_DEPTH_M
    return np.concatenate([_across_of_pelvis(rays, score), np.ones((len(rays), 1))], 1) * depth


def _across_of_pelvis(rays: NDArray, score: NDArray) -> NDArray:
    """(F, 2) the pelvis's own ray, interpolated where it was not found; 0 where it never was."""
    seen, frame = np.flatnonzero(score[:, H36M.PELVIS] > 0), np.arange(len(rays))
    if not len(seen):
        return np.zeros((len(rays), 2))
    return np.stack([np.interp(frame, seen, rays[seen, H36M.PELVIS, k]) for k in range(2)], 1)


def _point(at: NDArray) -> NDArray:
    """(F, 3) camera axes of x and y at depth 1 and the logarithm of the depth."""
    return np.concatenate([at[:, :2], np.ones((len(at), 1))], 1) * np.exp(at[:, 2:])


def _calm(time: NDArray, at: NDArray, trust: NDArray, R_first_cam: NDArray | None) -> NDArray:
    """`at` (F, 3) smoothed over time, across and in depth; what is not to be trusted (F, 2) is bridged straight.

    Before a camera that turns, the direction and the logarithm of the distance are smoothed in axes that do not turn.
    """
    if R_first_cam is None:
        return _smooth(time, at, trust, (0, 0, 1))
    place = np.einsum("fij,fj->fi", R_first_cam, _point(at))
    distance = np.linalg.norm(place, axis=1, keepdims=True)
    calm = _smooth(time, np.concatenate([place / distance, np.log(distance)], 1), trust, (0, 0, 0, 1))
    direction = calm[:, :3] / np.linalg.norm(calm[:, :3], axis=1, keepdims=True)
    place = np.einsum("fji,fj->fi", R_first_cam, direction * np.exp(calm[:, 3:]))
    depth = np.maximum(place[:, 2:], 0.1)  # nobody who was seen is behind the camera
    return np.concatenate([place[:, :2] / depth, np.log(depth)], 1)


def _smooth(time: NDArray, values: NDArray, trust: NDArray, kind: Sequence[int]) -> NDArray:
    """Columns of values (F, K) smoothed, each as one across (0) or in depth (1) is, by `trust` (F, 2) of its kind."""
    out = np.empty_like(values)
    for k, of in enumerate(kind):
        weight = trust[:, of] / trust[:, of].max()
        known = weight > _LEAST_WORTH
        filled = np.interp(time, time[known], values[known, k])
        if of == 1:
            # of whom little is seen for long, what was seen before and after tells more than any mean of guesses
            out[:, k] = tension_spline(time, filled, np.where(known, weight, 1e-6), _DEPTH_S, _DEPTH_STILL_S)
        else:
            out[:, k] = zero_phase(time, filled, _ACROSS_S, degree=1, weights=np.maximum(weight, _LEAST_WORTH))
    return out


def _fit(at: NDArray, joints: NDArray, rays: NDArray, weight: NDArray, free: int = 3) -> tuple[NDArray, NDArray]:
    """Moves every frame's pelvis so that the pose falls on its 2D joints: Gauss-Newton on a Cauchy loss.

    A joint at J from a pelvis at P = (u, v, 1)·exp(l) is seen at (J + P)xy / (J + P)z.

    Args:
        at: (F, 3) u, v, l to begin with.
        joints: (F, 17, 3) camera axes.
        rays: (F, 17, 2).
        weight: (F, 17), 0 for joints not found.
        free: 3, or 2 to keep l.

    Returns:
        at (F, 3), and how well each frame tells it, across and in depth (F, 2), in 1/variance.
    """
    at = at.copy()
    information = np.zeros((len(at), 2))
    for _ in range(5):
        pelvis = _point(at)
        P = joints + pelvis[:, None]
        depth = np.maximum(P[..., 2], 0.1)
        error = rays - P[..., :2] / depth[..., None]  # (F, 17, 2)
        # in metres at the person, so that near and far count alike
        metres = np.linalg.norm(error, axis=-1) * pelvis[:, 2:]
        w = weight / (1 + (metres / _USUAL_ERROR_M) ** 2) * (pelvis[:, 2:] / _USUAL_ERROR_M) ** 2
        J = np.zeros((*P.shape[:2], 2, 3))
        J[..., 0, 0] = J[..., 1, 1] = pelvis[:, None, 2] / depth
        J[..., 2] = (pelvis[:, None, :2] - P[..., :2] * (pelvis[:, 2:, None] / depth[..., None])) / depth[..., None]
        J = J[..., :free]
        H = np.einsum("fj,fjri,fjrk->fik", w, J, J)
        H += np.eye(free) * (1e-9 + 1e-6 * np.trace(H, axis1=1, axis2=2))[:, None, None]
        step = np.linalg.solve(H, np.einsum("fj,fjri,fjr->fi", w, J, error)[..., None])[..., 0]
        at[:, :free] += step.clip(-0.5, 0.5)
        variance = np.diagonal(np.linalg.inv(H), axis1=1, axis2=2)
        information[:, 0] = 1 / variance[:, :2].sum(1)
        # what of a body is not seen the lifter makes up, and with it how large the rest is
        information[:, 1] = (weight > 0).mean(1) ** 2 / variance[:, free - 1]
    return at, information
