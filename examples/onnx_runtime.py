"""The lifter without this package: ONNX Runtime and numpy, to be carried over to other languages.

    sasmamba-demo export-onnx sasmamba-lean LIFTER.onnx
    python examples/onnx_runtime.py LIFTER.onnx IN.npz OUT.npz

Open only models that you trust: ONNX Runtime does what a file says. IN.npz is what `sasmamba-demo lift` reads, with the
skeleton coco17 and one person: keypoints (frames, 17, 3) x px, y px, score, and fps. OUT.npz holds joints3d (frames,
17, 3), what `sasmamba-demo lift --no-refine` writes.
"""

import sys

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: A person unseen for longer than this starts anew.
MAX_GAP_S = 1.0
#: The network was trained on no windows shorter than this: the first and the last frame of shorter stretches are held.
#: A graph of still shorter ones does so itself.
SHORTEST = 27
#: H36M-17 with left and right exchanged.
MIRROR = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]
#: Which of COCO's joints each of H36M's is made of, and with what weights.
HIPS, SHOULDERS = {11: 0.5, 12: 0.5}, {5: 0.5, 6: 0.5}
MADE_OF: dict[str, dict[int, float]] = {
    "pelvis": HIPS,
    "right hip": {12: 1},
    "right knee": {14: 1},
    "right ankle": {16: 1},
    "left hip": {11: 1},
    "left knee": {13: 1},
    "left ankle": {15: 1},
    "spine": {11: 0.25, 12: 0.25, 5: 0.25, 6: 0.25},
    "thorax": SHOULDERS,
    "nose": {0: 1},
    "head top": {3: 0.95, 4: 0.95, 5: -0.45, 6: -0.45},  # on the line from the thorax to the middle of the ears, beyond
    "left shoulder": {5: 1},
    "left elbow": {7: 1},
    "left wrist": {9: 1},
    "right shoulder": {6: 1},
    "right elbow": {8: 1},
    "right wrist": {10: 1},
}


#: Joint, the share of a way by which the lifter's skeleton has it elsewhere than detectors see it, and that way's ends:
#: hips (and what hangs on them) up the trunk, shoulders towards it, ankles beyond them.
MOVED = [(0, 0.05, 0, 8), (1, 0.05, 0, 8), (4, 0.05, 0, 8), (7, 0.025, 0, 8), (11, 0.07, 11, 8), (14, 0.07, 14, 8)]
MOVED += [(3, 0.1, 2, 3), (6, 0.1, 5, 6)]
MOVE = np.eye(17)
for moved, share, begin, end in MOVED:
    MOVE[moved, begin] -= share
    MOVE[moved, end] += share


def as_captured(xyc: Array) -> Array:
    """Joints (F, 17, 3) as they are seen, where the lifter's skeleton has them; not those whose way is not seen."""
    told = np.where(MOVE != 0, xyc[:, None, :, 2], 1).min(-1) > 0
    moved = np.where(told[..., None], np.einsum("cd,fdk->fck", MOVE, xyc[..., :2]), xyc[..., :2])
    return np.concatenate([moved, xyc[..., 2:]], -1).astype(np.float32)


def as_detected(joints: Array) -> Array:
    """Poses (F, 17, 3) with joints where detectors see them: hips farther back, too, where the picture does not show
    how far."""
    moved: Array = np.einsum("dc,fck->fdk", np.linalg.inv(MOVE), joints)
    trunk, left = moved[:, 8] - moved[:, 0], moved[:, 4] - moved[:, 1] + moved[:, 11] - moved[:, 14]
    ahead = np.cross(left, trunk)
    behind = 0.04 * np.linalg.norm(trunk, axis=-1) * ahead[:, 2] / np.linalg.norm(ahead, axis=-1).clip(1e-9)
    for joint, share in ((0, 1), (1, 1), (4, 1), (7, 0.5)):
        moved[:, joint, 2] -= share * behind
    return (moved - moved[:, :1]).astype(np.float32)


def h36m_of_coco(coco: Array) -> Array:
    """(F, 17, 3) COCO-17 to H36M-17; a joint made of a missing one is missing: 0, 0, 0. A hip alone that is missing is
    put beside the other, as the shoulders lie beside each other: without a pelvis there is no pose."""
    coco = np.where(np.isfinite(coco).all(-1, keepdims=True) & (coco[..., 2:] > 0), coco, 0)
    for (hidden, beside), (hip, shoulder) in (((11, 5), (12, 6)), ((12, 6), (11, 5))):
        known = coco[:, [hip, shoulder, beside], 2].min(1)
        guess = coco[:, hip] + 0.85 * (coco[:, beside] - coco[:, shoulder])
        guess[:, 2] = 0.6 * known
        coco[:, hidden] = np.where(((coco[:, hidden, 2] == 0) & (known > 0))[:, None], guess, coco[:, hidden])
    out = np.zeros_like(coco)
    for joint, parts in enumerate(MADE_OF.values()):
        out[:, joint, :2] = sum(weight * coco[:, part, :2] for part, weight in parts.items())
        out[:, joint, 2] = coco[:, list(parts), 2].min(-1)
    out[out[..., 2] == 0] = 0
    return out


class Windows:
    """The exported network, which takes windows of one length."""

    def __init__(self, model: str) -> None:
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name
        self.frames = int(self._session.get_inputs()[0].shape[1])

    def __call__(self, xyc: Array) -> Array:
        """Lifts (frames, 17, 3), averaged with the result for the mirrored input."""
        across = np.array([-1, 1, 1], np.float32)
        both = np.stack([xyc, xyc[:, MIRROR] * across])
        straight, mirrored = self._session.run(None, {self._name: both})[0]
        averaged: Array = 0.5 * (straight + mirrored[:, MIRROR] * across)
        return averaged


def lift_stretch(windows: Windows, xyc: Array) -> Array:
    """Lifts a stretch of a window's length or more: windows advance by half of it and fade into each other."""
    last = len(xyc) - windows.frames
    out, done, begin = np.zeros_like(xyc), 0, 0
    while done < len(xyc):
        start = min(begin, last)  # the last window begins earlier, so that it is full
        joints = windows(xyc[start : start + windows.frames])[begin - start :]
        overlap = done - begin
        new = (np.arange(1, overlap + 1, dtype=np.float32) / (overlap + 1))[:, None, None]
        out[begin:done] = (1 - new) * out[begin:done] + new * joints[:overlap]
        done = begin + len(joints)
        out[begin + overlap : done] = joints[overlap:]
        begin += windows.frames // 2
    return out


def smoothed(joints: Array, fps: float, sigma_s: float = 0.06) -> Array:
    """Each frame's value of the parabola that fits the frames around it best, near ones above all (Savitzky-Golay)."""
    flat, reach = joints.reshape(len(joints), -1), int(3 * sigma_s * fps)
    out = np.empty_like(flat)
    for i in range(len(flat)):
        near = np.arange(max(0, i - reach), min(len(flat), i + reach + 1))
        t = (near - i) / (fps * sigma_s)
        weight = np.exp(-0.25 * t**2)[:, None]  # squared by the fit
        out[i] = np.linalg.lstsq(weight * np.vander(t, 3, increasing=True), weight * flat[near], rcond=None)[0][0]
    return out.reshape(joints.shape)


def main(model: str, source: str, out: str) -> None:
    given = np.load(source, allow_pickle=False)
    if str(given["skeleton"]) != "coco17" or given["keypoints"].ndim != 3:
        sys.exit(f"{source}: this example takes one person's coco17 keypoints, (frames, 17, 3).")
    windows, xyc = Windows(model), as_captured(h36m_of_coco(given["keypoints"].astype(np.float32)))
    seen = np.flatnonzero((xyc[..., 2] > 0).any(1))
    joints3d = np.full(xyc.shape, np.nan, np.float32)  # nobody there: not a number
    gap = round(MAX_GAP_S * float(given["fps"]))
    for stretch in np.split(seen, np.flatnonzero(np.diff(seen) > gap + 1) + 1):
        first, end = stretch[0], stretch[-1] + 1
        frames = max(end - first, min(SHORTEST, windows.frames))
        if frames < windows.frames:  # filling it up would cost centimetres
            sys.exit(f"{model} takes windows of {windows.frames} frames: export another with --frames {frames}.")
        before = (frames - (end - first)) // 2
        held = xyc[np.clip(first - before + np.arange(frames), first, end - 1)]
        lifted = as_detected(lift_stretch(windows, held))[before : before + end - first]
        joints3d[first:end] = smoothed(lifted, float(given["fps"]))
    np.savez(out, joints3d=joints3d, fps=given["fps"])
    print(f"{np.isfinite(joints3d).all((1, 2)).sum()} of {len(joints3d)} frames lifted")


if __name__ == "__main__":
    main(*sys.argv[1:])
