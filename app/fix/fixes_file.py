"""A file of corrections, NAME.fixes.json: read with every value checked, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from sasmamba.app.fix.corrections import Correction, from_plain, to_plain
from sasmamba.app.types import VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path

FORMAT = "sasmamba-fixes/1"
SUFFIX = ".fixes.json"
#: A larger file is none of ours: a correction takes some 200 bytes, and nobody makes a hundred thousand by hand.
_MOST_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Fixes:
    """Corrections of one video, in the order in which they were made.

    Attributes:
        video: its name, to tell a person.
        width, height: of its picture, pixels.
        corrections: times count from the file's first frame.
    """

    video: str
    width: int
    height: int
    corrections: tuple[Correction, ...] = ()

    def check(self, meta: VideoMeta, path: Path) -> None:
        """Raises UserError for a video of another size (exit code 2)."""
        if (self.width, self.height) != (meta.width, meta.height):
            raise UserError(
                f"{path} is for {self.video}, {self.width}×{self.height} pixels, and this video has "
                f"{meta.width}×{meta.height}: name the file of corrections that was made for it.",
                exit_code=2,
            )


def read_fixes(path: Path) -> Fixes:
    """Reads a file of corrections.

    Raises:
        UserError: there is none (exit code 2), or it breaks the format, with where and what is expected.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} is no file of corrections: it is larger than any.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist.", exit_code=2) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no file of corrections ({str(error)[:120] or 'nested too deep'}).") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UserError(f"{path} is no file of corrections: it does not say that its format is {FORMAT}.")
    video, entries = value.get("video"), value.get("fixes")
    if not isinstance(video, dict) or not isinstance(entries, list):
        raise UserError(f"{path}: video must be an object and fixes a list.")
    name, width, height = (video.get(key) for key in ("name", "width", "height"))
    if not isinstance(name, str) or not (_pixels(width) and _pixels(height)):
        raise UserError(f"{path}: video must have a name, width and height in pixels.")
    corrections = []
    for number, entry in enumerate(entries, 1):
        try:
            corrections.append(from_plain(entry))
        except ValueError as error:
            raise UserError(f"{path}, correction {number}: {error}.") from error
    return Fixes(name, width, height, tuple(corrections))


def _pixels(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and 0 < value < 1 << 20


def write_fixes(fixes: Fixes, path: Path) -> None:
    """Writes a file of corrections, one a line.

    Raises:
        UserError: the disk refuses.
    """
    head = {"format": FORMAT, "video": {"name": fixes.video, "width": fixes.width, "height": fixes.height}}
    lines = ",\n".join(f"  {json.dumps(to_plain(one))}" for one in fixes.corrections)
    text = json.dumps(head)[:-1] + ',\n "fixes": [' + (f"\n{lines}\n " if lines else "") + "]}\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def beside(poses: Path) -> Path:
    """Where the corrections of a file of poses stand when nobody says: NAME.fixes.json for NAME.npz."""
    return poses.with_name(poses.stem + SUFFIX)


def new_fixes(video: Path, meta: VideoMeta, corrections: Sequence[Correction] = ()) -> Fixes:
    """Corrections of that video."""
    return Fixes(video.name, meta.width, meta.height, tuple(corrections))
