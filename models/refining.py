"""Lifted poses fitted to the 2D they were lifted from, as far as that can be trusted.

A lifter knows how people stand and move, but it gives a stranger the proportions of those it learned from, a bone is
not equally long in every frame, and projected again its poses lie beside the joints it was shown. `refine` moves the
poses of a window as little as mends all three: a Gauss-Newton fit of proportions p and lengths L (one for each bone,
both sides alike), a slow correction D, and the strength of the perspective κ,

    minimise  Σ ρ(|e_tj| / σ) + Σ w_tk ρ((|b_tk| - L_k) / σ_b) + Σ |D_t / σ_D|² + Σ |D_t' / σ_v|² + priors of p and κ,
    Y_t = D_t + lifted_t with every bone 1 + p_k times as long,   e_tj = (1 - κ z_tj) (x_tj, y_tj) - g_t u_tj - c_t,

where u are the joints that were seen, (x, y, z) those of Y and b its bones; D is linear between knots. Focal length and
distance are not known: one scale g and one place c per frame are eliminated, and κ is 1 / distance, perspective to
first order. Overall size leaves no trace in the 2D: p keeps the sum of all lengths as it is. Several windows of one
person have one body, p and L, which `fit_body` finds from all of them at once; each keeps its D and κ.

σ is measured on the window itself, by how much what was seen jumps against what was lifted: joints from markers are
followed closely, those of a detector hardly, its outliers not at all: ρ is Cauchy's, which levels off. Each joint
counts by its score squared: what a detector is half sure of is mostly a guess. In depth σ_D is the larger the smaller σ
is, since only exact joints tell how much a bone is foreshortened. w is how much of a bone and of the rest of the body
is seen: of somebody half out of the picture the lifter makes up the other half, and how large both are.

The constants were chosen on people the shipped lifter was trained on, rebuilt with other proportions
(benchmarks/refining.py --sweep), those of D and of ρ for bones on clips that it never saw; half or twice of any changes
P1 by less than 1 mm, of most by a tenth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.models import kernels
from sasmamba.models.block_tridiagonal import block_tridiagonal
from sasmamba.models.fitted_body import BELONGS, CHAINS, PARENTS, PROPORTION_OF, FittedBody, proportioned
from sasmamba.models.refining_kernel import refine_step
from sasmamba.models.seen_joints import bridged, derived
from sasmamba.models.skeletons import SEEN_JOINTS

#: How far a lifter is usually off across the picture, metres. In depth σ times that far is this many square metres,
#: within these bounds, metres: foreshortening tells depth, but only exact joints tell foreshortening. A detector's
#: errors are alike in neighbouring frames, while the sum above counts each.
_OFF_M, _DEPTH_M2, _DEPTH_M = 0.03, 0.0014, (0.03, 0.08)
#: How much that changes over a frame, as a share of it per root of a frame, and frames between knots.
_DRIFT, _KNOT = 0.1, 6
#: How much a bone's length varies over a window (joints' centres are no hinges), metres.
_BONE_M = 0.003
#: A joint of this score is surely where it was seen; the power of the share of a body that is seen by which its frames
#: count (chosen by the body that a clip shows and crops of it, benchmarks/camera_motion.py --tune); what a bone tells
#: that is not seen.
_SURE, _WHOLE, _UNSEEN = 0.5, 4.0, 0.001
#: How much a bone differs from the lifter's idea of it, as a share: 5 % over the root of 25, since errors are alike in
#: that many neighbouring frames, while the sum above counts each. And the sum of all lengths: not at all.
_PROPORTIONS, _SIZE = 0.01, 1e-4
#: σ is so many times the median jump (most of a detector's error is slower than a frame), within these bounds, metres;
#: of joints that a detector sees, at least the third: smoothed, their errors do not jump, but they are still there.
_NOISE_PER_JUMP, _NOISE_M, _DETECTOR_M = 6.0, (0.002, 0.1), 0.02
#: Jumps it takes to know σ.
_ENOUGH = 20
#: Scale of ρ in σ, and in σ_b: errors well beyond it hardly count.
_FAR, _FAR_BONE = 4.0, 2.0
#: κ before anything is seen, 1/m, and its spread.
_NEARNESS, _NEARNESS_SPREAD = 0.2, 0.1
_ITERATIONS = 3

#: Unknowns: coordinates of joints 1 to 16 in each frame, and what all frames share:
_OWN, _N = 48, BELONGS.shape[1]
#: proportions, lengths and κ.
_P, _L, _K, _SHARED = slice(0, _N), slice(_N, 2 * _N), 2 * _N, 2 * _N + 1


def refine(
    lifted: NDArray,
    seen: NDArray,
    joints: Sequence[int] | None = None,
    *,
    body: FittedBody | None = None,
    iterations: int = _ITERATIONS,
    reference: bool = False,
) -> NDArray[np.float32]:
    """Poses of a window moved towards what was seen.

    Args:
        lifted: (T, 17, 3) metres relative to the pelvis, in the axes of a camera that looks straight at the person.
        seen: (T, 17, 3) H36M-17 x, y relative to the pelvis in any unit, and score; score 0: not seen.
        joints: which of them were seen themselves; the others are left out. None: all, or those that a detector sees
            where the spine lies half-way between pelvis and thorax, as in joints derived from COCO's.
        body: the person's, where it is known (`fit_body`); None: that of this window alone.
        iterations: steps; with a body that is known the first does nearly all.
        reference: compute every step with numpy, even where the compiled kernel could.

    Frames that lie straight between their neighbours were filled in, and count for nothing.

    Returns:
        (T, 17, 3) metres relative to the pelvis. Windows too short, or too empty, to say how noisy what was seen is
        come back as they are, but for a known body's proportions.
    """
    fit = _prepared(lifted, seen, joints, reference)
    if fit is None:
        return lifted.astype(np.float32) if body is None else proportioned(lifted, body.proportions)
    if body is not None:
        fit.shared[_P], fit.shared[_L] = body.proportions, body.lengths
    for _ in range(iterations):
        _step([fit], body_known=body is not None)
    return fit.poses().astype(np.float32)


def fit_body(
    lifted: Sequence[NDArray], seen: Sequence[NDArray], joints: Sequence[int] | None = None, *, reference: bool = False
) -> FittedBody | None:
    """The body of a person that several windows show, each for as much as it tells; None where none tells anything.

    Args: as those of `refine`, of each window.
    """
    prepared = [_prepared(poses, shown, joints, reference) for poses, shown in zip(lifted, seen, strict=True)]
    fits = [fit for fit in prepared if fit is not None]
    if not fits:
        return None
    lengths = np.mean([fit.shared[_L] for fit in fits], 0)
    for fit in fits:
        fit.shared[_L] = lengths
    for _ in range(_ITERATIONS):
        _step(fits)
    return FittedBody(fits[0].shared[_P], fits[0].shared[_L])


def refine_person(lifted: Sequence[NDArray], seen: Sequence[NDArray]) -> list[NDArray[np.float32]]:
    """`refine` of all windows of one person, whose bones are as long in each."""
    body = fit_body(lifted, seen) if len(lifted) > 1 else None  # one alone finds the same itself
    return [refine(poses, shown, body=body) for poses, shown in zip(lifted, seen, strict=True)]


def refine_windows(lifted: NDArray, seen: NDArray) -> NDArray[np.float32]:
    """`refine` of each of several windows, both (B, T, 17, 3)."""
    return np.stack([refine(poses, shown) for poses, shown in zip(lifted, seen, strict=True)])


def _prepared(lifted: NDArray, seen: NDArray, joints: Sequence[int] | None, reference: bool) -> _Fit | None:
    """The fit of a window before its first step; None where it says too little."""
    if joints is None:
        joints = SEEN_JOINTS if derived(seen) else range(17)
    unit = seen[..., :2].astype(float)[:, list(joints)]
    unit /= np.abs(unit).max(initial=0.0) or 1
    weight = seen[..., 2].astype(float)[:, list(joints)] ** 2
    filled = bridged(unit, weight)
    weight[filled] = 0
    noise = _noise(lifted[:, list(joints), :2].astype(float), unit, weight)
    if noise is None:
        return None
    if len(joints) < 17:
        noise = max(noise, _DETECTOR_M)
    native = not reference and kernels.load()[0] is not None
    tells = _tells(np.where(filled[:, None], 0, seen[..., 2]))
    return _Fit(lifted.astype(float), unit, weight, list(joints), noise, tells, native)


def _tells(score: NDArray) -> NDArray:
    """(T, 16) how much each bone tells of its length, from scores (T, 17): as much as the end that is seen worse, and
    the less, the less is seen of all. The lifter makes up the rest, and with it how large that is what is seen.
    """
    sure = np.minimum(1, score / _SURE) ** 2
    tells = np.minimum(sure[:, 1:], sure[:, PARENTS[1:]]) * sure[:, SEEN_JOINTS].mean(1, keepdims=True) ** _WHOLE
    return np.asarray(_UNSEEN + (1 - _UNSEEN) * tells / np.maximum(tells.max(0), 1e-12))


def _noise(flat: NDArray, unit: NDArray, weight: NDArray) -> float | None:
    """σ, metres: from how far each joint lies off the line between its neighbours in time, seen against lifted."""
    error = _Eliminated.of(flat, unit, weight).error
    there, frame, last = weight > 0, np.arange(len(weight))[:, None], len(weight)
    # (T, m) the frames before and after in which the joint was seen
    before = np.maximum.accumulate(np.where(there, frame, -1))
    before = np.vstack([np.full_like(before[:1], -1), before[:-1]])
    after = np.minimum.accumulate(np.where(there, frame, last)[::-1])[::-1]
    after = np.vstack([after[1:], np.full_like(after[:1], last)])
    at, joint = np.nonzero(there & (before >= 0) & (after < last))
    if len(at) < _ENOUGH:
        return None
    first, end = before[at, joint], after[at, joint]
    share = ((at - first) / (end - first))[:, None]
    off = error[at, joint] - (1 - share) * error[first, joint] - share * error[end, joint]
    return float(np.clip(_NOISE_PER_JUMP * np.median(np.linalg.norm(off, axis=-1)), *_NOISE_M))


@dataclass(frozen=True, slots=True)
class _Eliminated:
    """The scale and place of each frame that fit best, and what they leave.

    Attributes:
        error: (T, m, 2) metres.
        basis: (T, m, 2, 3), what scale and place do to it.
        normal: (T, 3, 3) theirs.
    """

    error: NDArray
    basis: NDArray
    normal: NDArray

    @classmethod
    def of(cls, flat: NDArray, unit: NDArray, weight: NDArray) -> _Eliminated:
        """From joints (T, m, 2) in metres, the same as seen, and what each is worth (T, m)."""
        basis = np.zeros((*unit.shape, 3))
        basis[..., 0], basis[..., 0, 1], basis[..., 1, 2] = unit, 1, 1
        normal = np.einsum("tm,tmcp,tmcq->tpq", weight, basis, basis)
        # frames in which fewer than two joints were seen do not tell the scale
        normal = normal + 1e-12 * (1 + np.trace(normal, axis1=1, axis2=2))[:, None, None] * np.eye(3)
        right = np.einsum("tm,tmcp,tmc->tp", weight, basis, flat)
        best = np.linalg.solve(normal, right[..., None])
        return cls(flat - np.einsum("tmcp,tp->tmc", basis, best[..., 0]), basis, normal)


class _Fit:
    """The state of one window's fit."""

    def __init__(
        self,
        lifted: NDArray,
        unit: NDArray,
        weight: NDArray,
        joints: list[int],
        noise: float,
        tells: NDArray,
        native: bool,
    ) -> None:
        self.lifted, self.unit, self.weight, self.joints, self.noise = lifted, unit, weight, joints, noise
        self.tells, self.native = tells, native
        self.worth = weight
        self.trust = np.array([_OFF_M, _OFF_M, np.clip(_DEPTH_M2 / noise, *_DEPTH_M)]) ** -2
        T = len(lifted)
        self.knots = max(2, round((T - 1) / _KNOT) + 1)
        place = np.linspace(0, self.knots - 1, T)
        self.knot = np.minimum(place.astype(int), self.knots - 2)  # the one before each frame
        self.near = np.stack([1 - (place - self.knot), place - self.knot])  # (2, T) shares of that one and the next
        self.correction = np.zeros((self.knots, _OWN))
        self.stiff = (self.knots - 1) / (T - 1) / _DRIFT**2
        bones = lifted[:, 1:] - lifted[:, PARENTS[1:]]
        length = np.average(np.linalg.norm(bones, axis=-1), 0, tells)
        self.share = length @ BELONGS / length.sum().clip(1e-6)  # of all lengths
        # what proportions do to each joint: it hangs on a chain of bones
        hangs = bones.swapaxes(1, 2) @ CHAINS  # (T, 3, 16 · n)
        self.hangs = np.ascontiguousarray(hangs.reshape(T, 3, 16, _N).swapaxes(1, 2)).reshape(T, _OWN, _N)
        self.shared = np.zeros(_SHARED)
        self.shared[_L], self.shared[_K] = length @ BELONGS / BELONGS.sum(0), _NEARNESS

    def poses(self) -> NDArray:
        """(T, 17, 3) as they are now."""
        Y = self.lifted.copy()
        Y[:, 1:] += (self._corrections() + self.hangs @ self.shared[_P]).reshape(len(Y), 16, 3)
        return Y

    def _corrections(self) -> NDArray:
        """(T, 48) D of each frame."""
        before, after = self.near[..., None]
        return before * self.correction[self.knot] + after * self.correction[self.knot + 1]

    def system(self) -> tuple[NDArray, NDArray]:
        """The linearised objective's normal equations, the corrections eliminated.

        Returns:
            (knots, 48, 1 + 21) the corrections' part, solved for the gradient, then for each shared unknown; and (21,
            1 + 21) what is left for the shared unknowns: the gradient, and the matrix, without their priors.
        """
        Y = self.poses()
        # halved second and first derivatives, by each frame's own unknowns and the shared ones
        second, first = (a + b for a, b in zip(self._reprojection(Y), self._bones(Y), strict=True))
        trust = np.tile(self.trust, 16)
        second[:, np.arange(_OWN), np.arange(_OWN)] += trust
        first[:, :_OWN] += trust * self._corrections()

        # From frames to knots, of which neighbours alone share frames. No large matrix product: BLAS would spread it
        # over cores that others work on.
        own, right = second[:, :_OWN, :_OWN], np.concatenate([first[:, :_OWN, None], second[:, :_OWN, _OWN:]], -1)
        before, after = self.near[..., None, None]
        first_of = np.flatnonzero(np.diff(self.knot, prepend=-1))
        diagonal, knots_right = np.zeros((self.knots, _OWN, _OWN)), np.zeros((self.knots, *right.shape[1:]))
        beside = np.add.reduceat(before * after * own, first_of)
        for share, knots in ((before, slice(None, -1)), (after, slice(1, None))):
            diagonal[knots] += np.add.reduceat(share**2 * own, first_of)
            knots_right[knots] += np.add.reduceat(share * right, first_of)
        stiff = np.diag(self.stiff * trust)
        diagonal[:-1] += stiff
        diagonal[1:] += stiff
        beside -= stiff
        slope = self.stiff * trust * np.diff(self.correction, axis=0)
        knots_right[1:, :, 0] += slope
        knots_right[:-1, :, 0] -= slope

        solved = block_tridiagonal(diagonal, beside, knots_right)
        reduced = np.concatenate([first[:, _OWN:, None], second[:, _OWN:, _OWN:]], -1).sum(0)
        return solved, reduced - np.einsum("kic,kid->cd", knots_right[..., 1:], solved)

    def kernel_system(self) -> tuple[NDArray, NDArray]:
        """`system` by the compiled kernel."""
        self.worth = np.array(self.worth, float, order="C")  # the kernel renews it in place
        return refine_step(
            (np.array(self.joints), self.knot, PARENTS, PROPORTION_OF),
            np.array([self.noise, _FAR, _BONE_M, _FAR_BONE, self.stiff, *self.trust]),
            (self.poses(), self.hangs, self.unit, self.weight, self.near, self.correction, self.shared, self.tells),
            self.worth,
        )

    def _reprojection(self, Y: NDArray) -> tuple[NDArray, NDArray]:
        """Joints fall where they were seen; scale and place of each frame are eliminated."""
        T, m, k = len(Y), len(self.joints), self.shared[_K]
        x, y, z = np.moveaxis(Y[:, self.joints], -1, 0)
        across = np.stack([x, y], -1)
        flat = (1 - k * z)[..., None] * across
        for _ in range(2):  # what is far off counts less, and how far off it is depends on what counts
            rest = _Eliminated.of(flat, self.unit, self.worth)
            far = np.linalg.norm(rest.error, axis=-1) / (_FAR * self.noise)
            self.worth = self.weight / self.noise**2 / (1 + far**2)
        rest = _Eliminated.of(flat, self.unit, self.worth)
        J = np.zeros((T, m, 2, 16, 3))
        for i, joint in enumerate(self.joints):
            if joint:  # the pelvis is the origin
                J[:, i, 0, joint - 1, 0] = J[:, i, 1, joint - 1, 1] = 1 - k * z[:, i]
                J[:, i, :, joint - 1, 2] = -k * across[:, i]
        own = J.reshape(T, 2 * m, _OWN)
        by = np.zeros((T, 2 * m, _OWN + _SHARED))
        by[..., :_OWN], by[..., _OWN:][..., _P] = own, own @ self.hangs
        by[..., _OWN + _K] = -(z[..., None] * across).reshape(T, 2 * m)
        weighted = (by * np.repeat(self.worth, 2, axis=1)[..., None]).swapaxes(1, 2)
        mixed = weighted @ rest.basis.reshape(T, 2 * m, 3)
        second = weighted @ by - mixed @ np.linalg.solve(rest.normal, mixed.swapaxes(1, 2))
        return second, (weighted @ rest.error.reshape(T, 2 * m, 1))[..., 0]

    def _bones(self, Y: NDArray) -> tuple[NDArray, NDArray]:
        """A bone keeps its length."""
        T = len(Y)
        bones = Y[:, 1:] - Y[:, PARENTS[1:]]
        length = np.linalg.norm(bones, axis=-1)
        along = bones / np.maximum(length, 1e-6)[..., None]
        J, each = np.zeros((T, 16, 17, 3)), np.arange(16)
        J[:, each, each + 1] = along
        J[:, each, PARENTS[1:]] -= along
        own = J[:, :, 1:].reshape(T, 16, _OWN)
        by = np.zeros((T, 16, _OWN + _SHARED))
        by[..., :_OWN], by[..., _OWN:][..., _P], by[..., _OWN:][..., _L] = own, own @ self.hangs, -BELONGS
        error = length - BELONGS @ self.shared[_L]
        # as above: where a pose is lost, so are its bones
        worth = self.tells * _BONE_M**-2 / (1 + (error / (_FAR_BONE * _BONE_M)) ** 2)
        weighted = (by * worth[..., None]).swapaxes(1, 2)
        return weighted @ by, (weighted @ error[..., None])[..., 0]


def _step(fits: Sequence[_Fit], *, body_known: bool = False) -> None:
    """One step of Gauss-Newton: windows of one person move to where the linearised objective of all is lowest.

    Args:
        fits: with the same proportions and lengths; each has its own corrections and κ.
        body_known: leave proportions and lengths as they are.
    """
    systems = []
    for fit in fits:
        solved, reduced = fit.kernel_system() if fit.native else fit.system()
        reduced[_K, 0] += (fit.shared[_K] - _NEARNESS) / _NEARNESS_SPREAD**2
        reduced[_K, 1 + _K] += _NEARNESS_SPREAD**-2
        systems.append((solved, reduced))
    body = np.zeros(_K)
    if not body_known:
        share = np.mean([fit.share for fit in fits], 0)
        prior = np.zeros((_K, _K))
        prior[_P, _P] = np.eye(_N) / _PROPORTIONS**2 + np.outer(share, share) / _SIZE**2
        total = np.column_stack([prior @ fits[0].shared[:_K], prior])
        for _, reduced in systems:  # with κ eliminated
            total += (
                reduced[:_K, : 1 + _K] - np.outer(reduced[:_K, 1 + _K], reduced[_K, : 1 + _K]) / reduced[_K, 1 + _K]
            )
        body = -np.linalg.solve(total[:, 1:], total[:, 0])
    for fit, (solved, reduced) in zip(fits, systems, strict=True):
        nearness = -(reduced[_K, 0] + reduced[_K, 1 : 1 + _K] @ body) / reduced[_K, 1 + _K]
        change = np.append(body, nearness)
        fit.correction -= solved[..., 0] + solved[..., 1:] @ change
        fit.shared += change
