"""One WebSocket client of the live page's server: it is told everybody's motion, as `motion_message` says."""

from __future__ import annotations

import socket
import time

from sasmamba.app.live.motion_feed import MotionFeed
from sasmamba.app.serving.gate import SEND_S

#: Clients are looked after so often where no motion comes, and pinged after so long without, so that a connection that
#: broke is found out.
_TURN_S, _PING_S = 1.0, 5.0
#: A client has nothing to say; a message longer than this ends the conversation.
_MOST_BYTES = 1024
#: The system keeps so much for a client who does not read: more would only be older when it is.
_SEND_BUFFER = 64 * 1024


def converse(connection: socket.socket, head: bytes, feed: MotionFeed) -> None:
    """Answers a request that wants a WebSocket, and sends until either side ends it.

    Args:
        connection: to the client; whoever gave it closes it. The gate has let it in.
        head: of the request, as it came.
        feed: what is told.

    Raises:
        OSError: the client has gone, or took nothing for SEND_S.
    """
    from websockets.http11 import Request
    from websockets.protocol import State
    from websockets.server import ServerProtocol

    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    protocol = ServerProtocol(max_size=_MOST_BYTES)
    protocol.receive_data(head)
    asked = next((event for event in protocol.events_received() if isinstance(event, Request)), None)
    if asked is None:  # no request by the protocol's rules, though one by HTTP's
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        return
    protocol.send_response(protocol.accept(asked))
    _flush(connection, protocol.data_to_send())
    if protocol.state is not State.OPEN:
        return
    listener = feed.join()
    spoken_s = time.monotonic()
    try:
        while protocol.state is State.OPEN:
            message = listener.get(_TURN_S)
            protocol.receive_data(_said(connection))
            protocol.events_received()  # pings are answered by the protocol; messages mean nothing here
            if protocol.state is not State.OPEN:
                pass  # they said goodbye, or nonsense: what the protocol answers is sent below
            elif message is not None:
                protocol.send_text(message.encode())
                spoken_s = time.monotonic()
            elif listener.over:
                protocol.send_close(1001, "the source has ended")
            elif time.monotonic() - spoken_s > _PING_S:
                protocol.send_ping(b"")
                spoken_s = time.monotonic()
            _flush(connection, protocol.data_to_send())
    finally:
        feed.leave(listener)


def _said(connection: socket.socket) -> bytes:
    """What the client has said meanwhile.

    Raises:
        ConnectionError: it has hung up.
    """
    connection.setblocking(False)
    try:
        data = connection.recv(4096)
    except BlockingIOError:
        return b""
    finally:
        connection.settimeout(SEND_S)
    if not data:
        raise ConnectionResetError("the client has hung up")
    return data


def _flush(connection: socket.socket, pieces: list[bytes]) -> None:
    """Sends what the protocol says; its empty piece means the end, and whoever gave the connection closes it."""
    if data := b"".join(pieces):
        connection.sendall(data)
