"""Model files by name: the shipped manifest, the cache, and fetching what is not there."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from platformdirs import user_cache_path

from sasmamba.app.weights.download import Tell
from sasmamba.app.weights.manifest import Entry, shipped_entries
from sasmamba.app.weights.store import Status, Store
from sasmamba.common.errors import UserError
from sasmamba.common.shipped_weights import shipped_folder

_log = logging.getLogger(__name__)


def cache_dir() -> Path:
    """The folder of fetched files, from the root: SASMAMBA_WEIGHTS, else the user's cache folder of this platform."""
    chosen = os.environ.get("SASMAMBA_WEIGHTS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return user_cache_path("sasmamba-demo")


def default_store(*, offline: bool | None = None) -> Store:
    """The shipped manifest with the cache folder of now; offline None asks SASMAMBA_OFFLINE."""
    if offline is None:
        offline = os.environ.get("SASMAMBA_OFFLINE", "").lower() in {"1", "true", "yes", "on"}
    shipped = shipped_folder()
    return Store(shipped_entries(shipped), cache_dir(), shipped, offline)


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
