"""The live page in a browser: people drawn from the WebSocket, buttons, a phone's width, the picture as a fallback."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_browser import Browser, browser, browser_here
from test_live_motion import META, result, served, standing

from sasmamba.app.live.motion_feed import MotionFeed
from sasmamba.app.live.page_server import Server

pytestmark = pytest.mark.skipif(not browser_here(), reason="chromium is not installed")

PICTURE = np.full((240, 320, 3), (200, 120, 40), np.uint8)


@contextmanager
def walking(feed: MotionFeed, upper: frozenset[int] = frozenset()) -> Iterator[None]:
    """Two people who wave, 30 times a second."""
    done = threading.Event()

    def walk() -> None:
        frame = 0
        while not done.wait(1 / 30):
            people = {1: standing(np.sin(frame / 10), (-0.6, 3)), 2: standing(np.cos(frame / 10), (0.8, 3.5))}
            feed.put(result(frame, people, upper))
            frame += 1

    thread = threading.Thread(target=walk)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser(1000, 800) as window:
        yield window


def keep(window: Browser, name: str) -> None:
    """Leaves the picture in the folder that KEEP_PICTURES names."""
    if folder := os.environ.get("KEEP_PICTURES"):
        cv2.imwrite(str(Path(folder) / name), window.picture())


def drawn(window: Browser) -> int:
    """How many pixels of the canvas are brighter than its ground."""
    return int(
        window.run(
            "const c = document.getElementById('view');"
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "let n = 0; for (let i = 0; i < d.length; i += 4) n += Math.max(d[i], d[i + 1], d[i + 2]) > 150; return n"
        )
    )


def test_people_are_drawn_and_controls_do_what_they_say(window: Browser) -> None:
    with served() as (feed, server), walking(feed), window.showing(server.url, 1000, 800):
        server.show(PICTURE)
        window.until("return document.querySelectorAll('#people button').length === 2")
        window.until("return /fps .* ms late/.test(document.getElementById('status').textContent)")
        window.until("return number > 20")
        keep(window, "live_page.png")
        both = drawn(window)
        assert both > 3000
        places = "return people.map(p => p.at(number).joints.slice(0, 3))"
        np.testing.assert_allclose(window.run(places), [[-0.6, 3, 0.95], [0.8, 3.5, 0.95]], atol=1e-3)
        window.run("document.querySelector('#people button').click()")
        window.until("return !people[0].shown")
        end = time.monotonic() + 60
        while drawn(window) >= 0.8 * both:
            assert time.monotonic() < end, "both are still drawn"
            time.sleep(0.05)
        assert drawn(window) > 0.3 * both
        window.run("document.getElementById('hold').click()")
        before = window.run("return view.frame")
        window.until(f"return number > {before} + 10")
        assert window.run("return view.frame") == before
        window.run("document.getElementById('numbers').click(); document.getElementById('hold').click()")
        window.until("return document.querySelectorAll('#angles tr').length === 1 + about.angles.length")
        assert "left elbow flexion" in window.run("return document.getElementById('angles').textContent")
        window.run("document.querySelector('[data-look=\"0 89\"]').click()")
        assert window.run("return view.elevation") == 89
        window.drag("#view", 100, 0)
        assert window.run("return view.azimuth") != 0
        window.run("document.getElementById('video').click()")
        window.until("return document.getElementById('picture').naturalWidth === 320")
        assert server.viewers == 1
        complaints = [
            text for text in window.complaints() if "willReadFrequently" not in text
        ]  # the test reads, not the page
        assert complaints == []
        assert all(address.startswith((server.url, "data:")) for address in window.requests())


def test_without_legs_nothing_breaks(window: Browser) -> None:
    with served() as (feed, server):
        counts = []
        for upper in (frozenset[int](), frozenset({1, 2})):
            with walking(feed, upper), window.showing(server.url, 1000, 800):
                window.until("return typeof number === 'number' && number > 20 && people.length === 2")
                end = time.monotonic() + 60
                while drawn(window) < 3000:  # they are there before the next picture shows them
                    assert time.monotonic() < end, "nobody is drawn"
                    time.sleep(0.05)
                counts.append(drawn(window))
                keep(window, "live_page_upper.png")
                assert [text for text in window.complaints() if "willReadFrequently" not in text] == []
    assert 0.3 * counts[0] < counts[1] < 0.9 * counts[0]


def test_it_fits_a_phone(window: Browser) -> None:
    with served() as (feed, server), walking(feed), window.showing(server.url, 390, 844, ratio=2):
        window.until("return document.querySelectorAll('#people button').length === 2")
        window.until("return number > 10")
        keep(window, "live_page_phone.png")
        assert window.run("return document.documentElement.scrollWidth") <= 390
        sizes = window.run("return [...document.querySelectorAll('button')].map(b => b.getBoundingClientRect().height)")
        assert min(sizes) >= 44  # a thumb's width
        assert window.run("return document.getElementById('view').getBoundingClientRect().height") > 300


def test_without_motion_there_is_the_picture(window: Browser) -> None:
    with Server(0) as server, window.showing(server.url, 800, 600):
        server.show(PICTURE)
        window.until("return document.body.classList.contains('fallback')")
        window.until("return document.getElementById('picture').naturalWidth === 320")
        middle = window.picture()[200, 400].astype(int)
        assert np.abs(middle - (200, 120, 40)).max() < 12


def test_a_source_that_ends_is_told_and_asked_for_again(window: Browser) -> None:
    feed = MotionFeed(META)
    with Server(0, feed=feed) as server, ExitStack() as source, window.showing(server.url, 800, 600):
        source.enter_context(feed)
        with walking(feed):
            window.until("return typeof number === 'number' && number > 3")
        source.close()
        window.until("return /ended: the source has ended/.test(document.getElementById('status').textContent)")
