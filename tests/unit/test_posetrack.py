"""Annotations in PoseTrack's layout: joints by name, clips, and one sentence about what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_posetrack import NAMES17, annotation, keypoints, video, write_posetrack

from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import POSETRACK
from sasmamba.training.posetrack import annotation_files, clips, missing_pictures, read_posetrack


def written(folder: Path, content: Any) -> Path:
    path = folder / "a.json"
    path.write_text(json.dumps(content))
    return path


def test_reads_the_layout_of_2018(tmp_path: Path) -> None:
    content = video(1, people=2)
    content["images"][3] |= {"ignore_regions_x": [[0, 10, 10], []], "ignore_regions_y": [[0, 0, 10], []]}
    frames = read_posetrack(written(tmp_path, content))
    assert [f.frame_id for f in frames] == [10000010000 + k for k in range(7)]
    assert [f.labelled for f in frames] == [k in (2, 3, 4) for k in range(7)]
    assert {f.video for f in frames} == {"000001"}
    first, second = frames[3].people
    assert (first.track_id, second.track_id) == (0, 1)
    # the file's places by name, worked out by hand: feet at (69, 120)
    assert first.joints_px[POSETRACK.NOSE].tolist() == [71, 28]
    assert first.joints_px[POSETRACK.HEAD_BOTTOM].tolist() == [69, 36]
    assert first.joints_px[POSETRACK.LEFT_SHOULDER].tolist() == [79, 40]
    assert first.joints_px[POSETRACK.RIGHT_ANKLE].tolist() == [61, 120]
    assert first.labelled.all()
    assert first.box_px.tolist() == [49, 18, 89, 123]
    assert first.head_px is not None
    assert first.head_px.tolist() == [63, 20, 75, 36]
    assert [p.tolist() for p in frames[3].ignore_px] == [[[0, 0], [10, 0], [10, 10]]]


@pytest.mark.parametrize("shuffle", [False, True], ids=["no names", "names in another order"])
def test_joints_by_name(tmp_path: Path, shuffle: bool) -> None:
    content = video(1)
    expected = read_posetrack(written(tmp_path, content))[2].people[0].joints_px
    if shuffle:
        order = np.random.default_rng(1).permutation(17)
        content["categories"][0]["keypoints"] = [NAMES17[i] for i in order]
        for a in content["annotations"]:
            a["keypoints"] = np.array(a["keypoints"]).reshape(17, 3)[order].ravel().tolist()
    else:
        del content["categories"]
    assert np.array_equal(read_posetrack(written(tmp_path, content))[2].people[0].joints_px, expected)


def test_fifteen_keypoints(tmp_path: Path) -> None:
    content = video(1)
    expected = read_posetrack(written(tmp_path, content))[2].people[0].joints_px
    kept = [i for i, n in enumerate(NAMES17) if not n.endswith("ear")]
    content["categories"][0]["keypoints"] = [NAMES17[i] for i in kept]
    for a in content["annotations"]:
        a["keypoints"] = np.array(a["keypoints"]).reshape(17, 3)[kept].ravel().tolist()
    assert np.array_equal(read_posetrack(written(tmp_path, content))[2].people[0].joints_px, expected)


def test_labelled_seen_and_neither(tmp_path: Path) -> None:
    content = video(1)
    points = content["annotations"][0]["keypoints"]
    points[3 * 0 : 3 * 1] = [0, 0, 0]  # the nose was not labelled
    points[3 * 16 + 2] = 0  # the right ankle was, though it is hidden
    person = read_posetrack(written(tmp_path, content))[2].people[0]
    assert (person.labelled[POSETRACK.NOSE], person.visible[POSETRACK.NOSE]) == (False, False)
    assert (person.labelled[POSETRACK.RIGHT_ANKLE], person.visible[POSETRACK.RIGHT_ANKLE]) == (True, False)
    assert person.labelled.sum() == 14


def test_a_box_where_the_file_has_none(tmp_path: Path) -> None:
    content = video(1)
    del content["annotations"][0]["bbox"]
    content["annotations"].append(
        {"image_id": content["images"][2]["id"], "keypoints": [0.0] * 51, "bbox": [1, 2, 0, 0]}
    )
    people = read_posetrack(written(tmp_path, content))[2].people
    assert len(people) == 1  # neither a joint nor a box is nobody
    assert people[0].box_px.tolist() == [48, 20, 84, 120]


def offsets(content: dict[str, Any], tmp_path: Path, span: int = 2) -> dict[int, list[int]]:
    """For each labelled frame the places of its clip's frames relative to it."""
    frames = read_posetrack(written(tmp_path, content))
    return {c.frame.frame_id % 100: [f.frame_id - c.frame.frame_id for f in c.frames] for c in clips(frames, span)}


def test_clips_of_five_frames(tmp_path: Path) -> None:
    content = video(1, frames=7, labelled=(0, 1, 3, 6))
    assert offsets(content, tmp_path) == {
        0: [0, 0, 0, 1, 2],
        1: [-1, -1, 0, 1, 2],
        3: [-2, -1, 0, 1, 2],
        6: [-2, -1, 0, 0, 0],
    }


def test_clips_bridge_gaps_with_the_nearest_frame_and_never_go_too_far(tmp_path: Path) -> None:
    content = video(1, frames=9, labelled=(4,))
    content["images"] = [i for k, i in enumerate(content["images"]) if k not in (2, 5, 6)]
    assert offsets(content, tmp_path) == {4: [-1, -1, 0, 0, 0]}
    assert offsets(content, tmp_path, span=0) == {4: [0]}


def test_clips_stay_in_their_video(tmp_path: Path) -> None:
    a, b = video(1, frames=2, labelled=(1,)), video(2, frames=2, labelled=(0,))
    for k, image in enumerate(b["images"]):  # ids that go on where the other video ends
        image["id"] = image["frame_id"] = 10000010002 + k
    b["annotations"][0]["image_id"] = 10000010002
    content = {**a, "images": b["images"] + a["images"], "annotations": a["annotations"] + b["annotations"]}
    found = clips(read_posetrack(written(tmp_path, content)))
    assert [{f.video for f in c.frames} for c in found] == [{"000001"}, {"000002"}]


def test_only_labelled_people_make_clips(tmp_path: Path) -> None:
    content = video(1, labelled=(2, 3))
    content["annotations"][0]["keypoints"] = [0.0] * 51
    content["images"][3]["is_labeled"] = False
    frames = read_posetrack(written(tmp_path, content))
    assert clips(frames) == []
    assert len(frames[2].people) == 1  # a box without joints stays somebody


def test_files_and_pictures(tmp_path: Path) -> None:
    write_posetrack(tmp_path, videos=2)
    files = annotation_files([tmp_path / "annotations/train"])
    assert [f.name[:6] for f in files] == ["000001", "000002"]
    frames = read_posetrack(files[0])
    assert missing_pictures(frames, tmp_path) == []
    (tmp_path / frames[4].file_name).unlink()
    assert missing_pictures(frames, tmp_path) == [tmp_path / frames[4].file_name]


Change = Callable[[dict[str, Any]], Any]
BAD: list[tuple[str, Change, str]] = [
    ("a list", lambda c: c.clear(), "want a list named images"),
    ("the first format", lambda c: c.update(annolist=[]), "convert it"),
    ("no file name", lambda c: c["images"][1].pop("file_name"), "images[1]: want a file_name"),
    ("no id", lambda c: c["images"][1].pop("id"), "images[1]: want a whole number as id"),
    ("an id twice", lambda c: c["images"][1].update(id=c["images"][0]["id"]), "is there twice"),
    ("a frame twice", lambda c: c["images"][1].update(frame_id=c["images"][0]["frame_id"]), "are both frame"),
    ("nobody's image", lambda c: c["annotations"][0].update(image_id=5), "annotations[0]: image_id 5 is no image's id"),
    ("too few keypoints", lambda c: c["annotations"][1].update(keypoints=[1, 2, 3]), "want 51 numbers as keypoints"),
    ("words", lambda c: c["annotations"][1]["keypoints"].__setitem__(4, "x"), "annotations[1]: want finite numbers"),
    ("not a number", lambda c: c["annotations"][1]["keypoints"].__setitem__(4, float("nan")), "want finite numbers"),
    ("a box of two", lambda c: c["annotations"][0].update(bbox=[1, 2]), "want four numbers as bbox"),
    ("a track's name", lambda c: c["annotations"][0].update(track_id="a"), "whole number as track_id"),
    ("COCO's joints", lambda c: c["categories"][0]["keypoints"].remove("head_top"), "lack head_top"),
    ("half a region", lambda c: c["images"][0].update(ignore_regions_x=[[1, 2, 3]]), "as many ignore_regions_x"),
]


@pytest.mark.parametrize(("change", "says"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_says_what_is_wrong(tmp_path: Path, change: Change, says: str) -> None:
    content = copy.deepcopy(video(1))
    change(content)
    with pytest.raises(UserError) as told:
        read_posetrack(written(tmp_path, content))
    assert says in str(told.value)
    assert str(tmp_path / "a.json") in str(told.value)


def test_says_what_is_not_there_or_not_json(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b"\xff{")
    (tmp_path / "empty").mkdir()
    for call, says in (
        (lambda: read_posetrack(tmp_path / "none.json"), "does not exist"),
        (lambda: read_posetrack(tmp_path / "b.json"), "not a readable JSON file"),
        (lambda: annotation_files([tmp_path / "empty"]), "has no JSON file in it"),
        (lambda: annotation_files([tmp_path / "none"]), "does not exist"),
    ):
        with pytest.raises(UserError, match=says):
            call()


def test_the_helper_writes_what_posetrack_does() -> None:
    assert len(keypoints(0, 0)) == len(annotation(1, 2, 0, 0)["keypoints"]) == 51
