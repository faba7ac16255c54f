"""From a name to a verified local file: the manifest, the cache, and fetching what is not there.

A file is used only when its SHA-256 is one that the manifest records, or begins with it where only the first digits are
published. What is missing is fetched from the first source that yields it: resumed where a
connection broke, checked, and moved into place whole.
"""

from __future__ import annotations

import errno
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sasmamba.app.weights.download import SourceFailed, Tell, answers, fetch, in_few_words
from sasmamba.app.weights.manifest import Entry
from sasmamba.common.errors import UserError
from sasmamba.common.files import checksum
from sasmamba.common.shipped_weights import verified

ASK_AGAIN_S = 86_400.0
#: How long another process may take to fetch the same file.
LOCK_S = 1800.0

State = Literal["ok", "missing", "damaged"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """Where a file is or would be, and how it is there."""

    entry: Entry
    path: Path
    state: State


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
        digits = checksum(path)
        sound = any(s.yields(digits) for s in entry.sources)
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
            return verified(status.path, entry.packaged.digest)
        if self.offline:
            raise UserError(
                f"{name} is {_not_here(status)}, and fetching is switched off. Switch it on, or run "
                f"`sasmamba-demo weights fetch {name}` where there is a network and copy the file to {status.path}."
            )
        try:
            return self._fetch(status, tell)
        except OSError as error:
            hint = "Free some space" if error.errno == errno.ENOSPC else "Set SASMAMBA_WEIGHTS to a folder of yours"
            raise UserError(f"{name} could not be stored in {self.cache} ({in_few_words(error)}). {hint}.") from error

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
        if any(answers(s) for s in status.entry.sources):
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
                fetch(part, source, tell)
            except SourceFailed as failed:
                reasons.append(f"{source.label}: {failed}")
                continue
            part.replace(path)
            return path
        raise UserError(
            f"{entry.name} is not here and could not be fetched ({'; '.join(dict.fromkeys(reasons))}). Run "
            f"`sasmamba-demo weights fetch {entry.name}` where there is a network and copy {entry.file} to {path}."
        )


def _not_here(status: Status) -> str:
    return "not here" if status.state == "missing" else f"damaged ({status.path} does not match its checksum)"


def _is_recent(note: Path) -> bool:
    try:
        return 0 <= time.time() - note.stat().st_mtime < ASK_AGAIN_S
    except OSError:
        return False
