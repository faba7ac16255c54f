"""Docstrings can be read by a generator: every entry of Args, Attributes and Raises has a line of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "app", "common", "models", "training")
#: A name, or names that share a sentence.
NAMES = r"\*{0,2}[A-Za-z_]\w*(?:, \*{0,2}[A-Za-z_]\w*)*"


def entries(docstring: str, section: str) -> Iterator[str]:
    """The text of each entry of a section, in one line."""
    body = re.search(rf"^{section}:\n((?:    .*\n?)*)", docstring, re.M)
    entry = ""
    for line in body[1].splitlines() if body else ():
        if re.match(rf"    {NAMES}(?: \([^)]*\))?:", line):
            yield from filter(None, [entry])
            entry = ""
        entry = f"{entry} {line.strip()}".strip()
    yield from filter(None, [entry])


def names_in(node: ast.AST) -> set[str]:
    """What entries of a class's or a function's docstring may be about."""
    names = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    if isinstance(node, ast.ClassDef):
        names |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
        names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names


def packed(source: str) -> Iterator[str]:
    """Entries that hold another one."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for section in ("Args", "Attributes", "Raises"):
            for entry in entries(ast.get_docstring(node) or "", section):
                for found in re.finditer(rf"(?<=[.;)]) ({NAMES}): ", entry):
                    if section == "Raises" or set(found[1].replace("*", "").split(", ")) <= names_in(node):
                        yield f"{node.name}, {section}: {found[1]}"


@pytest.mark.parametrize("room", ROOMS)
def test_one_entry_a_line(room: str) -> None:
    found = [f"{path.name}: {one}" for path in (ROOT / room).rglob("*.py") for one in packed(path.read_text())]
    assert not found, "several entries on one line"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("a: (n,) one. b: two.", ["f, Args: b"]),
        ("a: (n,) one\n            and on. b: two.", ["f, Args: b"]),
        ("a: one. More of it: nothing.\n        b: two.", []),
        ("a, b: one sentence for both.", []),
    ],
)
def test_what_counts_as_packed(entry: str, expected: list[str]) -> None:
    source = f'def f(a, b):\n    """Does.\n\n    Args:\n        {entry}\n    """\n'
    assert list(packed(source)) == expected
