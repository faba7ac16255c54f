"""The one door to every format: which there are, what they need, which files they make."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import Outcome, PersonMotion, about, motions
from sasmamba.app.export.poses import save_poses
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path


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
                temporary.write_text(json.dumps(notes, indent=1), encoding="utf-8")
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


def _view(form: str) -> Callable[[Path, Take, Placement, list[PersonMotion], Outcome], None]:
    """The function that writes a view; imported here for the same reason."""
    from sasmamba.app.export import rrd
    from sasmamba.app.export.report import page

    return {"html": page.write_page, "rrd": rrd.write_rrd}[form]
