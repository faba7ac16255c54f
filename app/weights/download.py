"""Fetching a file: resumed where a connection broke, given up where it stalls, or out of a wheel."""

from __future__ import annotations

import hashlib
import importlib.resources
import importlib.util
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sasmamba.app.weights.advance import Advance
from sasmamba.app.weights.manifest import Source, Wheel
from sasmamba.app.weights.npm import NpmFailed, NpmMember, NpmPackage, bundle, from_npm
from sasmamba.common.files import sha256_of

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
GLANCE_S = 3.0
#: How long pip may take to fetch a wheel.
PIP_S = 1800.0
Tell = Callable[[str], None]


class SourceFailed(Exception):
    """This source did not yield the file; its text is the reason in a few words."""


def in_few_words(error: BaseException) -> str:
    """An exception as a few words for a person."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def fetch(part: Path, source: Source, tell: Tell) -> None:
    if source.url is not None:
        _download(source.url, part, source, tell)
        return
    if source.npm is not None:
        data = bundle(source.npm, _npm_files(source.npm, part, tell))
    else:
        assert source.pypi is not None, "packaged files are not fetched"
        data = _from_wheel(source.pypi, part.parent)
    if not source.yields(hashlib.sha256(data).hexdigest()):
        raise SourceFailed("what was made of the package does not match its checksum")
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
            return _mirrored(package, mirror, part, tell)
        except SourceFailed as failed:
            reasons.append(f"{urlsplit(mirror).netloc}: {failed}")
    for member in package.members:  # what a mirror gave before it failed
        _piece(part, member).unlink(missing_ok=True)
    tell(f"Mirrors do not answer; npm fetches the whole package, {package.size / 1e6:.0f} MB.")
    try:
        return from_npm(package, part.parent, tell)
    except NpmFailed as failed:
        raise SourceFailed("; ".join([*reasons, str(failed)])) from failed


def _address(mirror: str, member: NpmMember) -> str:
    return mirror.rstrip("/") + "/" + member.path.removeprefix("package/")


def _piece(part: Path, member: NpmMember) -> Path:
    return part.with_name(f"{part.name}.{member.sha256[:8]}.part")


def _mirrored(package: NpmPackage, mirror: str, part: Path, tell: Tell) -> list[bytes]:
    files = []
    for member in package.members:
        url = _address(mirror, member)
        piece = _piece(part, member)
        _download(url, piece, Source(size=member.size, sha256=member.sha256, url=url), tell)
        files.append(piece)
    data = [piece.read_bytes() for piece in files]
    for piece in files:
        piece.unlink()
    return data


def _download(url: str, part: Path, source: Source, tell: Tell) -> None:
    """Fetches a URL into `part`, going on from what is there already."""
    tries = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if source.size is None or before < source.size:
                _transfer(url, part, source, tell)
            if source.yields(sha256_of(part)):
                return
            part.unlink()
            # What was left of an earlier try may have been the wrong part: once more, from the beginning.
            if before == 0:
                raise SourceFailed("the bytes do not match the checksum")
        except _Interrupted as stopped:
            after = part.stat().st_size if part.exists() else 0
            good_part = GOOD_PART_BYTES if source.size is None else source.size // 20
            tries = 0 if after - before > good_part else tries + 1
            if tries > (len(PAUSES_S) if stopped.reached else 1):
                raise SourceFailed(str(stopped)) from stopped
            time.sleep(PAUSES_S[max(0, tries - 1)])


class _Interrupted(Exception):
    """A try that may succeed when repeated; `reached` tells that the server had answered."""

    def __init__(self, reason: str, *, reached: bool) -> None:
        super().__init__(reason)
        self.reached = reached


def _transfer(url: str, part: Path, source: Source, tell: Tell) -> None:
    """One try: appends what the server sends to `part`, from where it ends."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _interruptions(), requests.get(url, headers=headers, stream=True, timeout=(CONNECT_S, SILENCE_S)) as answer:
        if source.sha256 is None and url.startswith("https:") and not answer.url.startswith("https:"):
            raise SourceFailed("it redirects to an address without encryption")
        if answer.status_code == 416:
            if source.size is None and answer.headers.get("Content-Range") == f"bytes */{have}":
                return  # all of it was there already
            part.unlink()
            raise _Interrupted("the server cannot go on where it stopped", reached=True)
        if answer.status_code in {408, 425, 429} or answer.status_code >= 500:
            raise _Interrupted(f"the server answers {answer.status_code}", reached=True)
        if answer.status_code not in {200, 206}:
            raise SourceFailed(f"the server answers {answer.status_code}")
        resumes = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code == 206 and not resumes:
            raise SourceFailed("the server sends another range than asked")
        got = have if resumes else 0
        size = source.size
        if size is None and "Content-Length" in answer.headers:
            size = got + int(answer.headers["Content-Length"])
        mark, mark_at = got, time.monotonic()
        advance = Advance(size, got, tell)
        with part.open("ab" if resumes else "wb") as file:
            # Blocks are small so that a trickle shows: a block is handed over when it is full.
            for block in answer.iter_content(4096):
                got += len(block)
                if size is not None and got > size:
                    file.truncate(0)
                    raise SourceFailed(f"the server sends more than the {size} bytes expected")
                file.write(block)
                advance(got)
                if time.monotonic() - mark_at > TRICKLE_S:
                    if got - mark < TRICKLE_BYTES:
                        raise _Interrupted("the transfer stalled", reached=True)
                    mark, mark_at = got, time.monotonic()
    if size is not None and got < size:
        raise _Interrupted(f"the connection ended after {got} of {size} bytes", reached=True)


def answers(source: Source) -> bool:
    """Whether this source's server answers within seconds; a package index is taken to."""
    return source.url is None or _url_answers(source.url)


def _url_answers(url: str) -> bool:
    import requests

    try:
        with requests.get(url, stream=True, timeout=GLANCE_S) as answer:
            return answer.ok
    except requests.exceptions.RequestException:
        return False


@contextmanager
def _interruptions() -> Iterator[None]:
    """Turns what requests raises into what a person reads."""
    import requests

    try:
        yield
    except requests.exceptions.SSLError as error:
        raise SourceFailed("its certificate is not trusted here") from error
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
        raise SourceFailed(in_few_words(error)) from error


def _from_wheel(wheel: Wheel, folder: Path) -> bytes:
    """The wanted file out of a wheel that pip fetches, so that the person's own index settings hold."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="wheel-") as temporary:
        path = _pip_download(wheel, Path(temporary))
        if sha256_of(path) != wheel.sha256:
            raise SourceFailed("the wheel does not match its checksum")
        with zipfile.ZipFile(path) as archive:
            parts = [archive.read(member.path) for member in wheel.members]
    for member, data in zip(wheel.members, parts, strict=True):
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise SourceFailed(f"{member.path} in the wheel does not match its checksum")
    if wheel.assemble is None:
        return parts[0]
    from sasmamba.app.weights.pose_task import build_pose_task

    return build_pose_task(*parts)


def _pip_download(wheel: Wheel, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise SourceFailed("this Python has no pip to fetch it with (python -m ensurepip)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder)]
    command += [f"--python-version={wheel.python}"] if wheel.python else []
    command += [f"--platform={wheel.platform}"] if wheel.platform else []
    command += [f"{wheel.package}=={wheel.version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceFailed(f"pip did not finish in {PIP_S / 60:.0f} minutes") from error
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise SourceFailed(f"pip: {errors[-1].removeprefix('ERROR: ') if errors else f'exit code {done.returncode}'}")
    return next(folder.glob("*.whl"))
