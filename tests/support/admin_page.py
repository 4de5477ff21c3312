"""A running engine as a command sees it: a locked state directory, a record, one page of an admin port."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from eas_engine.state import EngineRecord, StateDirectory


@contextmanager
def engine_with_page(root: Path, path: str, page: Any, name: str = "digits") -> Iterator[None]:
    """``page``: the JSON at ``path``; ``None`` = there is no such page (404)."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == path and page is not None
            body = json.dumps(page if found else {"error": "no such page"}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with StateDirectory.acquire(root, name, "") as state:
            state.publish(
                EngineRecord(
                    name=name,
                    pid=os.getpid(),
                    version="0.1.0",
                    started=0.0,
                    host="127.0.0.1",
                    port=8080,
                    admin_host="127.0.0.1",
                    admin_port=server.server_port,
                    url="",
                    admin_url=f"http://127.0.0.1:{server.server_port}",
                    config="/srv/service.json",
                    token_file="",
                    admin_token_file=str(state.admin_token().file),
                    workspace_id="",
                )
            )
            yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
