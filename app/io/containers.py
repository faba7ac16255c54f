"""Media files opened: a video, a picture, or numbered pictures; what cannot be opened is told in one sentence."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import av

from sasmamba.common.errors import UserError

#: FFmpeg reads these text files as "video" (terminal art); a person who passes one has made a mistake.
_TEXT_FORMATS = {"tty", "srt", "ass", "webvtt", "microdvd", "subviewer", "lrc"}
#: frame_%04d.png: pictures numbered with four digits.
_PATTERN = re.compile(r"%(?:0(\d{1,2}))?d")
#: An address as it looks after it was taken for a path; a drive has one letter.
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):[/\\]")
#: With these arguments PyAV lets titles pass that are not UTF-8; version 19, which wants Python 3.12, always does.
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
_CONVERT = "is not a video this tool can read: convert it to mp4 (H.264) and try again."


def open_container(path: Path) -> Any:
    """A media file, opened by PyAV; titles in it that are not UTF-8 do not matter."""
    if numbers := numbered_pictures(path):
        return av.open(str(path), format="image2", options={"start_number": str(numbers[0])}, **LENIENT)
    # "file:" keeps a name with a colon in it from being read as an address.
    return av.open(f"file:{path}", **LENIENT)


def numbered_pictures(path: Path) -> list[int]:
    """The numbers of the pictures that a name like frame_%04d.png stands for, in order; none for any other name."""
    found = _PATTERN.search(path.name)
    if not found or os.path.exists(path):
        return []
    digits = int(found[1] or 1)
    before, after = re.escape(path.name[: found.start()]), re.escape(path.name[found.end() :])
    numbered = re.compile(before + rf"(\d{{{digits},9}})" + after)
    try:
        names = os.listdir(path.parent)
    except OSError:
        return []
    numbers = [match[1] for name in names if (match := numbered.fullmatch(name))]
    return sorted(int(n) for n in numbers if len(n) == digits or not n.startswith("0"))


def open_media(path: Path) -> Any:
    """As `open_container`.

    Raises:
        UserError: whatever FFmpeg has to say about it, with what to do; exit code 2 where there is no such file.
    """
    _check_is_file(path)
    try:
        container = open_container(path)
    except PermissionError:
        raise UserError(f"{path} may not be read: change its permissions or copy it elsewhere.") from None
    except (av.FFmpegError, OSError, ValueError):
        advice = _CONVERT
        if path.is_file() and path.stat().st_size == 0:
            advice = "is empty: fetch or record it again."
        elif path.is_file() and _lacks_index(path):
            advice = "was cut off before its index was written: copy or record it again."
        raise UserError(f"{path} {advice}") from None
    if container.format.name in _TEXT_FORMATS:
        container.close()
        raise UserError(f"{path} {_CONVERT}")
    return container


def _check_is_file(path: Path) -> None:
    if str(path) == "-":
        raise UserError("A video is read twice, and standard input only once: save it to a file and pass that.", 2)
    # os.path, because pathlib raises for names that are too long to exist
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder, not a video: pass a file inside it.", 2)
    if os.path.isfile(path) or numbered_pictures(path):
        return
    if os.path.exists(path):
        raise UserError(f"{path} is a pipe or a device, and a video is read twice: save it to a file and pass that.", 2)
    if _PATTERN.search(path.name):
        raise UserError(f"There is no picture whose name fits {path}: check the name, the digits and the folder.", 2)
    if address := _ADDRESS.match(str(path)):
        raise UserError(f"{address[1]}:// is not read here: fetch {path.name} to a file and pass that.", 2)
    raise UserError(f"There is no file {path}: check the name and the folder.", 2)


def _lacks_index(path: Path) -> bool:
    """Whether this is an mp4 or mov without its index, the box `moov`, which cameras write last."""
    at = 0
    with path.open("rb") as file:
        while len(head := file.read(16)) >= 8:
            size, kind = int.from_bytes(head[:4]), head[4:8]
            if size == 1:  # too long for 32 bits: the length follows the name
                size = int.from_bytes(head[8:])
            if kind == b"moov" or (at == 0 and kind != b"ftyp"):
                return False
            if size < 8:  # 0 is a box up to the end of the file, the rest is nonsense
                break
            at += size
            file.seek(at)
    return at > 0
