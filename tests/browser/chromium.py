"""A headless Chromium, driven by its DevTools protocol over the websockets library."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

__all__ = ["EXECUTABLE", "Page", "opened_browser"]

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
_TIMEOUT = 20.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)

Point = tuple[float, float]


class Page:
    """A tab.

    Attributes:
        complaints: what the page wrote to the console as a warning or an error, and its exceptions.
        requests: the URLs that it asked for.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        target = browser.send("Target.createTarget", url="about:blank")
        attached = browser.send("Target.attachToTarget", flatten=True, **target)
        self._session = attached["sessionId"]
        self.complaints: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        """Send a command, and return its result; events that come first are noted."""
        return self._browser.send(method, self._session, self._note, **parameters)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event["method"]:
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning"):
                self.complaints.append(json.dumps(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.complaints.append(json.dumps(parameters["entry"]))
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])

    def open(self, url: str, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Open a URL in a window of this size, and wait until it is loaded."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.send("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.protocol !== 'about:'")

    def run(self, script: str) -> Any:
        """Return the value of an expression; a promise is waited for."""
        result = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        self.run(
            "new Promise((done, failed) => {"
            f"const end = performance.now() + {_TIMEOUT * 1000};"
            f"const look = () => {{ if ({condition}) done(); else if (performance.now() > end)"
            f" failed({json.dumps(condition)}); else setTimeout(look, 10); }}; look(); }})"
        )

    def place_of(self, selector: str, across: float = 0.5, down: float = 0.5) -> Point:
        """Return a point of an element that is scrolled into view."""
        x, y = self.run(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            "one.scrollIntoView({block: 'center'});"
            "const box = one.getBoundingClientRect();"
            f"return [box.x + box.width * {across}, box.y + box.height * {down}]; }})()"
        )
        return x, y

    def drag(self, start: Point, end: Point) -> None:
        """Press the mouse at a point, move it, and release it."""
        self._mouse("mousePressed", start)
        self._mouse("mouseMoved", end)
        self._mouse("mouseReleased", end)

    def click(self, selector: str) -> None:
        point = self.place_of(selector)
        self._mouse("mousePressed", point)
        self._mouse("mouseReleased", point)

    def _mouse(self, kind: str, point: Point) -> None:
        x, y = point
        self.send(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="left",
            buttons=0 if kind == "mouseReleased" else 1,
            clickCount=1,
        )

    def touch(self, *fingers: list[Point]) -> None:
        """Put fingers down, move each through its points, and lift them."""
        for step, points in enumerate(zip(*fingers, strict=True)):
            touched = [{"x": x, "y": y, "id": one} for one, (x, y) in enumerate(points)]
            kind = "touchMove" if step else "touchStart"
            self.send("Input.dispatchTouchEvent", type=kind, touchPoints=touched)
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, key: str) -> None:
        """Press a key and release it."""
        code = {"ArrowLeft": 37, "ArrowRight": 39, "Escape": 27, "Enter": 13, "Tab": 9}.get(key, 0)
        text = {"text": key} if len(key) == 1 else {}
        common = {"key": key, "windowsVirtualKeyCode": code, **text}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write a picture of the window, or of the whole page."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


class Browser:
    """A connection to a browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)

    def send(
        self, method: str, session: str | None = None, note: Any = None, **parameters: Any
    ) -> Any:
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(command | ({"sessionId": session} if session else {})))
        while True:
            message = json.loads(self._connection.recv(_TIMEOUT + 10))
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            if note is not None and message.get("sessionId") == session and "method" in message:
                note(message)


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Start a browser with a profile of its own."""
    assert EXECUTABLE is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [EXECUTABLE, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            url = _url_of(process)
            with connect(url, max_size=None, compression=None, proxy=None) as connection:
                browser = Browser(connection)
                yield browser
                browser.send("Browser.close")
        finally:
            process.terminate()
            process.communicate(timeout=_TIMEOUT)


def _url_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := _LISTENING.search(line):
            return found[1]
    raise RuntimeError("the browser did not start: " + "".join(lines))
