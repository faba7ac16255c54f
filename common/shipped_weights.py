"""Weights that come with the package: by name to their file, whose checksum the manifest records."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from sasmamba.common.errors import UserError
from sasmamba.common.files import checksum


def shipped_folder() -> Path:
    """Where the manifest and what it calls `packaged` lie."""
    return Path(str(resources.files("sasmamba.weights")))


def shipped_weights(name: str) -> Path:
    """The file of that name in the manifest, its checksum verified; for those who know no other source.

    Raises:
        UserError: there is none of that name, it is missing, or it was altered.
    """
    folder = shipped_folder()
    tables = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))["weights"]
    packaged = {t["name"]: source for t in tables for source in t["source"] if "packaged" in source}
    if name not in packaged:
        raise UserError(
            f"There are no shipped weights {name!r}; there are {', '.join(packaged)}. A file of your own ends in "
            ".safetensors."
        )
    return verified(folder / packaged[name]["packaged"], packaged[name]["sha256"])


def verified(path: Path, sha256: str) -> Path:
    """A shipped file that is there and is what the manifest says.

    Raises:
        UserError: it is missing or was altered.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: the installation is not complete. Reinstall the package.")
    if checksum(path) != sha256:
        raise UserError(
            f"{path} does not match its checksum: it is damaged or was altered. Reinstall the package, or name "
            "weights of your own instead."
        )
    return path
