"""PoseTrack's people as clips to learn from and to measure with: crops of the same region of five frames."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sasmamba.common.errors import UserError
from sasmamba.models.heatmap_codec import decode, normalised
from sasmamba.models.skeletons import POSETRACK, POSETRACK_MIRROR
from sasmamba.training.crops import STRIDE, CropTransform, heatmap_targets, mirrored, plain_transform, random_transform
from sasmamba.training.pose_ap import FrameResult, PredictedPose, average_precision
from sasmamba.training.posetrack import (
    LabelledFrame,
    PoseClip,
    annotation_files,
    clips,
    missing_pictures,
    read_posetrack,
)
from sasmamba.training.video_pose import Batch, Predict, VideoPoseConfig

_LOWER = ("HIP", "KNEE", "ANKLE")
_UPPER = np.array([not j.name.endswith(_LOWER) for j in POSETRACK])


class PoseTrackClips:
    """Clips of the people in annotation files.

    Args:
        paths: annotation files or folders of them.
        images: the folder that file names are relative to.
        config: the run's.
        frames: of a clip, odd.

    Attributes:
        frames: all frames, labelled or not.
        clips: one for each person with a labelled joint in a labelled frame.

    Raises:
        UserError: annotations that are missing or wrong, pictures that are missing, or nobody to learn from.
    """

    def __init__(self, paths: list[Path], images: Path, config: VideoPoseConfig, frames: int) -> None:
        if frames < 1 or frames % 2 == 0:
            raise ValueError(f"frames: want an odd number, got {frames}")
        self.images, self.config = images, config
        self.frames: list[LabelledFrame] = []
        self.clips: list[PoseClip] = []
        for path in annotation_files(paths):
            read = read_posetrack(path)
            self.frames += read
            self.clips += clips(read, span=frames // 2)
        if not self.clips:
            raise UserError(f"{paths[0]} has nobody with a labelled joint; give PoseTrack's training annotations.")
        needed = {f.file_name: f for c in self.clips for f in c.frames}
        missing = missing_pictures(needed.values(), images)
        if missing:
            raise UserError(
                f"{missing[0]} is not there ({len(missing)} of {len(needed)} pictures are missing); set images to the "
                "folder that the annotations' file names are relative to."
            )
        self._read = lru_cache(maxsize=64)(_read_picture)  # neighbours in time share pictures

    def __len__(self) -> int:
        return len(self.clips)

    def cut(self, clip: PoseClip, view: CropTransform) -> NDArray[np.uint8]:
        """(T, height, width, 3): the same region of all frames of a clip."""
        return np.stack([view.cut(self._read(self.images / f.file_name)) for f in clip.frames])

    def batch(self, indices: list[int], seed: tuple[int, ...]) -> Batch:
        """Random views of the clips of `indices`. Hidden joints that were labelled count."""
        crops, heat, weight = [], [], []
        for place, index in enumerate(indices):
            clip, rng = self.clips[index], np.random.default_rng((*seed, place))
            person, c = clip.person, self.config
            seen = random_transform(
                person.box_px, person.joints_px, person.labelled, _UPPER, c.input_px, c.augmentation, rng
            )
            crops.append(self.cut(clip, seen))
            joints, labelled = seen.points(person.joints_px), person.labelled.astype(np.float32)
            if seen.flipped:
                joints, labelled = mirrored(joints, POSETRACK_MIRROR), mirrored(labelled, POSETRACK_MIRROR)
            made = heatmap_targets(joints, labelled, c.input_px, c.sigma)
            heat.append(made[0])
            weight.append(made[1])
        frames = torch.stack([normalised(crop) for crop in crops])
        return Batch(frames, torch.from_numpy(np.stack(heat)), torch.from_numpy(np.stack(weight)))

    def measure(self, predict: Predict) -> dict[str, float]:
        """AP of the groups of joints and their mean, in percent, from the people's own boxes; "error" is 100 - mean."""
        poses: dict[int, list[PredictedPose]] = {}
        size = self.config.batch
        for begin in range(0, len(self.clips), size):
            part = self.clips[begin : begin + size]
            views = [plain_transform(c.person.box_px, self.config.input_px) for c in part]
            frames = torch.stack([normalised(self.cut(c, v)) for c, v in zip(part, views, strict=True)])
            points, scores = decode(predict(frames))
            for clip, seen, joints, score in zip(part, views, points, scores, strict=True):
                pose = PredictedPose(seen.to_picture(joints * STRIDE), score)
                poses.setdefault(id(clip.frame), []).append(pose)
        results = [FrameResult(f.people, tuple(poses.get(id(f), ())), f.ignore_px) for f in self.frames if f.labelled]
        try:
            ap = average_precision(results)
        except ValueError as error:
            raise UserError(
                "The annotations to validate with lack boxes around heads (bbox_head); PoseTrack's own have them."
            ) from error
        named = {f"AP {name}": ap[name] for name in ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")}
        return {"mAP": ap["mean"], **named, "error": 100 - ap["mean"]}


def _read_picture(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise UserError(f"{path} is not a readable picture; unpack it again.")
    return np.asarray(picture, np.uint8)
