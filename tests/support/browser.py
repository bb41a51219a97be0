"""A page in headless Chromium, served on loopback."""

import functools
import http.server
import json
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.support.servers import threads

_DRIVER = pathlib.Path(__file__).with_suffix(".mjs")
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


HAS_RESULT = "window.result || document.querySelector('.error')"
LOADED = "document.readyState === 'complete'"


def opened(
    folder: pathlib.Path,
    picture: pathlib.Path,
    *,
    name: str = "index.html",
    ready: str = HAS_RESULT,
    width: int = 360,
    dark: bool = False,
    axe: bool = False,
    seconds: float = 120.0,
) -> dict:
    """Serves a folder, opens a page of it until it is ready, and returns what came out.

    Args:
      folder: of the page.
      picture: a PNG file that is written.
      name: of the page's file.
      ready: JavaScript that is true once the page is ready.
      width: of the window, in pixels.
      dark: whether the reader prefers dark pages.
      axe: whether axe, which looks for what keeps people from reading a page, is run on it.
      seconds: that it may take.

    Returns:
      "result" and "status" of the page, its "text"; "sideways", the pixels that it must be scrolled by to be read, and "cut", those
      that are cut off on paper; "background"; "pictures" and how many of them are "missing"; "figure", the
      source of the first that comes in several versions; "violations" that axe found; "problems", the errors of its console; "requests", all URLs that it asked for; "origin", of its own server.
    """
    chromium, node = next(filter(None, map(shutil.which, _CHROMIUM)), None), shutil.which("node")
    if not (chromium and node):
        pytest.skip("a page is opened where Chromium and Node are installed")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        f"--user-data-dir={picture}.profile",
    ]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    origin = f"http://127.0.0.1:{server.server_port}"
    with threads.in_thread(server), subprocess.Popen([chromium, *flags], stderr=subprocess.PIPE, text=True) as browser:
        try:
            socket = next(found[1] for line in browser.stderr if (found := re.search(r"listening on (ws://\S+)", line)))
            options = {"url": f"{origin}/{name}", "width": width, "dark": dark, "picture": str(picture), "ready": ready}
            options["axe"] = str(_axe()) if axe else None
            command = [node, "--experimental-websocket", _DRIVER, socket, json.dumps(options)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        finally:
            browser.kill()
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "origin": origin}


def _axe():
    """The script of axe, which a distribution of Python carries."""
    package = pytest.importorskip(
        "axe_core_python", reason="pages are checked by axe where axe-core-python is installed"
    )
    return pathlib.Path(package.__file__).with_name("axe.min.js")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Says nothing."""
