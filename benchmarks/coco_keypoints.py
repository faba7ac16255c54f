"""COCO's measures of 2D poses on annotated pictures: who is found, how near their joints are, average precision.

Source: the COCO keypoint evaluation (https://cocodataset.org/#keypoints-eval). `pose2d_quality.py` runs it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pose2d_clips import SIDES

from sasmamba.app.pose2d.overlap import COCO_SIGMAS
from sasmamba.common import arrays
from sasmamba.common.arrays import FloatArray

#: COCO takes so many people of a picture, and these similarities.
MOST_PEOPLE, THRESHOLDS = 20, np.arange(0.5, 0.96, 0.05)
#: PCK's tolerance, and the similarity below which somebody found is a stranger.
PCK_AT, STRANGER = 0.1, 0.1


@dataclass(frozen=True, slots=True)
class Truth:
    """Annotated people of one picture.

    Attributes:
        bgr: the picture.
        joints: (n, 17, 3) x, y and 0 where not annotated.
        boxes: (n, 4) x0, y0, x1, y1.
        area: (n,) of the outline in px².
        crowd: (n,) several people under one outline.
        ignored: (n,) a crowd, or nobody whose joints are known.
    """

    bgr: arrays.Picture
    joints: FloatArray
    boxes: FloatArray
    area: FloatArray
    crowd: np.ndarray
    ignored: np.ndarray


@dataclass(frozen=True, slots=True)
class Found:
    """People found in one picture, the surest first.

    Attributes:
        joints_px: (n, 17, 2).
        score: (n,) of each person.
    """

    joints_px: FloatArray
    score: FloatArray


def ranked(joints_px: FloatArray, score: FloatArray) -> Found:
    mean = score.mean(1) if len(score) else np.zeros(0, np.float32)
    order = np.argsort(-mean, kind="stable")[:MOST_PEOPLE]
    return Found(joints_px[order], mean[order])


def read_truths(images: Path, annotations: Path) -> list[Truth]:
    """Every annotated picture that is in the folder, under its COCO name or one that ends with it."""
    data = json.loads(annotations.read_text())
    truths = []
    for image in data["images"]:
        path = next(iter(sorted(images.glob(f"*{image['file_name']}"))), None)
        if path is None:
            continue
        bgr = cv2.imread(str(path))
        if bgr is None:
            raise SystemExit(f"{path} is not a picture")
        people = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        xywh = np.array([a["bbox"] for a in people], np.float32).reshape(-1, 4)
        truths.append(
            Truth(
                bgr.astype(np.uint8, copy=False),
                np.array([a["keypoints"] for a in people], np.float32).reshape(-1, 17, 3),
                np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]]),
                np.array([a["area"] for a in people], np.float32),
                np.array([a["iscrowd"] for a in people], bool),
                np.array([a["iscrowd"] or not a["num_keypoints"] for a in people], bool),
            )
        )
    if not truths:
        raise SystemExit(f"None of the annotated pictures is in {images}.")
    return truths


def similarity(found: Found, truth: Truth) -> FloatArray:
    """(found, annotated) object keypoint similarity. Somebody without annotated joints is like everybody whose joints
    lie within their box or one box beside it, as COCO has it."""
    x0, y0, x1, y1 = truth.boxes.T
    wide, high = x1 - x0, y1 - y0
    out = np.zeros((len(found.score), len(truth.area)), np.float32)
    for g, joints in enumerate(truth.joints):
        known = joints[:, 2] > 0
        if known.any():
            away = (found.joints_px - joints[:, :2])[:, known]
        else:
            low, top = (x0[g] - wide[g], y0[g] - high[g]), (x1[g] + wide[g], y1[g] + high[g])
            away = np.maximum(low - found.joints_px, 0) + np.maximum(found.joints_px - top, 0)
            known[:] = True
        spread = 2 * np.square(2 * COCO_SIGMAS[known]) * max(truth.area[g], 1e-6)
        out[:, g] = np.exp(-np.square(away).sum(-1) / spread).mean(1)
    return out


def matches(alike: FloatArray, truth: Truth, threshold: float) -> np.ndarray:
    """(found,) whom each is, -1 for nobody: the surest chooses first, and ignored people only where no other fits.

    Only a crowd can be several.
    """
    free = np.ones(alike.shape[1], bool)
    out = np.full(len(alike), -1)
    for d, row in enumerate(alike):
        for kind in (~truth.ignored, truth.ignored):
            fits = free & kind & (row >= threshold)
            if fits.any():
                out[d] = int(np.argmax(np.where(fits, row, -1)))
                free[out[d]] = truth.crowd[out[d]]
                break
    return out


def quality(truths: list[Truth], found: list[Found]) -> dict[str, float]:
    alike = [similarity(f, t) for f, t in zip(found, truths, strict=True)]
    people = sum(int((~t.ignored).sum()) for t in truths)
    precision, recall = zip(*(precision_recall(truths, found, alike, float(t)) for t in THRESHOLDS), strict=True)
    oks, near, joints, strangers, limbs, exchanged = 0.0, 0, 0, 0, 0, 0
    for f, t, a in zip(found, truths, alike, strict=True):
        who = matches(a, t, 0.0)
        for d, g in enumerate(who):
            if g >= 0 and not t.ignored[g]:
                oks += float(a[d, g])
                off = np.linalg.norm(f.joints_px[d] - t.joints[g, :, :2], axis=-1)[t.joints[g, :, 2] > 0]
                both, wrong = exchanged_limbs(f.joints_px[d], t.joints[g])
                limbs, exchanged = limbs + both, exchanged + wrong
                near += int((off < PCK_AT * max(t.boxes[g, 2:] - t.boxes[g, :2])).sum())
        joints += int((t.joints[~t.ignored, :, 2] > 0).sum())
        strangers += int((a.max(1, initial=0) < STRANGER).sum())
    return {
        "AP": float(np.mean(precision)),
        "AP50": precision[0],
        "AP75": precision[5],
        "AR": float(np.mean(recall)),
        "recall": recall[0],
        "sides": exchanged / max(limbs, 1),
        "OKS": oks / max(people, 1),
        "PCK": near / max(joints, 1),
        "strangers": strangers,
    }


def exchanged_limbs(found: FloatArray, truth: FloatArray) -> tuple[int, int]:
    """How many arms and legs are annotated on both sides, apart, and how many of those lie on the other side."""
    both, wrong = 0, 0
    for left, right in SIDES:
        known = [(a, b) for a, b in zip(left, right, strict=True) if min(truth[a, 2], truth[b, 2]) > 0]
        if not known:
            continue
        there, other = [j for pair in known for j in pair], [j for a, b in known for j in (b, a)]
        apart = np.linalg.norm(truth[there, :2] - truth[other, :2], axis=-1).mean()
        off = np.linalg.norm(found[there] - truth[there, :2], axis=-1).mean()
        off_other = np.linalg.norm(found[there] - truth[other, :2], axis=-1).mean()
        both += 1
        wrong += bool(off_other < 0.5 * off and off_other < apart)
    return both, wrong


def precision_recall(
    truths: list[Truth], found: list[Found], alike: list[FloatArray], threshold: float
) -> tuple[float, float]:
    """COCO's average precision (mean over 101 recalls of the best precision from there on) and the highest recall."""
    score, right = [], []
    for f, t, a in zip(found, truths, alike, strict=True):
        who = matches(a, t, threshold)
        counts = (who < 0) | ~t.ignored[who]  # neither right nor wrong: who is one of the ignored
        score.append(f.score[counts])
        right.append(who[counts] >= 0)
    people = sum(int((~t.ignored).sum()) for t in truths)
    hits = np.concatenate(right)[np.argsort(-np.concatenate(score), kind="stable")].cumsum()
    if not len(hits) or not people:
        return 0.0, 0.0
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    at = np.searchsorted(hits / people, np.linspace(0, 1, 101))
    return float(np.append(precision, 0)[at].mean()), float(hits[-1] / people)
