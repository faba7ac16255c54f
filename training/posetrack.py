"""Reads annotations of PoseTrack 2017 and 2018 in their JSON format, one file per video, and says what is wrong.

    images        id, file_name, frame_id, vid_id, is_labeled, ignore_regions_x and _y (lists of polygons)
    annotations   id, image_id, track_id, keypoints (17 or 15 times x, y, v), bbox and bbox_head (x, y, width, height)
    categories    one, "person", with the names of its keypoints

The seventeen are PoseTrack's fifteen and the ears, which nobody labelled. Without names the order is that of PoseTrack
2018: nose, head_bottom, head_top, (left_ear, right_ear,) left_shoulder and so on. v above 0 is a joint that is seen;
0, 0, 0 one that was not labelled; v = 0 at another place one that was labelled though it is hidden. Coordinates are
pixels of the picture.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import POSETRACK

_NAMES15 = tuple(j.name.lower() for j in POSETRACK)
_NAMES17 = (*_NAMES15[:3], "left_ear", "right_ear", *_NAMES15[3:])
#: Other people's names of the same joints (PoseTrack 2017's own tools).
_ALIASES = {"neck": "head_bottom", "upper_neck": "head_bottom", "top_head": "head_top"}

#: Larger coordinates are no pixels, larger ids do not fit into 64 bits with a neighbour's.
_LARGEST_PX, _LARGEST_ID = 1e9, 2**62


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody in one frame.

    Attributes:
        track_id: the same in all frames of a video; -1: not said.
        box_px, head_px: (4,) x0, y0, x1, y1; head_px is None where it was not labelled.
        joints_px: (15, 2), 0 where not labelled.
        labelled, visible: (15,).
    """

    track_id: int
    box_px: FloatArray
    head_px: FloatArray | None
    joints_px: FloatArray
    labelled: NDArray[np.bool_]
    visible: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A frame of a video.

    Attributes:
        image_id: unique in its file.
        file_name: of the picture, as the file says.
        frame_id: counts in the video.
        labelled: somebody annotated it; a labelled frame without people is empty.
        people: in it.
        ignore_px: polygons (n, 2), regions where nobody was labelled.
    """

    image_id: int
    file_name: str
    video: str
    frame_id: int
    labelled: bool
    people: tuple[Person, ...] = ()
    ignore_px: tuple[FloatArray, ...] = ()


@dataclass(frozen=True, eq=False)
class PoseClip:
    """One person's clip: the frame that is asked about, who it is, and the frames around it, in order."""

    frame: LabelledFrame
    person: Person
    frames: tuple[LabelledFrame, ...]


def annotation_files(paths: Iterable[Path]) -> list[Path]:
    """Files as they are, folders as the JSON files in them, sorted.

    Raises:
        UserError: something that does not exist, or a folder without such a file.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path} has no JSON file in it; give the folder of PoseTrack's annotations.")
        if not inside[0].exists():
            raise UserError(f"{path} does not exist; check the name and --data-root.")
        found += inside
    return found


def read_posetrack(path: Path) -> list[LabelledFrame]:
    """The frames of an annotation file, by video and then in order.

    Raises:
        UserError: a file that is missing or not of this format; says what is wrong with which entry.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; check the name and --data-root.") from error
    except (OSError, ValueError, RecursionError) as error:  # JSON's and Unicode's errors are ValueErrors
        raise UserError(f"{path} is not a readable JSON file of annotations ({error}).") from error
    if isinstance(content, dict) and "annolist" in content:
        raise UserError(f"{path} is of PoseTrack 2017's first format (annolist); convert it to the format of 2018.")
    try:
        return _frames(content)
    except _Bad as error:
        raise UserError(f"{path}: {error}.") from error


def clips(frames: list[LabelledFrame], span: int = 2, fewest_joints: int = 1) -> list[PoseClip]:
    """A clip for every person of every labelled frame: the frame and `span` to either side.

    The neighbour at distance k is the listed frame of the video nearest to it that is no farther: at the ends of a
    video, and where the list has gaps, frames come twice.

    Args:
        fewest_joints: people with fewer labelled joints are left out.
    """
    by_video: dict[str, list[LabelledFrame]] = {}
    for frame in frames:
        by_video.setdefault(frame.video, []).append(frame)
    found = []
    for video in by_video.values():
        at = np.array([f.frame_id for f in video])
        for frame in video:
            who = [p for p in frame.people if p.labelled.sum() >= fewest_joints]
            if not (frame.labelled and who):
                continue
            around = tuple(video[_neighbour(at, frame.frame_id, k)] for k in range(-span, span + 1))
            found += [PoseClip(frame, person, around) for person in who]
    return found


def _neighbour(at: NDArray[np.int64], middle: int, k: int) -> int:
    """Index of the frame nearest to middle + k that lies between the two; `at` has the middle."""
    low, high = sorted((middle, middle + k))
    allowed = np.flatnonzero((at >= low) & (at <= high))
    return int(allowed[np.abs(at[allowed] - middle - k).argmin()])


def missing_pictures(frames: Iterable[LabelledFrame], folder: Path) -> list[Path]:
    """Pictures that the annotations name and that are not there."""
    return [folder / f.file_name for f in frames if not (folder / f.file_name).is_file()]


class _Bad(Exception):
    """What is wrong with which entry."""


def _frames(content: Any) -> list[LabelledFrame]:
    if not isinstance(content, dict):
        raise _Bad("want an object with images and annotations")
    for name in ("images", "annotations"):
        if not isinstance(content.get(name), list):
            raise _Bad(f"want a list named {name}")
    order = _joint_order(content.get("categories"))
    images: dict[int, dict[str, Any]] = {}
    for number, image in enumerate(content["images"]):
        where = f"images[{number}]"
        key = _whole(image, "id", where)
        if key in images:
            raise _Bad(f"{where}: id {key} is there twice")
        if not (isinstance(image.get("file_name"), str) and image["file_name"]):
            raise _Bad(f"{where}: want a file_name")
        images[key] = image
    people: dict[int, list[Person]] = {key: [] for key in images}
    for number, entry in enumerate(content["annotations"]):
        where = f"annotations[{number}]"
        key = _whole(entry, "image_id", where)
        if key not in people:
            raise _Bad(f"{where}: image_id {key} is no image's id")
        person = _person(entry, order, where)
        if person is not None:
            people[key].append(person)
    frames = [_frame(key, image, tuple(people[key]), f"image {key}") for key, image in images.items()]
    frames.sort(key=lambda f: (f.video, f.frame_id))
    for a, b in itertools.pairwise(frames):
        if (a.video, a.frame_id) == (b.video, b.frame_id):
            raise _Bad(f"images {a.image_id} and {b.image_id} are both frame {a.frame_id} of video {a.video}")
    return frames


def _joint_order(categories: Any) -> dict[int, list[int]]:
    """For 15 and for 17 keypoints the place of each of PoseTrack's joints among them."""
    order = {15: list(range(15)), 17: [_NAMES17.index(name) for name in _NAMES15]}
    if isinstance(categories, list) and categories and isinstance(categories[0], dict):
        names = categories[0].get("keypoints")
        if names is not None:
            if not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
                raise _Bad("categories[0]: want keypoints to be a list of names")
            names = [_ALIASES.get(n, n) for n in names]
            absent = [n for n in _NAMES15 if n not in names]
            if absent:
                raise _Bad(f"categories[0]: its keypoints lack {', '.join(absent)}; these are not PoseTrack's joints")
            return {len(names): [names.index(n) for n in _NAMES15]}
    return order


def _whole(entry: Any, name: str, where: str) -> int:
    if not isinstance(entry, dict):
        raise _Bad(f"{where}: want an object")
    value = entry.get(name)
    if isinstance(value, str) and value.isdecimal() and len(value) < len(str(_LARGEST_ID)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST_ID:
        raise _Bad(f"{where}: want a whole number as {name}, got {str(value)[:40]!r}")
    return value


def _box(value: Any, where: str, name: str) -> FloatArray | None:
    """x, y, width, height to x0, y0, x1, y1; None where there is none."""
    if value is None or value == []:
        return None
    if not (isinstance(value, list) and len(value) == 4 and all(_number(v) for v in value)):
        raise _Bad(f"{where}: want four numbers as {name}, got {str(value)[:40]}")
    x, y, wide, high = value
    return np.array([x, y, x + wide, y + high], np.float32) if wide > 0 and high > 0 else None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_PX  # NaN is not


def _person(entry: dict[str, Any], order: dict[int, list[int]], where: str) -> Person | None:
    """Nobody where neither a joint nor a box was labelled."""
    values = entry.get("keypoints", [])
    if not (isinstance(values, list) and all(_number(v) for v in values)):
        raise _Bad(f"{where}: want finite numbers as keypoints")
    count = len(values) // 3
    if values and (len(values) % 3 or count not in order):
        wanted = " or ".join(str(3 * n) for n in order)
        raise _Bad(f"{where}: want {wanted} numbers as keypoints, got {len(values)}")
    points = np.array(values, np.float32).reshape(-1, 3)[order[count]] if values else np.zeros((15, 3), np.float32)
    visible = points[:, 2] > 0
    labelled = visible | (points[:, :2] != 0).any(1)
    box = _box(entry.get("bbox"), where, "bbox")
    if box is None and labelled.sum() >= 2:  # PoseTrack 2017 as some converted it has no boxes
        low, high = points[labelled, :2].min(0), points[labelled, :2].max(0)
        box = np.concatenate([low, high]) if (high > low).all() else None
    if box is None:
        return None
    track = _whole(entry, "track_id", where) if entry.get("track_id") is not None else -1
    joints = np.where(labelled[:, None], points[:, :2], 0).astype(np.float32)
    return Person(track, box, _box(entry.get("bbox_head"), where, "bbox_head"), joints, labelled, visible)


def _frame(key: int, image: dict[str, Any], people: tuple[Person, ...], where: str) -> LabelledFrame:
    name = image["file_name"]
    video = str(image.get("vid_id") or Path(name).parent)
    frame_id = _whole(image, "frame_id", where) if image.get("frame_id") is not None else key
    regions = []
    xs, ys = image.get("ignore_regions_x") or [], image.get("ignore_regions_y") or []
    if not (isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys)):
        raise _Bad(f"{where}: want as many ignore_regions_x as ignore_regions_y")
    if xs and _number(xs[0]):  # a single polygon is sometimes not in a list
        xs, ys = [xs], [ys]
    for x, y in zip(xs, ys, strict=True):
        if not (isinstance(x, list) and isinstance(y, list) and len(x) == len(y) and all(_number(v) for v in x + y)):
            raise _Bad(f"{where}: want ignore_regions of numbers, as many x as y")
        if len(x) >= 3:
            regions.append(np.array([x, y], np.float32).T)
    labelled = bool(image.get("is_labeled", bool(people)))
    return LabelledFrame(key, name, video, frame_id, labelled, people, tuple(regions))
