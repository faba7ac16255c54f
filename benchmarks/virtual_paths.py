"""People's paths before a virtual camera that turns, beside those of the clip that it films: `camera_motion.py paths`.

Each line is one person before one camera; only frames count in which they were seen in both.

    off      cm by which the path is beside the still clip's as placed, nothing fitted, in the axes of the camera that
             stood still, which are known; in brackets per cent of the path's length, and how much of it is along the
             line of sight
    shape    the same of both paths in their worlds with the best shift and turn about the vertical taken out
    slide    mm a frame of planted feet over the floor: in the still clip, before the camera that turns, and the ratio
    true     off with the camera's true motion: what is less is due to the motion that was found
    carried  off with the still clip's own joints carried into the virtual picture, those beyond its edge left out: what
             is less is due to what is seen there otherwise
    if still off with the camera taken to be still
    turn     the largest error of the camera's rotation, degrees, and of its zoom, per cent
"""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from virtual_camera import VirtualCamera, angle_deg, in_view

from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.camera_watch import CameraWatch
from sasmamba.app.motion.footing import Body, foot_skate
from sasmamba.app.motion.placing import Placement, place
from sasmamba.app.motion.smoothing import smooth_take
from sasmamba.app.pipeline import analyse
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings

#: Cameras that are chosen have somebody whole in their picture for so long.
_IN_VIEW_S = 1.0
#: A path is compared if so much of it was seen by both.
_LEAST_FRAMES = 30


@dataclass(frozen=True)
class PathCamera:
    """What the video's camera is taken to be, how far virtual ones turn and zoom, and by how much the focal length that
    is told is wrong, a factor."""

    fov_deg: float
    pan_deg: float
    tilt_deg: float
    zoom: float
    wrong: float

    def over(self, take: Take, seed: int) -> VirtualCamera:
        """A virtual camera over a still clip; its shorter side has 720 pixels."""
        meta = take.meta
        return VirtualCamera.over(
            (meta.width, meta.height),
            self.fov_deg,
            np.arange(len(take.times_s)) / float(meta.fps),
            seed,
            width=720 if meta.height > meta.width else 1280,
            pan_deg=self.pan_deg,
            tilt_deg=self.tilt_deg,
            zoom=self.zoom,
        )


def paths(videos: Sequence[Path], camera: PathCamera, seeds: list[int] | int, count: int, keep: Path | None) -> None:
    """Prints the table.

    Args:
        seeds: of the cameras; or the first of those of which the first `count` are taken that see somebody whole.
        keep: folder for the takes.
    """
    lifter = Lifter.load(DEFAULT_LIFTER, torch.device("cpu"), True, detected=True)
    print(
        "| video, seed | person | frames | path, m | off, cm (%), along | shape, cm (%) | slide | true | carried "
        "| if still | turn |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for video in videos:
        name = f"{video.parent.parent.name}_{video.stem}"
        with VideoFile(video) as source:
            film, meta = [frame.bgr for frame in source], source.meta
        big = Intrinsics.assumed(meta, camera.fov_deg)
        still = _kept(keep, f"{name}_still", video, big, lifter)
        for seed in seeds if isinstance(seeds, list) else _seeing(camera, still, seeds, count):
            view = camera.over(still, seed)
            told = _scaled(view.intrinsics, camera.wrong)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "virtual.mp4"
                with Mp4Sink(path, *view.size, meta.fps) as sink:
                    for i, bgr in enumerate(film):
                        sink.write(view.film(i, bgr), i / meta.fps)
                take = _kept(keep, f"{name}_{seed}", path, told, lifter)
            for row in rows(still, take, view, _scaled(big, camera.wrong), told, lifter):
                print(f"| {video.stem}, {seed} | {row}", flush=True)


def _kept(keep: Path | None, name: str, video: Path, camera: Intrinsics, lifter: Lifter) -> Take:
    """A video through the whole chain up to the smoothed poses, as the command does it, or as it was kept."""
    kept = keep / f"{name}.pickle" if keep else None
    if kept and kept.exists():
        take: Take = pickle.loads(kept.read_bytes())  # our own file
    else:
        with (
            VideoFile(video) as source,
            CameraWatch(source.meta, camera) as watch,
            open_pose2d("auto", max_people=8) as pose2d,
        ):
            take = analyse(
                source,
                pose2d,
                lifter,
                every=1,
                max_people=8,
                timings=Timings(),
                stop=Stop(),
                progress=lambda *_: None,
                watch=watch,
            )
        if kept:
            kept.write_bytes(pickle.dumps(take))
    smooth_take(take)
    return take


def _seeing(camera: PathCamera, still: Take, seed: int, count: int) -> Iterator[int]:
    """The first so many seeds whose cameras have somebody whole in their picture for a while."""
    while count:
        view = camera.over(still, seed)
        most = max(
            (sum(_whole(view, f, who) for f, who in track.people.items()) for track in still.tracks.values()), default=0
        )
        if most >= _IN_VIEW_S * still.meta.fps:
            count -= 1
            yield seed
        seed += 1


def _whole(camera: VirtualCamera, frame: int, person: Person2D) -> bool:
    """Whether all of somebody, seen in the larger picture, is in a virtual camera's."""
    box = in_view(camera, frame, person).box_px
    return bool((box[:2] > 0).all() and (box[2:] < camera.size).all())


def rows(
    still: Take, take: Take, camera: VirtualCamera, big: Intrinsics, told: Intrinsics, lifter: Lifter
) -> Iterator[str]:
    """The lines of one virtual camera, its still clip and what was made of both, without their beginning."""
    true = CameraMotion("rotating", camera.R_first_cam, camera.zoom / camera.zoom[0], np.ones(len(camera.zoom)))
    found = take.camera_motion
    assert found is not None, "the camera was watched"
    turn = float(angle_deg(found.R_first_cam, camera.R_first_cam).max())
    zoom = 100 * float(np.abs(found.zoom / true.zoom - 1).max())
    same = dict(_same_people(still, take, camera))
    there = place(still, 60, intrinsics=big)
    here = place(take, 60, intrinsics=told)
    others = [
        place(replace(take, camera_motion=true), 60, intrinsics=told),
        place(_carried(still, take, camera, same, lifter), 60, intrinsics=told),
        place(replace(take, camera_motion=None), 60, intrinsics=told),
    ]
    R = camera.rotations(camera.times_s[:1])[0]  # axes of its first frame to those of the camera that stood still
    for i, j in same.items():
        if j not in there.roots or i not in here.roots:
            continue
        b = in_first_camera(there, j)
        placed = [
            {f: R @ at for f, at in in_first_camera(p, i).items()} if i in p.roots else {} for p in (here, *others)
        ]
        frames = sorted(
            f for f in b.keys() & placed[0].keys() if f in take.tracks[i].people and f in still.tracks[j].people
        )
        if len(frames) < _LEAST_FRAMES:
            continue
        path = np.stack([b[f] for f in frames])
        length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        off = np.stack([placed[0][f] for f in frames]) - path
        sight = path / np.linalg.norm(path, axis=1, keepdims=True)
        mean, along = (100 * float(x.mean()) for x in (np.linalg.norm(off, axis=1), np.abs((off * sight).sum(1))))
        shape = 100 * shape_off(*(np.stack([p.roots[k][f] for f in frames]) for p, k in ((here, i), (there, j))))
        slides = slide_mm(there, j, still.meta.fps), slide_mm(here, i, still.meta.fps)
        rest = []
        for where in placed[1:]:
            both = [f for f in frames if f in where]
            error = np.array([np.linalg.norm(where[f] - b[f]) for f in both])
            rest.append(f"{100 * error.mean():.1f}" if both else "–")
        yield (
            f"{j} | {len(frames)} | {length:.2f} | {mean:.1f} ({mean / length:.1f}), {along:.1f} | {shape:.1f} "
            f"({shape / length:.1f}) | {slides[0]:.2f}, {slides[1]:.2f}, {slides[1] / slides[0]:.2f} | "
            f"{' | '.join(rest)} | {turn:.2f}, {zoom:.1f} |"
        )


def _same_people(still: Take, take: Take, camera: VirtualCamera) -> Iterator[tuple[int, int]]:
    """Track ids in the virtual camera's take and the still clip's of one person: their boxes' middles agree."""
    for i, track in take.tracks.items():
        for j, big in still.tracks.items():
            seen = [f for f in track.people if f in big.people]
            if len(seen) < _LEAST_FRAMES:
                continue
            off = []
            for f in seen:
                middle = camera.to_view(f, big.people[f].box_px.reshape(2, 2).mean(0))
                box = track.people[f].box_px.reshape(2, 2)
                off.append(np.linalg.norm(middle - box.mean(0)) / np.linalg.norm(box[1] - box[0]))
            if np.median(off) < 0.2:
                yield i, j


def _carried(still: Take, take: Take, camera: VirtualCamera, same: dict[int, int], lifter: Lifter) -> Take:
    """The virtual camera's take with the still clip's own joints, those beyond the picture's edge not found."""
    out = copy.deepcopy(take)
    for i, j in same.items():
        track, people = out.tracks[i], {}
        for f in track.people.keys() & still.tracks[j].people.keys():
            there = in_view(camera, f, still.tracks[j].people[f])
            outside = ((there.joints_px < 0) | (there.joints_px > camera.size)).any(1)
            score = np.where(outside, 0, there.score).astype(np.float32)
            people[f] = replace(track.people[f], joints_px=there.joints_px, score=score, feet=None)
        track.people = dict(sorted(people.items()))
    for track in out.tracks.values():
        track.poses = {}
    lift_take(out, lifter, lambda *_: None)
    smooth_take(out)
    return out


def in_first_camera(placement: Placement, track_id: int) -> dict[int, NDArray]:
    """Somebody's pelvis by frame in the axes of the first frame's camera, from its centre."""
    lift = np.array([0, 0, placement.shots[0].height_m])
    return {f: (at - lift) @ placement.R_world_cam for f, at in placement.roots[track_id].items()}


def shape_off(a: NDArray, b: NDArray) -> float:
    """Mean distance between paths (F, 3), z up, with the best shift and turn about the vertical taken out, metres."""
    a, b = a - a.mean(0), b - b.mean(0)
    (ax, ay, _), (bx, by, _) = a.T, b.T
    turn = np.arctan2((ax * by - ay * bx).sum(), (ax * bx + ay * by).sum())
    c, s = np.cos(turn), np.sin(turn)
    return float(np.linalg.norm(a @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) - b, axis=1).mean())


def slide_mm(placement: Placement, track_id: int, fps: float) -> float:
    """Mean mm a frame by which somebody's planted feet go over the floor; NaN without any."""
    frames, world = placement.world(track_id)
    root = world[:, 0]
    planted = np.stack([placement.planted[track_id][f] for f in frames])
    speed = foot_skate(Body(np.array(frames) / float(fps), world - root[:, None], root), planted)
    return 1000 * float(speed.mean()) / float(fps) if len(speed) else float("nan")


def compared(a: NDArray, b: NDArray) -> tuple[float, float]:
    """Mean distance between paths (F, 3) as they are, and with the best rotation and shift taken out, metres."""
    middle_a, middle_b = a.mean(0), b.mean(0)
    U, _, V = np.linalg.svd((a - middle_a).T @ (b - middle_b))
    U[:, -1] *= np.sign(np.linalg.det(U @ V))
    fitted = (a - middle_a) @ (U @ V) + middle_b
    return float(np.linalg.norm(a - b, axis=1).mean()), float(np.linalg.norm(fitted - b, axis=1).mean())


def _scaled(camera: Intrinsics, factor: float) -> Intrinsics:
    return Intrinsics(camera.fx * factor, camera.fy * factor, camera.cx, camera.cy)
