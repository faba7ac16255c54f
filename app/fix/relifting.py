"""A lifter that remembers its windows, so that after a correction only the windows concerned are lifted again."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.common.arrays import FloatArray
from sasmamba.models.fitted_body import FittedBody

#: Windows that are remembered beside those of the last take: enough to undo and redo without lifting.
_BESIDE = 256

_Answer = tuple[FloatArray, FloatArray | None]
T = TypeVar("T")
U = TypeVar("U")


class RememberingLifter(Lifter):
    """As the lifter that it is made from, but a window that it has seen before costs nothing.

    A person's bones are fitted to all of their windows (`models.refining`). While more than half of a person's windows
    are as they were, the bones stay as they were, too: a correction then changes nothing outside the windows that it
    touches, to the last bit. `forget_bodies` lets them be fitted anew, as a lifter without a memory would.

    Attributes:
        lifted: windows that the network has lifted so far.
    """

    def __init__(self, lifter: Lifter) -> None:
        super().__init__(
            lifter.model, lifter.name, lifter.flip, lifter.threads, refine=lifter.refine, detected=lifter.detected
        )
        self.lifted = 0
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._refined: OrderedDict[tuple[bytes, int], FloatArray] = OrderedDict()
        self._body_of: dict[bytes, int] = {}
        self._bodies: list[FittedBody | None] = [None]

    def forget_bodies(self) -> None:
        """Lets everybody's bones be fitted anew the next time."""
        self._body_of.clear()

    def many(
        self,
        windows: Iterable[FloatArray],
        *,
        later: bool = False,
        threads: int | None = None,
        newest: int | None = None,
    ) -> Generator[_Answer, None, None]:
        if newest is not None or (not later and self.refine):  # only whole windows, unrefined, are remembered
            yield from super().many(windows, later=later, threads=threads, newest=newest)
            return
        windows = list(windows)
        keys = [_key(window) for window in windows]
        missing = {key: window for key, window in zip(keys, windows, strict=True) if key not in self._answers}
        fresh = zip(missing, super().many(missing.values(), later=True, threads=threads), strict=True)
        for key in keys:
            while key not in self._answers:
                known, answer = next(fresh)
                self._answers[known] = answer
                self.lifted += 1
            self._answers.move_to_end(key)
            yield self._answers[key]
        _trim(self._answers, len(keys))

    def refined(
        self, windows: Sequence[FloatArray], lifted: Sequence[FloatArray], person: Sequence[int]
    ) -> Iterator[FloatArray]:
        keys = [_key(window) for window in windows]
        whose = {who: self._body(who, keys, windows, lifted, person) for who in sorted(set(person))}
        wanted = [(key, whose[who]) for key, who in zip(keys, person, strict=True)]
        missing = [i for i, known in enumerate(wanted) if known not in self._refined]
        fresh = self.fitted(
            [windows[i] for i in missing], [lifted[i] for i in missing], [self._bodies[wanted[i][1]] for i in missing]
        )
        self._refined.update(zip([wanted[i] for i in missing], fresh, strict=True))
        for known in wanted:
            self._refined.move_to_end(known)
            self._body_of[known[0]] = known[1]
            yield self._refined[known]
        _trim(self._refined, len(keys))

    def _body(
        self,
        who: int,
        keys: Sequence[bytes],
        windows: Sequence[FloatArray],
        lifted: Sequence[FloatArray],
        person: Sequence[int],
    ) -> int:
        """The number of a person's body among `_bodies`, the first of which is each window's own."""
        own = [i for i, whose in enumerate(person) if whose == who]
        if len(own) == 1:
            return 0
        known = Counter(self._body_of[keys[i]] for i in own if self._body_of.get(keys[i], 0))
        if known and 2 * known.most_common(1)[0][1] > len(own):
            return known.most_common(1)[0][0]
        found = self.bodies([windows[i] for i in own], [lifted[i] for i in own], [who] * len(own))
        self._bodies.append(found[who])
        return len(self._bodies) - 1


def _key(window: FloatArray) -> bytes:
    content = np.ascontiguousarray(window, np.float32)
    return hashlib.blake2b(content.tobytes(), digest_size=16, person=b"%d" % len(content)).digest()


def _trim(memory: OrderedDict[T, U], in_use: int) -> None:
    while len(memory) > in_use + _BESIDE:
        memory.popitem(last=False)
