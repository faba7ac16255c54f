"""Where live pictures are shown: a window where there is a display, or a page for any browser on this machine."""

from __future__ import annotations

import functools
import html
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import cv2
from numpy.typing import NDArray

from sasmamba.app.render.text import font_folder
from sasmamba.common.errors import UserError

_TITLE = "sasmamba-demo"
#: A window opens no wider than this; the user may make it larger.
_WINDOW_WIDTH = 1600
#: A page that nobody sends a picture for so long sends the last one again, so that the connection is seen to live.
_REPEAT_S = 5.0
_JPEG_QUALITY = 85
_BOUNDARY = "picture"

# Qt ends the whole process where it finds no display, so another process asks.
_ASK = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"


@functools.cache
def can_show() -> tuple[bool, str]:
    """Whether a window can be opened here, and if not, why, in a few words."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False, "there is no display"
    try:
        asked = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False, "the display does not answer"
    return asked.returncode == 0, "" if asked.returncode == 0 else "the display cannot be used"


class Window:
    """A window on this machine's display.

    Raises:
        UserError: there is no display to open it on.
    """

    def __init__(self) -> None:
        possible, why = can_show()
        if not possible:
            raise UserError(
                f"No window can be opened: {why}. Use --serve to watch in a browser, or --out to record.", exit_code=1
            )

    def __enter__(self) -> Self:
        # OpenCV points its Qt to a folder of letters that its wheel lacks, and Qt complains; matplotlib has some.
        os.environ["QT_QPA_FONTDIR"] = str(font_folder())
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        self._sized = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cv2.destroyAllWindows()

    def show(self, picture: NDArray) -> None:
        """Shows (height, width, 3) uint8 BGR; the window takes the first picture's size, as far as screens go."""
        if not self._sized:
            scale = min(1.0, _WINDOW_WIDTH / picture.shape[1])
            cv2.resizeWindow(_TITLE, round(scale * picture.shape[1]), round(scale * picture.shape[0]))
            self._sized = True
        cv2.imshow(_TITLE, picture)

    def key(self) -> str:
        """The key that was pressed, "" for none; "q" too where the window was closed. Must be called often."""
        code = cv2.waitKeyEx(1)
        if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return _KEYS.get(code, chr(code & 0xFF) if 0 < code & 0xFF < 0x80 else "")


#: Arrow keys as GTK, Qt, Windows and macOS number them.
_KEYS = {
    27: "q",
    **dict.fromkeys((65361, 0x250000, 2424832, 63234, 81), "left"),
    **dict.fromkeys((65363, 0x270000, 2555904, 63235, 83), "right"),
    **dict.fromkeys((65362, 0x260000, 2490368, 63232, 82), "up"),
    **dict.fromkeys((65364, 0x280000, 2621440, 63233, 84), "down"),
}


class Server:
    """A page at http://host:port/ with the live picture (multipart JPEG), for browsers and players alike.

    Slow viewers miss pictures rather than hold anything up. Only this machine can see it unless `host` says otherwise.

    Attributes:
        url: the page; `url` + "stream" is the picture alone.
        viewers: how many are connected.

    Raises:
        UserError: the port is taken or not allowed.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._fresh = threading.Condition()
        self._jpeg = b""
        self._number = 0
        self._closed = False
        self.viewers = 0
        try:
            self._server = ThreadingHTTPServer((host, port), self._handler())
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(f"Port {port} on {host} cannot be served ({reason}): choose another --serve.") from error
        self._server.daemon_threads = True
        shown = host if host not in ("", "0.0.0.0") else socket.gethostname()
        self.url = f"http://{shown}:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="serve", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._fresh:
            self._closed = True
            self._fresh.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def show(self, picture: NDArray) -> None:
        """Gives (height, width, 3) uint8 BGR to everybody who watches; costs nothing while nobody does."""
        if not self.viewers and self._jpeg:
            return
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
        with self._fresh:
            self._jpeg = encoded
            self._number += 1
            self._fresh.notify_all()

    def _next(self, number: int) -> tuple[int, bytes] | None:
        """The newest picture and its number, once it is not `number` any more; None at the end."""
        with self._fresh:
            self._fresh.wait_for(lambda: self._closed or (self._number != number and bool(self._jpeg)), _REPEAT_S)
            return None if self._closed else (self._number, self._jpeg)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"  # a stream has no length

            def do_GET(self) -> None:
                if self.path == "/stream":
                    self._stream()
                elif self.path == "/":
                    self._send("text/html; charset=utf-8", _PAGE.encode())
                else:
                    self.send_error(404)

            def _send(self, kind: str, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _stream(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                with server._fresh:
                    server.viewers += 1
                try:
                    number = -1
                    while (fresh := server._next(number)) is not None:
                        number, jpeg = fresh
                        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                except OSError:  # the viewer has gone, which is their right
                    pass
                finally:
                    with server._fresh:
                        server.viewers -= 1

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


_PAGE = f"""<!doctype html><title>{html.escape(_TITLE)}</title>
<style>body{{margin:0;background:#0e1013;display:grid;place-items:center;height:100vh}}
img{{max-width:100vw;max-height:100vh}}</style><img src="stream" alt="live picture">
"""
