"""Damaged HTTP requests against the live page: `python tests/fuzz/page_campaign.py --count 300 --seed 1`.

A finding is an error in the server, an answer that does not come or end within ten seconds, a picture for a request
that names a foreign host, and a server that afterwards does not serve, or keeps a connection or a thread.
"""

from __future__ import annotations

import argparse
import logging
import random
import socket
import struct
import sys
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from sasmamba.app.live.page_server import Server
from sasmamba.app.serving import gate

#: Seconds in which everything must have come to its end.
LONGEST_S = 10.0

_BROWSER = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    "Accept: image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\n"
    "Sec-Fetch-Dest: image\r\nReferer: http://{host}/\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n"
)
_PLAYER = "GET {path} HTTP/1.1\r\nUser-Agent: Lavf/61.1\r\nAccept: */*\r\nRange: bytes=0-\r\nHost: {host}\r\n\r\n"
_SOCKET = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://{host}\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_FORM = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data\r\nContent-Length: 9\r\n\r\na=b&c=d\r\n"
)
_OLD = "GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer abc\r\n\r\n"
_SHAPES = (_BROWSER, _PLAYER, _SOCKET, _FORM, _OLD)
_PATHS = ("/", "/stream", "/stream?token=abc", "/favicon.ico", "//", "http://127.0.0.1/stream", "*")
_SWITCHED = b"HTTP/1.1 101 "
_PICTURE_END = b"\xff\xd9\r\n"
_FOREIGN = "camera.example"
_WORDS = (b"\r\n", b"\n", b"\r", b"\0", b": ", b" ", b"\t", b"\xff\xfe", b"%00", b"../", b"Host: evil.example\r\n")


@dataclass(slots=True)
class Outcome:
    """What came of a campaign.

    Attributes:
        counts: how many requests ended how: with which status, "closed" without a word, or as a kind of finding.
        findings: kind of finding, number of the request, and what is known.
        longest_s: the longest that a request took.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[str, int, str]] = field(default_factory=list)
    longest_s: float = 0.0


def damaged(request: bytes, rng: random.Random) -> bytes:
    """A request with up to three things done to it."""
    data = bytearray(request)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        at, kind = rng.randrange(len(data) + 1), rng.randrange(8)
        if kind == 0:
            for _ in range(rng.choice((1, 3, 20))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + rng.choice((1, 4, 30))]
        elif kind == 2:
            data[at:at] = rng.choice(_WORDS) * rng.choice((1, 1, 3, 200))
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.choice((1, 8, 300, 40_000)))
        elif kind == 4:
            lines = bytes(data).split(b"\r\n")
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            data = bytearray(b"\r\n".join(lines))
        elif kind == 5:
            lines = bytes(data).split(b"\r\n")
            rng.shuffle(lines)
            data = bytearray(b"\r\n".join(lines))
        elif kind == 6:
            data[at:at] = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 50) for i in range(rng.choice((5, 150, 400))))
        else:
            del data[at:]
        data = data or bytearray(b"\r\n")
    return bytes(data) * rng.choice((1, 1, 1, 1, 30))


def _ask(port: int, request: bytes, rng: random.Random) -> bytes:
    """Sends a request in whole or in pieces, and reads until the server ends or has sent a picture."""
    with socket.create_connection(("127.0.0.1", port), timeout=LONGEST_S) as connection:
        manner = rng.choice(("whole", "whole", "pieces", "half", "reset", "open"))
        answer = b""
        try:
            size = max(1, len(request) // 5) if manner == "pieces" else max(1, len(request))
            for at in range(0, len(request), size):
                connection.sendall(request[at : at + size])
            if manner == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return answer
            if manner == "half":
                connection.shutdown(socket.SHUT_WR)
            while _PICTURE_END not in answer and not answer.startswith(_SWITCHED) and (piece := connection.recv(4096)):
                answer += piece
        except TimeoutError:
            raise
        except OSError:  # it does not have to hear us out
            pass
        return answer


def _one(port: int, number: int, seed: int) -> tuple[int, str, str, float]:
    rng = random.Random(f"{seed} {number}")
    foreign = rng.random() < 0.3
    host = _FOREIGN if foreign else rng.choice((f"127.0.0.1:{port}", f"localhost:{port}", "localhost"))
    request = damaged(rng.choice(_SHAPES).format(path=rng.choice(_PATHS), host=host).encode(), rng)
    begin = time.monotonic()
    try:
        answer = _ask(port, request, rng)
    except TimeoutError:
        return number, "hang", repr(request[:300]), time.monotonic() - begin
    took = time.monotonic() - begin
    if foreign and (answer.startswith(_SWITCHED) or b" 200 " in answer[:20] or b"\xff\xd8" in answer):
        return number, "served a stranger", repr(request[:2000]), took
    if took > LONGEST_S:
        return number, "hang", repr(request[:300]), took
    if not answer:
        return number, "closed", "", took
    if not answer.startswith((b"HTTP/1.0 ", b"HTTP/1.1 ")):
        return number, "no status", repr(request[:300]), took
    return number, answer[9:12].decode(), "", took


def campaign(count: int, seed: int) -> Outcome:
    """Sends `count` damaged requests, some at a time; the same seed makes the same requests."""
    outcome, errors = Outcome(), []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            errors.append(self.format(record))

    heard, hook, threads = Heard(logging.WARNING), threading.excepthook, threading.active_count()
    logging.getLogger("sasmamba").addHandler(heard)
    threading.excepthook = lambda told: errors.append(repr(told))
    try:
        with Server(0) as server:
            server.show(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
            port = int(server.url.rpartition(":")[2].strip("/"))
            with ThreadPoolExecutor(12) as pool:
                for number, how, told, took in pool.map(lambda n: _one(port, n, seed), range(count)):
                    outcome.counts[how] += 1
                    outcome.longest_s = max(outcome.longest_s, took)
                    if told:
                        outcome.findings.append((how, number, told))
            with urllib.request.urlopen(server.stream_url, timeout=LONGEST_S) as stream:
                if b"\xff\xd8" not in stream.read(300):
                    outcome.findings.append(("no picture afterwards", count, ""))
        end = time.monotonic() + LONGEST_S
        while threading.active_count() > threads and time.monotonic() < end:
            time.sleep(0.05)
        if threading.active_count() > threads:
            outcome.findings.append(("threads left", count, str(threading.enumerate())))
        if server.viewers:
            outcome.findings.append(("viewers left", count, str(server.viewers)))
    finally:
        logging.getLogger("sasmamba").removeHandler(heard)
        threading.excepthook = hook
    outcome.findings += [("error", count, told) for told in errors]
    return outcome


def main() -> int:
    """Runs a campaign and prints a line; exit code 1 where there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    args = parser.parse_args()
    outcome = campaign(args.count, args.seed)
    counts = ", ".join(f"{n} {how}" for how, n in sorted(outcome.counts.items()))
    print(f"requests, seed {args.seed}: {counts}; longest {outcome.longest_s:.1f} s of at most {gate.HEAD_S:g}")
    for how, number, told in outcome.findings:
        print(f"--- {how}: request {number}\n{told}")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
