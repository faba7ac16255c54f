"""Live motion as the Virtual Motion Capture protocol: OSC over UDP, which VRM programs, Unity and Unreal receive.

One avatar has one port, so one person is sent: who came first, and once they have gone the one with the lowest number.
Axes are Unity's: left-handed, metres, y up; who looks into the camera looks along +z. The origin is the place on the
floor where that person was first. `/VMC/Ext/Root/Pos` is the place on the floor below the pelvis, not turned, and the
bone `Hips` stands above it; of every other bone `/VMC/Ext/Bone/Pos` gives place and rotation against its parent, both
as of a T-pose in which no bone is turned. Bones that are not known are not sent; receivers leave those as they are.
`/VMC/Ext/T` and every bundle's time tag say when the picture was captured.

Source: the protocol's specification 2.5 (protocol.vmc.info), and 2.7 for the tracking state.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import R_YUP_WORLD
from sasmamba.app.export.rig_motion import quaternions, rig_motion
from sasmamba.app.export.rigs import RIGS, Node
from sasmamba.app.live.motion_message import MotionNow, PersonNow
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M

#: Bones are as long as in the median of so many seconds.
_LENGTHS_S = 1.0
#: Once somebody has been away for so long another is sent.
_AWAY_S = 1.0
#: Networks carry datagrams of so many bytes in one piece.
_MOST_BYTES = 1400
#: From right-handed axes to Unity's: x the other way.
_MIRRORED = np.array([-1.0, 1.0, 1.0])

_NOT_TURNED = np.array([0.0, 0.0, 0.0, 1.0])

_log = logging.getLogger(__name__)


def check_osc() -> None:
    """Raises UserError where the package that speaks OSC is missing."""
    if find_spec("pythonosc") is None:
        raise UserError("--osc needs a package more: pip install 'sasmamba-demo[osc]'.")


class VmcSender:
    """Sends one person to HOST:PORT, as a context manager.

    Attributes:
        sent: frames sent.
        dropped: frames that the network did not take.

    Raises:
        UserError: there is no such host, or python-osc is missing.
    """

    def __init__(self, host: str, port: int) -> None:
        check_osc()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise UserError(f"--osc: there is no host {host!r}; say HOST:PORT, 127.0.0.1:39539 say.") from error
        family, _, _, _, address = found[0]
        self._address: Any = address  # of either family
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._nodes = RIGS["unity"]
        self._who: int | None = None
        self._seen_s = self._begin_s = -np.inf
        self._origin = np.zeros(3)
        self._recent: deque[tuple[float, NDArray]] = deque()
        self._known: NDArray = np.ones(21, bool)
        self._turned: dict[str, NDArray] = {}
        self.sent = self.dropped = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, motion: MotionNow) -> None:
        """Sends the motion of one frame; what the network does not take at once is dropped and counted."""
        if self._begin_s == -np.inf:
            self._begin_s = motion.captured_s
        person = self._chosen(motion)
        messages: list[tuple[str, list[Any]]] = [
            # loaded, calibrated, in the normal mode, tracked
            ("/VMC/Ext/OK", [1, 3, 0, int(person is not None and person.observed)]),
            ("/VMC/Ext/T", [float(motion.captured_s - self._begin_s)]),
        ]
        if person is not None:
            messages += self._bones(motion.captured_s, person)
        try:
            for datagram in datagrams(messages, motion.captured_unix_s):
                self._socket.sendto(datagram, self._address)
            self.sent += 1
        except OSError as error:  # no room in the network's queue, or no way there
            if not self.dropped:
                _log.info("OSC to %s:%s: %s; what cannot be sent is dropped.", *self._address[:2], error)
            self.dropped += 1

    def _chosen(self, motion: MotionNow) -> PersonNow | None:
        people = {person.track_id: person for person in motion.people}
        if self._who not in people:
            if self._who is not None and motion.captured_s - self._seen_s <= _AWAY_S:
                return None
            if not people:
                return None
            self._who = min(people)
            self._recent.clear()
            self._turned.clear()
            root = people[self._who].points[H36M.PELVIS] @ R_YUP_WORLD.T
            self._origin = root * (1, 0, 1)
        self._seen_s = motion.captured_s
        return people[self._who]

    def _bones(self, time_s: float, person: PersonNow) -> list[tuple[str, list[Any]]]:
        known = np.asarray(np.isfinite(person.points).all(-1))
        if (known != self._known).any():  # bones that were not known had no length
            self._known = known
            self._recent.clear()
        self._recent.append((time_s, np.where(known[:, None], person.points, 0) @ R_YUP_WORLD.T - self._origin))
        while time_s - self._recent[0][0] > _LENGTHS_S:
            self._recent.popleft()
        rig = rig_motion(self._nodes, np.stack([points for _, points in self._recent]))
        places, root = rig.offsets * _MIRRORED, rig.root[-1] * _MIRRORED
        messages = [("/VMC/Ext/Root/Pos", ["root", float(root[0]), 0.0, float(root[2]), 0.0, 0.0, 0.0, 1.0])]
        places[0] = (0, root[1], 0)
        for node, place, turn in zip(self._nodes, places, quaternions(rig.local[-1]), strict=True):
            if known[list(shown_by(node))].all():
                q = turn * (1, -1, -1, 1)  # mirrored in x, axes turn the other way about y and z
                if q @ self._turned.get(node.name, _NOT_TURNED) < 0:  # both signs are one rotation: the nearer one
                    q = -q
                self._turned[node.name] = q
                messages.append(("/VMC/Ext/Bone/Pos", [node.name, *map(float, place), *map(float, q)]))
        return messages


def shown_by(node: Node) -> tuple[int, ...]:
    """The points without which a bone's place or turn is not known."""
    return (node.at, node.target) if node.turn == "aim" else (node.at,)


def datagrams(messages: list[tuple[str, list[Any]]], unix_s: float) -> list[bytes]:
    """OSC bundles with that time tag, each small enough for one piece on a network."""
    from pythonosc.osc_bundle_builder import OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder

    at: Any = unix_s  # seconds and parts of them, though the package's types say whole ones
    parts, bundle, size = [], OscBundleBuilder(at), 16
    for address, values in messages:
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value, {str: "s", int: "i", float: "f"}[type(value)])
        built = message.build()
        if size + 4 + len(built.dgram) > _MOST_BYTES:
            parts.append(bundle)
            bundle, size = OscBundleBuilder(at), 16
        bundle.add_content(built)
        size += 4 + len(built.dgram)
    return [part.build().dgram for part in (*parts, bundle)]
