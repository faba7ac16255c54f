"""Everything a user can type or read is documented: commands, options, columns, keys, arrays, angles, rigs."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import sys
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_motion import walker

from sasmamba.app.export.formats import FORMATS, export_motion
from sasmamba.app.export.markers import MARKERS
from sasmamba.app.export.motion_table import FEET, JOINTS
from sasmamba.app.export.rigs import RIGS
from sasmamba.app.motion import self_checks
from sasmamba.app.motion.axes import R_WORLD_CAM
from sasmamba.app.motion.body_checks import CHECKS
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.checks import Rule
from sasmamba.app.motion.measure import GROUPS
from sasmamba.app.motion.placing import Placement, place
from sasmamba.app.run_report import Report
from sasmamba.app.take import Take, Track
from sasmamba.app.types import Person2D, Pose3D, VideoMeta
from sasmamba.models.angles import ANGLES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WORDS = set(re.findall(r"[\w-]+", (DOCS / "formats.md").read_text()))


def tool(name: str) -> Any:
    """A program of tools/, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_and_option_is_on_its_page() -> None:
    page = tool("commands_page").page()
    assert (DOCS / "commands.md").read_text() == page, "run python tools/commands_page.py"
    for line in ("sasmamba-demo run", "sasmamba-demo live", "sasmamba-demo weights fetch", "sasmamba.training convert"):
        assert line in page
    assert {"`--export`", "`--no-refine`"} <= set(page.replace(",", " ").split())


def test_every_angle_is_drawn_as_it_is_defined() -> None:
    drawings = tool("angle_drawings")
    files = drawings.written()  # stops where the program finds another angle than is drawn
    assert len(files) == len(ANGLES) + 1
    for path, text in files.items():
        assert path.read_text() == text, "run python tools/angle_drawings.py"
    shown = drawings.DRAWINGS["knee_flexion"]
    with pytest.raises(SystemExit, match=r"drawn is 70°, the program finds 60\.00°"):
        drawings.checked("knee_flexion", replace(shown, bent=lambda a: replace(shown.bent(a), knee=max(a - 10, 0))))


def test_every_stage_is_drawn_with_modules_that_there_are() -> None:
    drawings = tool("stage_drawings")
    how = (DOCS / "how.md").read_text()
    for path, text in drawings.written().items():  # stops at a module that there is not
        assert path.read_text() == text, "run python tools/stage_drawings.py"
        assert f"](pictures/{path.name})" in how
    assert how.count("![") == how.count("\n## ") + 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person of two frames, in files: the folder."""
    joints = walker(2)[0].astype(np.float32)
    poses = {f: Pose3D(f, 1, (joints[f] @ R_WORLD_CAM).astype(np.float32)) for f in range(2)}
    seen = np.full((17, 2), 5, np.float32)
    people = {f: Person2D(1, np.array([0, 0, 9, 9], np.float32), seen, np.ones(17, np.float32)) for f in range(2)}
    meta = VideoMeta(640, 480, Fraction(30), 2)
    take = Take(meta, "a lifter", times_s=[Fraction(0), Fraction(1, 30)], tracks={1: Track(1, people, poses)})
    take.camera_motion = CameraMotion(
        "rotating", np.tile(np.eye(3, dtype=np.float32), (2, 1, 1)), np.ones(2), np.ones(2)
    )
    root = {1: {f: np.array([0, 4, 0.9], np.float32) for f in range(2)}}
    told = place(take, 60.0).assumptions
    folder = tmp_path_factory.mktemp("documented")
    placement = Placement(np.asarray(R_WORLD_CAM, np.float32), {1: poses}, root, 60.0, told)
    export_motion(take, placement, folder / "name", ["csv", "json", "npz", "angles", "measures", "trc"])
    return folder


def general(column: str) -> str:
    """left_knee_x_m → JOINT_x_m."""
    for names, word in ((FEET, "FOOT"), (JOINTS, "JOINT")):
        for name in names:
            if column.startswith(name + "_"):
                return word + column.removeprefix(name)
    return re.sub(r"^(left|right)_foot", "SIDE_foot", column)


@pytest.mark.parametrize("name", ["name.csv", "name_angles.csv", "name_measures.csv"])
def test_every_column(exported: Path, name: str) -> None:
    with (exported / name).open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file))
    assert len(header) > 5
    assert {general(column) for column in header} <= WORDS


def keys(value: Any) -> set[str]:
    """All keys of a JSON value, at any depth; numbers of people are none."""
    if isinstance(value, dict):
        return {k for k in value if not k.isdigit()} | {k for v in value.values() for k in keys(v)}
    return {k for v in value for k in keys(v)} if isinstance(value, list) else set()


def test_every_key(exported: Path) -> None:
    whole = json.loads((exported / "name.json").read_text())
    of_feet = keys(whole.pop("feet"))  # figures of a footing, by their own names
    assert {"video", "people", "joints", "planted"} <= keys(whole)
    assert keys(whole) <= WORDS, keys(whole) - WORDS
    assert {"before", "after"} <= of_feet & WORDS


def test_every_measure(exported: Path) -> None:
    rows = json.loads((exported / "name_measures.json").read_text())["measures"]
    assert keys(rows) <= WORDS
    angles = tuple(f"{angle.name}_" for angle in ANGLES)
    named = {
        f"ANGLE_{name.removeprefix(next(a for a in angles if name.startswith(a)))}" if name.startswith(angles) else name
        for name in (row["measure"] for row in rows)
    }
    assert {"cadence", "jump_height", "times_stood_up", "ANGLE_range"} <= named
    assert named | set(GROUPS) <= WORDS, named - WORDS


def test_every_array(exported: Path) -> None:
    with np.load(exported / "name.npz") as arrays:
        assert set(arrays.files) >= {"joints3d", "world3d", "camera_zoom"}
        assert set(arrays.files) <= WORDS, set(arrays.files) - WORDS


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([*JOINTS, *FEET], id="joints"),
        pytest.param([name for angle in ANGLES for name in angle.series], id="angles"),
        pytest.param([*RIGS, *MARKERS], id="rigs and markers"),
        pytest.param([field.name for field in fields(Report)], id="report"),
        pytest.param(["".join(re.findall(r"\w+$", ending)) for f in FORMATS.values() for ending, _ in f], id="formats"),
    ],
)
def test_every_name(words: list[str]) -> None:
    assert words
    assert set(words) <= WORDS, set(words) - WORDS


def test_every_self_check_with_its_threshold() -> None:
    rows = {
        row.split("`")[1]: row.split("|")[3] for row in (DOCS / "checks.md").read_text().splitlines() if "| `" in row
    }
    rules = [check.rule for check in CHECKS] + [rule for rule in vars(self_checks).values() if isinstance(rule, Rule)]
    assert {rule.kind for rule in rules} == set(rows)
    for rule in rules:
        assert rows[rule.kind].split()[0].rstrip("°") == f"{rule.threshold:g}", rule.kind


def test_every_example_is_named_and_every_word_explained_once() -> None:
    page = (DOCS / "python.md").read_text()
    examples = [path.name for path in (ROOT / "examples").glob("*.py")]
    assert len(examples) > 5
    assert [name for name in examples if f"| `examples/{name}` |" not in page] == []
    lines = (DOCS / "glossary.md").read_text().splitlines()[4:]
    words = [word.strip() for line in lines for word in line.split("|")[1].split(",")]
    assert len(words) > 50
    assert sorted({word for word in words if words.count(word) > 1}) == []


def test_every_page_is_reached() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    assert len(pages) > 10
    assert all(page in navigation for page in pages)


@pytest.mark.parametrize(
    "page",
    [path.relative_to(ROOT).as_posix() for path in (*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")))]
    + ["weights/MODEL_CARD.md", "benchmarks/RESULTS.md"],
)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize(
    "page", [path.relative_to(ROOT).as_posix() for path in (*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")))]
)
def test_tables_stand_by_themselves(page: str) -> None:
    """A table right below a paragraph or a block of code is a line of text to the site's Markdown."""
    lines = (ROOT / page).read_text().splitlines()
    heads = [i - 1 for i, line in enumerate(lines) if re.fullmatch(r"\|( *:?-+:? *\|)+", line)]
    assert [lines[i] for i in heads if i > 0 and lines[i - 1] and not lines[i - 1].startswith("#")] == []
