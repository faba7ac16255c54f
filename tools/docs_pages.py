"""A hook of MkDocs: pages and pictures that stand elsewhere in the repository become part of the site.

What the repository shows and what the site shows is the same text: README.md is the site's first page, and links
between files of the repository become links between pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
#: Where files of the repository stand in the site; those of docs/ keep their names.
PLACES = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changes.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "RELEASING.md": "project/releasing.md",
    "SECURITY.md": "project/security.md",
    "CITATION.cff": "project/CITATION.cff",
    "LICENSE": "project/LICENSE.txt",
    "weights/MODEL_CARD.md": "project/model_card.md",
    "benchmarks/RESULTS.md": "project/results.md",
    "benchmarks/comparison.png": "project/comparison.png",
    "benchmarks/glsmamba_proof.png": "project/glsmamba_proof.png",
    "demo_videos/park_3d.jpg": "project/park_3d.jpg",
    "demo_videos/park_3d.gif": "project/park_3d.gif",
}
_SOURCES = {page: source for source, page in PLACES.items()}
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the files of `PLACES`."""
    for source, page in PLACES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links of a page, written for the repository, as the site has them."""
    here = page.file.src_uri
    source = _SOURCES.get(here, f"docs/{here}")

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        place = PLACES.get(target, target.removeprefix("docs/"))
        return "](" + posixpath.relpath(place, posixpath.dirname(here) or ".")

    return _LINK.sub(moved, markdown)
