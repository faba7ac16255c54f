"""How well the camera's own motion is found and taken out: a camera that turns, zooms and shakes, with known motion.

    python benchmarks/camera_motion.py angles VIDEO --pictures FOLDER   # rotation and zoom over a still clip, pictures
    python benchmarks/camera_motion.py paths VIDEO                      # people's paths, beside those of the still clip
    python benchmarks/camera_motion.py mocap VIDEO --data-root DATA     # paths against the truth of motion capture

A virtual camera films a crop of what a camera that stood still has filmed, see benchmarks/virtual_camera.py: pan ±15°,
tilt ±8°, roll ±4°, zoom 1 to 1.5, shake of 1 % of the width at 1 to 4 Hz, 20 ms from the first row to the last. In
`mocap` it follows a person of motion capture, who is seen through a detector's noise, and films the video's first
picture as the background by which its motion is estimated. Constants were chosen with other seeds and pictures
(--tune) than those of the report.
"""

from __future__ import annotations

import argparse
import tempfile
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
from virtual_camera import VirtualCamera, angle_deg, follow_camera

from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_decision import decide
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.camera_rest import RestingCamera
from sasmamba.app.motion.camera_watch import CameraWatch
from sasmamba.app.motion.placing import Placement, place
from sasmamba.app.motion.smoothing import smooth_take
from sasmamba.app.pipeline import analyse
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.take import Take
from sasmamba.app.types import Frame, Person2D, VideoMeta
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings
from sasmamba.training.motion import Motion, load_motion
from sasmamba.training.noise import detect, measured_movenet
from sasmamba.training.occlusion import hidden
from sasmamba.training.simulate import coco_points

#: The larger picture's field of view, as it is taken to be.
BIG_FOV_DEG = 70.0
SEEDS = {"report": (101, 102, 103), "tune": (1, 2, 3)}
#: Virtual cameras whose paths are compared have somebody in their picture for so many frames.
_IN_VIEW = 30
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


def in_view(camera: VirtualCamera, frame: int, person: Person2D) -> Person2D:
    """Somebody of the larger picture in a virtual camera's."""
    joints = camera.to_view(frame, person.joints_px).astype(np.float32)
    box = box_in_view(camera, frame, person.box_px).astype(np.float32)
    return replace(person, joints_px=joints, box_px=box, feet=None)


def box_in_view(camera: VirtualCamera, frame: int, box: NDArray) -> NDArray:
    """A box (4,) of the larger picture in a virtual camera's."""
    x0, y0, x1, y1 = box
    corners = camera.to_view(frame, np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
    return np.concatenate([corners.min(0), corners.max(0)])


def analysed(path: Path, camera: Intrinsics, lifter: Lifter) -> Take:
    """A video through the whole chain up to the poses, as the command does it."""
    with (
        VideoFile(path) as source,
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
    smooth_take(take)
    return take


def in_first_camera(placement: Placement, track_id: int) -> dict[int, NDArray]:
    """Somebody's pelvis by frame in the axes of the first frame's camera, from its centre."""
    lift = np.array([0, 0, placement.shots[0].height_m])
    return {f: (at - lift) @ placement.R_world_cam for f, at in placement.roots[track_id].items()}


def compared(a: NDArray, b: NDArray) -> tuple[float, float]:
    """Mean distance between paths (F, 3) as they are, and with the best rotation and shift taken out, metres."""
    middle_a, middle_b = a.mean(0), b.mean(0)
    U, _, V = np.linalg.svd((a - middle_a).T @ (b - middle_b))
    U[:, -1] *= np.sign(np.linalg.det(U @ V))
    fitted = (a - middle_a) @ (U @ V) + middle_b
    return float(np.linalg.norm(a - b, axis=1).mean()), float(np.linalg.norm(fitted - b, axis=1).mean())


def paths(video: Path, which: str, wrong: float, cameras: int) -> None:
    """Prints the table of paths beside those of the still clip: how far off they are on average as they are, in the
    axes of the camera that stood still, in all frames and in those in which all of them is in the virtual camera's
    picture, and, of all frames, with the best rotation and shift taken out; how fast planted feet slide in
    the still clip and in the moving; and how far off they are with the camera's true motion, which leaves
    what the 2D and the lifter make of another picture, and with the camera taken to be still."""
    lifter = Lifter.load(DEFAULT_LIFTER, torch.device("cpu"), True, detected=True)
    with VideoFile(video) as source:
        film, meta = [frame.bgr for frame in source], source.meta
    big = Intrinsics.assumed(meta, BIG_FOV_DEG)
    still_take = analysed(video, big, lifter)
    print(
        "| seed | person | frames | path, m | off, cm | % of path | in view: frames | off, cm | fitted, cm "
        "| slide, cm/s | true | if still |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    times = np.arange(len(film)) / float(meta.fps)
    seed, done = SEEDS[which][0], 0
    while done < cameras:
        camera = VirtualCamera.over((meta.width, meta.height), BIG_FOV_DEG, times, seed, width=1280)
        seed += 1
        if _most_in_view(camera, still_take) < _IN_VIEW:
            continue  # it looks elsewhere
        done += 1
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "virtual.mp4"
            with Mp4Sink(path, *camera.size, meta.fps) as sink:
                for i, bgr in enumerate(film):
                    sink.write(camera.film(i, bgr), i / meta.fps)
            take = analysed(path, _scaled(camera.intrinsics, wrong), lifter)
        print_paths(seed - 1, still_take, take, camera, big, wrong)


def print_paths(seed: int, still_take: Take, take: Take, camera: VirtualCamera, big: Intrinsics, wrong: float) -> None:
    """The lines of one virtual camera."""
    still = place(still_take, 60, intrinsics=_scaled(big, wrong))
    moved = place(take, 60, intrinsics=_scaled(camera.intrinsics, wrong))
    ignored = place(replace(take, camera_motion=None), 60, intrinsics=_scaled(camera.intrinsics, wrong))
    truth = CameraMotion("rotating", camera.R_first_cam, camera.zoom / camera.zoom[0], np.ones(len(camera.zoom)))
    true = place(replace(take, camera_motion=truth), 60, intrinsics=_scaled(camera.intrinsics, wrong))
    R = camera.rotations(camera.times_s[:1])[0]  # axes of its first frame to those of the camera that stood still
    slide = f"{still.after.skate_cm_s:.1f}, {moved.after.skate_cm_s:.1f}"
    for i in sorted(moved.roots):
        here = {f: R @ at for f, at in in_first_camera(moved, i).items()}
        blind = {f: R @ at for f, at in in_first_camera(ignored, i).items()}
        best: tuple[int, list[int]] | None = None
        for j, track in still_take.tracks.items():
            common = sorted(here.keys() & still.roots[j].keys()) if j in still.roots else []
            seen = [f for f in common if f in track.people and f in take.tracks[i].people]
            if len(seen) >= 30 and _same(camera, track.people, take.tracks[i].people, seen):
                best = j, common
        if best is None:
            continue
        j, common = best
        there = in_first_camera(still, j)
        a, b = np.stack([here[f] for f in common]), np.stack([there[f] for f in common])
        length = float(np.linalg.norm(np.diff(b, axis=0), axis=1).sum())
        off, fitted = compared(a, b)
        inside = np.array([_is_in_view(camera, f, still_take.tracks[j].people.get(f)) for f in common])
        off_inside = f"{100 * compared(a[inside], b[inside])[0]:.1f}" if inside.any() else "–"
        off_blind, _ = compared(np.stack([blind[f] for f in common]), b)
        off_true, _ = compared(np.stack([R @ at for f, at in in_first_camera(true, i).items() if f in common]), b)
        print(
            f"| {seed} | {j} | {len(common)} | {length:.2f} | {100 * off:.1f} | {100 * off / length:.1f} | "
            f"{inside.sum()} | {off_inside} | {100 * fitted:.1f} | {slide} | "
            f"{100 * off_true:.1f} | {100 * off_blind:.0f} |",
            flush=True,
        )


def _most_in_view(camera: VirtualCamera, take: Take) -> int:
    """In how many frames all of whoever is seen most is in a virtual camera's picture."""
    counts = [sum(_is_in_view(camera, f, who) for f, who in track.people.items()) for track in take.tracks.values()]
    return max(counts, default=0)


def _is_in_view(camera: VirtualCamera, frame: int, person: Person2D | None) -> bool:
    """Whether all of somebody, seen in the larger picture, is in a virtual camera's."""
    if person is None:
        return False
    box = box_in_view(camera, frame, person.box_px)
    return bool((box[:2] > 0).all() and (box[2:] < camera.size).all())


def _same(camera: VirtualCamera, big: dict[int, Person2D], view: dict[int, Person2D], frames: list[int]) -> bool:
    """Whether two tracks are of one person: their boxes' middles agree."""
    off = []
    for f in frames:
        middle = camera.to_view(f, big[f].box_px.reshape(2, 2).mean(0))
        box = view[f].box_px.reshape(2, 2)
        off.append(np.linalg.norm(middle - box.mean(0)) / np.linalg.norm(box[1] - box[0]))
    return bool(np.median(off) < 0.2)


def _scaled(camera: Intrinsics, factor: float) -> Intrinsics:
    return Intrinsics(camera.fx * factor, camera.fy * factor, camera.cx, camera.cy)


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
    parser.add_argument("video", type=Path, help="filmed by a camera that stood still")
    parser.add_argument("--pictures", type=Path, help="a folder of photographs")
    parser.add_argument("--count", type=int, default=24, help="photographs to take")
    parser.add_argument("--data-root", type=Path, help="motion capture")
    parser.add_argument("--cameras", type=int, default=4, help="virtual cameras in `paths`")
    parser.add_argument("--clips", type=int, default=12, help="clips of motion capture")
    parser.add_argument("--focal-wrong", type=float, default=1.0, help="a factor by which the focal length is wrong")
    parser.add_argument("--tune", action="store_true", help="the seeds and pictures that constants were chosen with")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    which = "tune" if options.tune else "report"
    if options.table == "angles":
        angles(options.video, options.pictures, which, options.count)
    elif options.table == "paths":
        paths(options.video, which, options.focal_wrong, options.cameras)
    else:
        mocap(options.video, options.data_root, which, options.clips)


if __name__ == "__main__":
    main()
