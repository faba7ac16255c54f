"""The live page: who is answered, and that nobody who asks badly harms those who watch."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.message import Message

import numpy as np
import pytest

from sasmamba.app.live.page_server import Server
from sasmamba.app.serving import gate as gate_module
from sasmamba.app.serving.gate import MOST_CLIENTS, Gate
from sasmamba.common.errors import UserError

PICTURE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)

#: A link here that was followed on a page elsewhere.
FOLLOWED = {
    "Host": "localhost",
    "Sec_Fetch_Site": "cross-site",
    "Sec_Fetch_Mode": "navigate",
    "Sec_Fetch_Dest": "document",
}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(0) as server:
        server.show(PICTURE)
        yield server


def until(true: Callable[[], bool]) -> None:
    """Waits as long as even a busy machine may take."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, threading.enumerate()
        time.sleep(0.02)


def port_of(server: Server) -> int:
    return int(server.url.split("/")[2].rpartition(":")[2])


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(server)), timeout=60)


def status(server: Server, request: str | bytes) -> int:
    """The status that a request is answered with; 0: hung up on."""
    with connected(server) as client:
        try:
            client.sendall(request.encode() if isinstance(request, str) else request)
            answer = client.recv(4096)
        except ConnectionError:
            return 0
    return int(answer.split()[1]) if answer else 0


def get(path: str = "/", **headers: str) -> str:
    lines = [f"GET {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines) + "\r\n\r\n"


def gets_a_picture(server: Server) -> bool:
    with urllib.request.urlopen(server.stream_url, timeout=60) as stream:
        return b"\xff\xd8" in stream.read(300)


def test_the_page_and_its_stream(server: Server) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(server.url, timeout=60) as page:
        assert 'src="stream"' in page.read().decode()
        assert page.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert "Python" not in page.headers["Server"]
    with pytest.raises(urllib.request.HTTPError, match="404"):
        urllib.request.urlopen(server.url + "etc/passwd", timeout=60)
    with urllib.request.urlopen(server.url + "stream", timeout=60) as stream:
        assert "multipart/x-mixed-replace" in stream.headers["Content-Type"]
        head = stream.readline() + stream.readline() + stream.readline()
        assert b"image/jpeg" in head
        size = int(head.split(b"Content-Length:")[1])
        stream.readline()
        assert stream.read(size)[:2] == b"\xff\xd8"


def test_a_port_that_is_taken() -> None:
    with Server(0) as server:
        port = port_of(server)
        with pytest.raises(UserError, match=f"Port {port} .* cannot be served .*choose another --serve"):
            Server(port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "a\0b", "a" * 70, "..", "☃" * 80])
def test_a_host_that_is_not_here_or_cannot_be_one(host: str) -> None:
    with pytest.raises(UserError, match=r"is no address of this machine \(.+\): choose another --serve-host\.$"):
        Server(0, host)


@pytest.mark.parametrize(
    ("headers", "want"),
    [
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "localhost:9000"}, 200),  # a port forwarded by ssh or a container
        ({"Host": "LocalHost."}, 200),
        ({"Host": "[::1]:8477"}, 200),
        ({"Host": "attacker.example"}, 421),  # DNS rebinding
        ({"Host": "attacker.example:8477"}, 421),
        ({"Host": "127.0.0.1.attacker.example"}, 421),
        ({"Host": "localhost.attacker.example"}, 421),
        ({"Host": "192.168.1.7"}, 421),  # not served there
        ({"Host": "0.0.0.0"}, 421),
        ({"Host": "user@localhost"}, 421),
        ({"Host": "localhost/x"}, 421),
        ({"Host": ""}, 421),
        ({}, 400),
        ({"Host": "localhost", "host": "attacker.example"}, 400),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403),
        ({"Host": "localhost", "Origin": "https://attacker.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),  # a sandboxed frame, a file
        ({"Host": "localhost", "Origin": "http://localhost", "origin": "http://attacker.example"}, 400),
        ({"Host": "localhost", "Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),  # <img src=…>
        ({"Host": "localhost", "Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "websocket"}, 403),
        (FOLLOWED | {"Sec_Fetch_Dest": "iframe"}, 403),
        (FOLLOWED, 200),
        ({"Host": "localhost", "Sec_Fetch_Site": "none"}, 200),
    ],
)
def test_hosts_and_origins(server: Server, headers: dict[str, str], want: int) -> None:
    assert status(server, get(**headers)) == want


@pytest.mark.parametrize(
    ("request_", "want"),
    [
        ("\r\n\r\n", 0),
        ("GET\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 505),
        ("GET / HTTP/x\r\nHost: localhost\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 501),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET http://localhost/stream HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nno header\r\nOrigin: http://attacker.example\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin : http://attacker.example\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", 400),  # https
        (b"GET /\xff\xfe\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    ],
)
def test_malformed_requests(server: Server, request_: str | bytes, want: int) -> None:
    assert status(server, request_) == want
    assert gets_a_picture(server)


@pytest.mark.parametrize(
    "request_",
    [
        "GET / HTTP/1.1\r\n" + "".join(f"X-{i}: y\r\n" for i in range(5000)) + "Host: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nX: " + "y" * 10_000_000 + "\r\n\r\n",
        "GET /" + "x" * 100_000 + " HTTP/1.1\r\n\r\n",
        "G" * 1_000_000,
    ],
)
def test_huge_heads(server: Server, request_: str) -> None:
    assert status(server, request_) in (431, 0)  # hung up on while they were still talking
    assert gets_a_picture(server)


class TestBeyondThisMachine:
    @pytest.fixture
    def open_server(self) -> Iterator[Server]:
        with Server(0, "0.0.0.0") as server:
            server.show(PICTURE)
            yield server

    def test_the_token(self, open_server: Server) -> None:
        token = open_server.url.rpartition("?token=")[2]
        assert len(token) >= 32
        for path, headers, want in (
            ("/", {}, 401),
            ("/stream", {}, 401),
            ("/?token=", {}, 401),
            (f"/?token={token[:-1]}", {}, 401),
            ("/?token=é", {"Authorization": "Bearer é"}, 401),
            ("/", {"Authorization": "Bearer"}, 401),
            (f"/?token={token}", {}, 200),
            (f"/?a=b&token={token}", {}, 200),
            ("/stream", {"Authorization": f"Bearer {token}"}, 200),
        ):
            assert status(open_server, get(path, Host="192.168.1.7:8477", **headers)) == want, (path, headers)
        assert status(open_server, get(f"/?token={token}", Host="attacker.example")) == 421
        assert status(open_server, get(f"/?token={token}", Host="localhost", Origin="http://attacker.example")) == 403

    def test_the_page_hands_its_token_on(self, open_server: Server) -> None:
        url = open_server.url.replace(socket.gethostname(), "127.0.0.1")
        token = url.rpartition("?token=")[2]
        with urllib.request.urlopen(url, timeout=60) as page:
            assert f'src="stream?token={token}"' in page.read().decode()
            assert page.headers["Referrer-Policy"] == "no-referrer"

    def test_each_server_has_its_own(self) -> None:
        assert Gate("0.0.0.0").token != Gate("0.0.0.0").token
        assert [Gate(host).token for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [None] * 4
        assert all(Gate(host).token for host in ("", "::", "192.168.1.7", "camera.local"))

    def test_the_name_of_the_machine(self) -> None:
        gate = Gate("0.0.0.0")
        headers = Message()
        headers["Host"] = f"{socket.gethostname()}:8477"
        assert gate.refusal(f"/?token={gate.token}", headers) is None


def test_slow_heads_end_together_and_not_by_the_byte(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "HEAD_S", 1.0)
    begin, answer = time.monotonic(), b""
    with connected(server) as client:
        client.settimeout(0.1)
        client.sendall(b"GET / HTTP/1.1\r\n")
        while not answer and time.monotonic() < begin + 60:
            client.sendall(b"X")
            with suppress(TimeoutError):
                answer = client.recv(100)
    assert b" 408 " in answer
    assert time.monotonic() - begin > 0.9


def test_the_silent_make_room(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "HEAD_S", 60.0)  # otherwise they would be gone soon anyway
    silent = [connected(server) for _ in range(3 * MOST_CLIENTS)]
    try:
        until(lambda: threading.active_count() < 2 * MOST_CLIENTS)
        begin = time.monotonic()
        assert gets_a_picture(server)
        assert time.monotonic() - begin < 30
    finally:
        for client in silent:
            client.close()


def test_no_more_watch_than_may(server: Server) -> None:
    watching = []
    try:
        for _ in range(MOST_CLIENTS):
            watching.append(connected(server))
            watching[-1].sendall(get("/stream", Host="localhost").encode())
            watching[-1].recv(100)
        assert server.viewers == MOST_CLIENTS
        assert status(server, get(Host="localhost")) in (503, 0)
        watching.pop().close()

        def answered() -> bool:
            server.show(PICTURE)
            return status(server, get(Host="localhost")) == 200

        until(answered)
    finally:
        for client in watching:
            client.close()


def test_who_does_not_read_delays_nobody_and_is_let_go(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.serving.http_listener.SEND_S", 1.0)

    def shown_s(pictures: int) -> float:
        begin = time.perf_counter()
        for _ in range(pictures):
            server.show(PICTURE)
        return (time.perf_counter() - begin) / pictures

    with connected(server) as reader:
        reader.sendall(get("/stream", Host="localhost").encode())
        reader.recv(100)
        alone = min(shown_s(10) for _ in range(5))
        deaf = [connected(server) for _ in range(20)]
        for client in deaf:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(get("/stream", Host="localhost").encode())
        until(lambda: server.viewers >= 15)
        # one that waited for them would take SEND_S for each
        assert min(shown_s(10) for _ in range(5)) < 3 * alone + 0.05

        def let_go() -> bool:
            server.show(PICTURE)
            return server.viewers <= 1  # the reader stopped reading, too

        until(let_go)
        for client in deaf:
            client.close()


def test_the_end_hangs_up_on_everybody() -> None:
    before = threading.active_count()
    with Server(0) as server:
        server.show(PICTURE)
        silent = [connected(server) for _ in range(3)]
        watching = connected(server)
        watching.sendall(get("/stream", Host="localhost").encode())
        watching.recv(100)
    until(lambda: threading.active_count() <= before)
    assert all(client.recv(1) == b"" for client in silent)
    for client in (*silent, watching):
        client.close()


@pytest.mark.skipif(os.name == "nt", reason="limits of files are set in another way there")
def test_too_many_open_files_pass(server: Server) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 64
    client = socket.socket()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (held, limit[1]))
        client.connect(("127.0.0.1", port_of(server)))  # the kernel takes it; the server cannot
        cpu = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - cpu < 0.25  # it does not ask again and again without a pause
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        client.close()
    assert gets_a_picture(server)
