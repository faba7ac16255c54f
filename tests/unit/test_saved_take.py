"""Files of poses give back the take that they were made of, and say what they lack."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_fix import saved, walkers

from sasmamba.app.config import Settings
from sasmamba.app.export.poses import save_poses
from sasmamba.app.export.saved_take import read_take
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.take import Take
from sasmamba.app.types import Cut, FloorMark, HeldJoint, SceneLines, UprightMark, VideoMeta
from sasmamba.common.errors import UserError


def rich() -> Take:
    """A take in which nothing is as by default."""
    take = walkers(9, every=4)
    take.meta = VideoMeta(320, 240, Fraction(30000, 1001), 9)
    take.times_s = [Fraction(1001 * f, 30000) for f in range(9)]
    people = take.tracks[2].people
    people[4] = replace(people[4], feet=np.arange(12, dtype=np.float32).reshape(4, 3))
    take.cuts = [Cut(4, take.times_s[4], "fade")]
    turns = np.tile(np.eye(3), (9, 1, 1))
    take.camera_motion = CameraMotion("rotating", turns, np.linspace(1, 2, 9), np.ones(9), given=True)
    take.floor_marks, take.upright_marks = [FloorMark(2, 1, True)], [UprightMark(5, 3.5, -1)]
    take.held = [HeldJoint(4, 2, 9, 0.5)]
    take.scene_lines = SceneLines(np.array([0, 4]), np.arange(8, dtype=np.float32).reshape(2, 2, 2))
    return take


def test_what_was_seen_comes_back(tmp_path: Path) -> None:
    take = rich()
    again = read_take(saved(take, tmp_path / "p.npz", fov_deg=50.0))
    assert (again.meta, again.times_s, again.pose2d_every) == (take.meta, take.times_s, 4)
    assert again.detection_frames == take.detection_frames == [0, 4, 8]
    assert (again.cuts, again.floor_marks, again.upright_marks) == (take.cuts, take.floor_marks, take.upright_marks)
    assert again.held == take.held
    np.testing.assert_array_equal(again.scene_lines.frame, [0, 4])
    np.testing.assert_array_equal(again.scene_lines.ends_px, take.scene_lines.ends_px)
    assert again.camera_motion is not None
    assert (again.camera_motion.kind, again.camera_motion.given) == ("rotating", True)
    np.testing.assert_array_equal(again.camera_motion.zoom, np.linspace(1, 2, 9))
    assert again.tracks.keys() == take.tracks.keys()
    for i, track in take.tracks.items():
        assert list(again.tracks[i].people) == list(track.people)
        for frame, person in track.people.items():
            found = again.tracks[i].people[frame]
            np.testing.assert_array_equal(found.joints_px, person.joints_px)
            np.testing.assert_array_equal(found.score, person.score)
            np.testing.assert_array_equal(found.box_px, person.box_px)
            assert (found.feet is None) == (person.feet is None)
    np.testing.assert_array_equal(again.tracks[2].people[4].feet, np.arange(12).reshape(4, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(fov_deg=50, smooth=False, flip=False, body="full", height_m=1.8, pitch_deg=3, start_s=0.5, stream=1),
        Settings(intrinsics=Intrinsics(300, 310, 160, 120), height_m={1: 1.8, 3: 1.6}, roll_deg=-2, keep_inferred=True),
    ],
)
def test_settings_come_back(settings: Settings) -> None:
    plain = json.loads(json.dumps(settings.kept))
    assert Settings.of_kept(plain) == settings
    assert Settings(height=360).over(plain) == replace(settings, height=360)
    assert Settings(fov_deg=90).over(plain).fov_deg == 90


def test_files_without_lines_are_read(tmp_path: Path) -> None:
    path = saved(rich(), tmp_path / "p.npz")
    arrays = {name: value for name, value in np.load(path).items() if not name.startswith("line_")}
    np.savez(path, **arrays)
    assert not len(read_take(path).scene_lines.frame)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        pytest.param(
            "keypoints_coco17", None, "lacks keypoints_coco17.*--save-poses", id="written by an older version"
        ),
        pytest.param("camera_zoom", None, "lacks camera_zoom.*--save-poses", id="half a path of the camera"),
        pytest.param("line_frame", np.array([0, 9]), "line_frame and line_ends_px: want", id="lines of no frame"),
        pytest.param("line_frame", np.array([0]), "frame: ", id="lines of unequal number"),
        pytest.param("settings", np.array("[]"), "settings: want an object", id="settings of another kind"),
        pytest.param("settings", np.array("{"), "not a file of poses as this version", id="settings that are no JSON"),
        pytest.param("marks", np.array("{}"), "not a file of poses", id="no marks"),
        pytest.param("observed", np.ones((2, 8), bool), "observed: want", id="another number of frames"),
        pytest.param("box_px", np.full((2, 9, 4), np.nan, np.float32), "want numbers", id="not a number"),
        pytest.param("detection_frame", np.array([0, 4, 9]), "detection_frame: want", id="a frame that there is not"),
        pytest.param("detection_frame", np.array([0, 4]), "observed: want", id="somebody beside detection frames"),
        pytest.param("times_s", np.zeros(9), "times that increase", id="times stand still"),
        pytest.param("track_id", np.array([3, 3]), "each once", id="two of one number"),
        pytest.param("width", np.array(0), "video size", id="no picture"),
        pytest.param("camera_kind", np.array("flying"), "camera_kind: want one of", id="a camera of no kind"),
    ],
)
def test_files_that_contradict_themselves(tmp_path: Path, name: str, value: Any, says: str) -> None:
    path = saved(rich(), tmp_path / "p.npz")
    arrays = dict(np.load(path))
    arrays.pop(name)
    np.savez(path, **arrays, **({} if value is None else {name: value}))
    with pytest.raises(UserError, match=says) as refusal:
        read_take(path)
    assert refusal.value.exit_code == 1


def test_no_file_and_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist") as refusal:
        read_take(tmp_path / "none.npz")
    assert refusal.value.exit_code == 2
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UserError, match="is not a readable file of poses"):
        read_take(tmp_path / "text.npz")


def test_nobody(tmp_path: Path) -> None:
    take = walkers(3, 1)
    take.tracks.clear()
    save_poses(take, tmp_path / "p.npz")
    assert read_take(tmp_path / "p.npz").tracks == {}
