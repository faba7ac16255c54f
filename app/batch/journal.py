"""What a batch has done, on disk: one line of JSON for every clip that ended, well or not.

A line is written at once and whole; one torn by a crash is passed over. A clip counts as done while its content, the
settings and the files it made are what they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sasmamba.common.files import disk_errors_explained

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """How a clip ended.

    Attributes:
        clip: its name.
        content: its size, time of change and SHA-256.
        settings: SHA-256 of what it was done with.
        error: the sentence it failed with; empty when it was done.
        files: size of each file it made, by path under the folder of renders.
        report: figures of the run.
    """

    clip: str
    content: dict[str, Any]
    settings: str
    error: str = ""
    files: dict[str, int] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


class BatchJournal:
    """The journal of one folder of renders.

    Raises:
        UserError: it cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self.path, self._out = out / ".sasmamba-batch.jsonl", out
        self._records: dict[str, Record] = {}
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            try:
                table = json.loads(line)
                table.pop("at", None)
                record = Record(**table)
            except (ValueError, TypeError):  # torn by a crash, or of another version: that clip is done again
                continue
            self._records[record.clip] = record

    def add(self, record: Record) -> None:
        """Writes a record down before it returns."""
        self._records[record.clip] = record
        fields = {name: getattr(record, name) for name in Record.__dataclass_fields__}
        line = json.dumps(fields | {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z")}).encode()
        with disk_errors_explained(self.path, self._out), self.path.open("ab") as file:
            # a torn line before this one must not swallow it
            file.write((b"\n" if file.tell() else b"") + line)
            file.flush()
            os.fsync(file.fileno())

    def done(self, clip: str, source: Path, settings: str) -> Record | None:
        """The record of a clip that need not be done again, or None."""
        record = self._records.get(clip)
        if record is None or record.error or record.settings != settings or not self._same(record.content, source):
            return None
        for name, size in record.files.items():
            try:
                if (self._out / name).stat().st_size != size:
                    return None
            except OSError:
                return None
        return record

    @staticmethod
    def _same(content: dict[str, Any], source: Path) -> bool:
        """Whether a file is what it was; it is read only where its time of change differs."""
        try:
            now = source.stat()
            if now.st_size != content.get("size"):
                return False
            return now.st_mtime_ns == content.get("mtime_ns") or fingerprint(source)["sha256"] == content.get("sha256")
        except OSError:
            return False


def fingerprint(source: Path) -> dict[str, Any]:
    """Size in bytes, time of change and SHA-256 of a file; OSError where it cannot be read."""
    digest = hashlib.sha256()
    with source.open("rb") as file:
        stat = os.fstat(file.fileno())
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest.hexdigest()}
