"""`make upgrade`: what it reads and writes, and that nothing is written while the suite fails."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OLD = {"numpy": "1.0", "rich": "3.0", "torch": "2.13.0"}


@pytest.fixture(scope="module")
def upgrade() -> ModuleType:
    spec = importlib.util.spec_from_file_location("upgrade", ROOT / "tools/upgrade.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("", {}),
        ("# a comment\n\n", {}),
        ("numpy==2.4.6\nav==18.1.0  # why\n", {"numpy": "2.4.6", "av": "18.1.0"}),
        ("ml_dtypes==0.6\nJinja2==3.1\nruamel.yaml==1", {"ml-dtypes": "0.6", "jinja2": "3.1", "ruamel-yaml": "1"}),
        ("torch==2.13.0+cpu", {"torch": "2.13.0"}),
        ("certifi==2026.10.19.post1", {"certifi": "2026.10.19.post1"}),
        ("triton==3.7.1 ; sys_platform == 'linux'", {"triton": "3.7.1"}),
    ],
)
def test_parse(upgrade: ModuleType, text: str, pins: dict[str, str]) -> None:
    assert upgrade.parse(text) == pins


@pytest.mark.parametrize("line", ["numpy>=2", "numpy", "-r more.txt", "numpy==", "numpy @ file:///numpy.whl"])
def test_parse_refuses_what_names_no_version(upgrade: ModuleType, line: str) -> None:
    with pytest.raises(ValueError, match="is not `name==version`"):
        upgrade.parse(f"av==18.1.0\n{line}\n")


def test_parse_refuses_a_package_that_stands_there_twice(upgrade: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"ml-dtypes stands there twice: 1\.0 and 2\.0"):
        upgrade.parse("ml_dtypes==1.0\nml-dtypes==2.0\n")


def test_render_leaves_cuda_out(upgrade: ModuleType) -> None:
    pins = {"torch": "2.13.0", "nvidia-cublas": "13.1", "cuda-toolkit": "13.0", "av": "18.1.0", "triton": "3.7.1"}
    text = upgrade.render(pins, "3.12")
    assert text.startswith("# ")
    assert "Python 3.12" in text
    assert upgrade.parse(text) == {"av": "18.1.0", "torch": "2.13.0", "triton": "3.7.1"}


def test_changes(upgrade: ModuleType) -> None:
    new = {"numpy": "1.1", "torch": "2.13.0", "av": "18"}
    assert upgrade.changes(OLD, new) == ["av: new, 18", "numpy: 1.0 → 1.1", "rich: gone"]
    assert upgrade.changes(OLD, OLD) == []


@pytest.mark.parametrize(
    ("green", "asked", "torch"),
    [(True, "torch", "2.13.0"), (False, "torch", "2.13.0"), (True, "torch==2.14.0", "2.14.0")],
)
def test_files_change_only_when_the_suite_passes(
    upgrade: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], green: bool, asked: str, torch: str
) -> None:
    folder, work = tmp_path / "constraints", tmp_path / "work"
    folder.mkdir()
    before = {}
    for python in upgrade.PYTHONS:
        before[python] = upgrade.render(OLD, python)
        upgrade.file_of(python, folder).write_text(before[python])
    asked_for: list[tuple[str, list[str]]] = []

    def resolve(python: str, under: Iterable[str], work: Path) -> dict[str, str]:
        asked_for.append((python, list(under)))
        return {"numpy": "2.0", "torch": torch, "nvidia-nccl": "2"}

    def passes(constraints: Path) -> bool:
        assert upgrade.parse(constraints.read_text())["numpy"] == "2.0"
        assert {p: upgrade.file_of(p, folder).read_text() for p in before} == before
        return green

    code = upgrade.upgrade(asked, folder, work, resolve=resolve, passes=passes)
    assert code == (0 if green else 1)
    assert asked_for[0] == ("3.11", [f"torch=={torch}"])
    assert asked_for[1] == ("3.12", [f"torch=={torch}", "numpy==2.0"])  # what was tested, where there is such
    after = {p: upgrade.file_of(p, folder).read_text() for p in before}
    new = {"numpy": "2.0", "torch": torch}
    assert {p: upgrade.parse(text) for p, text in after.items()} == dict.fromkeys(before, new if green else OLD)
    told = capsys.readouterr()
    assert "numpy: 1.0 → 2.0" in told.out
    assert ("stay as they were" in told.err) is not green


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_the_files_name_a_version_of_everything_and_within_the_ranges(upgrade: ModuleType, python: str) -> None:
    pins = upgrade.parse(upgrade.file_of(python, ROOT / "constraints").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
    for wanted in map(Requirement, lines):
        name = canonicalize_name(wanted.name)
        assert name in pins, f"{name} is not in the constraints for Python {python}: run `make upgrade`"
        assert wanted.specifier.contains(pins[name]), f"{name} {pins[name]} is outside {wanted.specifier}"
    assert not [name for name in pins if upgrade.OF_ONE_BUILD_OF_TORCH.match(name)]
