"""From a name to a verified local file: the manifest, the cache, and fetching what is not there.

A file is used only when its SHA-256 is one that the manifest records, or begins with it where only the first digits are
published. What is missing is fetched from the first source that yields it: resumed where a
connection broke, checked, and moved into place whole.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.resources
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from sasmamba.app.types import UserError
from sasmamba.app.weights.npm import NpmFailed, NpmMember, NpmPackage, bundle, from_npm

#: Seconds to connect, and seconds without a byte, before a try is given up.
CONNECT_S, SILENCE_S = 10.0, 30.0
#: A transfer that brings less than so many bytes in so many seconds has stalled, even if it is not silent.
TRICKLE_BYTES, TRICKLE_S = 32_768, 30.0
#: Pauses between tries; a try that brought a good part of the file (a twentieth, or this where its size is not known)
#: starts the count again.
PAUSES_S = (0.5, 2.0, 5.0)
GOOD_PART_BYTES = 5_000_000
#: For a file that something else can stand in for: seconds to find out whether a source answers, and until it is asked
#: again when none did.
GLANCE_S, ASK_AGAIN_S = 3.0, 86_400.0
#: How long another process may take to fetch the same file, and pip to fetch a wheel.
LOCK_S, PIP_S = 1800.0, 1800.0

State = Literal["ok", "missing", "damaged"]
Tell = Callable[[str], None]

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Status:
    """Where a file is or would be, and how it is there."""

    entry: Entry
    path: Path
    state: State


class _SourceFailed(Exception):
    """This source did not yield the file; its text is the reason in a few words."""


@dataclass(frozen=True, slots=True)
class Store:
    """The files of a manifest, in a cache folder.

    Attributes:
        entries: the manifest.
        cache: folder of fetched files; made when first needed.
        shipped: folder of the packaged files.
        offline: never touch the network.
    """

    entries: tuple[Entry, ...]
    cache: Path
    shipped: Path
    offline: bool = False

    def entry(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            UserError: there is none.
        """
        found = next((e for e in self.entries if e.name == name), None)
        if found is None:
            names = ", ".join(e.name for e in self.entries)
            raise UserError(f"There are no weights called {name!r}; there are: {names}.", exit_code=2)
        return found

    def status(self, name: str) -> Status:
        """Reads and checks the local file; fetches nothing."""
        entry = self.entry(name)
        path = self._path(entry)
        if not path.is_file():
            return Status(entry, path, "missing")
        checksum = _checksum(path)
        sound = any(s.yields(checksum) for s in entry.sources)
        return Status(entry, path, "ok" if sound else "damaged")

    def locate(self, name: str) -> Path | None:
        """The verified local file, None when it is missing or damaged; fetches nothing."""
        status = self.status(name)
        return status.path if status.state == "ok" else None

    def ensure(self, name: str, *, tell: Tell = _log.info) -> Path:
        """The verified local file, fetched if need be.

        Args:
            tell: gets a sentence before each attempt that may take a while.

        Raises:
            UserError: no such name, a damaged packaged file, or nothing could be fetched.
        """
        status = self.status(name)
        if status.state == "ok":
            return status.path
        entry = status.entry
        if entry.packaged is not None:
            raise UserError(_packaged_is_bad(status))
        if self.offline:
            raise UserError(
                f"{name} is {_not_here(status)}, and fetching is switched off. Switch it on, or run "
                f"`sasmamba-demo weights fetch {name}` where there is a network and copy the file to {status.path}."
            )
        try:
            return self._fetch(status, tell)
        except OSError as error:
            hint = "Free some space" if error.errno == errno.ENOSPC else "Set SASMAMBA_WEIGHTS to a folder of yours"
            raise UserError(f"{name} could not be stored in {self.cache} ({_words(error)}). {hint}.") from error

    def obtain(self, name: str, *, tell: Tell = _log.info) -> Path | None:
        """`ensure` for a file that something else can stand in for: None when it is not here and cannot be had now.

        Without a network this must not cost a wait in every run: a source has a few seconds to answer, and when none
        does, or fetching fails, none is asked again for a day. `ensure` asks at once.
        """
        status = self.status(name)
        if status.state == "ok":
            return status.path
        asked = status.path.with_name(f"{status.path.name}.asked")
        if self.offline or status.entry.packaged is not None or _is_recent(asked):
            return None
        if any(_answers(s) for s in status.entry.sources):
            try:
                return self.ensure(name, tell=tell)
            except UserError as error:
                tell(str(error))
        try:
            asked.parent.mkdir(parents=True, exist_ok=True)
            asked.touch()
        except OSError:  # then the next run asks again
            pass
        return None

    def _path(self, entry: Entry) -> Path:
        return self.cache / entry.file if entry.packaged is None else self.shipped / str(entry.packaged.packaged)

    def _fetch(self, status: Status, tell: Tell) -> Path:
        from filelock import FileLock, Timeout

        entry, path = status.entry, status.path
        self.cache.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock")
        try:
            with FileLock(lock, timeout=LOCK_S):
                if self.locate(entry.name) is not None:  # another process was faster
                    return path
                return self._fetch_from_any(entry, path, tell)
        except Timeout as error:
            raise UserError(
                f"{entry.name} is being fetched by another process that does not finish. End it, or delete {lock}."
            ) from error

    def _fetch_from_any(self, entry: Entry, path: Path, tell: Tell) -> Path:
        reasons = []
        for source in entry.sources:
            size = "" if source.size is None else f" ({source.size / 1e6:.1f} MB)"
            tell(f"Fetching {entry.name}{size} from {source.label}.")
            part = path.with_name(f"{path.name}.{source.digest[:8]}.part")
            try:
                _fill(part, source, tell)
            except _SourceFailed as failed:
                reasons.append(f"{source.label}: {failed}")
                continue
            part.replace(path)
            return path
        raise UserError(
            f"{entry.name} is not here and could not be fetched ({'; '.join(dict.fromkeys(reasons))}). Run "
            f"`sasmamba-demo weights fetch {entry.name}` where there is a network and copy {entry.file} to {path}."
        )


def cache_dir() -> Path:
    """The folder of fetched files, from the root: SASMAMBA_WEIGHTS, else the user's cache folder of this platform."""
    chosen = os.environ.get("SASMAMBA_WEIGHTS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("sasmamba-demo"))


def default_store(*, offline: bool | None = None) -> Store:
    """The shipped manifest with the cache folder of now; offline None asks SASMAMBA_OFFLINE."""
    if offline is None:
        offline = os.environ.get("SASMAMBA_OFFLINE", "").lower() in {"1", "true", "yes", "on"}
    shipped = Path(str(importlib.resources.files("sasmamba.weights")))
    return Store(_shipped_entries(shipped), cache_dir(), shipped, offline)


def ensure(name: str, *, offline: bool | None = None, tell: Tell = _log.info, instead: str = "") -> Path:
    """`Store.ensure` of the default store: the verified local file, fetched if need be.

    Args:
        instead: options that do without it, for whoever cannot get it.
    """
    try:
        return default_store(offline=offline).ensure(name, tell=tell)
    except UserError as error:
        raise UserError(f"{error} Or pass {instead}." if instead else str(error), error.exit_code) from error


def obtain(name: str, *, tell: Tell = _log.info) -> Path | None:
    """`Store.obtain` of the default store: the verified local file if it is here or can be had without a wait."""
    return default_store().obtain(name, tell=tell)


def locate(name: str) -> Path | None:
    """`Store.locate` of the default store: the verified local file, or None; fetches nothing."""
    return default_store().locate(name)


def verify(name: str) -> Status:
    """`Store.status` of the default store: where the file is, and whether it is sound; fetches nothing."""
    return default_store().status(name)


def entries() -> tuple[Entry, ...]:
    """The shipped manifest."""
    return default_store().entries


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
def _shipped_entries(folder: Path) -> tuple[Entry, ...]:
    return read_manifest(folder / "manifest.toml")


def _checksum(path: Path) -> str:
    """SHA-256 of a file, read once per process unless the file changes."""
    stat = path.stat()
    return _checksum_of(path, stat.st_size, stat.st_mtime_ns)


@cache
def _checksum_of(path: Path, size: int, mtime_ns: int) -> str:
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _not_here(status: Status) -> str:
    return "not here" if status.state == "missing" else f"damaged ({status.path} does not match its checksum)"


def _packaged_is_bad(status: Status) -> str:
    if status.state == "missing":
        return f"{status.path} is missing: the installation is not complete. Reinstall the package."
    return (
        f"{status.path} does not match its checksum: it is damaged or was altered. Reinstall the package, or name "
        "weights of your own instead."
    )


def _words(error: BaseException) -> str:
    """An exception as a few words for a person."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


# Fetching: `_fill` leaves the verified file at `part`, or raises _SourceFailed.


def _fill(part: Path, source: Source, tell: Tell) -> None:
    if source.url is not None:
        _download(source.url, part, source)
        return
    if source.npm is not None:
        data = bundle(source.npm, _npm_files(source.npm, part, tell))
    else:
        assert source.pypi is not None, "packaged files are not fetched"
        data = _from_wheel(source.pypi, part.parent)
    if not source.yields(hashlib.sha256(data).hexdigest()):
        raise _SourceFailed("what was made of the package does not match its checksum")
    part.write_bytes(data)


def _npm_files(package: NpmPackage, part: Path, tell: Tell) -> list[bytes]:
    """The wanted files: one by one from the first mirror that has them, else by npm, with all of the package."""
    reasons = []
    for mirror in package.mirrors:
        # npm stands behind them: a silent network must not cost a wait at each
        if not _url_answers(_address(mirror, package.members[0])):
            reasons.append(f"{urlsplit(mirror).netloc}: no answer")
            continue
        try:
            return _mirrored(package, mirror, part)
        except _SourceFailed as failed:
            reasons.append(f"{urlsplit(mirror).netloc}: {failed}")
    for member in package.members:  # what a mirror gave before it failed
        _piece(part, member).unlink(missing_ok=True)
    tell(f"Mirrors do not answer; npm fetches the whole package, {package.size / 1e6:.0f} MB.")
    try:
        return from_npm(package, part.parent, tell)
    except NpmFailed as failed:
        raise _SourceFailed("; ".join([*reasons, str(failed)])) from failed


def _address(mirror: str, member: NpmMember) -> str:
    return mirror.rstrip("/") + "/" + member.path.removeprefix("package/")


def _piece(part: Path, member: NpmMember) -> Path:
    return part.with_name(f"{part.name}.{member.sha256[:8]}.part")


def _mirrored(package: NpmPackage, mirror: str, part: Path) -> list[bytes]:
    files = []
    for member in package.members:
        url = _address(mirror, member)
        piece = _piece(part, member)
        _download(url, piece, Source(size=member.size, sha256=member.sha256, url=url))
        files.append(piece)
    data = [piece.read_bytes() for piece in files]
    for piece in files:
        piece.unlink()
    return data


def _download(url: str, part: Path, source: Source) -> None:
    """Fetches a URL into `part`, going on from what is there already."""
    tries = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if source.size is None or before < source.size:
                _transfer(url, part, source)
            if source.yields(_sha256(part)):
                return
            part.unlink()
            # What was left of an earlier try may have been the wrong part: once more, from the beginning.
            if before == 0:
                raise _SourceFailed("the bytes do not match the checksum")
        except _Interrupted as stopped:
            after = part.stat().st_size if part.exists() else 0
            good_part = GOOD_PART_BYTES if source.size is None else source.size // 20
            tries = 0 if after - before > good_part else tries + 1
            if tries > (len(PAUSES_S) if stopped.reached else 1):
                raise _SourceFailed(str(stopped)) from stopped
            time.sleep(PAUSES_S[max(0, tries - 1)])


class _Interrupted(Exception):
    """A try that may succeed when repeated; `reached` tells that the server had answered."""

    def __init__(self, reason: str, *, reached: bool) -> None:
        super().__init__(reason)
        self.reached = reached


def _transfer(url: str, part: Path, source: Source) -> None:
    """One try: appends what the server sends to `part`, from where it ends."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _interruptions(), requests.get(url, headers=headers, stream=True, timeout=(CONNECT_S, SILENCE_S)) as answer:
        if source.sha256 is None and url.startswith("https:") and not answer.url.startswith("https:"):
            raise _SourceFailed("it redirects to an address without encryption")
        if answer.status_code == 416:
            if source.size is None and answer.headers.get("Content-Range") == f"bytes */{have}":
                return  # all of it was there already
            part.unlink()
            raise _Interrupted("the server cannot go on where it stopped", reached=True)
        if answer.status_code in {408, 425, 429} or answer.status_code >= 500:
            raise _Interrupted(f"the server answers {answer.status_code}", reached=True)
        if answer.status_code not in {200, 206}:
            raise _SourceFailed(f"the server answers {answer.status_code}")
        resumes = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code == 206 and not resumes:
            raise _SourceFailed("the server sends another range than asked")
        got = have if resumes else 0
        size = source.size
        if size is None and "Content-Length" in answer.headers:
            size = got + int(answer.headers["Content-Length"])
        mark, mark_at = got, time.monotonic()
        with part.open("ab" if resumes else "wb") as file:
            # Blocks are small so that a trickle shows: a block is handed over when it is full.
            for block in answer.iter_content(4096):
                got += len(block)
                if size is not None and got > size:
                    file.truncate(0)
                    raise _SourceFailed(f"the server sends more than the {size} bytes expected")
                file.write(block)
                if time.monotonic() - mark_at > TRICKLE_S:
                    if got - mark < TRICKLE_BYTES:
                        raise _Interrupted("the transfer stalled", reached=True)
                    mark, mark_at = got, time.monotonic()
    if size is not None and got < size:
        raise _Interrupted(f"the connection ended after {got} of {size} bytes", reached=True)


def _answers(source: Source) -> bool:
    """Whether this source's server answers within seconds; a package index is taken to."""
    return source.url is None or _url_answers(source.url)


def _url_answers(url: str) -> bool:
    import requests

    try:
        with requests.get(url, stream=True, timeout=GLANCE_S) as answer:
            return answer.ok
    except requests.exceptions.RequestException:
        return False


def _is_recent(note: Path) -> bool:
    try:
        return 0 <= time.time() - note.stat().st_mtime < ASK_AGAIN_S
    except OSError:
        return False


@contextmanager
def _interruptions() -> Iterator[None]:
    """Turns what requests raises into what a person reads."""
    import requests

    try:
        yield
    except requests.exceptions.SSLError as error:
        raise _SourceFailed("its certificate is not trusted here") from error
    except requests.exceptions.ProxyError as error:
        raise _Interrupted("the proxy cannot be reached", reached=False) from error
    except requests.exceptions.ConnectTimeout as error:
        raise _Interrupted("no answer", reached=False) from error
    except requests.exceptions.ReadTimeout as error:
        raise _Interrupted("the transfer stalled", reached=True) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _Interrupted("the connection broke", reached=True) from error
    except requests.exceptions.ConnectionError as error:
        stalled = "Read timed out" in str(error)  # how requests reports a stall in the body
        reason = "the transfer stalled" if stalled else "no connection"
        raise _Interrupted(reason, reached=stalled) from error
    except requests.exceptions.RequestException as error:
        raise _SourceFailed(_words(error)) from error


def _from_wheel(wheel: Wheel, folder: Path) -> bytes:
    """The wanted file out of a wheel that pip fetches, so that the person's own index settings hold."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="wheel-") as temporary:
        path = _pip_download(wheel, Path(temporary))
        if _sha256(path) != wheel.sha256:
            raise _SourceFailed("the wheel does not match its checksum")
        with zipfile.ZipFile(path) as archive:
            parts = [archive.read(member.path) for member in wheel.members]
    for member, data in zip(wheel.members, parts, strict=True):
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise _SourceFailed(f"{member.path} in the wheel does not match its checksum")
    if wheel.assemble is None:
        return parts[0]
    from sasmamba.app.weights.pose_task import build_pose_task

    return build_pose_task(*parts)


def _pip_download(wheel: Wheel, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise _SourceFailed("this Python has no pip to fetch it with (python -m ensurepip)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder)]
    command += [f"--python-version={wheel.python}"] if wheel.python else []
    command += [f"--platform={wheel.platform}"] if wheel.platform else []
    command += [f"{wheel.package}=={wheel.version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise _SourceFailed(f"pip did not finish in {PIP_S / 60:.0f} minutes") from error
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise _SourceFailed(f"pip: {errors[-1].removeprefix('ERROR: ') if errors else f'exit code {done.returncode}'}")
    return next(folder.glob("*.whl"))
