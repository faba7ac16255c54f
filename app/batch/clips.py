"""Which clips a folder holds, and where each one's render goes."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sasmamba.common.errors import UserError
from sasmamba.common.files import same_file

#: What is taken for a video by its name. Pictures are not: folders of clips hold covers and thumbnails.
VIDEO_SUFFIXES = frozenset(
    {
        ".3gp",
        ".avi",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".ogv",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
    }
)


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: where it lies, its name in the journal (path under the folder, with /), and where its render goes."""

    source: Path
    name: str
    out: Path


def find_clips(folder: Path, out: Path) -> tuple[list[Clip], list[str]]:
    """All clips below a folder, in the order of their names, and sentences about what could not be looked into.

    Links are followed, each real folder is looked into once. Hidden files are passed over, and so is `out`. A render is
    named after its clip, CLIP_3d.mp4; where that would make two of the same name both keep their suffix, too.

    Raises:
        UserError: there is no such folder, no clip in it, or `out` is the same folder (exit code 2).
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: check the name.", exit_code=2)
    if same_file(folder, out):
        raise UserError(f"The renders would lie among the videos of {folder}: choose another --out.", exit_code=2)
    problems: list[str] = []
    found: list[Path] = []
    others = 0
    seen = {out.resolve()}

    def refused(error: OSError) -> None:
        problems.append(f"{error.filename} could not be looked into ({error.strerror}); it was left out.")

    for here, folders, files in os.walk(folder, followlinks=True, onerror=refused):
        real = Path(here).resolve()
        if real in seen:  # the renders themselves, or a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        others += len(files)
        found += [Path(here) / n for n in files if Path(n).suffix.lower() in VIDEO_SUFFIXES and not n.startswith(".")]
    if not found:
        why = "none of its files has the suffix of one, such as .mp4" if others else "no file is in it"
        raise UserError(f"There is no video in {folder}: {problems[0] if problems else why + '.'}", exit_code=2)
    found.sort(key=lambda path: path.relative_to(folder).parts)
    whole = _told_apart(found)
    clips = []
    for path in found:
        inside = path.relative_to(folder)
        render = _render_name(path, whole=path in whole)
        clips.append(Clip(path, inside.as_posix(), out / inside.parent / Path(render).name))
    return clips, problems


def _told_apart(found: list[Path]) -> set[Path]:
    """The clips whose renders need their suffix, too, so that no two have one name."""
    whole: set[Path] = set()
    while True:  # a suffix that is kept may make a name that another render has: a.mp4 beside a.mp4.mov
        names = {path: _render_name(path, whole=path in whole).casefold() for path in found}  # some disks ignore case
        count = Counter(names.values())
        more = {path for path in found if count[names[path]] > 1} - whole
        if not more:
            return whole
        whole |= more


def _render_name(path: Path, *, whole: bool) -> str:
    return str(path.with_name(f"{path.name if whole else path.stem}_3d.mp4"))
