"""The picture shows what it is given: the video in place, skeletons on it, people in 3D where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sasmamba.app.motion.axes import camera_to_world
from sasmamba.app.render.bodies import capsules
from sasmamba.app.render.palette import SIDE_COLORS, track_color
from sasmamba.app.render.renderer import RenderConfig, Renderer
from sasmamba.app.render.scene import Scene
from sasmamba.app.types import Frame, Person2D, Pose3D, VideoMeta
from sasmamba.models.skeletons import COCO, H36M

META = VideoMeta(640, 360, Fraction(25), None)
#: So wide that ground shows above and below it.
WIDE = VideoMeta(300, 20, Fraction(25), None)


def grey_frame(meta: VideoMeta = META, level: int = 90) -> Frame:
    return Frame(7, Fraction(7, 25), np.full((meta.height, meta.width, 3), level, np.uint8))


def standing(track_id: int = 1, observed: bool = True) -> Pose3D:
    """A person facing the camera (whose left is at +x in the image), in camera axes, metres."""
    at = {
        "PELVIS": (0, 0),
        "RIGHT_HIP": (-0.13, 0),
        "RIGHT_KNEE": (-0.14, 0.45),
        "RIGHT_ANKLE": (-0.15, 0.88),
        "LEFT_HIP": (0.13, 0),
        "LEFT_KNEE": (0.14, 0.45),
        "LEFT_ANKLE": (0.15, 0.88),
        "SPINE": (0, -0.24),
        "THORAX": (0, -0.48),
        "NOSE": (0, -0.58),
        "HEAD_TOP": (0, -0.70),
        "LEFT_SHOULDER": (0.16, -0.45),
        "LEFT_ELBOW": (0.35, -0.45),
        "LEFT_WRIST": (0.6, -0.45),
        "RIGHT_SHOULDER": (-0.16, -0.45),
        "RIGHT_ELBOW": (-0.35, -0.45),
        "RIGHT_WRIST": (-0.6, -0.45),
    }
    joints = np.array([(*at[j.name], 0) for j in H36M], np.float32)
    return Pose3D(0, track_id, joints, observed)


def person(score: float = 0.9, track_id: int | None = 1) -> Person2D:
    rng = np.random.default_rng(3)
    joints = (rng.uniform(0.2, 0.8, (17, 2)) * (META.width, META.height)).astype(np.float32)
    box = np.array([*joints.min(0), *joints.max(0)], np.float32)
    return Person2D(track_id, box, joints, np.full(17, score, np.float32))


def like(picture: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """(H, W) where the hue is that of `color`, whatever the brightness."""
    pixels = picture.astype(np.float32)
    unit = pixels / np.maximum(np.linalg.norm(pixels, axis=-1, keepdims=True), 1)
    wanted = np.array(color) / np.linalg.norm(color)
    return (unit @ wanted > 0.985) & (pixels.max(-1) > 110)


@pytest.mark.parametrize(
    ("width", "height", "expected_height"),
    [(1920, 1080, 720), (1080, 1920, 720), (320, 240, 480), (101, 77, 360), (4000, 300, 600), (90, 2000, 720)],
)
def test_sizes_are_even_and_the_video_keeps_its_shape(width: int, height: int, expected_height: int) -> None:
    meta = VideoMeta(width, height, Fraction(25), None)
    renderer = Renderer(meta)
    picture = renderer.draw(grey_frame(meta, 200), (), (), None, {})
    assert picture.shape == (renderer.size[1], renderer.size[0], 3)
    assert picture.dtype == np.uint8
    assert renderer.size[1] == expected_height
    assert renderer.size[0] % 2 == renderer.size[1] % 2 == 0
    rows, columns = np.nonzero((picture == 200).all(-1))
    shown = np.ptp(columns) + 1, np.ptp(rows) + 1
    scale = shown[0] / width if width > height else shown[1] / height
    assert shown == (pytest.approx(width * scale, abs=1), pytest.approx(height * scale, abs=1))
    assert scale <= 2.01
    assert len(rows) == shown[0] * shown[1]


@pytest.mark.parametrize("height", [64, 361, 719, 1080])
def test_height_is_an_upper_bound(height: int) -> None:
    renderer = Renderer(VideoMeta(1920, 1080, Fraction(25), None), RenderConfig(height=height))
    assert renderer.size[1] in {height, height - 1}


def test_video_stands_where_it_is() -> None:
    bgr = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    renderer = Renderer(META, RenderConfig(height=360))
    np.testing.assert_array_equal(renderer.draw(Frame(0, Fraction(0), bgr), (), (), None, {})[:, :640], bgr)


def test_joint_is_drawn_where_it_is() -> None:
    score = np.zeros(17, np.float32)
    score[COCO.LEFT_WRIST] = 0.8
    someone = replace(person(track_id=None), score=score)
    changed = Renderer(META).draw(grey_frame(), (someone,), (), None, {})[:, :1280] != 90
    rows, columns = np.nonzero(changed.any(-1))
    x, y = someone.joints_px[COCO.LEFT_WRIST]
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((2 * (x + 0.5), 2 * (y + 0.5)), abs=1)
    assert np.ptp(columns) < 14


def test_sides_of_the_overlay() -> None:
    someone = person(track_id=None)
    joints = someone.joints_px.copy()
    for joint in COCO:
        joints[joint, 0] = 320 if joint is COCO.NOSE else 500 if joint.name.startswith("LEFT") else 140
    picture = Renderer(META).draw(grey_frame(), (replace(someone, joints_px=joints),), (), None, {})[:, :1280]
    assert like(picture, SIDE_COLORS["left"])[:, 700:].sum() > 5 * like(picture, SIDE_COLORS["left"])[:, :500].sum()
    assert like(picture, SIDE_COLORS["right"])[:, :500].sum() > 5 * like(picture, SIDE_COLORS["right"])[:, 700:].sum()


@pytest.mark.parametrize(("score", "drawn"), [(0.29, False), (0.31, True), (0.0, False)])
def test_doubtful_joints_are_not_drawn(score: float, drawn: bool) -> None:
    picture = Renderer(META).draw(grey_frame(), (person(score, track_id=None),), (), None, {})
    assert bool((picture[:, :1280] != 90).any()) is drawn


def test_joints_far_outside_do_no_harm() -> None:
    someone = person()
    joints = someone.joints_px.copy()
    joints[3], joints[7], joints[10] = (1e9, -1e9), (np.nan, 5), (-5000, 200)
    assert Renderer(META).draw(grey_frame(), (replace(someone, joints_px=joints),), (), None, {}).shape[0] == 720


@pytest.mark.parametrize(
    ("cam", "world"), [((1, 0, 0), (1, 0, 0)), ((0, 1, 0), (0, 0, -1)), ((0, 0, 1), (0, 1, 0))], ids=str
)
def test_axes(cam: tuple[int, ...], world: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(camera_to_world(np.array(cam, np.float32)), world)


def panel_of(poses: tuple[Pose3D, ...], roots: Mapping[int, np.ndarray] = MappingProxyType({})) -> np.ndarray:
    """The 3D panel seen from straight ahead."""
    renderer = Renderer(META, RenderConfig(azimuth_deg=0, elevation_deg=5), Scene(((-1.0, 0.0), (1.0, 0.0))))
    return renderer.draw(grey_frame(), (), poses, None, roots)[:, 1280:].copy()


def middle_of(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def test_left_is_warm_and_upright_is_up() -> None:
    panel = panel_of((standing(),), roots={1: np.array([0, 0, 0.95])})
    left, right = like(panel, SIDE_COLORS["left"]), like(panel, SIDE_COLORS["right"])
    assert middle_of(left)[0] > 500
    assert middle_of(right)[0] < 460
    rows = np.nonzero(left.any(1))[0]
    wide = [int(np.ptp(np.nonzero(left[r])[0])) if left[r].any() else 0 for r in range(720)]
    assert np.argmax(wide) < rows.mean()  # the stretched arm is above the leg
    assert rows.max() > 530


@pytest.mark.parametrize(
    ("root", "axis", "sign"), [((0.6, 0, 0.95), 0, 1), ((-0.6, 0, 0.95), 0, -1), ((0, 0, 1.3), 1, -1)], ids=str
)
def test_root_moves_the_person(root: tuple[float, ...], axis: int, sign: int) -> None:
    middles = [
        middle_of(like(panel_of((standing(),), roots={1: np.array(r)}), SIDE_COLORS["left"]))
        for r in ((0, 0, 0.95), root)
    ]
    assert sign * (middles[1][axis] - middles[0][axis]) > 30


def test_nearer_person_hides_the_farther_one() -> None:
    """Depth order counts across people, not by their order in the tuple."""
    side = replace(standing(2), joints=np.array(standing().joints) * [-1, 1, 1])  # its warm side is on the other hand
    for order in (0, 1):
        poses = (standing(1), side) if order else (side, standing(1))
        panel = panel_of(poses, roots={1: np.array([0, -0.6, 0.95]), 2: np.array([0, 0.6, 0.95])})
        alone = panel_of((standing(1),), roots={1: np.array([0, -0.6, 0.95])})
        body = like(alone, SIDE_COLORS["left"]) & (np.arange(720)[:, None] > 400)
        kept = like(panel, SIDE_COLORS["left"]) & body
        assert kept.sum() > 0.9 * body.sum()


def test_shadow_lies_below() -> None:
    empty = panel_of(()).astype(int)
    panel = panel_of((standing(),), roots={1: np.array([0, 0, 3.0])})  # lifted out of the way of its shadow
    darker = (empty - panel.astype(int)).min(-1) > 3
    assert darker[450:].sum() > 200


def test_carried_poses_are_faded() -> None:
    bright, faded = (
        panel_of((standing(observed=seen),), roots={1: np.array([0, 0, 0.95])}).astype(int) for seen in (True, False)
    )
    body = np.abs(bright - panel_of(()).astype(int)).max(-1) > 60
    assert faded[body].max(-1).mean() < 0.7 * bright[body].max(-1).mean()


def test_nobody_is_said() -> None:
    def text_in(panel: np.ndarray) -> int:
        return int((panel[640:700, 370:590].max(-1) > 125).sum())

    assert text_in(panel_of(())) > 50
    assert text_in(panel_of((standing(),), roots={1: np.array([0, 0, 0.95])})) < 10


def test_pose_that_is_not_a_number_leaves_the_others() -> None:
    broken = replace(standing(2), joints=np.full((17, 3), np.nan, np.float32))
    roots = {1: np.array([0, 0, 0.95]), 2: np.array([0, 0, 0.95])}
    np.testing.assert_array_equal(panel_of((standing(1), broken), roots=roots), panel_of((standing(1),), roots=roots))


def test_every_draw_begins_afresh() -> None:
    renderer = Renderer(META, RenderConfig(show_numbers=True))
    before = renderer.draw(grey_frame(), (), (), None, {}).copy()
    renderer.draw(grey_frame(), (person(),), (standing(),), "pose2d 12 ms\nlift 5 ms", {1: np.array([0, 0, 0.95])})
    np.testing.assert_array_equal(renderer.draw(grey_frame(), (), (), None, {}), before)


@pytest.mark.parametrize(
    ("config", "hud", "area"),
    [
        (RenderConfig(), "pose2d 12 ms", np.s_[:60, 1280:1500]),
        (RenderConfig(show_numbers=True), None, np.s_[-60:, :300]),
    ],
    ids=["stage timings", "frame numbers"],
)
def test_captions_only_when_asked(config: RenderConfig, hud: str | None, area: tuple[slice, slice]) -> None:
    plain = Renderer(META).draw(grey_frame(), (), (), None, {}).astype(int)
    asked = Renderer(META, config).draw(grey_frame(), (), (), hud, {}).astype(int)
    changed = np.abs(plain - asked).max(-1) > 40
    assert changed[area].sum() > 40
    changed[area] = False
    assert not changed.any()


def path(place: tuple[float, float], frames: int) -> np.ndarray:
    return np.tile((*place, 0.9), (frames, 1))


@pytest.mark.parametrize(
    ("paths", "centre", "radius"),
    [
        ([], (0, 0), 0.85),
        ([np.array([[2.0, 1.0, 0.9]])], (2, 1), 0.85),
        ([np.array([[-3.0, 0, 0.9], [3, 0, 0.9]]), np.array([[0, 4.0, 0.9]])], (0, 2), 0.85 + np.hypot(3, 2)),
        ([np.array([[1.0, 0, 0.9], [np.nan, 0, 0]])], (1, 0), 0.85),
        ([path((0, 5), 90), path((20, 60), 90)], (0, 5), 0.85),
        ([path((0, 5), 90), path((0, 12), 4)], (0, 5), 0.85),
        ([path((0, 5), 90), path((0, 8), 4)], (0, 6.5), 0.85 + 1.5),
        ([path((0, 8), 90), path((0, 30), 90)], (0, 19), 0.85 + 11),
    ],
    ids=["nobody", "one place", "two paths", "gap", "far passer-by", "short visit", "visit nearby", "far opponent"],
)
def test_scene_holds_those_who_matter(paths: list, centre: tuple[float, float], radius: float) -> None:
    scene = Scene.around(paths)
    assert scene.centre == pytest.approx(centre)
    assert scene.radius_m == pytest.approx(radius, rel=1e-5)


@pytest.mark.parametrize(
    "corners",
    [[(0, 0)], [(-3, 0), (3, 0)], [(0, -4), (0, 4)], [(-2, -2), (2, 2), (-2, 2), (2, -2)]],
    ids=["point", "across", "along", "square"],
)
def test_everybody_fits_into_the_panel(corners: list[tuple[float, float]]) -> None:
    """Tags and limbs of people at the scene's ends stay off the panel's border."""
    scene = Scene(tuple((float(x), float(y)) for x, y in corners))
    renderer = Renderer(META, RenderConfig(), scene)
    poses = tuple(standing(i + 1) for i in range(len(corners)))
    empty = renderer.draw(grey_frame(), (), (), None, {}).copy()
    roots = {i + 1: np.array([x, y, 0.95]) for i, (x, y) in enumerate(corners)}
    full = renderer.draw(grey_frame(), (), poses, None, roots)
    drawn = np.abs(full[:, 1280:].astype(int) - empty[:, 1280:]).max(-1) > 60
    drawn[640:700, 370:590] = False  # "no person"
    rows, columns = np.nonzero(drawn)
    assert columns.min() > 3
    assert columns.max() < 956
    assert rows.min() > 3
    assert rows.max() < 716
    assert max(np.ptp(columns), np.ptp(rows)) > 360


def test_who_stands_behind_the_viewer_is_not_drawn() -> None:
    renderer = Renderer(META, RenderConfig(azimuth_deg=0), Scene(((0.0, 20.0),)))
    poses, far = (standing(1), standing(2)), np.array([0.0, -30.0, 0.95])
    alone = renderer.draw(grey_frame(), (), poses[:1], None, {1: np.array([0.0, 20.0, 0.95])}).copy()
    np.testing.assert_array_equal(
        renderer.draw(grey_frame(), (), poses, None, {1: np.array([0.0, 20.0, 0.95]), 2: far}), alone
    )


def test_capsule_is_the_hull_of_two_circles() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 100, (50, 2)), rng.uniform(0, 100, (50, 2))
    ra, rb = rng.uniform(2, 9, 50), rng.uniform(2, 9, 50)
    for corners, pa, pb, sa, sb in zip(capsules(a, b, ra, rb), a, b, ra, rb, strict=True):
        edges = np.roll(corners, -1, 0) - corners
        turn = np.cross(np.insert(edges, 2, 0, -1), np.insert(np.roll(edges, -1, 0), 2, 0, -1))[:, 2]
        assert (turn > -1e-6).all()  # convex
        t = np.linspace(0, 1, 400)[:, None]
        line, radii = pa + (pb - pa) * t, sa + (sb - sa) * t
        reach = (np.linalg.norm(corners[:, None] - line, axis=-1) - radii[:, 0]).min(1)
        np.testing.assert_allclose(reach, 0, atol=0.6)  # every corner lies on the outline


@pytest.mark.parametrize("track", [1, 2, 10, 11, 0])
def test_track_colours_are_stable(track: int) -> None:
    assert track_color(track) == track_color(track + 10)
    assert track_color(track) != track_color(track + 1)


def test_wrong_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"want \(360, 640, 3\), got \(720, 1280, 3\)"):
        Renderer(META).draw(grey_frame(VideoMeta(1280, 720, Fraction(25), None)), (), (), None, {})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RenderConfig(height=10), "height"),
        (lambda: Renderer(META, pages=0), "pages"),
        (lambda: Scene(()), "spots"),
        (lambda: Scene(((float("nan"), 0.0),)), "spots"),
        (lambda: Scene(R_world_cam=np.eye(4)), "R_world_cam"),
    ],
)
def test_misuse(make, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        make()


@st.composite
def _shown(draw: st.DrawFn) -> tuple[Frame, tuple[Person2D, ...], tuple[Pose3D, ...], str | None, dict]:
    """What a picture may be drawn from: nobody or somebody, near, far, outside or broken, with or without text."""
    tracks = draw(st.lists(st.integers(1, 12), max_size=3, unique=True))
    places = [draw(st.tuples(st.floats(-6, 6), st.floats(-6, 6), st.floats(0, 3))) for _ in tracks]
    size = draw(st.floats(0.2, 3))
    poses = tuple(
        replace(standing(track, draw(st.booleans())), joints=standing().joints * np.float32(size)) for track in tracks
    )
    people = tuple(person(0.9, track) for track in tracks)
    hud = draw(st.sampled_from([None, "a", "read 10.0 ms\nencode 120.0 ms", "a\n" * 50]))
    roots = {track: np.array(place) for track, place in zip(tracks, places, strict=True)}
    frame = replace(grey_frame(WIDE), time_s=Fraction(draw(st.integers(0, 10**7)), 25))
    return frame, people, poses, hud, roots


@settings(max_examples=40)
@given(st.lists(_shown(), min_size=2, max_size=5), st.integers(1, 3))
def test_what_was_drawn_before_leaves_no_trace(shown: list, pages: int) -> None:
    """Only what was covered is laid anew; every picture is still what a new renderer draws, margins included."""
    config = RenderConfig(height=200, show_numbers=True)
    renderer = Renderer(WIDE, config, pages=pages)
    for call in shown:
        np.testing.assert_array_equal(renderer.draw(*call), Renderer(WIDE, config).draw(*call))


def test_a_picture_lasts_until_its_page_is_due_again() -> None:
    renderer = Renderer(META, pages=3)
    pictures = [renderer.draw(grey_frame(level=level), (), (), None, {}) for level in (10, 20, 30)]
    assert [int(p[100, 100, 0]) for p in pictures] == [10, 20, 30]
    renderer.draw(grey_frame(level=40), (), (), None, {})
    assert [int(p[100, 100, 0]) for p in pictures] == [40, 20, 30]


def test_seeing_from_elsewhere_lays_the_whole_floor() -> None:
    renderer = Renderer(META, pages=2)
    for _ in range(2):
        renderer.draw(grey_frame(), (), (), None, {})
    renderer.see_from(-40, 30)
    expected = Renderer(META, RenderConfig(azimuth_deg=-40, elevation_deg=30)).draw(grey_frame(), (), (), None, {})
    for _ in range(2):
        np.testing.assert_array_equal(renderer.draw(grey_frame(), (), (), None, {}), expected)
