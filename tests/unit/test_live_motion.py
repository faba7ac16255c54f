"""Live motion as data: what is sent, that real receivers understand it, and that no receiver harms anybody."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sasmamba.app.export.rigs import RIGS
from sasmamba.app.io.live_sources import LiveFrame
from sasmamba.app.live import motion_socket
from sasmamba.app.live.governor import Level
from sasmamba.app.live.motion_feed import _WAITING, MotionFeed
from sasmamba.app.live.page_server import Server
from sasmamba.app.live.session import Shown
from sasmamba.app.live.vmc import VmcSender
from sasmamba.app.motion.axes import R_WORLD_CAM
from sasmamba.app.types import Frame, Person2D, Pose3D, VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import FOOT, H36M

META = VideoMeta(64, 48, Fraction(30), None)
PICTURE = np.zeros((48, 64, 3), np.uint8)
_LEVEL = Level("", 1, 1.0)


def standing(lift_arm: float = 0.0, at: tuple[float, float] = (0.0, 0.0)) -> NDArray:
    """Joints (17, 3) in world axes of somebody who stands there and faces the camera, the left arm out to the side and
    raised by so much (radians): the person's left is the picture's right."""
    j = np.zeros((17, 3))
    for side, x in (("LEFT", 1), ("RIGHT", -1)):
        for joint, place in {
            "HIP": (0.12, 0, 0.95),
            "KNEE": (0.12, 0, 0.52),
            "ANKLE": (0.12, 0, 0.09),
            "SHOULDER": (0.17, 0, 1.45),
            "ELBOW": (0.45, 0, 1.45),
            "WRIST": (0.70, 0, 1.45),
        }.items():
            j[H36M[f"{side}_{joint}"]] = np.array(place) * (x, 1, 1)
    j[H36M.PELVIS], j[H36M.SPINE], j[H36M.THORAX] = (0, 0, 0.95), (0, 0, 1.2), (0, 0, 1.45)
    j[H36M.NOSE], j[H36M.HEAD_TOP] = (0, -0.1, 1.6), (0, 0, 1.72)
    out = np.array([np.cos(lift_arm), 0, np.sin(lift_arm)])
    j[H36M.LEFT_ELBOW] = j[H36M.LEFT_SHOULDER] + 0.28 * out
    j[H36M.LEFT_WRIST] = j[H36M.LEFT_SHOULDER] + 0.53 * out
    return j + np.append(at, 0)


def result(
    frame: int, people: dict[int, NDArray], upper: frozenset[int] = frozenset(), captured_s: float | None = None
) -> Shown:
    """What live mode makes of a frame with people who have these joints (17, 3) in world axes."""
    poses, roots = [], {}
    for i, joints in people.items():
        roots[i] = joints[H36M.PELVIS].astype(np.float32)
        relative = ((joints - roots[i]) @ R_WORLD_CAM).astype(np.float32)
        poses.append(Pose3D(frame, i, relative, space="camera_root_relative_m"))
    box, found = np.zeros(4, np.float32), np.zeros((17, 2), np.float32)
    seen = tuple(Person2D(i, box, found, np.full(17, 0.5, np.float32)) for i in people)
    captured_s = time.monotonic() if captured_s is None else captured_s
    live = LiveFrame(Frame(frame, Fraction(frame, 30), PICTURE), captured_s)
    return Shown(live, seen, tuple(poses), roots, _LEVEL, upper)


@contextmanager
def served(*senders: Any) -> Iterator[tuple[MotionFeed, Server]]:
    feed = MotionFeed(META, senders)
    with Server(0, feed=feed) as server, feed:
        yield feed, server


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def message(client: ClientConnection) -> dict[str, Any]:
    text = client.recv(timeout=60)
    assert isinstance(text, str)
    assert "\n" not in text  # JSON lines
    return json.loads(text)


def test_a_client_is_told_everything() -> None:
    with served() as (feed, server), connect(server.motion_url) as client:
        about = message(client)
        assert about["type"] == "about"
        assert about["format"] == "sasmamba-motion/1"
        assert (about["fps"], about["width"], about["height"]) == (30, 64, 48)
        assert about["joints"][H36M.LEFT_WRIST] == "left_wrist"
        assert about["joints"][17:] == [point.name.lower() for point in FOOT]
        captured = time.monotonic() - 10  # so long ago that what a busy machine adds does not matter
        before = time.time()
        feed.put(result(7, {3: standing(), 5: standing(0.5, (1, 0))}, captured_s=captured))
        told = message(client)
        assert (told["type"], told["number"], told["frame"]) == ("motion", 0, 7)
        assert told["time_s"] == pytest.approx(7 / 30, abs=1e-6)
        assert told["captured_unix_s"] == pytest.approx(before - 10, abs=2)
        assert 10_000 <= told["delay_ms"] < 60_000
        assert [p["track_id"] for p in told["people"]] == [3, 5]
        three, five = told["people"]
        np.testing.assert_allclose(three["joints"][:17], standing(), atol=1e-4)
        assert np.array(three["joints"][17:])[:, 2].max() < 0.1  # the feet are on the floor
        assert three["score"] == pytest.approx([0.5] * 17)
        assert (three["observed"], three["body"], three["half_width_m"]) == (True, "full", None)
        assert three["angles"].keys() == set(about["angles"])
        assert three["angles"]["left_shoulder_elevation"] == pytest.approx(90, abs=0.1)
        assert five["angles"]["left_shoulder_elevation"] == pytest.approx(90 + np.degrees(0.5), abs=0.1)


def test_legs_that_are_left_out_are_null() -> None:
    with served() as (feed, server), connect(server.motion_url) as client:
        message(client)
        feed.put(result(0, {1: standing()}, frozenset({1})))
        (person,) = message(client)["people"]
    assert person["body"] == "upper"
    missing = [i for i, at in enumerate(person["joints"]) if at is None]
    assert missing == [2, 3, 5, 6, 17, 18, 19, 20]
    assert person["angles"]["left_knee_flexion"] is None
    assert person["angles"]["left_elbow_flexion"] is not None


def test_a_pose_that_is_not_a_number_is_nobody() -> None:
    with served() as (feed, server), connect(server.motion_url) as client:
        message(client)
        feed.put(result(0, {1: np.full((17, 3), np.nan), 2: standing()}))
        assert [p["track_id"] for p in message(client)["people"]] == [2]


def test_nothing_is_lost_on_a_client_that_keeps_up() -> None:
    got: list[int] = []
    with served() as (feed, server), connect(server.motion_url) as client:
        message(client)
        reader = threading.Thread(target=lambda: got.extend(message(client)["number"] for _ in range(150)))
        reader.start()
        for frame in range(150):
            feed.put(result(frame, {1: standing(frame / 150)}))
            time.sleep(1 / 60)
        reader.join(60)
        if got == list(range(150)):
            assert feed.dropped == 0
        else:  # a machine that stood still may skip some, and says so
            assert len(got) + feed.dropped >= 150


def test_slow_and_vanishing_clients_harm_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """One never reads, one hangs up without a word, one speaks nonsense; giving stays cheap, and a good one gets the
    newest."""
    monkeypatch.setattr(motion_socket, "_SEND_BUFFER", 4096)
    monkeypatch.setattr(motion_socket, "SEND_S", 300)  # the deaf one is here to the end, however slow the machine
    people = {i: standing() for i in range(1, 9)}
    with served() as (feed, server), connect(server.motion_url) as good:
        port = int(server.url.split(":")[2].strip("/"))
        clients = [raw_client(port) for _ in range(3)]
        with closing(clients[0]), closing(clients[1]) as vanishing, closing(clients[2]) as rude:
            until(lambda: len(feed._listeners) == 4)
            got: list[int] = []
            done = threading.Event()

            def read() -> None:
                while not done.is_set():
                    with suppress(ConnectionClosed):
                        told = message(good)
                    if told["type"] == "motion":
                        got.append(told["frame"])

            threading.Thread(target=read, daemon=True).start()
            vanishing.close()
            rude.sendall(b"\x00" * 4096)
            spent = []
            for frame in range(400):
                shown = result(frame, people)
                begin = time.thread_time()
                feed.put(shown)
                spent.append(time.thread_time() - begin)
                time.sleep(0.01)
            assert np.median(spent) < 1e-3  # the thread that gives does nothing but leave it
            until(lambda: got[-1:] == [399])
            until(lambda: len(feed._listeners) == 2)  # the good one and the deaf one: the other two are gone
            deaf_ones = [listener for listener in feed._listeners if listener.dropped > 50]
            assert len(deaf_ones) == 1
            assert len(deaf_ones[0]._items) == _WAITING
            feed.put(result(400, people))
            until(lambda: got[-1:] == [400])
            done.set()
            feed.put(result(401, people))
        until(lambda: len(feed._listeners) == 1)
        assert feed.dropped > 50  # what was lost is still counted once they have gone


def test_who_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(motion_socket, "_SEND_BUFFER", 4096)
    monkeypatch.setattr(motion_socket, "SEND_S", 0.5)
    people = {i: standing() for i in range(1, 9)}
    with served() as (feed, server), closing(raw_client(int(server.url.split(":")[2].strip("/")))):
        until(lambda: len(feed._listeners) == 1)
        for frame in range(50):
            feed.put(result(frame, people))
        until(lambda: not feed._listeners)


def raw_client(port: int) -> socket.socket:
    """A WebSocket client that shook hands and then does nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


def test_at_the_end_clients_are_told_so() -> None:
    with served() as (feed, server):
        client = connect(server.motion_url).__enter__()
        message(client)
        feed.put(result(0, {1: standing()}))
    assert message(client)["frame"] == 0  # what was on its way still comes
    with pytest.raises(ConnectionClosed) as told:
        client.recv(timeout=60)
    client.close()
    assert told.value.rcvd is not None
    assert told.value.rcvd.code == 1001


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),  # a page of another port of this machine
        ({"Host": "attacker.example"}, 400),  # two hosts: the library adds its own
    ],
)
def test_the_gate_is_asked(headers: dict[str, str], status: int) -> None:
    with served() as (_, server):
        with pytest.raises(InvalidStatus) as refused:
            connect(server.motion_url, additional_headers=headers)
        assert refused.value.response.status_code == status


def test_beyond_this_machine_a_token_is_asked_for() -> None:
    feed = MotionFeed(META)
    with Server(0, "0.0.0.0", feed) as server, feed:
        port = server.motion_url.split(":")[2].partition("/")[0]
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{port}/")
        with connect(f"ws://127.0.0.1:{port}/{server.query}") as client:
            assert message(client)["type"] == "about"


def test_without_a_handshake_there_is_the_page() -> None:
    with served() as (_, server):
        with urllib.request.urlopen(server.url, timeout=60) as page:
            assert "view.js" in page.read().decode()
        for path in ("view.js", "page.js", "page.css"):
            with urllib.request.urlopen(server.url + path, timeout=60) as part:
                assert len(part.read()) > 500
        with pytest.raises(urllib.request.HTTPError, match="404"):
            urllib.request.urlopen(server.url + "motion", timeout=60)


class Receiver:
    """An OSC server of python-osc: every message with its bundle's time."""

    def __init__(self) -> None:
        pytest.importorskip("pythonosc", reason="python-osc, which speaks OSC, is not installed")
        from pythonosc.dispatcher import Dispatcher
        from pythonosc.osc_server import BlockingOSCUDPServer

        self.messages: list[tuple[str, tuple[Any, ...]]] = []
        self.sizes: list[int] = []
        dispatcher = Dispatcher()
        dispatcher.set_default_handler(lambda address, *values: self.messages.append((address, values)))
        self.server = BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher)
        self.port = self.server.server_address[1]

    def __enter__(self) -> Receiver:
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def named(self, address: str) -> list[tuple[Any, ...]]:
        return [values for found, values in self.messages if found == address]

    def bones(self) -> dict[str, tuple[Any, ...]]:
        """The last message of each bone."""
        return {values[0]: values[1:] for values in self.named("/VMC/Ext/Bone/Pos")}


def turned(q: NDArray, v: NDArray) -> NDArray:
    """A vector turned by a quaternion x, y, z, w."""
    return v + 2 * np.cross(q[:3], np.cross(q[:3], v) + q[3] * v)


def product(p: NDArray, q: NDArray) -> NDArray:
    """First q, then p."""
    return np.append(p[3] * q[:3] + q[3] * p[:3] + np.cross(p[:3], q[:3]), p[3] * q[3] - p[:3] @ q[:3])


def places(receiver: Receiver) -> dict[str, NDArray]:
    """Where the bones are in Unity's axes, put together as a receiver does."""
    root = np.array(receiver.named("/VMC/Ext/Root/Pos")[-1][1:])
    bones, at, turn = receiver.bones(), {}, {}
    for node in RIGS["unity"]:
        if node.name in bones:
            above = "" if node.parent < 0 else RIGS["unity"][node.parent].name
            place, q = np.array(bones[node.name][:3]), np.array(bones[node.name][3:])
            if above:
                at[node.name] = at[above] + turned(turn[above], place)
                turn[node.name] = product(turn[above], q)
            else:
                at[node.name] = root[:3] + turned(root[3:], place)
                turn[node.name] = product(root[3:], q)
    return at


def to_unity(at: NDArray, origin: NDArray) -> NDArray:
    """World axes (x right, y away, z up) to Unity's, seen by eye: who looks into the camera looks along +z, their left
    hand, at the picture's right, is at -x."""
    x, y, z = at - origin * (1, 1, 0)
    return np.array([-x, z, -y])


@pytest.mark.parametrize("lift_arm", [0.0, 0.6, -1.2])
def test_vmc_puts_bones_where_joints_are(lift_arm: float) -> None:
    person = standing(lift_arm, (0.4, 3.0))
    with Receiver() as receiver, VmcSender("127.0.0.1", receiver.port) as sender, served(sender) as (feed, _):
        feed.put(result(0, {1: person}))
        until(lambda: len(receiver.bones()) == len(RIGS["unity"]))
        found = places(receiver)
    for bone, joint in {
        "LeftUpperArm": "LEFT_SHOULDER",
        "LeftLowerArm": "LEFT_ELBOW",
        "LeftHand": "LEFT_WRIST",
        "RightHand": "RIGHT_WRIST",
        "LeftLowerLeg": "LEFT_KNEE",
        "RightFoot": "RIGHT_ANKLE",
        "Head": "NOSE",
        "Hips": "PELVIS",
    }.items():
        want = to_unity(person[H36M[joint]], person[H36M.PELVIS])
        np.testing.assert_allclose(found[bone], want, atol=2e-3, err_msg=bone)
    assert found["LeftUpperArm"][0] < 0 < found["RightUpperArm"][0]  # left is -x for who looks along +z


def test_vmc_for_some_seconds() -> None:
    """Time and tracking come with every frame, in datagrams that networks carry whole, and quaternions do not jump."""
    with Receiver() as receiver, VmcSender("127.0.0.1", receiver.port) as sender, served(sender) as (feed, _):
        begin = time.monotonic()
        for frame in range(90):
            joints = standing(1.4 * np.sin(frame / 9), (0.01 * frame, 3))
            people = {} if 40 <= frame < 50 else {1: joints}
            feed.put(result(frame, people, captured_s=begin + frame / 30))
            until(lambda done=frame + 1: sender.sent + sender.dropped == done)  # whether it keeps up is not asked here
            with suppress(AssertionError):  # UDP promises nothing
                until(lambda came=frame + 1: len(receiver.named("/VMC/Ext/T")) >= came, 0.5)
        time.sleep(0.1)
        times = [values[0] for values in receiver.named("/VMC/Ext/T")]
        oks = receiver.named("/VMC/Ext/OK")
        arm = np.array([v[4:] for v in receiver.named("/VMC/Ext/Bone/Pos") if v[0] == "LeftUpperArm"])
    assert len(times) >= 0.95 * 90
    assert feed.dropped == 0
    np.testing.assert_allclose(np.diff(times).min(), 1 / 30, atol=1e-3)
    assert {ok[:3] for ok in oks} == {(1, 3, 0)}
    assert 8 <= sum(ok[3] == 0 for ok in oks) <= 10  # nobody there: not tracked, and no bones
    assert min(a @ b for a, b in pairwise(arm)) > 0
    assert np.abs(np.linalg.norm(arm, axis=1) - 1).max() < 1e-5
    assert sender.dropped == 0


def test_a_vmc_bundle_says_when_the_picture_was_captured() -> None:
    osc_bundle = pytest.importorskip("pythonosc.osc_bundle", reason="python-osc is not installed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(60)
        with VmcSender("127.0.0.1", ear.getsockname()[1]) as sender, served(sender) as (feed, _):
            want = time.time() - 10
            feed.put(result(0, {1: standing()}, captured_s=time.monotonic() - 10))
            datagrams = [ear.recv(65536) for _ in range(2)]
    assert max(map(len, datagrams)) <= 1400
    for datagram in datagrams:
        assert osc_bundle.OscBundle(datagram).timestamp == pytest.approx(want, abs=2)


def test_vmc_sends_what_is_known() -> None:
    with Receiver() as receiver, VmcSender("127.0.0.1", receiver.port) as sender, served(sender) as (feed, _):
        feed.put(result(0, {1: standing()}, frozenset({1})))
        until(lambda: "RightHand" in receiver.bones())
        time.sleep(0.1)
        names = set(receiver.bones())
    assert not [name for name in names if "Leg" in name or "Foot" in name or "Toes" in name]
    assert {"Hips", "Spine", "Head", "LeftHand", "RightHand"} <= names


def test_vmc_stays_with_one_person() -> None:
    """Whoever came first, though somebody with a lower number comes; another once they have been away."""
    with Receiver() as receiver, VmcSender("127.0.0.1", receiver.port) as sender, served(sender) as (feed, _):
        two, one = standing(), standing(at=(2, 1))
        for frame, people in enumerate([{2: two}, {1: one, 2: two}, {1: one}, {1: one}]):
            feed.put(result(frame, people, captured_s=100 + [0.0, 0.1, 0.2, 1.5][frame]))
            until(lambda sent=frame + 1: sender.sent == sent)
        until(lambda: len(receiver.named("/VMC/Ext/OK")) == 4)
        until(lambda: len(receiver.named("/VMC/Ext/Root/Pos")) >= 3)
        tracked = [ok[3] for ok in receiver.named("/VMC/Ext/OK")]
        roots = receiver.named("/VMC/Ext/Root/Pos")
    assert tracked == [1, 1, 0, 1]
    assert [root[1] for root in roots] == pytest.approx([0, 0, 0], abs=1e-5)  # the origin is where each was first


def test_nobody_listens_to_osc() -> None:
    """UDP to a closed port, and to a network that is not there: counted at most, never raised."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pytest.importorskip("pythonosc", reason="python-osc is not installed")
    with VmcSender("127.0.0.1", port) as sender, served(sender) as (feed, _):
        for frame in range(20):
            feed.put(result(frame, {1: standing()}))
            until(lambda sent=frame + 1: sender.sent + sender.dropped == sent)


def test_no_such_host() -> None:
    pytest.importorskip("pythonosc", reason="python-osc is not installed")
    with pytest.raises(UserError, match=r"no host 'no\.such\.host\.invalid'"):
        VmcSender("no.such.host.invalid", 39539)
