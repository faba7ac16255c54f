"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

#: progress(stage, frames done, frames in all or None)
Progress = Callable[[str, int, int | None], None]
