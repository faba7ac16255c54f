"""The Rerun export, read back with the SDK's reader: numbers, times, gaps, axes, the camera."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_certainty import LEGS, seen_take, without_legs
from test_exports import scene, walking

from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import FEET, JOINTS, Outcome, motions
from sasmamba.app.export.options import ExportOptions
from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.motion.axes import R_WORLD_CAM
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D
from sasmamba.models.angles import joint_angles
from sasmamba.models.skeletons import COCO, H36M

chunk: Any = pytest.importorskip("rerun.chunk", reason="rerun-sdk (extra `rerun`), which writes RRD, is not installed")

FX, CX, CY, CAMERA_M = 500.0, 320.0, 240.0, 1.6
CAMERA = {"fx_px": FX, "fy_px": FX, "cx_px": CX, "cy_px": CY, "fov_deg": 65.0, "given": False, "moves": False}


def seen_by_camera(people: dict[int, np.ndarray], **options: Any) -> tuple[Take, Placement]:
    """A scene whose people stand 5 m before a level camera, 1.6 m above the floor, with true 2D joints."""
    away = {i: world + np.array([0, 5, 0]) for i, world in people.items()}
    take, placement = scene(away, **options)
    placement.assumptions["camera"] = CAMERA
    start = options.get("start", 0)
    for i, world in away.items():
        for f in take.tracks[i].people:
            joints = np.stack(
                [world[f - start, H36M[j.name]] if j.name in H36M.__members__ else np.zeros(3) for j in COCO]
            )
            seen = joints - [0, 0, CAMERA_M]
            px = np.stack([CX + FX * seen[:, 0] / seen[:, 1].clip(0.1), CY - FX * seen[:, 2] / seen[:, 1].clip(0.1)], 1)
            score = np.array([0.9 if j.name in H36M.__members__ else 0.0 for j in COCO], np.float32)
            take.tracks[i].people[f] = Person2D(i, np.zeros(4, np.float32), px.astype(np.float32), score)
    take.detection_frames = list(range(0, take.frames, 2))
    return take, placement


def read(path: Path) -> dict[tuple[str, bool], dict[str, list[Any]]]:
    """Columns by entity and whether they are static."""
    out: dict[tuple[str, bool], dict[str, list[Any]]] = {}
    for part in chunk.RrdReader(path).stream().to_chunks():
        columns = out.setdefault((part.entity_path, part.is_static), {})
        batch = part.to_record_batch()
        for name in batch.schema.names:
            if not name.startswith("rerun."):
                columns.setdefault(name, []).extend(
                    batch.column(name).cast("int64").to_pylist() if name == "time" else batch.column(name).to_pylist()
                )
    return out


def test_everybody_is_where_they_were(tmp_path: Path) -> None:
    people = {1: walking(40), 4: walking(40) + np.array([1, 0, 0])}
    take, placement = seen_by_camera(people, start=5, gap=range(20, 24))
    (path,) = export_motion(take, placement, tmp_path / "clip", ["rrd"])
    found, feet = read(path), {m.track_id: m.feet for m in motions(take, placement)}
    for i, world in people.items():
        moving, still = found[f"/world/person_{i}", False], found[f"/world/person_{i}", True]
        assert moving["frame"] == list(range(5, 45))
        np.testing.assert_allclose(np.array(moving["time"]) / 1e9, [f * 1001 / 30000 for f in range(5, 45)], atol=1e-9)
        for f, joints in zip(moving["frame"], moving["Points3D:positions"], strict=True):
            if 20 <= f < 24:
                assert joints == []
            else:
                np.testing.assert_allclose(joints[:17], world[f - 5] + np.array([0, 5, 0]), atol=1e-5)
                np.testing.assert_allclose(joints[17:], feet[i][f - 5], atol=1e-5)
        assert moving["Points3D:keypoint_ids"] == [[] if 20 <= f < 24 else list(range(21)) for f in range(5, 45)]
        assert still["Points3D:class_ids"] == [[i]]
        knee = found[f"/angles/person_{i}/left_knee_flexion", False]
        truth = joint_angles(world)["left_knee_flexion"]
        assert set(knee["frame"]) == set(range(5, 45)) - set(range(20, 24))
        for f, (value,) in zip(knee["frame"], knee["Scalars:scalars"], strict=True):
            assert value == pytest.approx(truth[f - 5], abs=0.01)
    assert found["/world", True]["ViewCoordinates:xyz"] == [[[3, 5, 1]]]  # right, forward, up: right-handed, z up
    names = json.dumps(found["/", True]["AnnotationContext:context"])
    assert all(f'"{joint}"' in names for joint in (*JOINTS, *FEET, "person 1", "person 4"))
    assert json.loads(found["/about", True]["TextDocument:text"][0][0])["assumptions"]["camera"] == CAMERA


def test_who_has_gone_is_not_left_standing(tmp_path: Path) -> None:
    take, placement = seen_by_camera({1: walking(10)})
    take.times_s += [take.times_s[-1] + 1, take.times_s[-1] + 2]
    moving = read(export_motion(take, placement, tmp_path / "clip", ["rrd"])[0])["/world/person_1", False]
    assert moving["frame"][-1] == 10
    assert moving["Points3D:positions"][-1] == []


def test_the_camera_sees_the_3d_joints_where_the_2d_ones_are(tmp_path: Path) -> None:
    take, placement = seen_by_camera({1: walking(10)})
    found = read(export_motion(take, placement, tmp_path / "clip", ["rrd"])[0])
    pose = found["/world/camera", True]
    (((*place,),),) = pose["Transform3D:translation"]
    assert place == pytest.approx([0, 0, CAMERA_M], abs=1e-3)  # hips in the picture are not quite half-way
    R = np.array(pose["Transform3D:mat3x3"][0][0]).reshape(3, 3).T  # by columns
    K = np.array(found["/world/camera/image", True]["Pinhole:image_from_camera"][0][0]).reshape(3, 3).T
    assert found["/world/camera/image", True]["Pinhole:camera_xyz"] == [[[3, 2, 5]]]  # right, down, forward
    joints = dict(
        zip(
            found["/world/person_1", False]["frame"], found["/world/person_1", False]["Points3D:positions"], strict=True
        )
    )
    flat = found["/world/camera/image/person_1", False]
    assert flat["frame"] == [0, 2, 4, 6, 8]
    compared = 0
    for f, pixels, numbers in zip(
        flat["frame"], flat["Points2D:positions"], flat["Points2D:keypoint_ids"], strict=True
    ):
        for (x, y), joint in zip(pixels, numbers, strict=True):
            if H36M(joint).name.startswith(("LEFT_", "RIGHT_")):  # the others are derived, and not quite the walker's
                u, v, w = K @ R.T @ (np.array(joints[f][joint]) - place)
                assert (u / w, v / w) == pytest.approx((x, y), abs=0.1)
                compared += 1
    assert compared == 5 * 12


def test_the_render_is_in_it_with_its_times(tmp_path: Path) -> None:
    take, placement = seen_by_camera({1: walking(10)})
    with Mp4Sink(tmp_path / "clip.mp4", 64, 48, take.meta.fps) as sink:
        for time in take.times_s[:6]:
            sink.write(np.full((48, 64, 3), 90, np.uint8), time)
    outcome = Outcome("clip", tmp_path / "clip.mp4", 6)
    found = read(export_motion(take, placement, tmp_path / "clip", ["rrd"], outcome)[0])
    assert bytes(found["/render", True]["AssetVideo:blob"][0][0]) == (tmp_path / "clip.mp4").read_bytes()
    assert found["/render", False]["frame"] == list(range(6))
    import rerun

    own = rerun.AssetVideo(path=tmp_path / "clip.mp4").read_frame_timestamps_nanos()
    told = [t for (t,) in found["/render", False]["VideoFrameReference:timestamp"]]
    np.testing.assert_allclose(told, own, atol=12_000)  # the file's clock ticks every 11 microseconds


def test_nobody_and_no_camera(tmp_path: Path) -> None:
    take, placement = scene({1: walking(3)})
    found = read(export_motion(take, placement, tmp_path / "one", ["rrd"])[0])
    assert ("/world/camera", True) not in found
    take.tracks.clear()
    found = read(export_motion(take, Placement(R_WORLD_CAM, {}, {}, 60.0), tmp_path / "none", ["rrd"])[0])
    assert {entity for entity, _ in found if entity.startswith("/world")} == {"/world", "/world/floor"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["none.rrd", "one.rrd"]


@pytest.mark.parametrize("keep", [False, True])
def test_legs_that_nobody_saw_are_there_only_if_they_are_asked_for(tmp_path: Path, keep: bool) -> None:
    take, placement = seen_take()
    without_legs(take, range(90))
    options = ExportOptions(keep_inferred=keep)
    found = read(export_motion(take, placement, tmp_path / "clip", ["rrd"], options=options)[0])
    legs = {*LEGS, *range(len(JOINTS), len(JOINTS) + len(FEET))}
    assert all(bool(legs & set(told)) == keep for told in found["/world/person_1", False]["Points3D:keypoint_ids"][:90])
    assert ("frame" in found.get(("/angles/person_1/left_knee_flexion", False), {})) == keep
