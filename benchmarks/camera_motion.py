"""How well the camera's own motion is found and taken out: a camera that turns, zooms and shakes, with known motion.

    python benchmarks/camera_motion.py angles VIDEO --pictures FOLDER   # rotation and zoom over a still clip, pictures
    python benchmarks/camera_motion.py paths VIDEO…                     # people's paths, beside those of the still clip
    python benchmarks/camera_motion.py mocap VIDEO --data-root DATA     # paths against the truth of motion capture

A virtual camera films a crop of what a camera that stood still has filmed, see benchmarks/virtual_camera.py: pan ±15°,
tilt ±8°, roll ±4°, zoom 1 to 1.5, shake of 1 % of the width at 1 to 4 Hz, 20 ms from the first row to the last. In
`mocap` it follows a person of motion capture, who is seen through a detector's noise, and films the video's first
picture as the background by which its motion is estimated. Constants were chosen with other seeds and pictures
(--tune) than those of the report.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from footing import META, Clip, chosen, seen_clip
from numpy.typing import NDArray
from virtual_camera import BIG_FOV_DEG, VirtualCamera, angle_deg, follow_camera, in_view
from virtual_paths import PathCamera, compared, paths

from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.motion.camera_decision import decide
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.camera_rest import RestingCamera
from sasmamba.app.motion.placing import place
from sasmamba.app.motion.smoothing import smooth_take
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.take import Take
from sasmamba.app.types import Frame, Person2D, VideoMeta
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.training.motion import Motion, load_motion
from sasmamba.training.noise import detect, measured_movenet
from sasmamba.training.occlusion import hidden
from sasmamba.training.simulate import coco_points

SEEDS = {"report": (101, 102, 103), "tune": (1, 2, 3)}
#: Less than everything.
LESS: dict[str, dict[str, float]] = {
    "rows read at once": {"readout_s": 0},
    "shake alone": {"pan_deg": 0, "tilt_deg": 0, "roll_deg": 0, "zoom": 1},
}


@dataclass(frozen=True)
class Found:
    """What was found of one virtual camera: errors of every frame, degrees and per cent, and milliseconds of CPU."""

    angle_deg: NDArray
    zoom_percent: NDArray
    ms: float
    motion: CameraMotion


def follow(
    camera: VirtualCamera, picture: Callable[[int], NDArray], people: Callable[[int], Sequence[Person2D]]
) -> Found:
    """Runs the estimator over what a virtual camera films, and whom it sees."""
    frames = len(camera.times_s)
    fps = Fraction((frames - 1) / (camera.times_s[-1] - camera.times_s[0])).limit_denominator(1000)
    meta = VideoMeta(*camera.size, fps, frames)
    background, ms = RestingCamera(meta, camera.intrinsics), []
    for i in range(frames):
        frame = Frame(i, i / fps, camera.film(i, picture(i)))
        begin = time.thread_time()
        background.see(frame, people(i))
        ms.append(1000 * (time.thread_time() - begin))
    motion = decide(background.chained(), [range(frames)], meta, camera.intrinsics)
    zoom = 100 * np.abs(motion.zoom / (camera.zoom / camera.zoom[0]) - 1)
    return Found(angle_deg(motion.R_first_cam, camera.R_first_cam), zoom, float(np.mean(ms)), motion)


def row(name: str, some: list[Found]) -> str:
    """A line of the table."""
    angle, zoom = np.concatenate([f.angle_deg for f in some]), np.concatenate([f.zoom_percent for f in some])
    kinds = sorted({f.motion.kind for f in some})

    def three(x: NDArray, digits: int) -> str:
        return " / ".join(f"{v:.{digits}f}" for v in (np.median(x), np.quantile(x, 0.95), x.max()))

    ms = np.mean([f.ms for f in some])
    return f"| {name} | {len(angle)} | {three(angle, 3)} | {three(zoom, 2)} | {', '.join(kinds)} | {ms:.1f} |"


def angles(video: Path, pictures: Path | None, which: str, count: int) -> None:
    """Prints the table of rotation and zoom."""
    with VideoFile(video) as source:
        film, fps = [frame.bgr for frame in source], float(source.meta.fps)
    with open_pose2d("auto", max_people=8) as pose2d:
        people = [pose2d(Frame(i, Fraction(i), bgr)) for i, bgr in enumerate(film)]
    times = np.arange(len(film)) / fps
    print(
        "| camera | frames | rotation, degrees: median / 95 % / max | zoom, %: the same | decided | ms of CPU a frame |"
    )
    print("| --- | --- | --- | --- | --- | --- |")

    def of(some: dict[str, float], seed: int, masked: bool) -> Found:
        camera = VirtualCamera.over(film[0].shape[1::-1], BIG_FOV_DEG, times, seed, width=1280, **some)  # type: ignore[arg-type]

        def seen(i: int) -> list[Person2D]:
            return [in_view(camera, i, person) for person in people[i]] if masked else []

        return follow(camera, lambda i: film[i], seen)

    print(row(f"{video.stem}, everything", [of({}, seed, True) for seed in SEEDS[which]]), flush=True)
    still = {"pan_deg": 0.0, "tilt_deg": 0.0, "roll_deg": 0.0, "zoom": 1.0, "shake": 0.0}
    print(row(f"{video.stem}, none", [of(still, SEEDS[which][0], True)]), flush=True)
    if pictures is not None:
        files = sorted(pictures.rglob("*.jpg"))[which == "report" :: 2]
        some = []
        for k, file in enumerate(files[:: max(1, len(files) // count)][:count]):
            picture = cv2.imread(str(file))
            camera = VirtualCamera.over(
                picture.shape[1::-1], BIG_FOV_DEG, np.arange(90) / 30, SEEDS[which][0] + 1000 + k, width=640
            )
            some.append(follow(camera, lambda i, picture=picture: picture, lambda i: []))  # type: ignore[misc]
        print(row(f"{len(some)} photographs, everything", some), flush=True)
        worst = [f"{f.angle_deg.max():.2f}" for f in some if f.angle_deg.max() > 0.3 or f.zoom_percent.max() > 1]
        print(
            f"\nphotographs beyond 0.3° or 1 % somewhere: {len(worst)} (largest errors {', '.join(worst) or 'none'}°)"
        )
    for name, some in LESS.items():
        print(row(f"{video.stem}, {name}", [of(some, seed, True) for seed in SEEDS[which]]), flush=True)
    print(row(f"{video.stem}, people not masked", [of({}, seed, False) for seed in SEEDS[which]]), flush=True)


def mocap(video: Path, root: Path, which: str, clips: int) -> None:
    """Prints the table of paths against motion capture."""
    lifter = Lifter.load(DEFAULT_LIFTER, torch.device("cpu"), True)
    with VideoFile(video, max_frames=1) as source:
        picture = next(iter(source)).bgr
    sets = {"report": ("h36m_train", ("S8",)), "tune": ("h36m_train", ("S1",))}
    file, words = sets[which]
    motion = load_motion([root / f"{file}.npz"])
    print("| camera | clips | root error, % of the path: mean / worst | cm: mean | planted feet slide, cm/s |")
    print("| --- | --- | --- | --- | --- |")
    kept: dict[str, list[tuple[float, float, float]]] = {}
    for n, c in enumerate([c for c in chosen(motion, words) if "walk" in str(motion.action[c]).lower()][:clips]):
        for name, error in _mocap_clip(motion, c, lifter, picture, 1000 * n + 7):
            kept.setdefault(name, []).append(error)
    for name, some in kept.items():
        percent, cm, slide = np.array(some).T
        share = f"{percent.mean():.1f} / {percent.max():.1f}"
        print(f"| {name} | {len(some)} | {share} | {cm.mean():.1f} | {slide.mean():.1f} |")


def _mocap_clip(
    motion: Motion, c: int, lifter: Lifter, picture: NDArray, seed: int
) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Errors of one clip under a camera that stands still and one that follows; nothing of who goes less than 2 m."""
    still = seen_clip(motion, c, lifter, "still", seed)
    path = still.world[:, 0]
    length = float(np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1).sum())
    if length < 2:
        return
    cam = (path - still.position) @ still.R_world_cam
    times = still.take.seconds()
    camera = follow_camera(cam, times, picture.shape[1::-1], seed, (META.width, META.height))
    found = follow(camera, lambda i: picture, lambda i: [])
    view, moving = camera.intrinsics, seen_by(still, camera, lifter, seed)
    truth = replace(found.motion, kind="rotating", R_first_cam=camera.R_first_cam, zoom=camera.zoom / camera.zoom[0])
    cases = {
        "stands still": (still.take, still.camera, None),
        "follows, its true motion": (moving, view, truth),
        "follows, its motion estimated": (moving, view, found.motion),
        "follows, taken to be still": (moving, view, None),
    }
    for name, (take, intrinsics, how) in cases.items():
        placed = place(replace(take, camera_motion=how), 60, intrinsics=intrinsics)
        if not placed.roots.get(1):
            continue
        frames = sorted(placed.roots[1])
        _, fitted = compared(np.stack([placed.roots[1][f] for f in frames]), path[frames])
        yield name, (100 * fitted / length, 100 * fitted, placed.after.skate_cm_s)


def seen_by(clip: Clip, camera: VirtualCamera, lifter: Lifter, seed: int) -> Take:
    """A clip as a virtual camera in the place of its own sees it, with MoveNet's noise, lifted and smoothed."""
    world = torch.tensor(clip.world)
    R, position = torch.tensor(clip.R_world_cam), torch.tensor(clip.position)
    cam, points = (world - position) @ R, (coco_points(world) - position) @ R
    turn = torch.tensor(camera.rotations(camera.times_s), dtype=torch.float32)
    cam, points = cam @ turn, points @ turn
    focal = torch.tensor(camera.focal_px * camera.zoom, dtype=torch.float32)[:, None, None]
    xy = points[..., :2] / points[..., 2:] * focal + torch.tensor(camera.size) / 2
    size = (xy[..., 1].amax(1) - xy[..., 1].amin(1)).median().clamp(min=1)[None]
    fps = clip.take.meta.fps
    xyc = detect(
        xy[None],
        (torch.arange(len(world)) * (60 / float(fps)))[None],
        size,
        torch.zeros(1, len(world), 17, dtype=torch.bool),
        measured_movenet(1),
        torch.Generator().manual_seed(seed),
        hidden(cam[None], points[None]),
    )[0].numpy()
    take = Take(VideoMeta(*camera.size, fps, len(world)), lifter.name)
    take.times_s = [Fraction(f) / fps for f in range(len(world))]
    for f, person in enumerate(xyc):
        outside = ((person[:, :2] < 0) | (person[:, :2] > camera.size)).any(1)
        score = np.where(outside, 0, person[:, 2]).astype(np.float32)
        found = score > 0
        people = []
        if found.any():
            box = np.concatenate([person[found, :2].min(0), person[found, :2].max(0)]).astype(np.float32)
            people.append(Person2D(1, box, person[:, :2].astype(np.float32), score))
        take.add_people(f, people)
    lift_take(take, lifter, lambda *_: None)
    smooth_take(take)
    return take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["angles", "paths", "mocap"])
    parser.add_argument("videos", type=Path, nargs="+", help="filmed by a camera that stood still; several in `paths`")
    parser.add_argument("--pictures", type=Path, help="a folder of photographs")
    parser.add_argument("--count", type=int, default=24, help="photographs to take")
    parser.add_argument("--data-root", type=Path, help="motion capture")
    parser.add_argument("--clips", type=int, default=12, help="clips of motion capture")
    parser.add_argument("--tune", action="store_true", help="the seeds and pictures that constants were chosen with")
    only = parser.add_argument_group("paths")
    only.add_argument("--cameras", type=int, default=4, help="virtual cameras that see somebody whole for a second")
    only.add_argument("--seeds", type=int, nargs="+", help="these virtual cameras in their place")
    only.add_argument("--fov", type=float, default=BIG_FOV_DEG, help="the video's field of view")
    only.add_argument("--pan", type=float, default=15, help="degrees to either side")
    only.add_argument("--tilt", type=float, default=8)
    only.add_argument("--zoom", type=float, default=1.5)
    only.add_argument("--focal-wrong", type=float, default=1.0, help="a factor by which the focal length is wrong")
    only.add_argument("--keep", type=Path, help="folder for what was seen, to place it again")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    which = "tune" if options.tune else "report"
    if options.table == "angles":
        angles(options.videos[0], options.pictures, which, options.count)
    elif options.table == "paths":
        camera = PathCamera(options.fov, options.pan, options.tilt, options.zoom, options.focal_wrong)
        seeds = options.seeds or SEEDS[which][0]
        paths(options.videos, camera, seeds, options.cameras, options.keep)
    else:
        mocap(options.videos[0], options.data_root, which, options.clips)


if __name__ == "__main__":
    main()
