"""The desk on which a take is corrected: what was done, what undone, and what comes of it in 3D at every step."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

from sasmamba.app.config import Settings
from sasmamba.app.export.poses import save_poses
from sasmamba.app.finishing import finish, placed
from sasmamba.app.fix.applying import corrected
from sasmamba.app.fix.carried_placement import carried_over
from sasmamba.app.fix.corrections import Correction
from sasmamba.app.fix.fixes_file import Fixes, write_fixes
from sasmamba.app.fix.relifting import RememberingLifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take
from sasmamba.common.progress import Progress

#: So many poses are placed at once, within a third of a second; more are shown first where they stood before.
AT_ONCE = 600


@dataclass(frozen=True, slots=True)
class Work:
    """What corrections come to.

    Attributes:
        corrections: all of them, in their order.
        take, placement: lifted, smoothed and placed.
        problems: a sentence for each correction that does not apply.
        windows: how many the network lifted anew for it.
        provisional: the placement is carried over from before the last correction; `Desk.settled` places anew.
    """

    corrections: tuple[Correction, ...]
    take: Take
    placement: Placement
    problems: tuple[str, ...]
    windows: int
    provisional: bool = False


class Desk:
    """A take under correction; several threads may ask at once.

    Args:
        take: as it was analysed, see `read_take`.
        settings: what it is lifted and placed by.
        lifter: a memory of windows, empty as yet.
        fixes: corrections to begin with; they can be undone.
        start_s: where in its file the take begins.
        autosave: every change is written here, whole or not at all.
        progress: told how far the first lifting has come.
    """

    def __init__(
        self,
        take: Take,
        settings: Settings,
        lifter: RememberingLifter,
        fixes: Fixes,
        *,
        start_s: float = 0.0,
        autosave: Path | None = None,
        progress: Progress = lambda stage, done, total: None,
    ) -> None:
        self.original, self.settings, self.fixes, self.start_s = take, settings, fixes, start_s
        self._lifter, self._autosave = lifter, autosave
        self._guard = threading.RLock()
        self._undone: list[Correction] = []
        self.unsaved = bool(fixes.corrections)
        self.work = self._worked(fixes.corrections, None, progress)
        self._fitted = self.work  # the last for which everybody's bones were fitted to all of their windows

    @property
    def can_redo(self) -> bool:
        """Whether something was undone that can be done again."""
        return bool(self._undone)

    def do(self, correction: Correction) -> Work:
        """Adds a correction.

        Raises:
            ValueError: it does not apply; the text says why, and everything is as before.
            UserError: the disk refuses the file of corrections; the correction stands all the same.
        """
        with self._guard:
            now = self._worked((*self.work.corrections, correction), self.work)
            if len(now.problems) > len(self.work.problems):
                raise ValueError(now.problems[-1])
            self._undone.clear()
            return self._taken(now)

    def undo(self) -> Work:
        """Takes the last correction back, if there is one."""
        with self._guard:
            if not self.work.corrections:
                return self.work
            *before, last = self.work.corrections
            now = self._worked(tuple(before), self.work)
            self._undone.append(last)
            return self._taken(now)

    def redo(self) -> Work:
        """Does again what was undone last, if it was the last thing that was done."""
        with self._guard:
            if not self._undone:
                return self.work
            now = self._worked((*self.work.corrections, self._undone[-1]), self.work)
            self._undone.pop()
            return self._taken(now)

    def settled(self) -> Work:
        """The work with everybody placed anew, where they only were carried over; others can go on meanwhile."""
        while (work := self.work).provisional:
            placement = placed(work.take, self.settings)
            with self._guard:
                if self.work is work:  # otherwise it is of a take that is no more
                    self.work = replace(work, placement=placement, provisional=False)
        return work

    def save(self, out: Path) -> Work:
        """Writes the corrected poses; everybody's bones are fitted as a new analysis would, anew after changes.

        Raises:
            UserError: the disk refuses.
        """
        with self._guard:
            if self.work is not self._fitted:
                self._lifter.forget_bodies()
                self.work = self._fitted = self._worked(self.work.corrections)
            save_poses(self.work.take, out, keep_inferred=self.settings.keep_inferred)
            self.unsaved = False
            return self.work

    def _taken(self, now: Work) -> Work:
        self.work, self.unsaved = now, True
        if self._autosave is not None:
            write_fixes(replace(self.fixes, corrections=now.corrections), self._autosave)
        return now

    def _worked(
        self,
        corrections: tuple[Correction, ...],
        before: Work | None = None,
        progress: Progress = lambda stage, done, total: None,
    ) -> Work:
        """What corrections come to; after a long take's first time (`before`) with a provisional placement."""
        windows = self._lifter.lifted
        done = corrected(self.original, corrections, self.start_s)
        take = done.take
        lift_take(take, self._lifter, progress)
        finish(take, self.settings)
        windows = self._lifter.lifted - windows
        if (
            before is not None
            and _alike(before.take, take)
            and sum(len(t.poses) for t in take.tracks.values()) > AT_ONCE
        ):
            placement = carried_over(before.take, before.placement, take)
            return Work(corrections, take, placement, done.problems, windows, provisional=True)
        return Work(corrections, take, placed(take, self.settings), done.problems, windows)


def _alike(a: Take, b: Take) -> bool:
    """Whether the user says the same of floor and upright."""
    return (a.floor_marks, a.upright_marks) == (b.floor_marks, b.upright_marks)
