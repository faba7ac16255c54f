"""What receivers of live motion get, and what they cost: `python benchmarks/live_out.py VIDEO --minutes 10`.

Plays a clip to and fro, as live_delay.py does, through the command in its own process, twice: with nobody listening,
then with a WebSocket client, an OSC server (python-osc), a client that never reads and one that comes and vanishes
every second. Prints the picture's rate and delay of both runs, and what the good receivers got: messages, numbers that
were skipped, messages out of order, and the delay from capture to arrival (median, 95th percentile).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from live_delay import played_on
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from sasmamba.common.machine import cores

_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def free_port() -> int:
    """A TCP port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def shaken(port: int) -> socket.socket:
    """A WebSocket client that says nothing more; waits for the server to be there."""
    while True:
        with suppress(ConnectionRefusedError):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(_HANDSHAKE)
            return client
        time.sleep(0.2)


class Receivers:
    """Good and bad ones, each in a thread of its own, until the command has ended."""

    def __init__(self, port: int) -> None:
        self.port, self.over = port, threading.Event()
        self.numbers: list[int] = []
        self.late_ms: list[float] = []
        self.vanished = 0
        self.osc: list[float] = []
        dispatcher = Dispatcher()
        dispatcher.map("/VMC/Ext/T", lambda _, seconds: self.osc.append(seconds))
        self._server = BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher)
        self.osc_port = int(self._server.server_address[1])
        works = (self._good, self._deaf, self._vanishing, self._server.serve_forever)
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Waits until all have seen that it is over."""
        self.over.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join(30)

    def _good(self) -> None:
        shaken(self.port).close()
        with connect(f"ws://127.0.0.1:{self.port}/") as client, suppress(ConnectionClosed):
            for text in client:
                told = json.loads(text)
                if told["type"] == "motion":
                    self.numbers.append(told["number"])
                    self.late_ms.append(1000 * (time.time() - told["captured_unix_s"]))

    def _deaf(self) -> None:
        with shaken(self.port):
            self.over.wait()

    def _vanishing(self) -> None:
        while not self.over.wait(1):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as client:
                client.sendall(_HANDSHAKE)
                client.recv(4096)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # hangs up at once
                self.vanished += 1


def played(clip: Path, seconds: float, *more: str) -> dict[str, Any]:
    """The report of `sasmamba-demo live` on the clip."""
    command = [sys.executable, "-c", "from sasmamba.app.cli.main import main; main()", "live", str(clip), "--no-window"]
    done = subprocess.run(
        [*command, "--seconds", str(seconds), "--json", *more], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout[done.stdout.index("{") :])


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    args = parser.parse_args()
    seconds = 60 * args.minutes
    with tempfile.TemporaryDirectory() as folder:
        clip = played_on(args.video, Path(folder), seconds + 5)
        reports = {"nobody listens": played(clip, seconds, "--serve", "0")}
        port = free_port()
        receivers = Receivers(port)
        reports["listened to"] = played(clip, seconds, "--ws", str(port), "--osc", f"127.0.0.1:{receivers.osc_port}")
        receivers.end()
    for name, report in reports.items():
        print(
            f"{name}: {report['fps']:.1f} fps, delay {report['delay_ms']:.0f} ms, 95 % below "
            f"{report['delay_95_ms']:.0f} ms; {report['shown']} shown of {report['captured']}; "
            f"{report['sent']} sent as data, {report['unsent']} overtaken (of every client)"
        )
    steps = np.diff(receivers.numbers)
    middle, slow = np.percentile(receivers.late_ms, [50, 95])
    print(
        f"WebSocket: {len(receivers.numbers)} messages, {int((steps - 1).clip(0).sum())} skipped, "
        f"{int((steps < 1).sum())} out of order, {middle:.0f} ms after capture, 95 % below {slow:.0f} ms"
    )
    spread = np.diff(receivers.osc)
    print(
        f"OSC: {len(receivers.osc)} frames, {int((spread <= 0).sum())} out of order; longest step {spread.max():.2f} s"
    )
    print(f"{receivers.vanished} clients vanished, one never read")
    print(f"{cores()} cores, load average {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    main()
