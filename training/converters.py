"""The field's files and this tool's own, turned into the motion schema (training/schema.py), with their 2D if any.

Kinds:
    motionbert   Human3.6M pickles as MotionBERT and its followers use them (2.5D, Stacked Hourglass 2D)
    videopose3d  Human3.6M NPZ of 3D positions as VideoPose3D prepares it
    3dhp         MPI-INF-3DHP NPZ as P-STMO prepares it, training or test
    bvh          any BVH whose joints have usual names
    poses        what `--save-poses` and `lift` write
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.archives import ArchiveError, read_npz
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M, H36M_PARENTS
from sasmamba.training.cameras import load_rig
from sasmamba.training.pickles import read_object_npz, read_pickle
from sasmamba.training.read_bvh import read_bvh
from sasmamba.training.schema import MotionClip, write_motion_file

#: Joints of Human3.6M's own 32 that make up H36M-17, in its order.
H36M_OF_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
#: Joints of MPI-INF-3DHP's 17 (head top, neck, right arm, left arm, right leg, left leg, pelvis, spine, head) likewise.
H36M_OF_3DHP = (14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)
#: Widths and heights of Human3.6M's cameras, and their focal length in pixels, alike to 0.3 %.
_H36M_PICTURE = {"54138969": (1000, 1002), "60457274": (1000, 1002), "55011271": (1000, 1000), "58860488": (1000, 1000)}
_H36M_FOCAL_PX = 1147.0
#: Sum of all bone lengths of an adult, metres; the scale of files that carry none.
_BONES_M = 4.15
_ANKLE_M = 0.08


def convert_files(
    kind: str,
    files: Sequence[Path],
    out: Path,
    *,
    cameras: Path | None = None,
    unit_m: float | None = None,
    up: str = "y",
    subject: str = "subject1",
    licence: str = "unknown",
) -> list[MotionClip]:
    """Converts files of one kind (see the module) into one motion file and returns its clips.

    Raises:
        UserError: an unknown kind, or files that are not of it; nothing is written then.
    """
    readers: dict[str, Callable[[Path], list[MotionClip]]] = {
        "motionbert": lambda p: motionbert_clips(p, cameras),
        "videopose3d": videopose3d_clips,
        "3dhp": mpi_inf_3dhp_clips,
        "bvh": lambda p: [bvh_clip(p, unit_m, up, subject)],
        "poses": lambda p: pose_clips(p, subject),
    }
    if kind not in readers:
        raise UserError(f"There is no converter {kind!r}; choose one of {', '.join(readers)}.", exit_code=2)
    clips = [clip for path in files for clip in readers[kind](path)]
    write_motion_file(out, clips, licence, f"{', '.join(p.name for p in files)} ({kind})")
    return clips


def level(cam: NDArray) -> NDArray:
    """R_world_cam (3, 3) of a camera of unknown tilt, from the people it sees: standing people are upright on average.

    Args:
        cam: (T, 17, 3) joints in camera axes (x right, y down, z forward). Where nobody stands the camera is taken to
            be level.
    """
    body = cam[:, H36M.HEAD_TOP] - 0.5 * (cam[:, H36M.LEFT_ANKLE] + cam[:, H36M.RIGHT_ANKLE])
    length = np.linalg.norm(body, axis=-1)
    standing = body[length > 0.93 * np.percentile(length, 95)]
    z = standing.mean(0) / max(np.linalg.norm(standing.mean(0)), 1e-9)
    if z[1] > -np.cos(np.radians(40)):
        z = np.array([0.0, -1, 0])
    x = np.array([1.0, 0, 0]) - z[0] * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], 1)


def _standing_clip(
    name: str, subject: str, action: str, fps: float, cam: NDArray, pelvis: NDArray | None, keypoints: NDArray | None
) -> MotionClip:
    """A clip from joints in the axes of an unknown camera: turned upright, set on the floor, centred.

    Args:
        cam: (T, 17, 3) metres relative to the pelvis.
        pelvis: (T, 3) in camera axes, or None where it is not known: then feet are on the floor in every frame.
    """
    R_world_cam = level(cam)
    joints = cam @ R_world_cam  # world = R_world_camᵀ cam
    lowest = joints[:, [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE], 2].min(1)
    if pelvis is None:
        root, position = np.zeros((len(cam), 3)), np.zeros(3)
        root[:, 2] = _ANKLE_M - lowest
        # somewhere the person can be seen from; where is not known
        position = root.mean(0) - np.array([0.0, 0, 5.0]) @ R_world_cam
    else:
        root = pelvis @ R_world_cam
        position = -np.array([*root[:, :2].mean(0), np.percentile(root[:, 2] + lowest, 5) - _ANKLE_M])
        root = root + position
    return MotionClip(name, subject, action, fps, joints, root, keypoints, R_world_cam, position)


def motionbert_clips(path: Path, cameras: Path | None = None) -> list[MotionClip]:
    """Human3.6M from a MotionBERT pickle: "train" and "test" with joint_2d (N, 17, 2) px, confidence (N, 17[, 1]),
    joint3d_image (N, 17, 3) px, camera_name, source, and in "test" 2.5d_factor (N,) mm per pixel and action.

    joint3d_image is the joint's projection and its depth in the pelvis's pixels. The factor gives the pelvis's depth,
    and with it the joints in camera axes exactly; training frames carry none, their scale is that of an adult.

    Args:
        cameras: Human3.6M's table: joints then come in true world axes; without it standing people set the vertical.
    """
    table = read_pickle(path)
    rig = load_rig(cameras) if cameras else None
    clips: list[MotionClip] = []
    try:
        for part in ("train", "test"):
            if part in table:
                clips += _motionbert_part(table[part], part, rig)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{path} is not laid out as MotionBERT's Human3.6M ({error!r}).") from error
    return clips


def _motionbert_part(z: dict[str, Any], part: str, rig: Any) -> Iterator[MotionClip]:
    image, seen = np.asarray(z["joint3d_image"], float), np.asarray(z["joint_2d"], float)[..., :2]
    confidence = np.asarray(z.get("confidence", np.ones(seen.shape[:2])), float).reshape(seen.shape[:2])
    names = np.array([f"{s}|{c}" for s, c in zip(z["source"], z["camera_name"], strict=True)])
    factors = z.get("2.5d_factor")
    for start, end in _runs(names):
        source, camera = names[start].split("|")
        width, height = _H36M_PICTURE[camera]
        pixels = image[start:end]
        if factors is not None:
            mm_per_px = np.asarray(factors[start:end], float)
        else:
            bones = np.linalg.norm((pixels - pixels[:, list(H36M_PARENTS)])[:, 1:], axis=-1).sum(1)
            mm_per_px = 1000 * _BONES_M / bones
        depth = mm_per_px[:, None] / 1000 * (_H36M_FOCAL_PX + pixels[..., 2] - pixels[:, :1, 2])
        xy = (pixels[..., :2] - [width / 2, height / 2]) / _H36M_FOCAL_PX * depth[..., None]
        cam = np.concatenate([xy, depth[..., None]], -1)
        picture = (seen[start:end] - [width / 2, height / 2]) / height
        keypoints = np.concatenate([picture, confidence[start:end, :, None]], -1)
        subject = f"S{int(source.split('_')[1])}"
        action = str(z["action"][start]) if "action" in z else "_".join(source.split("_")[2:4])
        name = f"{part}/{source}"
        who = list(zip(rig.subject, rig.name, strict=True)) if rig else []
        if (subject, camera) in who:
            row = who.index((subject, camera))
            R, position = rig.cameras.R_world_cam[row].numpy(), rig.cameras.position[row].numpy()
            yield MotionClip(name, subject, action, 50, cam @ R + position, None, keypoints, R, position)
        else:
            relative = cam - cam[:, :1]
            yield _standing_clip(name, subject, action, 50, relative, cam[:, 0], keypoints)


def videopose3d_clips(path: Path) -> list[MotionClip]:
    """Human3.6M from VideoPose3D's NPZ: positions_3d, {subject: {action: (T, 32 or 17, 3) metres, world, z up}}."""
    table = read_object_npz(path, "positions_3d")
    clips = []
    try:
        for subject, actions in table.items():
            for action, positions in actions.items():
                joints = np.asarray(positions, float)
                if joints.shape[1:] not in ((32, 3), (17, 3)):
                    raise ValueError(f"{subject}/{action}: want (T, 32, 3) or (T, 17, 3), got {joints.shape}")
                joints = joints[:, list(H36M_OF_32)] if joints.shape[1] == 32 else joints
                label = str(action).partition(" ")[0].lower()
                clips.append(MotionClip(f"{subject}/{action}", str(subject), label, 50, _centred(joints)))
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{path} is not laid out as VideoPose3D's Human3.6M ({error}).") from error
    return clips


def mpi_inf_3dhp_clips(path: Path) -> list[MotionClip]:
    """MPI-INF-3DHP from P-STMO's NPZ: data, {"S1 Seq1": [{camera: {data_3d (T, 17, 3) mm in camera axes, data_2d
    (T, 17, 2) px}}]} in training, {"TS1": {data_3d, data_2d, valid (T,)}} in the test set.

    Pictures are 2048 px square, those of TS5 and TS6 1920×1080. Takes last about four minutes: those of more than
    9,000 frames were made at 50 fps, the others at 25.
    """
    table = read_object_npz(path, "data")
    clips = []
    try:
        for key, content in table.items():
            takes = {"": content} if isinstance(content, dict) else content[0]
            for camera, take in takes.items():
                cam = np.asarray(take["data_3d"], float)[:, list(H36M_OF_3DHP)] / 1000
                size = (1920, 1080) if key in ("TS5", "TS6") else (2048, 2048)
                keypoints = np.ones((*cam.shape[:2], 3))
                pixels = np.asarray(take["data_2d"], float)[:, list(H36M_OF_3DHP), :2]
                keypoints[..., :2] = (pixels - np.array(size) / 2) / size[1]
                valid = np.asarray(take.get("valid", np.ones(len(cam))), bool).reshape(-1)
                subject, _, sequence = str(key).partition(" ")
                fps = 50 if len(cam) > 9000 else 25
                for i, (a, b) in enumerate(_stretches(valid & np.isfinite(cam).all((1, 2)))):
                    name = "/".join(filter(None, (subject, sequence, str(camera), str(i) if i else "")))
                    part = cam[a:b]
                    clips.append(
                        _standing_clip(
                            name, subject, sequence or "test", fps, part - part[:, :1], part[:, 0], keypoints[a:b]
                        )
                    )
    except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path} is not laid out as P-STMO's MPI-INF-3DHP ({error!r}).") from error
    return clips


def pose_clips(path: Path, subject: str) -> list[MotionClip]:
    """What `--save-poses` and `lift` write: joints3d ([P,] F, 17, 3) metres, NaN where there is nobody, and fps.

    Only as good as the lifter that made them: meant for poses that have been corrected by hand. Where people are in the
    room is not known; they are set on the floor.
    """
    try:
        z = read_npz(path, ("joints3d", "fps", "keypoints", "width", "height"))
        joints, fps = np.asarray(z["joints3d"], float), float(z["fps"])
        people = joints[None] if joints.ndim == 3 else joints
        shape = (*people.shape[:2], 17, 3)
        keypoints = np.asarray(z["keypoints"], float).reshape(shape) if "keypoints" in z else None
        if people.shape != shape:
            raise ValueError(f"joints3d: want ([P,] F, 17, 3), got {joints.shape}")
        if keypoints is not None:
            keypoints = keypoints.copy()
            found = keypoints[..., 2:] > 0
            keypoints[..., 0] -= float(z["width"]) / 2
            keypoints[..., 1] -= float(z["height"]) / 2
            keypoints[..., :2] /= float(z["height"])
            keypoints = np.where(found, keypoints, 0)
    except (OSError, ArchiveError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is not a file of poses of this tool ({error}).") from error
    clips = []
    for p, person in enumerate(people):
        for a, b in _stretches(np.isfinite(person).all((1, 2))):
            part = person[a:b] - person[a:b, :1]
            seen = keypoints[p, a:b] if keypoints is not None else None
            clips.append(_standing_clip(f"{path.stem}/{p}/{a}", f"{subject}-{p}", path.stem, fps, part, None, seen))
    return clips


#: Names of joints in BVH files, lower case and without punctuation and prefixes, for a side given as l or left.
_BVH_NAMES = {
    "HIP": ("upleg", "hip", "hipjoint", "thigh", "upperleg"),
    "KNEE": ("leg", "knee", "shin", "lowerleg", "calf"),
    "ANKLE": ("foot", "ankle"),
    "SHOULDER": ("arm", "upperarm", "shldr", "shoulder"),
    "ELBOW": ("forearm", "elbow", "lowerarm"),
    "WRIST": ("hand", "wrist"),
}
_BVH_UNITS_M = (1.0, 0.01, 0.001, 0.0254, 0.0254 / 0.45)  # the last is CMU's


def bvh_clip(path: Path, unit_m: float | None = None, up: str = "y", subject: str = "subject1") -> MotionClip:
    """A BVH file's motion. Pelvis, spine, nose and head top are placed as in Human3.6M: between the hips, half-way to
    the neck base, half-way from neck base to head top and 5.5 cm forward, and at the head's end site.

    Args:
        unit_m: metres per unit; None takes the usual unit that gives the most human stature.
        up: "y" or "z".
    """
    if up not in ("y", "z"):
        raise UserError(f"up: want y or z, got {up!r}.", exit_code=2)
    bvh = read_bvh(path)
    names = [_plain(j.name) for j in bvh.joints]
    p = bvh.positions()
    if up == "y":
        p = np.stack([p[..., 2], p[..., 0], p[..., 1]], -1)

    def find(*wanted: str) -> NDArray:
        for name in wanted:
            if name in names:
                return p[:, names.index(name)]
        there = ", ".join(j.name for j in bvh.joints)
        raise UserError(f"{path}: no joint is named {' or '.join(wanted[:3])}; there are {there}.")

    out = np.zeros((len(p), 17, 3))
    for side in ("LEFT", "RIGHT"):
        for part, candidates in _BVH_NAMES.items():
            prefixes = (side.lower(), side[0].lower())
            wanted = [pre + c for c in candidates for pre in prefixes]
            wanted += [c + pre for c in candidates for pre in prefixes]
            out[:, H36M[f"{side}_{part}"]] = find(*wanted)
    out[:, H36M.PELVIS] = 0.5 * (out[:, H36M.LEFT_HIP] + out[:, H36M.RIGHT_HIP])
    thorax = out[:, H36M.THORAX] = find("neck", "neck1", "thorax", "neckbase")
    out[:, H36M.SPINE] = 0.5 * (out[:, H36M.PELVIS] + thorax)
    ends = ("headend", "headtop", "headtopend", "headnub", "headsite")
    head = find("head", *ends)
    # without an end site the head joint is about half-way up
    top = out[:, H36M.HEAD_TOP] = find(*ends) if any(e in names for e in ends) else thorax + 2 * (head - thorax)
    stature = sum(
        np.linalg.norm(out[:, a] - out[:, b], axis=-1).mean()
        for a, b in (
            (H36M.LEFT_HIP, H36M.LEFT_KNEE),
            (H36M.LEFT_KNEE, H36M.LEFT_ANKLE),
            (H36M.PELVIS, H36M.THORAX),
            (H36M.THORAX, H36M.HEAD_TOP),
        )
    )
    unit = unit_m or min(_BVH_UNITS_M, key=lambda u: abs(np.log(max(u * stature, 1e-9) / 1.6)))
    across = out[:, H36M.LEFT_SHOULDER] - out[:, H36M.RIGHT_SHOULDER]
    forward = np.cross(across, top - thorax)
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True).clip(1e-9)
    out *= unit
    out[:, H36M.NOSE] = 0.5 * (out[:, H36M.THORAX] + out[:, H36M.HEAD_TOP]) + 0.055 * forward
    return MotionClip(path.stem, subject, path.stem, round(bvh.fps, 3), _centred(out))


def _plain(name: str) -> str:
    return "".join(c for c in name.rpartition(":")[2].lower() if c.isalnum())


def _centred(joints: NDArray) -> NDArray:
    """World joints with the pelvis's path centred on x = y = 0."""
    return joints - np.array([*joints[:, 0, :2].mean(0), 0.0])


def _runs(labels: NDArray) -> list[tuple[int, int]]:
    """Begin and end of every stretch of equal labels."""
    edges = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist(), len(labels)]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _stretches(good: NDArray) -> list[tuple[int, int]]:
    """Begin and end of every stretch of at least two good frames."""
    return [(a, b) for a, b in _runs(good) if good[a] and b - a >= 2]
