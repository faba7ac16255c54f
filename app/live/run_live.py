"""One live run: opens its source, draws the newest result, listens to keys, measures the delay."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.config import LiveJob, LiveSettings
from sasmamba.app.io.live_sources import open_live
from sasmamba.app.lifting.loading import lifter_beside
from sasmamba.app.live.framing import Framing
from sasmamba.app.live.motion_feed import MotionFeed
from sasmamba.app.live.page_server import Server
from sasmamba.app.live.recording import Recorder
from sasmamba.app.live.session import Session, Shown
from sasmamba.app.live.vmc import VmcSender, check_osc
from sasmamba.app.live.window import Window, can_show
from sasmamba.app.motion.body import LiveBodies
from sasmamba.app.motion.online_placing import LivePlacing
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.render.renderer import RenderConfig, Renderer
from sasmamba.app.serving.gate import LOOPBACK
from sasmamba.app.tracking import Tracker
from sasmamba.common.device import resolve_device
from sasmamba.common.errors import UserError
from sasmamba.common.files import check_writable
from sasmamba.common.interrupts import Stop

#: Where the page is served when nobody says and there is no display.
DEFAULT_PORT = 8477
#: Numbers in the picture are renewed every so many frames; faster ones cannot be read.
_HUD_EVERY = 10
_TURN_DEG, _HELP_S = 10.0, 6.0
_HELP = "q quit   space pause   r record   arrows turn"

_log = logging.getLogger(__name__)


class Delays:
    """Delays in milliseconds, counted in bins of one: a year of them takes no more room than a second's."""

    def __init__(self) -> None:
        self._bins = np.zeros(20_001, np.int64)

    def add(self, seconds: float) -> None:
        """Counts one; the last bin holds all that are longer."""
        self._bins[min(max(round(1000 * seconds), 0), len(self._bins) - 1)] += 1

    def percentile(self, share: float) -> float:
        """The delay in ms that `share` of all (0..1) do not exceed; NaN before the first."""
        total = self._bins.sum()
        return float(np.searchsorted(np.cumsum(self._bins), max(1, share * total))) if total else float("nan")


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What a live run did.

    Attributes:
        captured: frames the source gave.
        shown: frames drawn.
        dropped: frames that never went through the chain because a newer one had come.
        undrawn: frames that did, but were overtaken before they were drawn.
        seconds: from the first to the last picture.
        delay_ms: capture to display, median, the look-ahead included.
        delay_95_ms: the same, 95th percentile.
        lookahead: frames of the future that the lifter saw.
        stage_ms: of each stage, over the last frames.
        people: how many identities were shown.
        files: recordings.
        problems: recordings that failed, a sentence each.
        interrupted: the user stopped it.
        level: what the 2D stage did at the end.
        level_s: seconds that it did what, where it did something.
        sent: frames that were handed on as data.
        unsent: those that newer ones replaced before they could be sent, of every WebSocket client and of OSC.
    """

    captured: int
    shown: int
    dropped: int
    undrawn: int
    seconds: float
    delay_ms: float
    delay_95_ms: float
    lookahead: int
    stage_ms: dict[str, float]
    people: int
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    interrupted: bool = False
    level: str = ""
    level_s: dict[str, float] = field(default_factory=dict)
    sent: int = 0
    unsent: int = 0

    @property
    def fps(self) -> float:
        """Pictures shown per second."""
        return (self.shown - 1) / self.seconds if self.seconds > 0 else 0.0


class _Picture:
    """Draws results and keeps the numbers that stand in the picture."""

    def __init__(self, session: Session, renderer: Renderer, framing: Framing, lookahead: int) -> None:
        self._session, self._lookahead = session, lookahead
        self._framing, self.renderer = framing, renderer
        self._angles = RenderConfig().azimuth_deg, RenderConfig().elevation_deg
        self.delays, self.people = Delays(), set[int]()
        self.shown, self._fps, self._recent_s, self._delay_s = 0, 0.0, 0.0, 0.0
        self.first_s = self.last_s = time.monotonic()
        self._hud = ""

    def draw(self, shown: Shown, recording: bool, remarks: str) -> NDArray:
        """The picture of one result; remarks: lines to stand below the numbers."""
        begin = time.perf_counter()
        if self._framing.follow(shown.roots):
            self.renderer.see_from(*self._angles, self._framing.scene)
        self.people.update(p.track_id for p in shown.poses)
        if self.shown % _HUD_EVERY == 0:
            session = self._session
            stages = "   ".join(f"{k} {ms:.0f} ms" for k, ms in session.stage_ms.items())
            self._hud = (
                f"{self._fps:4.1f} fps   delay {1000 * self._delay_s:.0f} ms   look-ahead {self._lookahead}\n"
                f"dropped {session.dropped} of {session.captured}   {stages}"
            )
            if session.governor.number:
                self._hud += f"\nto keep up, 2D: {session.governor.level}"
        hud = self._hud + ("\nrecording" if recording else "") + (f"\n{remarks}" if remarks else "")
        picture = self.renderer.draw(shown.live.frame, shown.people, shown.poses, hud, shown.roots, upper=shown.upper)
        self._session.note("draw", time.perf_counter() - begin)
        return picture

    def displayed(self, shown: Shown) -> float:
        """Books that the picture of this result is before the user's eyes now; returns its delay in seconds."""
        now = time.monotonic()
        delay = now - shown.live.captured_s
        self.delays.add(delay)
        if self.shown:
            self._recent_s += 0.1 * (now - self.last_s - self._recent_s) if self._recent_s else now - self.last_s
            self._fps = 1 / self._recent_s if self._recent_s > 0 else 0.0
            self._delay_s += 0.1 * (delay - self._delay_s)
        else:
            self.first_s, self._delay_s = now, delay
        self.shown, self.last_s = self.shown + 1, now
        return delay

    def turn(self, right: float, up: float) -> None:
        """Walks the viewer of the 3D panel around the people."""
        azimuth, elevation = self._angles
        self._angles = (azimuth + right + 180) % 360 - 180, min(max(elevation + up, 2.0), 80.0)
        self.renderer.see_from(*self._angles)


def run_live(
    job: LiveJob,
    settings: LiveSettings,
    tell: Callable[[str], None] = _log.info,
    watch: Callable[[Shown, float], None] | None = None,
) -> LiveReport:
    """Runs until the source ends, the time is up, or the user stops.

    Args:
        tell: told where the picture can be watched.
        watch: told of every picture that was shown, and its delay in seconds.

    Raises:
        UserError: anything a person can mend. What was recorded before stays, whole. A recording that fails ends the
            run only where nobody sees anything else of it; elsewhere it is one of the report's `problems`.
    """
    wants_window = can_show()[0] if settings.window is None else settings.window
    with ExitStack() as stack:
        stop = stack.enter_context(Stop.on_interrupt())
        if job.out is not None:
            check_writable(job.out)
        if settings.osc is not None:
            check_osc()
        device = resolve_device(settings.device)
        # here every millisecond shows, so nothing is mirrored or refined
        loading = stack.enter_context(lifter_beside(settings.lifter, device, flip=False, refine=False))
        source = stack.enter_context(open_live(job.source, start_s=settings.start_s, patience_s=settings.patience_s))
        window_ = stack.enter_context(Window()) if wants_window else None
        pose2d = stack.enter_context(
            open_pose2d(
                settings.pose2d,
                max_people=settings.max_people,
                detector=settings.detector,
                weights=settings.pose2d_weights,
                input_px=settings.pose2d_px,
                device=device,
                live=True,
            )
        )
        osc = stack.enter_context(VmcSender(*settings.osc)) if settings.osc is not None else None
        feed = MotionFeed(source.meta, (osc,) if osc else ())
        servers = _servers(job, settings, wants_window, feed)
        for server in servers:
            stack.enter_context(server)
            tell(f"Watch at {server.url}")
            if settings.ws is not None:
                tell(f"Motion as JSON at {server.motion_url}")
            if server.gate.token:
                tell("Whoever has this address can watch, and the connection is not encrypted.")
        stack.enter_context(feed)  # ends first, so that servers say goodbye
        if settings.osc is not None:
            tell(f"Bones by the VMC protocol to {settings.osc[0]}:{settings.osc[1]}")
        framing = Framing()
        renderer = Renderer(source.meta, RenderConfig(height=settings.height), framing.scene)
        lifter = loading.result()  # what takes longest to come, last
        from sasmamba.app.lifting.online import live_lifting  # brings torch, as the lifter did

        lifting = live_lifting(lifter, settings.lookahead, float(source.meta.fps))
        session = Session(
            source,
            pose2d,
            Tracker(max_people=settings.max_people),
            lifting,
            LivePlacing(source.meta, settings.fov_deg),
            LiveBodies(settings.body, source.meta),
            feed.put,
            cuts=settings.cuts and source.edited,
        )
        picture = _Picture(session, renderer, framing, lifting.lookahead)
        alone = window_ is None and not servers and osc is None and watch is None
        recorder = Recorder(source.meta.fps, renderer.size, alone=alone)
        with session:
            try:
                if job.out is not None:
                    recorder.start(job.out)
                _show(settings, session, picture, recorder, window_, servers, stop, watch)
            finally:
                recorder.stop()
        session.raise_failure()
        return LiveReport(
            captured=session.captured,
            shown=picture.shown,
            dropped=session.dropped,
            undrawn=session.results.dropped,
            seconds=picture.last_s - picture.first_s,
            delay_ms=picture.delays.percentile(0.5),
            delay_95_ms=picture.delays.percentile(0.95),
            lookahead=lifting.lookahead,
            stage_ms=dict(session.stage_ms),
            people=len(picture.people),
            files=recorder.files,
            problems=recorder.problems,
            interrupted=stop.asked,
            level=str(session.governor.level),
            sent=feed.sent,
            unsent=feed.dropped + (osc.dropped if osc else 0),
            level_s={
                str(level): seconds
                for level, seconds in zip(session.governor.levels, session.governor.spent_s, strict=True)
                if seconds
            },
        )


def _servers(job: LiveJob, settings: LiveSettings, has_window: bool, feed: MotionFeed) -> list[Server]:
    """Of the page and of motion as data: one where they have one port."""
    host, ports = settings.serve_host, {}
    if settings.serve is not None or (settings.ws is None and host != LOOPBACK):
        ports["--serve"] = DEFAULT_PORT if settings.serve is None else settings.serve
    if settings.ws is not None and (settings.ws == 0 or settings.ws not in ports.values()):
        ports["--ws"] = settings.ws
    if ports:
        return [Server(port, host, feed, option) for option, port in ports.items()]
    if has_window or job.out is not None:
        return []
    try:
        return [Server(DEFAULT_PORT, host, feed)]
    except UserError:  # somebody else watches there already
        return [Server(0, host, feed)]


def _show(
    settings: LiveSettings,
    session: Session,
    picture: _Picture,
    recorder: Recorder,
    window: Window | None,
    servers: list[Server],
    stop: Stop,
    watch: Callable[[Shown, float], None] | None,
) -> None:
    """Draws the newest result again and again; returns when it is over."""
    begin = time.monotonic()
    while not stop.asked and not session.results.over:
        now = time.monotonic()
        if settings.seconds is not None and now - begin > settings.seconds:
            return
        shown = session.results.get(timeout=0.02)
        if shown is not None:
            help_text = _HELP if window and now - begin < _HELP_S else ""
            image = picture.draw(shown, recorder.on, recorder.notice or help_text)
            for server in servers:
                server.show(image)
            if window:
                window.show(image)
        key = window.key() if window else ""
        if shown is not None:
            delay = picture.displayed(shown)
            if watch:
                watch(shown, delay)
            recorder.write(image, shown.live.frame.time_s)
        if key == "q":
            return
        if key == " ":
            session.paused.clear() if session.paused.is_set() else session.paused.set()
        elif key == "r":
            recorder.toggle()
        elif key in _TURNS:
            picture.turn(*_TURNS[key])


_TURNS = {
    "left": (-_TURN_DEG, 0.0),
    "right": (_TURN_DEG, 0.0),
    "up": (0.0, _TURN_DEG / 2),
    "down": (0.0, -_TURN_DEG / 2),
}
