"""Motion for other programs: who is exported, on which frames, in which axes; and the one door to every format.

World axes are those of `Placement`: metres, x right, y away from the camera, z up, floor at z = 0. Programs in which y
is up get (x, z, -y): x right, y up, z towards the camera.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take, save_poses
from sasmamba.app.types import FloatArray, UserError
from sasmamba.common.files import atomic_path
from sasmamba.models.skeletons import H36M, coco17_to_h36m17

#: Joint names as files have them: left_knee.
JOINTS = tuple(joint.name.lower() for joint in H36M)
AXES = "x right, y away from the camera, z up, floor at z = 0"
AXES_Y_UP = "x right, y up, z towards the camera, floor at y = 0"
#: World axes to axes in which y is up.
R_YUP_WORLD = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)
#: A frame so far from where a constant rate would have it, as a share of a frame, makes a rate variable.
_UNEVEN = 0.1


@dataclass(frozen=True, slots=True)
class Motion:
    """One person's motion.

    Attributes:
        times_s: (F,) seconds of the video. frame: (F,) int, of the video.
        joints: (F, 17, 3) world axes, metres; NaN where there is no pose.
        score: (F, 17) of the 2D joints, 0 where nobody was seen. observed: (F,) bool.
    """

    track_id: int
    frame: NDArray
    times_s: NDArray
    joints: FloatArray
    score: FloatArray
    observed: NDArray


def motions(take: Take, placement: Placement) -> list[Motion]:
    """Everybody's motion, each from the first frame with a pose to the last."""
    out = []
    for i in sorted(placement.poses):
        frames, joints = placement.world(i)
        frame = np.arange(frames[0], frames[-1] + 1)
        at = np.array(frames) - frames[0]
        motion = Motion(
            i,
            frame,
            np.array([float(take.times_s[f]) for f in frame]),
            np.full((len(frame), 17, 3), np.nan, np.float32),
            np.zeros((len(frame), 17), np.float32),
            np.zeros(len(frame), bool),
        )
        motion.joints[at] = joints
        for f, person in take.tracks[i].people.items():
            if frames[0] <= f <= frames[-1]:
                motion.score[f - frames[0]] = coco17_to_h36m17(person.joints_px, person.score)[1]
                motion.observed[f - frames[0]] = True
        out.append(motion)
    return out


@dataclass(frozen=True, slots=True)
class Outcome:
    """What views tell of a run beside its motion.

    Attributes:
        title: the video's name. render: where it is, or None; written: frames in it. pose2d: the 2D stage's name.
        fps: frames per second of the chain; stage_ms: milliseconds per frame of every stage.
        problems: sentences about losses.
    """

    title: str
    render: Path | None = None
    written: int = 0
    pose2d: str = ""
    fps: float = 0.0
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    problems: Sequence[str] = ()


def is_even(motion: Motion, fps: Fraction) -> bool:
    """Whether frames come at a constant rate."""
    expected = motion.times_s[0] + np.arange(len(motion.times_s)) / float(fps)
    return bool(np.abs(motion.times_s - expected).max() * float(fps) <= _UNEVEN)


def at_fixed_rate(motion: Motion, fps: Fraction, fill: bool = False) -> Motion:
    """The motion at a constant rate from its first frame on, for formats that know no other.

    A constant-rate video keeps its frames; others are resampled on straight lines between frames, and a frame beside a
    gap belongs to the gap.

    Args:
        fill: also bridge gaps on straight lines, for formats that need every frame.
    """
    if fill:
        known = np.isfinite(motion.joints).all((1, 2))
        motion = replace(motion, joints=_between(motion.times_s, motion.times_s[known], motion.joints[known]))
    if is_even(motion, fps):
        return motion
    count = int((motion.times_s[-1] - motion.times_s[0]) * float(fps) + _UNEVEN) + 1
    times = motion.times_s[0] + np.arange(count) / float(fps)
    after = np.searchsorted(motion.times_s, times).clip(1, len(motion.times_s) - 1)
    nearest = after - (times - motion.times_s[after - 1] < motion.times_s[after] - times)
    return Motion(
        motion.track_id,
        motion.frame[nearest],
        times,
        _between(times, motion.times_s, motion.joints),
        motion.score[nearest],
        motion.observed[nearest],
    )


def _between(times: NDArray, known_s: NDArray, joints: NDArray) -> FloatArray:
    """Joints (F, 17, 3) known at known_s (F,) on straight lines at times (G,)."""
    if len(known_s) == 1:
        return np.repeat(joints, len(times), 0).astype(np.float32)
    after = np.searchsorted(known_s, times).clip(1, len(known_s) - 1)
    share = ((times - known_s[after - 1]) / (known_s[after] - known_s[after - 1])).clip(0, 1)[:, None, None]
    a, b = joints[after - 1], joints[after]
    # written so that a frame met exactly does not inherit its neighbour's gap
    mixed = np.where(share == 0, a, np.where(share == 1, b, (1 - share) * a + share * b))
    return mixed.astype(np.float32)


def about(take: Take, placement: Placement) -> dict[str, Any]:
    """What every export is told by: video, axes, units, joints, assumptions, how well feet stand."""
    fps = take.meta.fps
    return {
        "video": {
            "width": take.meta.width,
            "height": take.meta.height,
            "frames": take.frames,
            "fps": float(fps),
            "fps_exact": f"{fps.numerator}/{fps.denominator}",
        },
        "model": take.model,
        "units": "metres",
        "axes": AXES,
        "joints": list(JOINTS),
        "assumptions": placement.assumptions,
        "feet": {"before": asdict(placement.before), "after": asdict(placement.after)},
    }


def parse_formats(text: str) -> tuple[str, ...]:
    """Formats of a list such as "bvh,trc", each once, in the order given.

    Raises:
        UserError: an unknown format, or one that needs a package that is not here.
    """
    formats = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"--export knows {', '.join(FORMATS)}, not {name!r}.", exit_code=2)
        package, extra = _NEEDS.get(name, ("", ""))
        if package and find_spec(package) is None:
            raise UserError(f"--export {name} needs a package more: pip install 'sasmamba-demo[{extra}]'.")
    if not formats:
        raise UserError(f"--export wants at least one of {', '.join(FORMATS)}.", exit_code=2)
    return formats


def export_paths(people: Iterable[int], base_path: Path, formats: Iterable[str]) -> list[Path]:
    """The files that `export_motion` writes for these people: NAME_ID.bvh for formats that hold one person, NAME.csv
    for those that hold everybody, and NAME_about.json, which says what the others have no room for."""
    return [path for path, _, _ in _planned(sorted(people), base_path, formats)]


def _planned(people: Sequence[int], base_path: Path, formats: Iterable[str]) -> list[tuple[Path, str, int | None]]:
    """The files to write: each with its format, "about" for the page about the others, and whose it is or None."""
    formats = list(formats)
    files: list[tuple[str, str, int | None]] = []
    for form in formats:
        files += [(f"_{i}.{form}", form, i) for i in people] if form in ONE_PERSON else [(f".{form}", form, None)]
    if "json" not in formats and not SELF_TOLD.issuperset(formats):
        files.append(("_about.json", "about", None))
    return [(base_path.with_name(base_path.name + name), form, person) for name, form, person in files]


def export_motion(
    take: Take, placement: Placement, base_path: Path, formats: Iterable[str], outcome: Outcome | None = None
) -> list[Path]:
    """Writes a take in every format asked for, beside each other; returns the files.

    Args:
        base_path: folder and name without a suffix, see `export_paths`.
        formats: of `FORMATS`, as `parse_formats` gives them.
        outcome: of the run, for formats of `VIEWS`, which show the render; without it they know of none.

    Raises:
        UserError: an unknown format, a package that is not installed, a motion that a format cannot hold, or a disk
            that refuses; each file is whole or not there.
    """
    formats = parse_formats(",".join(formats))
    people = {motion.track_id: motion for motion in motions(take, placement)}
    notes = about(take, placement)
    files = []
    for path, form, i in _planned(list(people), base_path, formats):
        if form == "about":
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(notes, indent=1))
        elif form == "npz":
            save_poses(take, path, _placed(take, placement, notes))
        elif form in VIEWS:
            _view(form)(path, take, placement, list(people.values()), outcome or Outcome(base_path.name))
        else:
            _writer(form)(path, list(people.values()) if i is None else people[i], take.meta.fps, notes)
        files.append(path)
    return files


def _placed(take: Take, placement: Placement, notes: dict[str, Any]) -> dict[str, NDArray]:
    """Arrays that an NPZ has beside those of `save_poses`: world3d (P, F, 17, 3) metres in world axes, NaN where there
    is no pose; R_world_cam (3, 3); about, `about` as JSON."""
    world = np.full((len(take.tracks), take.frames, 17, 3), np.nan, np.float32)
    for p, i in enumerate(sorted(take.tracks)):
        if i in placement.poses:
            frames, joints = placement.world(i)
            world[p, frames] = joints
    return {"world3d": world, "R_world_cam": placement.R_world_cam, "about": np.array(json.dumps(notes))}


#: Formats of which a file holds one person; those that show the render, so that they are written after it; those that
#: say themselves what they assume; and all there are.
ONE_PERSON = ("bvh", "trc", "c3d")
VIEWS = ("html", "rrd")
SELF_TOLD = frozenset({"json", "npz", *VIEWS})
FORMATS = (*ONE_PERSON, "csv", "json", "npz", *VIEWS)
#: Packages that formats need beyond the application's own, and the extra that brings them.
_NEEDS = {"c3d": ("ezc3d", "export"), "rrd": ("rerun", "rerun")}


def _writer(form: str) -> Callable[[Path, Any, Fraction, dict[str, Any]], None]:
    """The function that writes a format; imported here because the writers import this module."""
    from sasmamba.app.export import bvh, c3d, motion_csv, motion_json, trc

    writers: dict[str, Callable[[Path, Any, Fraction, dict[str, Any]], None]] = {
        "bvh": bvh.write_bvh,
        "trc": trc.write_trc,
        "c3d": c3d.write_c3d,
        "csv": motion_csv.write_csv,
        "json": motion_json.write_json,
    }
    return writers[form]


def _view(form: str) -> Callable[[Path, Take, Placement, list[Motion], Outcome], None]:
    """The function that writes a view; imported here for the same reason."""
    from sasmamba.app.export import rrd
    from sasmamba.app.export.report import page

    return {"html": page.write_page, "rrd": rrd.write_rrd}[form]
