"""`import sasmamba`: light, typed, and with what it gives the same as the command's results."""

from __future__ import annotations

import ast
import math
import os
import re
import subprocess
import sys
import typing
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import yaml
from helpers_cli import Walker2D, walker, walker_2d
from helpers_video import write_video
from numpy.typing import NDArray

import sasmamba
from sasmamba.app.config import LiveSettings, Settings
from sasmamba.app.export.motion_table import motions
from sasmamba.app.io.live_sources import LiveFrame
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.offline import lift_sequence
from sasmamba.app.lifting.online import LiveLifting, live_window
from sasmamba.app.live.session import Session
from sasmamba.app.motion.axes import camera_to_world
from sasmamba.app.motion.online_placing import LivePlacing
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Frame, VideoMeta
from sasmamba.keyword_settings import ModelSettings, RenderSettings
from sasmamba.models.skeletons import coco17_to_h36m17

ROOT = Path(__file__).parents[2]
SIZE = 320, 240
#: Live settings of what is shown, which a program does itself.
SCREENS = ("serve", "serve_host", "window", "seconds", "patience_s", "height", "ws", "osc", "body")


@pytest.fixture(autouse=True)
def _a_walker(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in ("stream", "app.pipeline"):
        monkeypatch.setattr(f"sasmamba.{user}.open_pose2d", walker_2d)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("api") / "walk.mp4", 40, size=SIZE)


def bgr() -> NDArray[np.uint8]:
    return np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)


def in_a_fresh_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.timing
def test_importing_it_takes_no_time() -> None:
    code = "import time; t = time.perf_counter(); import sasmamba; print(time.perf_counter() - t)"
    assert min(float(in_a_fresh_process(code)) for _ in range(5)) < 0.05


def test_importing_it_loads_nothing_heavy() -> None:
    loaded = in_a_fresh_process("import sasmamba, sys; sasmamba.__version__; print(*sys.modules)").split()
    assert not {"torch", "numpy", "cv2", "av", "rich", "sasmamba.app"} & set(loaded)


def test_every_name_is_there_and_told_alike() -> None:
    for name in sasmamba.__all__:
        assert getattr(sasmamba, name) is not None, name
    assert set(sasmamba.__all__) <= set(dir(sasmamba))
    tree = ast.parse((ROOT / "api/__init__.py").read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    for_checkers = {alias.name for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert for_checkers | {"__version__"} == set(sasmamba.__all__)
    with pytest.raises(AttributeError, match="no attribute 'analyze'; it has"):
        sasmamba.analyze  # noqa: B018


def test_the_version_is_one_number() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == sasmamba.__version__
    assert [len(paper["authors"]) for paper in citation["references"]] == [5, 4, 6]


@pytest.mark.parametrize(
    ("keywords", "config", "elsewhere"),
    [
        (RenderSettings, Settings, set()),
        (ModelSettings, LiveSettings, {*SCREENS, "lookahead", "start_s", "cuts"}),  # a camera's frames have no cuts
    ],
)
def test_keywords_are_the_commands_settings(keywords: type, config: type, elsewhere: set[str]) -> None:
    given, wanted = typing.get_type_hints(keywords), typing.get_type_hints(config)
    assert given.keys() == {field.name for field in fields(config)} - elsewhere
    for name in given.keys() - {"device"}:  # which is text there, and one of three words here
        assert given[name] == wanted[name], name


def test_analyse_gives_what_is_exported(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = []
    monkeypatch.setattr("sasmamba.analysis.motions", lambda *args: exported.extend(motions(*args)) or exported)
    told = []
    take = sasmamba.analyse(video, progress=lambda *so_far: told.append(so_far), lifter="sasmamba-lean", flip=False)
    assert (take.width, take.height, take.fps, take.pose2d) == (*SIZE, 25, "walker")
    assert take.times_s == pytest.approx(np.arange(40) / 25)
    assert ("analyse", 40, 40) in told
    assert [*take.people] == [1]
    person = take.people[1]
    for name, shape in {
        "frame": (40,),
        "times_s": (40,),
        "world_m": (40, 17, 3),
        "joints3d": (40, 17, 3),
        "keypoints": (40, 17, 2),
        "score": (40, 17),
        "observed": (40,),
    }.items():
        assert getattr(person, name).shape == shape, name
    np.testing.assert_array_equal(person.world_m, exported[0].joints)
    np.testing.assert_array_equal(person.keypoints[:30], walker(30)[..., :2])
    assert person.observed.all()
    assert (person.score == 1).all()
    assert np.abs(person.joints3d[:, 0]).max() < 0.02  # pelvis, smoothed
    up = person.world_m[:, sasmamba.H36M.HEAD_TOP, 2] - person.world_m[:, sasmamba.H36M.LEFT_ANKLE, 2]
    assert (up > 1).all(), "z points up"
    with pytest.raises(FrozenInstanceError):
        person.track_id = 2  # type: ignore[misc]


def test_analyse_where_somebody_was_not_seen(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blinking(Walker2D):
        def __call__(self, frame: Frame):  # type: ignore[no-untyped-def]
            return () if 10 <= frame.index < 14 else super().__call__(frame)

    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", lambda backend, **options: Blinking())
    person = sasmamba.analyse(video, flip=False).people[1]
    unseen = np.arange(40)[~person.observed]
    assert unseen.tolist() == [10, 11, 12, 13]
    assert np.isnan(person.keypoints[unseen]).all()
    assert not person.score[unseen].any()
    assert np.isfinite(person.world_m).all()


def test_analyse_of_nobody(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", lambda backend, **options: Nobody())
    assert sasmamba.analyse(video).people == {}


class Nobody(Walker2D):
    def __call__(self, frame: Frame) -> tuple[()]:
        return ()


def test_render_does_what_the_command_does(video: Path, tmp_path: Path) -> None:
    report = sasmamba.render(video, tmp_path / "out.mp4", poses=tmp_path / "poses.npz", max_frames=10, export=("csv",))
    assert report.written == report.frames == 10
    written = {Path(file).name for file in report.files}
    assert {"out.csv", "out.mp4", "poses.npz"} <= written == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"pose2d": "eyes"}, "--pose2d must be one of"),
        ({"fov_deg": 1}, "--fov must lie between"),
        ({"start_s": -1.0}, "must start at 0 s or later"),
    ],
)
def test_settings_are_checked_before_the_work(video: Path, settings: dict, sentence: str) -> None:
    with pytest.raises(sasmamba.UserError, match=sentence):
        sasmamba.analyse(video, **settings)


def test_lift_is_the_pipelines_lift() -> None:
    lifter = Lifter.load(flip=False, refine=False)
    coco = walker(60)
    joints, score = coco17_to_h36m17(coco[..., :2], coco[..., 2])
    xyc = np.concatenate([joints, score[..., None]], -1)
    np.testing.assert_array_equal(sasmamba.lift(lifter, xyc), lift_sequence(lifter, xyc))
    wanted = lift_sequence(lifter, xyc, detected=True)
    np.testing.assert_array_equal(sasmamba.lift(lifter, coco.tolist(), skeleton="coco17"), wanted)


@pytest.mark.parametrize(
    ("shape", "skeleton", "sentence"),
    [
        ((5, 17, 2), "h36m17", "want (..., 17, 3) for h36m17, got (5, 17, 2)"),
        ((5, 17, 3), "mediapipe33", "want (..., 33, 3) for mediapipe33"),
        ((2, 5, 17, 3), "coco17", "want (frames, joints, 3), got (2, 5, 17, 3); lift each person"),
        ((5, 17, 3), "smpl", "want one of h36m17, coco17, mediapipe33, got 'smpl'"),
    ],
)
def test_lift_says_what_it_wants(shape: tuple[int, ...], skeleton: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="want") as error:
        sasmamba.lift(None, np.ones(shape), skeleton=skeleton)  # type: ignore[arg-type]
    assert sentence in str(error.value)


def test_stream_answers_each_frame() -> None:
    with sasmamba.PoseStream(fps=30) as stream:
        for i in range(40):
            (pose,) = stream.push(bgr(), 100 + i / 30)
            assert pose.time_s == 100 + i / 30
            assert pose.age_s == 0
            assert pose.observed
            assert (pose.world_m.shape, pose.joints3d.shape) == ((17, 3), (17, 3))
            np.testing.assert_array_equal(pose.keypoints, walker(30)[i % 30, :, :2])
        feet = pose.world_m[[sasmamba.H36M.LEFT_ANKLE, sasmamba.H36M.RIGHT_ANKLE], 2]
        assert pose.world_m[sasmamba.H36M.HEAD_TOP, 2] > 1.2
        assert -0.05 < feet.min() < 0.25


def test_stream_looks_ahead_and_keeps_time_over_lost_frames() -> None:
    with sasmamba.PoseStream(fps=30, lookahead=2) as stream:
        answers = {i: stream.push(bgr(), i / 30) for i in (0, 1, 2, 3, 7, 8)}  # 4, 5 and 6 never came
    assert [[round(30 * pose.time_s) for pose in answers[i]] for i in answers] == [[], [], [0], [1], [2, 3], []]
    assert [round(30 * pose.age_s) for i in (2, 3, 7) for pose in answers[i]] == [2, 2, 5, 4]


def test_stream_says_how_old_it_is_where_somebody_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    class Vanishing(Walker2D):
        def __call__(self, frame: Frame):  # type: ignore[no-untyped-def]
            return () if frame.index >= 20 else super().__call__(frame)

    monkeypatch.setattr("sasmamba.stream.open_pose2d", lambda backend, **options: Vanishing())
    with sasmamba.PoseStream(fps=30) as stream:
        answers = [stream.push(bgr(), i / 30) for i in range(40)]
    for late in (1, 5, 10):
        (pose,) = answers[19 + late]
        assert pose.age_s == pytest.approx(late / 30)
        assert not pose.observed
        assert np.isnan(pose.keypoints).all()
    assert answers[35] == ()  # carried for a while, then gone


def test_stream_is_live_modes_chain() -> None:
    """The same frames through live mode's own stages, which run in threads of their own there."""
    turn = Event()

    class OneByOne:
        name, meta = "frames", VideoMeta(*SIZE, Fraction(30), None)

        def frames(self, stop: Event):  # type: ignore[no-untyped-def]
            for i in range(12):
                yield LiveFrame(Frame(i, Fraction(i, 30), bgr()), 0.0)
                turn.wait(10)
                turn.clear()

    lifter = Lifter.load(LiveSettings().lifter, flip=False, refine=False, detected=True)
    lifting = LiveLifting(lifter, window=live_window(lifter.frames, 0), fps=30)
    source = OneByOne()
    with (
        Session(source, Walker2D(), Tracker(max_people=2), lifting, LivePlacing(source.meta, 60)) as session,  # type: ignore[arg-type]
        sasmamba.PoseStream(fps=30) as stream,
    ):
        for i in range(12):
            shown = session.results.get(timeout=30)
            assert shown is not None
            (pose,) = stream.push(bgr(), i / 30)
            world = camera_to_world(shown.poses[0].joints) + shown.roots[pose.track_id]
            np.testing.assert_allclose(pose.world_m, world, atol=1e-5)
            turn.set()


@pytest.mark.parametrize(
    ("frame", "time_s", "sentence"),
    [
        (np.zeros((240, 320), np.uint8), 1.0, "want (height, width, 3) uint8"),
        (np.zeros((240, 320, 3), np.float32), 1.0, "want (height, width, 3) uint8, got (240, 320, 3) float32"),
        (np.zeros((120, 160, 3), np.uint8), 1.0, "want 320x240 pixels as before, got 160x120"),
        (bgr(), 0.0, "time_s: want one after 0.0, got 0.0"),
        (bgr(), math.nan, "time_s: want a finite number"),
    ],
)
def test_stream_refuses_what_cannot_follow(frame: NDArray, time_s: float, sentence: str) -> None:
    with sasmamba.PoseStream() as stream:
        stream.push(bgr(), 0.0)
        with pytest.raises(ValueError, match="want") as error:
            stream.push(frame, time_s)
        assert sentence in str(error.value)
        assert len(stream.push(bgr(), 0.1)) == 1, "and goes on"


def test_stream_closes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Counted(Walker2D):
        def __exit__(self, *error: object) -> None:
            closed.append(self)

    monkeypatch.setattr("sasmamba.stream.open_pose2d", lambda backend, **options: Counted())
    stream = sasmamba.PoseStream()
    stream.close()
    stream.close()
    assert len(closed) == 1
    with pytest.raises(ValueError, match="this stream is closed"):
        stream.push(bgr(), 0.0)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"fps": 0}, ValueError, "fps: want above 0"),
        ({"lookahead": -1}, sasmamba.UserError, "--lookahead must lie between"),
        ({"max_people": 0}, sasmamba.UserError, "--max-people must lie between"),
    ],
)
def test_stream_checks_its_settings(arguments: dict, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        sasmamba.PoseStream(**arguments)


PROGRAM = """
import numpy as np
from numpy.typing import NDArray

import sasmamba


def pelvis(video: str) -> NDArray[np.float32]:
    take = sasmamba.analyse(video, pose2d="movenet", max_people=3, height_m={1: 1.8})
    sasmamba.render(video, "out.mp4", export=("csv",), numbers=True)
    person: sasmamba.AnalysedPerson = take.people[1]
    reveal_type(person.times_s)
    return person.world_m[:, sasmamba.H36M.PELVIS]


def live(frames: list[NDArray[np.uint8]]) -> float:
    oldest = 0.0
    with sasmamba.PoseStream(fps=25, lookahead=3, device="cpu") as stream:
        for i, bgr in enumerate(frames):
            for pose in stream.push(bgr, i / 25):
                oldest = max(oldest, pose.age_s)
                reveal_type(pose.track_id)
    return oldest


reveal_type(sasmamba.lift(sasmamba.Lifter.load(), np.ones((5, 17, 3))))
reveal_type(sasmamba.__version__)
"""
WRONG = """
import sasmamba

sasmamba.analyse("video.mp4", pose2d="eyes")
sasmamba.analyse("video.mp4", hight=3)
sasmamba.PoseStream(fps=25).push([1, 2, 3], 0.0)
age: str = sasmamba.analyse("video.mp4").people[1].times_s
"""


@pytest.fixture
def strict(tmp_path: Path) -> Callable[..., list[str]]:
    """What mypy --strict says of programs that lie outside; the package itself is silent, as installed ones are."""
    site = tmp_path / "site/sasmamba"
    site.mkdir(parents=True)
    rooms = [ROOT / room for room in ("app", "common", "models", "training", "weights")]
    for part in (*rooms, *(ROOT / "api").iterdir()):
        (site / part.name).symlink_to(part)
    config = tmp_path / "mypy.ini"
    config.write_text(
        "[mypy]\n[mypy-torch.*,cv2.*,av.*,mediapipe.*]\nfollow_imports = skip\n"
        "[mypy-onnxruntime.*]\nignore_missing_imports = True\n"
    )

    def run(*files: Path) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file", config, *files],
            cwd=tmp_path,
            env=os.environ | {"MYPYPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        return [line.split(": ", 1)[1] for line in done.stdout.splitlines()[:-1]]  # the last one counts them

    return run


def test_mypy_strict_accepts_programs_from_outside(strict: Callable[..., list[str]], tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(PROGRAM)
    wrong.write_text(WRONG)
    said = strict(right, *(ROOT / "examples").glob("*.py"))
    assert not [line for line in said if line.startswith("error")], said
    revealed = [line.split('"')[1] for line in said]
    assert [re.findall(r"float64|_32Bit|float32|int$|str$", kind)[-1:] for kind in revealed] in (
        [["float64"], ["int"], [single], ["str"]] for single in ("float32", "_32Bit")
    ), revealed
    said = strict(wrong)
    errors = [line.rpartition("[")[2] for line in said if line.startswith("error")]
    assert errors == ["arg-type]", "call-arg]", "arg-type]", "assignment]"], said
