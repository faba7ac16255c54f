"""Live mode as a user meets it: a file at its own pace, recorded, watched in a browser, stopped, lost."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from queue import Queue

import av
import numpy as np
import pytest
from helpers_cli import MAIN, command, left_in, mounted_disk, one_sentence, start, walker_2d
from helpers_video import write_video

from sasmamba.app.config import LiveJob, LiveSettings
from sasmamba.app.io.live_sources import LiveFrame
from sasmamba.app.io.renders import Mp4Sink
from sasmamba.app.live import run_live as live_run
from sasmamba.app.live.recording import Recorder
from sasmamba.app.live.run_live import run_live
from sasmamba.app.types import Frame, VideoMeta
from sasmamba.common.errors import UserError

#: The command with a 2D stage that costs nothing, so that what is measured here is live mode itself.
WALKER = f"""
from sasmamba.app.live import run_live as run
import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from helpers_cli import walker_2d
run.open_pose2d = walker_2d
{MAIN}
"""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", 45, size=(320, 240), fps=30)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds: longer than anything here needs, however busy the machine."""
    return write_video(tmp_path_factory.mktemp("live") / "long.mp4", 600, size=(320, 240), fps=15)


@pytest.fixture
def free_2d(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_run, "open_pose2d", walker_2d)


def frames_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as file:
        return [Fraction(p.pts) * p.time_base for p in file.decode(video=0)]  # type: ignore[operator]


@pytest.mark.usefixtures("free_2d")
@pytest.mark.parametrize("lookahead", [0, 8])
def test_a_file_at_its_own_pace_is_recorded(clip: Path, lookahead: int) -> None:
    begin = time.monotonic()
    result = command(
        clip, "--realtime", "--no-window", "-o", clip.with_name("live.mp4"), "--lookahead", lookahead, "--json"
    )
    assert result.code == 0, result.err
    assert time.monotonic() - begin > 1.4  # 45 frames at 30 a second
    report = json.loads(result.out)
    assert report["captured"] == 45
    assert report["captured"] == report["shown"] + report["dropped"] + report["undrawn"]
    assert report["people"] == 1
    assert report["delay_ms"] >= 1000 * lookahead / 30 - 1  # nothing can be shown before what it waits for
    assert report["delay_95_ms"] >= report["delay_ms"]
    times = frames_of(clip.with_name("live.mp4"))
    assert len(times) == report["shown"]
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))
    assert left_in(clip.parent) == ["clip.mp4", "live.mp4"]


class Enough(Exception):
    """Ends a run in a thread, where no Ctrl-C comes."""


@pytest.mark.usefixtures("free_2d")
def test_watched_in_a_browser_and_used_as_a_source(long: Path, tmp_path: Path) -> None:
    """One live run serves its picture; another takes that as its camera."""
    said: Queue[str] = Queue()
    enough = threading.Event()

    def watch(*_: object) -> None:
        if enough.is_set():
            raise Enough

    def serve() -> None:
        with suppress(Enough):
            run_live(LiveJob(str(long)), LiveSettings(serve=0, window=False), said.put, watch)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        page = said.get(timeout=60).removeprefix("Watch at ")
        with urllib.request.urlopen(page, timeout=60) as answer:
            assert b"<img" in answer.read()
        job = LiveJob(f"{page}stream", tmp_path / "second.mp4")
        report = run_live(job, LiveSettings(window=False, seconds=1.5), lambda _: None)
    finally:
        enough.set()
        thread.join()
    assert report.shown >= 1  # how many depends on what else the machine does
    assert len(frames_of(tmp_path / "second.mp4")) == report.shown


def wait_for_pictures(page: str, count: int) -> None:
    """Returns when that page's stream has shown so many, which may take long on a busy machine."""
    with urllib.request.urlopen(f"{page}stream", timeout=60) as stream:
        while count:
            count -= stream.readline().startswith(b"Content-Type: image/jpeg")


def test_ctrl_c_ends_the_recording_whole(long: Path, tmp_path: Path) -> None:
    out = tmp_path / "live.mp4"
    process = start("live", long, "--no-window", "-o", out, "--serve", 0, code=WALKER)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("Watch at http://127.0.0.1:")
        wait_for_pictures(said.split()[2], 12)  # some of them may be the same one again
        process.send_signal(signal.SIGINT)
        printed, err = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "shown of" in printed
    assert len(frames_of(out)) > 5
    assert left_in(tmp_path) == ["live.mp4"]


@pytest.mark.usefixtures("free_2d")
@pytest.mark.parametrize(("option", "people"), [("--cuts", 2), ("--no-cuts", 1)])
def test_nobody_goes_on_over_a_cut_unless_told_to(tmp_path: Path, option: str, people: int) -> None:
    film = tmp_path / "film.mp4"
    scenes = np.random.default_rng(1).integers(0, 255, (2, 12, 16, 3), np.uint8)
    with Mp4Sink(film, 320, 240, Fraction(30)) as sink:
        for f in range(60):
            sink.write(np.kron(scenes[f // 30], np.ones((20, 20, 1), np.uint8)), Fraction(f, 30))
    result = command(film, "--realtime", "--no-window", option, "-o", tmp_path / "live.mp4", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["people"] == people


class Unplugged:
    """A camera that is pulled out."""

    name = "Camera 0"
    edited = False
    meta = VideoMeta(320, 240, Fraction(30), None)

    def frames(self, stop: threading.Event) -> Iterator[LiveFrame]:
        for i in range(20):
            stop.wait(1 / 15)
            yield LiveFrame(Frame(i, Fraction(i, 30), np.zeros((240, 320, 3), np.uint8)), time.monotonic())
        raise UserError("Camera 0 stopped giving pictures: check the plug, and start again.")

    def __enter__(self) -> Unplugged:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


@pytest.mark.usefixtures("free_2d")
def test_what_was_recorded_outlives_the_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_run, "open_live", lambda *_, **__: Unplugged())
    result = command("live", "0", "--no-window", "-o", tmp_path / "live.mp4")
    assert result.code == 1
    assert one_sentence(result.err).startswith("Camera 0 stopped giving pictures")
    assert len(frames_of(tmp_path / "live.mp4")) > 3


@pytest.mark.parametrize(
    ("arguments", "sentence", "code"),
    [
        (("nothere.mp4", "--realtime"), "There is no file nothere.mp4", 2),
        (("{clip}", "--realtime", "--lookahead", "122"), "--lookahead must lie between 0 and 121", 2),
        (("{clip}", "--realtime", "--lookahead", "-1"), "--lookahead must lie between 0 and 121", 2),
        (("{clip}", "--realtime", "-o", "x.gif"), "A live recording must end in .mp4", 2),
        (("{clip}", "--realtime", "-o", "{clip}"), "The recording would overwrite", 2),
        (("{clip}", "--realtime", "--serve", "70000"), "--serve must be a port", 2),
        (("{clip}", "--realtime", "--seconds", "0"), "--seconds must be more than 0", 2),
        (("{clip}", "--realtime", "--window"), "No window can be opened", 1),
        (("http://127.0.0.1:9/x",), "cannot be opened", 1),
        (("live", "{clip}", "--pose2d", "sharp"), "--pose2d must be one of", 2),
    ],
)
def test_what_cannot_be(
    arguments: tuple[str, ...], sentence: str, code: int, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sasmamba.app.live.window.sys.platform", "linux")
    result = command(*(a.format(clip=clip) for a in arguments))
    assert result.code == code
    assert sentence in one_sentence(result.err)
    assert left_in(clip.parent) == ["clip.mp4"]


def typing(keys: Iterable[str], shown: list[np.ndarray] | None = None) -> type:
    """A window that is not there, into which the keys are typed; quits at their end. "" waits for another picture, so
    that what is typed meets the same pictures on any machine, and "." only until the keyboard is asked again."""
    typed = deque(keys)

    class FakeWindow:
        new = False

        def __enter__(self) -> FakeWindow:
            return self

        def __exit__(self, *exc: object) -> None:
            pass

        def show(self, picture: np.ndarray) -> None:
            self.new = True
            if shown is not None:
                shown.append(picture.copy())

        def key(self) -> str:
            if not typed:
                return "q"
            if typed[0] == "" and not self.new:
                return ""
            self.new = False
            return typed.popleft().replace(".", "")

    return FakeWindow


@pytest.mark.usefixtures("free_2d")
def test_keys(long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn, record, pause, go on, end the recording, quit."""
    monkeypatch.chdir(tmp_path)
    keys = [*[""] * 3, "left", "up", "r", *[""] * 9, " ", *["."] * 10, " ", "", "r", *[""] * 3, "q"]
    shown: list[np.ndarray] = []
    monkeypatch.setattr(live_run, "Window", typing(keys, shown))
    report = run_live(LiveJob(str(long)), LiveSettings(window=True), lambda _: None)
    assert len(report.files) == 1
    assert Path(report.files[0]).name.startswith("live_")
    assert 10 <= len(frames_of(Path(report.files[0]))) < report.shown == len(shown)
    assert not report.interrupted
    assert report.problems == []


@pytest.mark.usefixtures("free_2d")
def test_two_recordings_within_a_second(long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(live_run.time, "strftime", lambda _: "live_now")
    once = ["r", *[""] * 5, "r"]
    monkeypatch.setattr(live_run, "Window", typing(["", *once, *once]))
    report = run_live(LiveJob(str(long)), LiveSettings(window=True), lambda _: None)
    assert report.files == ["live_now.mp4", "live_now-2.mp4"]
    assert all(frames_of(Path(name)) for name in report.files)


@pytest.mark.usefixtures("free_2d")
@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["", "quiet"])
def test_r_in_a_folder_that_cannot_be_written(
    quiet: list[str], long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said on the terminal and in the picture, and the session goes on."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()  # not even root can write there
    shown: list[np.ndarray] = []
    monkeypatch.setattr(live_run, "_HELP_S", -1.0)
    monkeypatch.setattr(live_run, "Window", typing([*[""] * 5, "r", *[""] * 10], shown))
    monkeypatch.setattr(live_run, "can_show", lambda: (True, ""))
    result = command(long, "--realtime", "--window", *quiet)
    assert result.code == 1
    (said,) = result.err.splitlines()
    assert said.startswith("Not recorded: live_")
    assert "no file can be made there; choose another folder" in said
    assert len(shown) >= 15
    panel = (slice(40, 120), slice(shown[0].shape[1] // 2, None))
    assert (shown[-1][panel] != shown[3][panel]).sum() > 1000  # lines of text that were not there


@pytest.mark.usefixtures("free_2d")
@pytest.mark.parametrize("seen", [True, False], ids=["with a page", "alone"])
def test_the_disk_fills_up(seen: bool, tmp_path: Path) -> None:
    """Whoever watches goes on watching; where nobody does, there is nothing to go on for."""
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    noisy = tmp_path / "noisy.mp4"
    with Mp4Sink(noisy, 320, 240, Fraction(20)) as sink:
        for i in range(50):
            sink.write(np.roll(noise, 7 * i, 0), Fraction(i, 20))
    with mounted_disk(tmp_path / "disk", size_kib=1024, free_kib=200) as disk:
        out = disk / "live.mp4"
        result = command(noisy, "--realtime", "--no-window", "-o", out, *(["--serve", "0", "--json"] if seen else []))
        assert left_in(disk) == ["ballast"]
    assert result.code == 1
    assert f"{out} could not be written: the disk is full" in result.err
    if seen:
        report = json.loads(result.out)
        assert report["captured"] == 50
        assert report["shown"] > 15
        assert report["files"] == []
        (problem,) = report["problems"]
        assert problem.startswith(f"Not recorded: {out} could not be written: the disk is full")
    else:
        assert one_sentence(result.err).startswith(str(out))
        assert result.out == ""


def test_a_recording_that_is_wrong_inside_is_told_too() -> None:
    """A bug in one place must not end what people watch in another."""
    recorder = Recorder(Fraction(30), (64, 48), alone=False)
    recorder.start(Path("never.mp4"))
    recorder.write(np.zeros((9, 9, 3), np.uint8), Fraction(0))
    assert not recorder.on
    assert recorder.problems == ["Not recorded: ValueError: picture: want (48, 64, 3) uint8, got (9, 9, 3) uint8."]
    assert recorder.notice.replace("\n", " ") == recorder.problems[0]
