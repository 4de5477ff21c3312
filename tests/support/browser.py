"""A real browser without a window, Debian's chromium: how it shows a page, and what it asked of others.

Its only way to the network is a proxy of ours, which notes what is wanted and gives nothing. What the browser
wants for itself (updates, the time) isn't noted.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHROMIUM = shutil.which("chromium")
WHY_NOT = "chromium isn't installed (apt-get install chromium)"
DARK = "--blink-settings=preferredColorScheme=0"
_ITS_OWN = (".google.com", ".googleapis.com", ".gvt1.com")
_PATIENCE = 240  # seconds
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    # Of the page's own time, which stands still while the page works: a slow machine takes no part in it.
    "--virtual-time-budget=20000",
)


@dataclass
class Shown(HTMLParser):
    """A page as the browser left it."""

    dom: str
    wanted: list[str]  # requests that went to others
    root: dict[str, str] = field(default_factory=dict)  # attributes of <html>
    traces: dict[str, int] = field(default_factory=dict)  # of each plot, those that were drawn
    texts: dict[str, str] = field(default_factory=dict)  # of each plot, everything that is written in it
    links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._plot = ""
        self.feed(self.dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        classes = given.get("class", "").split()
        if tag == "html":
            self.root = given
        if tag == "a":
            self.links.append(given.get("href", ""))
        if "plot" in classes and "id" in given:
            self._plot = given["id"]
            self.traces[self._plot], self.texts[self._plot] = 0, ""
        if tag == "details":
            self._plot = ""  # the table below the plot
        if tag == "g" and "trace" in classes and "scatter" in classes:
            self.traces[self._plot] += 1

    def handle_data(self, data: str) -> None:
        if self._plot:
            self.texts[self._plot] += data


def show(page: Path, *flags: str) -> Shown:
    """Load a file and give back what became of it."""
    with _proxy() as (port, wanted), tempfile.TemporaryDirectory(prefix="browser-") as profile:
        said = _run(
            page,
            f"--proxy-server=http://127.0.0.1:{port}",
            f"--user-data-dir={profile}",
            "--dump-dom",
            *flags,
        )
    return Shown(said, wanted)


def _run(page: Path, *flags: str) -> str:
    assert CHROMIUM is not None, WHY_NOT
    command = [CHROMIUM, *_FLAGS, *flags, page.resolve().as_uri()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


@contextmanager
def _proxy() -> Iterator[tuple[int, list[str]]]:
    wanted: list[str] = []

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.path.removeprefix("http://").split("/")[0].split(":")[0]
            if not host.endswith(_ITS_OWN):
                wanted.append(self.path)
            self.send_error(502)

        do_POST = do_CONNECT = do_HEAD = do_GET  # noqa: N815 - names that http.server asks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """The list is the log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], wanted
        finally:
            server.shutdown()
            thread.join()
