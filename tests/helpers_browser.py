"""A real browser, driven over the WebDriver protocol; nothing but chromium and its chromedriver is needed."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import cv2
import numpy as np
from helpers_http import free_port
from numpy.typing import NDArray


def browser_here() -> bool:
    """Whether chromium and chromedriver are installed."""
    return bool(_chromium() and shutil.which("chromedriver"))


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One window of chromium; see `browser`."""

    def __init__(self, session: str) -> None:
        self._session = session

    def call(self, path: str, body: dict[str, Any] | None = None, method: str = "") -> Any:
        """One command of the protocol (W3C WebDriver), its value."""
        return _ask(self._session + path, body, method)

    def open(self, path: Path) -> None:
        """Opens a file as file://, and waits for its script."""
        self.call("/url", {"url": path.resolve().as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script's return; a promise is waited for."""
        return self.call("/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str, seconds: float = 60.0) -> Any:
        """Waits until a script returns something true, and returns it."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never came true: {script}"
            time.sleep(0.05)
        return value

    def picture(self) -> NDArray[np.uint8]:
        """What the window shows, (height, width, 3) BGR."""
        png = base64.b64decode(self.call("/screenshot"))
        picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return np.asarray(picture, np.uint8)

    def actions(self, kind: str, *steps: dict[str, Any], **parameters: str) -> None:
        """Moves a pointer or presses keys."""
        source = {"type": kind, "id": f"{kind}-{parameters}", "actions": list(steps)}
        if parameters:
            source["parameters"] = parameters
        self.call("/actions", {"actions": [source]})

    def drag(self, element: str, dx: int, dy: int, finger: bool = False) -> None:
        """Drags from the middle of an element (CSS selector), with a mouse or a finger."""
        box = self.run(
            "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [b.left + b.width / 2, b.top + b.height / 2]",
            element,
        )
        x, y = (round(v) for v in box)
        self.actions(
            "pointer",
            {"type": "pointerMove", "duration": 0, "x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "duration": 80, "x": x + dx, "y": y + dy},
            {"type": "pointerUp", "button": 0},
            pointerType="touch" if finger else "mouse",
        )

    def press(self, key: str) -> None:
        """Presses a key where the focus is."""
        self.actions("key", {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key})

    def choose_file(self, element: str, path: Path) -> None:
        """Chooses a file in a file input (CSS selector), as a person does in its dialog."""
        found = self.call("/element", {"using": "css selector", "value": element})
        (name,) = found.values()
        self.call(f"/element/{name}/value", {"text": str(path.resolve())})

    @contextmanager
    def screen(self, width: int, height: int, scheme: str = "light", ratio: int = 1) -> Iterator[None]:
        """A screen of that size in that colour scheme ("light" or "dark"), `ratio` of its pixels to one of CSS; a
        phone's if it is narrow."""
        size = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        try:
            yield
        finally:
            self.devtools("Emulation.clearDeviceMetricsOverride")
            self.devtools("Emulation.setEmulatedMedia", features=[])

    @contextmanager
    def showing(self, url: str, width: int, height: int, ratio: int = 1) -> Iterator[None]:
        """A page on a screen of that size; nothing of it goes on afterwards, nor is what was before it told of it."""
        self.complaints(), self.requests()
        with self.screen(width, height, ratio=ratio):
            self.call("/url", {"url": url})
            try:
                yield
            finally:
                self.call("/url", {"url": "about:blank"})

    def printed(self) -> bytes:
        """The page as it is printed: a PDF, of the paper that the page's style asks for."""
        return base64.b64decode(self.devtools("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of Chrome's DevTools."""
        return self.call("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def complaints(self) -> list[str]:
        """What was written to the console since it was last asked: errors and warnings."""
        return [entry["message"] for entry in self.call("/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Addresses that were asked for since it was last asked."""
        events = [json.loads(e["message"])["message"] for e in self.call("/se/log", {"type": "performance"})]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


@contextmanager
def browser(width: int = 1280, height: int = 1000) -> Iterator[Browser]:
    """A window of that size, without a screen; the browser is ended with the block."""
    port = free_port()
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/session"
    options = {
        "binary": _chromium(),
        "args": [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--autoplay-policy=no-user-gesture-required",
            f"--window-size={width},{height}",
        ],
    }
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
    try:
        made = _ask(url, {"capabilities": {"alwaysMatch": wanted}}, patience=60)
        session = f"{url}/{made['sessionId']}"
        try:
            yield Browser(session)
        finally:
            _ask(session, method="DELETE")
    finally:
        driver.terminate()
        driver.wait(60)


def _ask(url: str, body: dict[str, Any] | None = None, method: str = "", patience: float = 0.0) -> Any:
    opener = build_opener(ProxyHandler({}))  # this machine's own port, whatever proxy there is
    data = None if body is None else json.dumps(body).encode()
    end = time.monotonic() + patience
    while True:
        try:
            request = Request(url, data, {"Content-Type": "application/json"}, method=method or None)
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
        except OSError as error:
            if hasattr(error, "read"):
                raise AssertionError(error.read().decode()) from error
            if time.monotonic() > end:
                raise
        time.sleep(0.05)
