"""Clocks and names, whatever they say: time goes on, nothing is waited for that will not come, nothing raises."""

from __future__ import annotations

import io
import itertools
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sasmamba.app.io.live_sources import _Grid
from sasmamba.app.io.pace import LATEST_S, Pace
from sasmamba.app.io.source_names import is_live, is_stream
from sasmamba.app.io.video_file import VideoFile

PICTURE = np.zeros((1, 1, 3), np.uint8)
RATES = st.sampled_from([Fraction(5), Fraction(25), Fraction(30000, 1001), Fraction(240)])


def write_stamps(path: Path, stamps_ms: list[int]) -> None:
    """A Matroska file of key frames with these times in this order; each picture is as bright as its number says."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuvj420p"
        for i, stamp in enumerate(stamps_ms):
            picture = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 20 + 10 * i, np.uint8), format="rgb24")
            picture.pts, picture.time_base = i, Fraction(1, 25)
            for packet in stream.encode(picture):
                # decoding order is that of the file; the stamps are when it should be shown
                packet.time_base, packet.dts, packet.pts = Fraction(1, 1000), i, stamp + len(stamps_ms)
                out.mux(packet)


def read(path: Path) -> tuple[list[Fraction], list[int], list[float]]:
    with VideoFile(path) as video:
        frames = list(video)
        again = [f.time_s for f in video]
    times = [f.time_s for f in frames]
    assert times == again
    return times, [f.index for f in frames], [float(f.bgr.mean()) for f in frames]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4000), min_size=1, max_size=12))
@example([0, 40, 20, 60])  # out of order
@example([0, 40, 40, 40, 80])  # the same again
@example([3000, 3040, 0, 40, 80])  # begun anew
def test_time_goes_on_whatever_the_file_says(stamps: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_stamps(Path(folder) / "a.mkv", stamps)
        times, indices, greys = read(Path(folder) / "a.mkv")
    assert indices == list(range(len(stamps)))
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))
    assert all(b - a > 5 for a, b in itertools.pairwise(greys))  # in the order of the file, each once


@settings(max_examples=40)
@given(st.integers(0, 5000), st.lists(st.integers(1, 500), max_size=11))
def test_times_that_are_right_are_kept_exactly(first: int, gaps: list[int]) -> None:
    stamps = list(itertools.accumulate(gaps, initial=first))
    with tempfile.TemporaryDirectory() as folder:
        write_stamps(Path(folder) / "a.mkv", stamps)
        times, _, _ = read(Path(folder) / "a.mkv")
    assert times == [Fraction(stamp - first, 1000) for stamp in stamps]


def write_packed(path: Path, count: int) -> None:
    """An AVI as DivX 5 wrote them: a picture and the one before it that is made from it lie in one packet, and an empty
    picture follows, so that the pictures' number stays right. Each picture is as bright as its number says."""
    with av.open(io.BytesIO(), "w", format="m4v") as coded, av.open(str(path), "w") as out:
        source: Any = coded.add_stream("mpeg4", rate=25, options={"bf": "1", "b_strategy": "0", "g": "99"})
        source.width = source.height = 64
        source.pix_fmt = "yuv420p"
        packets = []
        for i in range(count):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 + 15 * i, np.uint8), format="rgb24")
            picture.pts, picture.time_base = i, Fraction(1, 25)
            packets += source.encode(picture)
        packets += source.encode(None)
        key = bytes(packets[0])
        coder = key.index(b"\0\0\1\xb2")  # who coded it: the decoder expects packets like these of DivX alone
        stored = [key[:coder] + b"\0\0\1\xb2DivX503b2816p" + key[key.index(b"\0\0\1", coder + 4) :], b"\x7f"]
        for later, between in zip(packets[1::2], packets[2::2], strict=True):
            empty = f"0101{later.pts:05b}10".ljust(16, "1")  # a picture of that time that is not coded
            stored += [bytes(later) + bytes(between), b"\0\0\1\xb6" + int(empty, 2).to_bytes(2, "big")]
        stream: Any = out.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for i, data in enumerate(stored):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), i == 0
            packet.pts = packet.dts = i
            out.mux(packet)


def test_pictures_that_were_packed_in_pairs_come_at_even_times(tmp_path: Path) -> None:
    write_packed(tmp_path / "a.avi", 13)
    times, _, greys = read(tmp_path / "a.avi")
    assert times == [Fraction(i, 25) for i in range(13)]
    assert all(b - a > 5 for a, b in itertools.pairwise(greys))


MOMENTS = st.floats(0, 1e9)


@given(RATES, st.lists(MOMENTS, min_size=1, max_size=30))
@example(Fraction(25), [10.0, 10.0, 10.0])
@example(Fraction(25), [10.0, 5.0, 11.0])
def test_live_frames_are_numbered_in_order(fps: Fraction, moments: list[float]) -> None:
    grid = _Grid(fps)
    frames = [grid(moment, PICTURE) for moment in moments]
    assert [f.captured_s for f in frames] == moments
    assert frames[0].frame.index == frames[0].frame.time_s == 0
    for a, b in itertools.pairwise(frames):
        assert b.frame.index > a.frame.index
        assert b.frame.time_s > a.frame.time_s


@given(RATES, st.lists(st.floats(1.01, 50), max_size=30), st.floats(0, 1e6))
def test_live_frames_count_the_periods_that_passed(fps: Fraction, periods: list[float], first: float) -> None:
    """No faster than the nominal rate, they lie where the clock says, however many came before."""
    grid = _Grid(fps)
    moments = list(itertools.accumulate([p / float(fps) for p in periods], initial=first))
    for moment in moments:
        frame = grid(moment, PICTURE).frame
        assert abs(float(frame.time_s) - (moment - first)) < 2e-6
        assert abs(frame.index - (moment - first) * float(fps)) <= 1


@given(RATES, st.lists(st.tuples(st.floats(-1e12, 1e12), st.floats(0, 3)), min_size=1, max_size=30))
@example(Fraction(25), [(0.0, 0.0), (0.04, 0.0), (9.2e18, 0.0), (9.2e18, 0.0)])  # a damaged stamp
@example(Fraction(25), [(0.0, 0.0), (7200.0, 0.0), (7200.04, 0.0)])  # a hole of two hours
def test_nobody_waits_for_long(fps: Fraction, pictures: list[tuple[float, float]]) -> None:
    """Each picture comes with its stamp and the seconds that its decoding took."""
    pace, now = Pace(fps), 100.0
    for stamp, took in pictures:
        now += took
        due = pace(stamp, now)
        assert due - now <= 10
        now = max(now, due)


@given(RATES, st.floats(0, 1e5), st.lists(st.floats(0.001, 9), max_size=30), st.data())
def test_a_good_clock_is_kept_to(fps: Fraction, first: float, gaps: list[float], data: st.DataObject) -> None:
    """A little late or not, each picture is due as long after the first as the file says."""
    pace, now = Pace(fps), 100.0
    for stamp in itertools.accumulate(gaps, initial=first):
        due = pace(stamp, now)
        assert abs(due - 100 - (stamp - first)) < 1e-6
        now = due + data.draw(st.floats(0, 0.9 * LATEST_S))
    assert pace.held_up_s == 0


@given(RATES, st.lists(st.tuples(st.floats(0.001, 9), st.floats(0, 20)), min_size=1, max_size=30))
@example(Fraction(30), [(1 / 30, 1 / 15)] * 300)  # decoded half as fast as it plays
def test_what_takes_longer_than_it_plays_does_not_fall_further_behind(
    fps: Fraction, pictures: list[tuple[float, float]]
) -> None:
    pace, now, stamp = Pace(fps), 100.0, 0.0
    for gap, took in pictures:
        stamp, now = stamp + gap, now + took
        due = pace(stamp, now)
        assert now - due <= LATEST_S + 1e-6
        now = max(now, due)


@given(st.one_of(st.text(), st.from_regex(r"[0-9٣²]+", fullmatch=True), st.binary().map(str)))
@example("9" * 5000)
@example("/dev/video" + "9" * 5000)
@example("a\0b")
@example("٣")
def test_every_name_means_something(name: str) -> None:
    live = is_live(name)
    assert live in (True, False)
    assert live or not is_stream(name)
    if live and not is_stream(name) and not name.startswith("/dev/"):
        assert 0 <= int(name) <= 9999
        assert name.isascii()
