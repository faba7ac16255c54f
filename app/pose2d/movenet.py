"""MoveNet as a 2D backend: MultiPose finds people, Thunder or Lightning find the joints of each.

MoveNet (Google 2021, "Next-Generation Pose Detection with MoveNet and TensorFlow.js") sees one person in a square crop
very well, and its MultiPose variant everybody in a picture, roughly. So a `CropFollower` cuts a square around each
person where their motion takes them, with the others in it black, and from time to time MultiPose searches for
newcomers, more often after somebody came or was lost; parts of large pictures are searched for small people, in turn,
and while nobody is found, a smaller picture for who fills it.
Whoever is not upright gets a crop that is turned, see `turned`. Times are in seconds: the frame rate and how many
frames are passed over do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.pose2d.anatomy import SURE, believed
from sasmamba.app.pose2d.close_ups import CloseUps, find_close_up
from sasmamba.app.pose2d.crop_follower import FLOOR, CropFollower, inside, piece_of, same_person, span, takes_the_place
from sasmamba.app.pose2d.crop_network import Network, estimates
from sasmamba.app.pose2d.multipose import Finder
from sasmamba.app.pose2d.overlap import box_area
from sasmamba.app.pose2d.protocol import begins_anew
from sasmamba.app.pose2d.squares import Square, beside
from sasmamba.app.pose2d.tiles import LEAST_PX, Rotation, find_small_people, smallest_px
from sasmamba.app.pose2d.turned import (
    TURN_AGAIN_S,
    OtherWays,
    find_turned,
    is_better,
    other_turns,
    upright_turns,
    usual_turns,
)
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.arrays import FloatArray
from sasmamba.common.closing import Closing

#: MultiPose searches for newcomers after so many seconds, and sooner for so long after somebody came or was lost.
FIND_S, FIND_SOON_S, SOON_FOR_S = 0.3, 0.1, 1.0
#: So many sure joints make somebody new, and keep somebody who is followed.
JOIN, STAY = 5, 4
#: Small people are shown whole, and doorways, shop windows and statues are many: so many sure joints, and joints as
#: sure as this on the average, make one of them.
JOIN_SMALL, SMALL_SCORE = 10, 0.45
#: Room around a person's joints on each side, for hands, feet and the top of the head.
MARGIN = 0.1


class MoveNetPose2D(Closing):
    """Finds people with MultiPose and follows each with Thunder or Lightning; see `protocol.Pose2D`.

    A joint's score is the network's; it is 0 where `anatomy.believed` does not believe it. Boxes are those of the
    believed joints with a margin, cut at the picture's edge.

    Args:
        network: finds joints in crops.
        finder: finds people; see `movenet_networks`.
        max_people: at most so many are followed at once, 1 or more.
        mirror: see `crop_network.estimate`.
        name: what a report calls it.
        threads: so many crops are looked at, and MultiPose beside them, at the same time; the answers are the same.
        soon: the first picture of all is to be out soon: small people are searched for in the frames after it.
        waits: for MultiPose, in the frame that it is shown. Live it must not hold up whom is followed already: whom it
            found is taken on in the frame by which it is done, from two threads on.
        others: networks that can take `network`'s place, opened when they are asked for; see `protocol.Stepping`.
        using: what `network` is called among them.

    Attributes:
        networks: their names, the most exact first; there is always one.
    """

    def __init__(
        self,
        network: Network,
        finder: Finder,
        *,
        max_people: int = 8,
        mirror: bool = False,
        name: str = "movenet",
        threads: int = 1,
        soon: bool = False,
        waits: bool = True,
        others: Mapping[str, Callable[[], Network]] | None = None,
        using: str = "",
    ) -> None:
        if max_people < 1:
            raise ValueError(f"max_people: want 1 or more, got {max_people}")
        if others and using not in others:
            raise ValueError(f"using: want one of {', '.join(others)}, got {using!r}")
        self.name, self.using = name, using or name
        self.networks = tuple(others or (self.using,))
        self._others, self._opened = others or {}, {self.using: network}
        self._coming: Future[Network] | None = None
        self._network: Network | None = network
        self._finder = finder
        self._max_people, self._mirror = max_people, mirror
        self._last: Frame | None = None
        self._rotation = Rotation()
        self._pool = ThreadPoolExecutor(threads, "movenet") if threads > 1 else None
        self._waits, self._soon = waits, soon
        self._begin()

    def _begin(self) -> None:
        """Forgets everybody: nothing before tells anything of what comes."""
        self._followers: list[CropFollower] = []
        self._searching: _Search | None = None
        self._found_s = self._changed_s = self._asked_s = -np.inf
        self._ways, self._close_ups, self._searched_turned = OtherWays(), CloseUps(), False

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        """People in this frame, longest followed first.

        A frame that is not later than the one before it begins a new video, and one with a cut a new shot: everybody
        is looked for afresh.
        """
        last, self._last = self._last, frame
        if last is not None and begins_anew(frame, last):
            self._begin()
        if self._coming is not None and self._coming.done():
            self._network, self._coming = self._coming.result(), None
        now_s = float(frame.time_s)
        squares = [self._alone(f.square(now_s), f.expected_px(now_s), f.person, now_s) for f in self._followers]
        begun = self._begin_search(frame.bgr, now_s)
        for follower, joints in zip(self._followers, self._estimate(frame.bgr, squares), strict=True):
            follower.follow(_person(joints, frame.bgr, STAY), now_s)
        self._turn(frame.bgr, squares, now_s)
        self._settle_duplicates()
        self._let_go(now_s)
        if begun and self._searching is not None:
            self._searching.shown = [(f, f.person) for f in self._followers]
        nobody = not self._followers  # nothing to be held up
        if self._searching is not None and (self._waits or nobody or self._searching.done):
            search, self._searching = self._searching, None
            self._take_on(search, frame.bgr, now_s)
            if not (self._followers or self._rotation.puts_off) and search.whole and self._close_ups.due(now_s):
                rough = self._run(find_close_up, self._finder, frame.bgr)
                self._take_on(_Search([rough], []), frame.bgr, now_s)
            for turns in self._other_ways(now_s):
                rough = self._run(find_turned, self._finder, frame.bgr, turns)
                self._take_on(_Search([rough], [], turns=turns), frame.bgr, now_s)
        return tuple(f.person for f in self._followers if not f.lost)

    def use(self, name: str) -> None:
        """Finds joints with that one of `networks` as soon as it is open; until then with the one before.

        Raises:
            ValueError: another name.
        """
        if name not in self.networks:
            raise ValueError(f"network: want one of {', '.join(self.networks)}, got {name!r}")
        self.using, self._coming = name, None
        if name in self._opened:
            self._network = self._opened[name]
        else:
            self._coming = self._run(self._open, name)

    def smallest_px(self, width: int, height: int) -> int:
        """See `protocol.Sized`."""
        return smallest_px(width, height)

    def close(self) -> None:
        """Frees the models; a second call does nothing."""
        if self._pool is not None:
            self._pool.shutdown()
        self._followers, self._network, self._searching, self._coming = [], None, None, None
        self._opened.clear()

    def _open(self, name: str) -> Network:
        self._opened[name] = self._others[name]()
        return self._opened[name]

    def _run(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """The work's result: on a thread beside this one, or done at once where there is none."""
        if self._pool is not None:
            return self._pool.submit(work, *arguments)
        done: Future[Any] = Future()
        done.set_result(work(*arguments))
        return done

    def _estimate(self, bgr: NDArray[np.uint8], squares: list[Square]) -> list[FloatArray]:
        if self._network is None:
            raise ValueError("the backend is closed")
        each = map if self._pool is None else self._pool.map
        return estimates(each, self._network, bgr, squares, mirror=self._mirror)

    def _alone(
        self, square: Square, box_px: FloatArray, person: Person2D, now_s: float, rough: Sequence[Person2D] = ()
    ) -> Square:
        """The square of somebody in that box, without the others who are followed or were just found."""
        boxes = [f.expected_px(now_s) for f in self._followers if not (f.lost or same_person(f.person, person))]
        boxes += [other.box_px for other in rough if not same_person(other, person)]
        return replace(square, hidden_px=beside(box_px, boxes))

    def _see(self, bgr: NDArray[np.uint8], square: Square, fewest: int) -> Person2D | None:
        """Whoever is in one square."""
        return _person(self._estimate(bgr, [square])[0], bgr, fewest)

    def _begin_search(self, bgr: NDArray[np.uint8], now_s: float) -> bool:
        """Lets MultiPose find people, if it is time and it is not at it, beside the networks of the crops."""
        if self._searching is not None:
            return False
        soon = now_s - self._changed_s < SOON_FOR_S or not self._followers or any(f.lost for f in self._followers)
        early = now_s - self._found_s < (FIND_SOON_S if soon else FIND_S) - 1e-6
        full = len(self._followers) >= self._max_people and not any(f.small for f in self._followers)
        whole, turns, tiles = [], 0, self._rotation.overdue()
        if not early:
            first, self._found_s = self._found_s == -np.inf, now_s
            # where most are not upright, newcomers may be so, too, or not
            turns = 0 if self._searched_turned else self._usual_turns()
            self._searched_turned = turns != 0
            whole = [self._run(find_turned, self._finder, bgr, turns)]
            if first:
                every = self._rotation.begin(bgr, now_s, put_off=self._soon)
                tiles, self._soon = every if self._waits else (), False
        elif not (tiles or full):
            tiles = self._rotation.turn(now_s, idle=not self._followers)
        if not (whole or tiles):
            return False
        small = [self._run(find_small_people, self._finder, bgr, tile) for tile in tiles]
        self._searching = _Search(whole, small, turns=turns)
        return True

    def _usual_turns(self) -> int:
        """How most of those who are followed are turned."""
        return usual_turns([f.turns for f in self._followers])

    def _other_ways(self, now_s: float) -> Iterator[int]:
        """As `OtherWays`; and where a shot begins, too, as those stand who were found upright. Small upright people are
        searched for before that."""
        if self._rotation.puts_off:
            return
        if self._ways.first and self._usual_turns():
            yield self._usual_turns()
        yield from self._ways.due(now_s, lambda: bool(self._followers))

    def _turn(self, bgr: NDArray[np.uint8], squares: list[Square], now_s: float) -> None:
        """Who points another way than their crop, or is hardly seen in it, is looked at in one turned otherwise."""
        for follower, square in zip(self._followers, squares, strict=True):
            turns = other_turns(follower.person, square.turns)
            if follower.lost or turns == square.turns or now_s - follower.asked_s < TURN_AGAIN_S:
                continue
            seen = self._see(bgr, replace(square, turns=turns), STAY)
            if seen is not None and is_better(seen, follower.person):
                follower.turn(seen, turns)
            else:
                follower.asked_s = now_s

    def _look(
        self, bgr: NDArray[np.uint8], square: Square, fewest: int, now_s: float
    ) -> tuple[Person2D | None, int, bool]:
        """Whoever is in a square, as it is turned or, if that shows them better, otherwise; how it is turned then; and
        whether they were seen in that one only."""
        turns = square.turns
        person = self._see(bgr, square, fewest)
        other = (turns + 2) % 4 if person is None else other_turns(person, turns)
        if other == turns or (person is None and now_s - self._asked_s < TURN_AGAIN_S):
            return person, turns, False
        if person is None:
            self._asked_s = now_s
        seen = self._see(bgr, replace(square, turns=other), fewest)
        if seen is None or (person is not None and not is_better(seen, person)):
            return person, turns, False
        return seen, other, person is None

    def _settle_duplicates(self) -> None:
        """Where two followers show one person, the one that continues its own path better keeps them."""
        seen = sorted((f for f in self._followers if not f.lost), key=lambda f: -f.continuity)
        for i, keeper in enumerate(seen):
            for other in seen[i + 1 :]:
                if not keeper.lost and not other.lost and same_person(keeper.person, other.person):
                    other.retract()

    def _let_go(self, now_s: float) -> None:
        kept = [f for f in self._followers if f.is_worth_it(now_s)]
        if len(kept) < len(self._followers):
            self._changed_s = now_s
        self._followers = kept

    def _take_on(self, search: _Search, bgr: NDArray[np.uint8], now_s: float) -> None:
        """Takes on everybody new, the surest first; the small give way to others."""
        shown = [(f, person) for f, person in search.shown if f in self._followers]
        everybody = [person for person, _ in search.found()]
        found = [f for f, person in shown if any(_is_known(rough, person) for rough in everybody)]
        for rough, small in search.found():
            known = [f for f, person in shown if _is_known(rough, person)]
            for follower in known:
                follower.confirmed_s = now_s
            if known or (small and any(inside(rough, person) for _, person in shown)):
                continue
            full = len(self._followers) >= self._max_people
            giving_way = None if small or not full else next((f for f in self._followers[::-1] if f.small), None)
            if full and giving_way is None:
                continue
            square = Square.around(rough.joints_px, rough.score)
            if square is None:
                continue
            square = replace(square, turns=upright_turns(rough, search.turns))
            square = self._alone(square, rough.box_px, rough, now_s, everybody)
            person, turns, turned = self._look(bgr, square, JOIN_SMALL if small else JOIN, now_s)
            if person is None or ((small or turned or search.turns) and not _is_distinct(person)):
                continue
            # The crop's own joints may show somebody else, who stands in the middle of it, or a part of them.
            if any(same_person(f.person, person) or (small and inside(person, f.person)) for f in self._followers):
                continue
            # Who was taken on in somebody's place, and is not found beside them, is that person, seen better.
            lost = next((f for f in self._followers if f not in found and takes_the_place(person, f.person)), None)
            if lost is not None:
                lost.find_again(person, now_s, turns)
                continue
            if not small:
                self._followers = [f for f in self._followers if not _is_a_part(f, person, now_s)]
            if giving_way in self._followers:
                self._followers.remove(giving_way)
            self._followers.append(CropFollower(person, now_s, self._rotation.round_s if small else None, turns))
            shown.append((self._followers[-1], rough if not self._waits else person))
            self._changed_s = now_s


@dataclass(slots=True)
class _Search:
    """MultiPose at work on a frame: its answers, and everybody followed as they were in that very frame; by how many
    quarters the picture was turned for it."""

    whole: list[Future[list[tuple[Person2D, float]]]]
    tiles: list[Future[list[tuple[Person2D, float]]]]
    shown: list[tuple[CropFollower, Person2D]] = field(default_factory=list)
    turns: int = 0

    @property
    def done(self) -> bool:
        return all(answer.done() for answer in (*self.whole, *self.tiles))

    def found(self) -> Iterator[tuple[Person2D, bool]]:
        """Everybody found, the surest first, and whether in a tile; those in the whole picture come before."""
        for answers, small in ((self.whole, False), (self.tiles, True)):
            people = [found for answer in answers for found in answer.result()]
            yield from ((person, small) for person, _ in sorted(people, key=lambda found: -found[1]))


def _is_a_part(follower: CropFollower, person: Person2D, now_s: float) -> bool:
    """Whether somebody who was found in a part of the picture a moment ago is a part of a person found now."""
    return follower.small and now_s - follower.begun_s < SOON_FOR_S and inside(follower.person, person)


def _is_known(rough: Person2D, person: Person2D) -> bool:
    """Whether rough joints are of somebody who is followed."""
    return same_person(person, rough) or piece_of(rough, person)


def _is_distinct(person: Person2D) -> bool:
    """Whether somebody found where strangers often are, in a part or in a turned picture, is seen well enough."""
    return (person.score >= SURE).sum() >= JOIN_SMALL and person.score[person.score > 0].mean() >= SMALL_SCORE


def _person(joints: FloatArray, bgr: NDArray[np.uint8], fewest: int) -> Person2D | None:
    """A person of the joints (17, 3) x px, y px, score that are to be believed; None where they are too few."""
    height, width = bgr.shape[:2]
    score = believed(joints[:, :2], joints[:, 2], width, height, FLOOR)
    if (score >= SURE).sum() < fewest:
        return None
    seen = joints[score > 0, :2]
    low, high = seen.min(0), seen.max(0)
    room = MARGIN * (high - low)
    box = np.clip(np.concatenate([low - room, high + room]), 0, [width, height, width, height]).astype(np.float32)
    if span(box) < LEAST_PX or box_area(box) < 1:
        return None
    return Person2D(None, box, joints[:, :2].copy(), score)
