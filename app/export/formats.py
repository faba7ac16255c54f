"""The one door to every format: which there are, what they need, which files they make."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.measure_files import write_measures
from sasmamba.app.export.motion_table import FEET, JOINTS, Outcome, PersonMotion, about, motions
from sasmamba.app.export.options import ExportOptions, Footage
from sasmamba.app.export.poses import save_poses
from sasmamba.app.motion.performance import view_of
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path

#: What every format writes: name endings, and whether there is such a file for every person or one for all of them.
FORMATS: dict[str, tuple[tuple[str, bool], ...]] = {
    "bvh": ((".bvh", True),),
    "glb": ((".glb", False),),
    "usd": ((".usdc", False),),
    "trc": ((".trc", True),),
    "c3d": ((".c3d", True),),
    "angles": (("_angles.csv", False), ("_angles.mot", True)),
    "measures": (("_measures.csv", False), ("_measures.json", False)),
    "csv": ((".csv", False),),
    "json": ((".json", False),),
    "npz": ((".npz", False),),
    "html": ((".html", False),),
    "rrd": ((".rrd", False),),
}
#: Those that show the render, so that they are written after it; and those that say themselves what they assume and
#: from when to when people are there.
VIEWS = ("html", "rrd")
SELF_TOLD = frozenset({"json", "npz", *VIEWS})
#: Packages that formats need beyond the application's own, and the extra that brings them.
_NEEDS = {
    "c3d": ("ezc3d", "export"),
    "glb": ("pygltflib", "export"),
    "usd": ("pxr", "usd"),
    "rrd": ("rerun", "rerun"),
}
_ABOUT = "_about.json"


@dataclass(frozen=True, slots=True)
class _File:
    """A file to write: of which format ("about": the page about the others), and whose, None for everybody's."""

    path: Path
    form: str
    person: int | None = None


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
    return [file.path for file in _planned(sorted(people), base_path, formats)]


def _planned(people: Sequence[int], base_path: Path, formats: Iterable[str]) -> list[_File]:
    formats = list(formats)

    def named(ending: str) -> Path:
        return base_path.with_name(base_path.name + ending)

    files = []
    for form in formats:
        for ending, each in FORMATS[form]:
            files += [_File(named(f"_{i}{ending}"), form, i) for i in people] if each else [_File(named(ending), form)]
    if not SELF_TOLD.issuperset(formats):
        files.append(_File(named(_ABOUT), "about"))
    return files


def export_motion(
    take: Take,
    placement: Placement,
    base_path: Path,
    formats: Iterable[str],
    outcome: Outcome | None = None,
    options: ExportOptions | None = None,
) -> list[Path]:
    """Writes a take in every format asked for, beside each other; returns the files.

    Files of people whom an earlier run of the same name had found beyond those of this one are removed: what stands
    beside NAME_about.json is of one run.

    Args:
        base_path: folder and name without a suffix, see `export_paths`.
        formats: of `FORMATS`, as `parse_formats` gives them.
        outcome: of the run, for formats of `VIEWS`, which show the render; without it they know of none.
        options: how formats are to be written that leave a choice.

    Raises:
        UserError: an unknown format, a package that is not installed, a motion that a format cannot hold, or a disk
            that refuses; each file is whole or not there.
    """
    formats = parse_formats(",".join(formats))
    people = {motion.track_id: motion for motion in motions(take, placement)}
    footage = Footage(take.seconds(), take.meta.fps, about(take, placement), options or ExportOptions())
    files = _planned(list(people), base_path, formats)
    for form in dict.fromkeys(file.form for file in files):
        paths = {file.path: file.person for file in files if file.form == form}
        if form == "about":
            _write_about(base_path, files, footage)
        elif form == "npz":
            keep = footage.options.keep_inferred
            save_poses(take, next(iter(paths)), _placed(take, placement, people, footage), keep_inferred=keep)
        elif form == "measures":
            table, in_json = paths
            rows = [row for i, who in people.items() for row in who.measures(view_of(take, placement, i))]
            write_measures(table, in_json, rows)
        elif form in VIEWS:
            whole = list(people.values())
            told = replace(outcome or Outcome(base_path.name), keep_inferred=footage.options.keep_inferred)
            _view(form)(next(iter(paths)), take, placement, whole, told)
        else:
            _write(form, paths, people, footage)
    return [file.path for file in files]


def _write(form: str, paths: dict[Path, int | None], people: dict[int, PersonMotion], footage: Footage) -> None:
    """Writes one format; the writers are imported here because some of their packages may be missing."""
    from sasmamba.app.export import angle_files, bvh, c3d, glb, motion_csv, motion_json, trc, usd

    whole, first = list(people.values()), next(iter(paths), None)
    one_person: dict[str, Callable[[Path, PersonMotion, Footage], None]] = {"trc": trc.write_trc, "c3d": c3d.write_c3d}
    everybody: dict[str, Callable[[Path, list[PersonMotion], Footage], None]] = {
        "csv": motion_csv.write_csv,
        "json": motion_json.write_json,
        "glb": glb.write_glb,
        "usd": usd.write_usd,
    }
    if form == "bvh":
        bvh.write_bvh(list(paths), whole, footage)
    elif form == "angles":
        table, *motions_of = paths
        angle_files.write_angles(table, motions_of, whole, footage)
    elif form in one_person:
        for path, person in paths.items():
            assert person is not None
            one_person[form](path, people[person], footage)
    else:
        assert first is not None
        everybody[form](first, whole, footage)


def _write_about(base_path: Path, files: Sequence[_File], footage: Footage) -> None:
    """Writes NAME_about.json, which lists the files of its run, and removes those of people who are no longer there.

    Only files that the last page lists are removed, and only of formats that are written anew; others stay listed.
    """
    path, names = base_path.with_name(base_path.name + _ABOUT), [file.path.name for file in files]
    anew = {ending for file in files if file.person is not None for ending, each in FORMATS[file.form] if each}
    kept = []
    for name in _listed(path):
        ending = re.fullmatch(re.escape(base_path.name) + r"_[0-9]+(\D.*)", name)
        if name not in names and ending and ending[1] in anew:
            path.with_name(name).unlink(missing_ok=True)
        elif name not in names and path.with_name(name).exists():
            kept.append(name)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({**footage.notes, "files": [*names, *kept]}, indent=1), encoding="utf-8")


def _listed(path: Path) -> list[str]:
    """The files that a page of an earlier run lists; none where there is no such page."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8")).get("files", [])
    except (OSError, ValueError, AttributeError):
        return []
    return [name for name in listed if isinstance(name, str) and name == Path(name).name]


def _placed(take: Take, placement: Placement, people: dict[int, PersonMotion], footage: Footage) -> dict[str, NDArray]:
    """Arrays that an NPZ has beside those of `save_poses`: world3d (P, F, 17, 3) and feet3d (P, F, 4, 3) metres in
    world axes, NaN where there is no pose, or a place is unknown; foot_points (4,), names of the latter; feet_seen,
    planted bool (P, F, 2), left and right; R_world_cam (3, 3); about, `about` as JSON."""
    P, F = len(take.tracks), take.frames
    world, feet = np.full((P, F, 17, 3), np.nan, np.float32), np.full((P, F, len(FEET), 3), np.nan, np.float32)
    seen, planted = np.zeros((P, F, 2), bool), np.zeros((P, F, 2), bool)
    for p, i in enumerate(sorted(take.tracks)):
        if (motion := people.get(i)) is not None:
            points = motion.told(footage.options.keep_inferred)
            world[p, motion.frame], feet[p, motion.frame] = points[:, : len(JOINTS)], points[:, len(JOINTS) :]
            seen[p, motion.frame], planted[p, motion.frame] = motion.feet_seen, motion.planted
    return {
        "world3d": world,
        "feet3d": feet,
        "foot_points": np.array(FEET),
        "feet_seen": seen,
        "planted": planted,
        "R_world_cam": placement.R_world_cam,
        "about": np.array(json.dumps(footage.notes)),
    }


def _view(form: str) -> Callable[[Path, Take, Placement, list[PersonMotion], Outcome], None]:
    """The function that writes a view; imported here because its packages may be missing."""
    from sasmamba.app.export import rrd
    from sasmamba.app.export.report import page

    return {"html": page.write_page, "rrd": rrd.write_rrd}[form]
