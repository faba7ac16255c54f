"""How much 2D this machine can do live: less where frames are lost or late, more again when there is room.

It looks at whole seconds. Several strained ones in a row lead a level down, a calm while leads one up where the stage's
work there is expected to fit. What was tried and failed is tried again only after twice as long, so that a machine
between two levels does not go to and fro.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

#: A second is strained when more than this share of its frames was lost before the 2D stage, or its frames were this
#: late on the average when their poses were there.
LOST, LATE_S = 0.05, 0.16
#: So many strained seconds among so many lead down.
STRAINED, AMONG = 3, 4
#: A level up is tried after so many seconds without a strained one; after each try that failed, twice as many.
CALM_S, MOST_CALM_S = 5, 160
#: A try has failed if it leads down again within so many seconds.
TRIAL_S = 60.0
#: The 2D stage may be expected to work so much of the time at the level above.
ROOM = 0.85


@dataclass(frozen=True, slots=True)
class Level:
    """One way to do the 2D stage.

    Attributes:
        network: which of the backend's networks; empty where it has only one.
        every: the stage runs in every so many frames.
        cost: of a second of video, against the other levels.
    """

    network: str
    every: int
    cost: float

    def __str__(self) -> str:
        when = "every frame" if self.every == 1 else "every second frame"
        if not self.network:
            return when
        return self.network if self.every == 1 else f"{self.network} in {when}"


#: What the networks of a backend cost, each against the next cheaper one: Thunder's crops against Lightning's.
_DEARER = 1.6


def levels_of(networks: Sequence[str]) -> tuple[Level, ...]:
    """The levels of a backend with these networks, the dearest first: each, then the last in every second frame."""
    names = list(networks) or [""]
    cost = [_DEARER ** (len(names) - 1 - i) for i in range(len(names))]
    whole = [Level(name, 1, c) for name, c in zip(names, cost, strict=True)]
    return (*whole, Level(names[-1], 2, 0.5))


@dataclass(slots=True)
class _Totals:
    """What has been counted up to a moment."""

    at_s: float
    captured: int = 0
    lost: int = 0
    busy_s: float = 0.0


@dataclass(slots=True)
class Governor:
    """Chooses the level of the 2D stage by what became of the frames; see `note`.

    Args:
        levels: the dearest first.
        number: the level to begin with.
        late_s: frames that are later than this are late; what the look-ahead costs included.

    Attributes:
        spent_s: seconds spent at each level.
    """

    levels: tuple[Level, ...]
    number: int = 0
    late_s: float = LATE_S
    spent_s: list[float] = field(init=False)
    _since: _Totals | None = field(init=False, default=None)
    _delays: list[float] = field(init=False, default_factory=list)
    _strained: deque[bool] = field(init=False, default_factory=deque)
    _calm_s: int = field(init=False, default=CALM_S)
    _quiet_s: float = field(init=False, default=0.0)
    _stepped_up_s: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        if not 0 <= self.number < len(self.levels):
            raise ValueError(f"number: want 0..{len(self.levels) - 1}, got {self.number}")
        self.spent_s = [0.0] * len(self.levels)

    @property
    def level(self) -> Level:
        """The level now."""
        return self.levels[self.number]

    def note(self, now_s: float, *, captured: int, lost: int, delay_s: float, busy_s: float) -> bool:
        """Takes what has become of the frames up to now; called for every frame that went through the chain.

        Args:
            now_s: any clock that only goes forward.
            captured: frames that the source has given so far.
            lost: those of them that the 2D stage did not get to.
            delay_s: from capture to poses, of this frame.
            busy_s: how long the 2D stage has worked so far.

        Returns:
            Whether the level has changed.
        """
        if self._since is None:
            self._since = _Totals(now_s, captured, lost, busy_s)
        self._delays.append(delay_s)
        passed_s = now_s - self._since.at_s
        if passed_s < 1:
            return False
        since, self._since = self._since, _Totals(now_s, captured, lost, busy_s)
        delays, self._delays = self._delays, []
        self.spent_s[self.number] += passed_s
        share = (lost - since.lost) / max(1, captured - since.captured)
        strained = share > LOST or sum(delays) / len(delays) > self.late_s
        self._strained.append(strained)
        if len(self._strained) > AMONG:
            self._strained.popleft()
        self._quiet_s = 0.0 if strained else self._quiet_s + passed_s
        if sum(self._strained) >= STRAINED and self.number + 1 < len(self.levels):
            tried = now_s - self._stepped_up_s < TRIAL_S
            self._calm_s = min(2 * self._calm_s, MOST_CALM_S) if tried else CALM_S
            self._change(1)
            return True
        if self.number and self._quiet_s >= self._calm_s and self._fits((busy_s - since.busy_s) / passed_s):
            self._stepped_up_s = now_s
            self._change(-1)
            return True
        return False

    def _fits(self, busy: float) -> bool:
        """Whether the level above is expected to fit, where the stage works this share of the time now."""
        return busy * self.levels[self.number - 1].cost / self.level.cost <= ROOM

    def _change(self, by: int) -> None:
        """Goes to another level; what was seen before says nothing about it, nor does the second that is under way."""
        self.number += by
        self._strained.clear()
        self._quiet_s = 0.0
        self._since = None
        self._delays.clear()
