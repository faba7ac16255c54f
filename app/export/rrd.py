"""RRD for the Rerun viewer (rerun.io): skeletons on the floor, 2D joints before the camera, angles, the render."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import FEET, JOINTS, Outcome, PersonMotion, about
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.locating import MIN_SCORE
from sasmamba.app.motion.placing import Placement
from sasmamba.app.render.palette import SIDE_COLORS, Color, track_color
from sasmamba.app.render.scene import Scene
from sasmamba.app.take import Take
from sasmamba.common.files import atomic_path
from sasmamba.models.angles import ANGLES
from sasmamba.models.skeletons import FOOT_EDGES, H36M, H36M_EDGES, coco17_to_h36m17

if TYPE_CHECKING:
    from rerun import RecordingStream

#: A render up to this size becomes part of the file.
EMBED_AT_MOST = 32_000_000
_JOINT_RADIUS_M, _POINT_RADIUS_PX = 0.025, 4.0
#: The joints, then heels and toes.
_POINTS = (*JOINTS, *FEET)


def write_rrd(path: Path, take: Take, placement: Placement, people: list[PersonMotion], outcome: Outcome) -> None:
    """Writes everybody: metres, right-handed, x right, y away from the camera, z up, floor at z = 0.

    Timelines: `time`, the video's own seconds, and `frame`. Entities: `world/person_ID` the joints, heels and toes by
    name, those whose place is known, none in frames without a pose; `world/floor`; `world/camera/image`, the camera
    as it was assumed, with `person_ID` the 2D joints that were found; `angles/person_ID/NAME` degrees; `render`, up
    to 32 MB and if it is .mp4; `about` as JSON.

    Raises:
        UserError: the disk refuses.
    """
    import rerun as rr

    # Into memory: where a disk refuses, the SDK's own files wait for it for ever, and nothing is raised.
    recording = rr.RecordingStream("sasmamba-demo")
    memory = recording.memory_recording()
    recording.send_blueprint(_layout())
    recording.send_recording_name(outcome.title.encode("utf-8", "backslashreplace").decode())
    recording.log("about", rr.TextDocument(json.dumps(about(take, placement), indent=1)), static=True)
    recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    _log_names(recording, people)
    _log_floor(recording, placement)
    seen = _log_camera(recording, take, placement)
    for motion in people:
        _log_person(recording, take, motion, outcome.keep_inferred)
        _log_angles(recording, motion, outcome.keep_inferred)
        if seen:
            _log_2d(recording, take, motion)
    _log_render(recording, take, outcome)
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.drain_as_bytes())


def _layout() -> Any:
    from rerun import blueprint

    return blueprint.Blueprint(
        blueprint.Horizontal(
            blueprint.Spatial3DView(origin="world", name="People"),
            blueprint.Vertical(
                blueprint.Spatial2DView(origin="render", name="Render"),
                blueprint.TimeSeriesView(origin="angles", name="Joint angles, degrees"),
            ),
        )
    )


def _rgba(color: Color) -> list[int]:
    """BGR as Rerun has colours."""
    return [*(round(c) for c in color[::-1]), 255]


def _log_names(recording: RecordingStream, people: list[PersonMotion]) -> None:
    """What joints and people are called, who has which colour, and which joints a bone joins."""
    import rerun as rr

    classes = [
        rr.ClassDescription(
            info=rr.AnnotationInfo(motion.track_id, f"person {motion.track_id}", _rgba(track_color(motion.track_id))),
            keypoint_annotations=[
                rr.AnnotationInfo(int(j), name) for j, name in zip(range(len(_POINTS)), _POINTS, strict=True)
            ],
            keypoint_connections=[(e.a, e.b) for e in (*H36M_EDGES, *FOOT_EDGES)],
        )
        for motion in people
    ]
    recording.log("/", rr.AnnotationContext(classes), static=True)


def _log_floor(recording: RecordingStream, placement: Placement) -> None:
    import rerun as rr

    scene = Scene.around([np.stack(list(some.values())) for some in placement.roots.values() if some])
    step = max(0.5, float(np.ceil(scene.radius_m / 15)))
    reach = np.ceil(scene.radius_m * 1.4 / step) * step
    middle = np.round(np.array(scene.centre) / step) * step
    at, lines = np.arange(-reach, reach + step / 2, step), []
    for k in at:
        lines += [[[k, -reach, 0], [k, reach, 0]], [[-reach, k, 0], [reach, k, 0]]]
    strips = np.array(lines) + np.append(middle, 0)
    recording.log("world/floor", rr.LineStrips3D(strips, colors=[110, 118, 130], radii=0.003), static=True)


def _log_camera(recording: RecordingStream, take: Take, placement: Placement) -> bool:
    """Puts up the camera; False where nobody was seen who could tell how high it is, and where none was assumed."""
    import rerun as rr

    told = placement.assumptions.get("camera")
    if told is None:
        return False
    camera = Intrinsics(told["fx_px"], told["fy_px"], told["cx_px"], told["cy_px"])
    height = camera_height_m(take, placement, camera)
    if height is None:
        return False
    pose = rr.Transform3D(translation=[0, 0, height], mat3x3=placement.R_world_cam)
    recording.log("world/camera", pose, static=True)
    recording.log(
        "world/camera/image",
        rr.Pinhole(
            focal_length=[camera.fx, camera.fy],
            principal_point=[camera.cx, camera.cy],
            resolution=[take.meta.width, take.meta.height],
            camera_xyz=rr.ViewCoordinates.RDF,
            image_plane_distance=0.5,
        ),
        static=True,
    )
    return True


def camera_height_m(take: Take, placement: Placement, camera: Intrinsics) -> float | None:
    """How high above the floor the camera is: it stands above the origin, and people stand where its rays say.

    The median over all sightings of a pelvis; None without one.
    """
    heights = []
    for i, roots in placement.roots.items():
        for f, root in roots.items():
            if (person := take.tracks[i].people.get(f)) is not None:
                joints, score = coco17_to_h36m17(person.joints_px, person.score)
                if score[H36M.PELVIS] >= MIN_SCORE:
                    ray = placement.R_world_cam @ np.append(camera.rays(joints[H36M.PELVIS]), 1)
                    along = float(root[:2] @ ray[:2] / (ray[:2] @ ray[:2]))
                    heights.append(float(root[2]) - along * float(ray[2]))
    return float(np.median(heights)) if heights else None


def _times(frame: NDArray, time_s: NDArray) -> list[Any]:
    import rerun as rr

    nanoseconds = np.rint(time_s * 1e9).astype("timedelta64[ns]")
    return [rr.TimeColumn("frame", sequence=frame), rr.TimeColumn("time", duration=nanoseconds)]


def _log_person(recording: RecordingStream, take: Take, motion: PersonMotion, keep_inferred: bool) -> None:
    import rerun as rr

    entity, i = f"world/person_{motion.track_id}", motion.track_id
    colors = np.array([_rgba(SIDE_COLORS.get(joint.partition("_")[0], track_color(i))) for joint in _POINTS], np.uint8)
    style = rr.Points3D.from_fields(radii=_JOINT_RADIUS_M, class_ids=i, show_labels=False)
    recording.log(entity, style, static=True)
    frame, times, points = motion.frame, motion.times_s, motion.told(keep_inferred)
    known = np.isfinite(points).all(-1) & motion.posed[:, None]
    numbers = np.nonzero(known)[1]
    columns = rr.Points3D.columns(positions=points[known], keypoint_ids=numbers, colors=colors[numbers])
    counts = known.sum(1)
    if frame[-1] + 1 < take.frames:  # the viewer keeps what was last until it is told that there is nothing
        frame, counts = np.append(frame, frame[-1] + 1), np.append(counts, 0)
        times = np.append(times, float(take.times_s[frame[-1]]))
    recording.send_columns(entity, _times(frame, times), columns.partition(counts))


def _log_2d(recording: RecordingStream, take: Take, motion: PersonMotion) -> None:
    """The 2D joints that were found, in the detection frames."""
    import rerun as rr

    entity, people = f"world/camera/image/person_{motion.track_id}", take.tracks[motion.track_id].people
    frames = np.array(take.detection_frames)
    points, numbers, counts = [np.zeros((0, 2), np.float32)], [np.zeros(0, int)], []
    for f in frames:
        found = np.zeros(0, int)
        if f in people:
            joints, score = coco17_to_h36m17(people[f].joints_px, people[f].score)
            found = np.flatnonzero(score >= MIN_SCORE)
            points.append(joints[found])
            numbers.append(found)
        counts.append(len(found))
    style = rr.Points2D.from_fields(radii=rr.Radius.ui_points(_POINT_RADIUS_PX), class_ids=motion.track_id)
    recording.log(entity, style, static=True)
    columns = rr.Points2D.columns(positions=np.concatenate(points), keypoint_ids=np.concatenate(numbers))
    times = take.seconds(frames)
    recording.send_columns(entity, _times(frames, times), columns.partition(counts))


def _log_angles(recording: RecordingStream, motion: PersonMotion, keep_inferred: bool) -> None:
    import rerun as rr

    angles = motion.angles(keep_inferred)
    for angle in ANGLES:
        for name in angle.series:
            entity, known = f"angles/person_{motion.track_id}/{name}", np.isfinite(angles[name])
            side = name.partition("_")[0] if angle.sides else "middle"
            line = rr.SeriesLines(colors=_rgba(SIDE_COLORS[side]), names=f"#{motion.track_id} {name}".replace("_", " "))
            recording.log(entity, line, static=True)
            if known.any():
                recording.send_columns(
                    entity,
                    _times(motion.frame[known], motion.times_s[known]),
                    rr.Scalars.columns(scalars=angles[name][known]),
                )


def _log_render(recording: RecordingStream, take: Take, outcome: Outcome) -> None:
    import rerun as rr

    render, n = outcome.render, outcome.written
    if render is None or not n or render.suffix.lower() != ".mp4" or render.stat().st_size > EMBED_AT_MOST:
        return
    recording.log("render", rr.AssetVideo(contents=render.read_bytes(), media_type="video/mp4"), static=True)
    times = np.array([float(t) for t in take.times_s[:n]])
    columns = rr.VideoFrameReference.columns_nanos(np.rint(times * 1e9).astype(np.int64))
    recording.send_columns("render", _times(np.arange(n), times), columns)
