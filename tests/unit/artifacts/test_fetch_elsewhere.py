"""Files over TLS, from file systems of fsspec's, and onto a disk that is full."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from eas_engine.errors import ArtifactError
from support.fetching import Fetching
from support.oss_server import OssServer

DATA = bytes(number % 251 for number in range(300_000))


class Answers(BaseHTTPRequestHandler):
    """The same bytes for everybody."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Quiet."""


class Quiet(ThreadingHTTPServer):
    """Clients that hang up are meant to."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing."""


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key; ``name`` as in a subjectAltName."""
    made, key = directory / "certificate.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    return made, key


@contextlib.contextmanager
def tls_server(made: Path, key: Path) -> Iterator[str]:
    """A web server with this certificate; its address."""
    server = Quiet(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/m.bin"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl isn't installed")


@needs_openssl
def test_a_certificate_that_is_trusted(
    fetching: Fetching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, key = certificate(tmp_path, "IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    with tls_server(made, key) as url:
        assert fetching(url).path.read_bytes() == DATA


@needs_openssl
@pytest.mark.parametrize(("name", "trusted"), [("IP:127.0.0.1", False), ("DNS:another.host", True)])
def test_a_certificate_that_is_not_trusted_or_of_somebody_else(
    fetching: Fetching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool
) -> None:
    made, key = certificate(tmp_path, name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(made))
    with (
        tls_server(made, key) as url,
        pytest.raises(ArtifactError, match="its certificate isn't trusted") as seen,
    ):
        fetching(url)
    assert "SSL_CERT_FILE can name yours" in str(seen.value)
    assert fetching.stop.pauses == []  # trying again would be in vain
    assert fetching.cache.entries() == []


def test_no_tls_where_tls_was_expected(server: OssServer, fetching: Fetching) -> None:
    server.plain["m.bin"] = DATA
    with pytest.raises(ArtifactError, match="https://127"):
        fetching(server.url("m.bin").replace("http://", "https://"))


@pytest.fixture
def bucket() -> Iterator[str]:
    """A folder of fsspec's file system in memory."""
    memory = fsspec.filesystem("memory")
    memory.pipe({"/bucket/m/small": b"small", "/bucket/m/deep/large": DATA})
    yield "memory://bucket/m/"
    memory.rm("/bucket", recursive=True)


def test_a_file_of_another_file_system(fetching: Fetching, bucket: str) -> None:
    found = fetching(f"{bucket}deep/large")
    assert (found.kind, found.name, found.path.read_bytes()) == ("file", "large", DATA)


def test_a_folder_of_another_file_system(fetching: Fetching, bucket: str) -> None:
    found = fetching(bucket)
    assert found.kind == "directory"
    assert (found.path / "small").read_bytes() == b"small"
    assert (found.path / "deep" / "large").read_bytes() == DATA


def test_what_another_file_system_has_not(fetching: Fetching, bucket: str) -> None:
    with pytest.raises(ArtifactError, match="memory://bucket/m/none: no such file"):
        fetching(f"{bucket}none")


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from eas_engine.errors import ArtifactError
from support.fetching import Fetching
fetching = Fetching(Path(sys.argv[1]))
try:
    fetching(sys.argv[2])
except ArtifactError as error:
    print(error)
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="mounting a small disk needs root and unshare",
)
def test_a_full_disk_is_told_with_its_path(server: OssServer, tmp_path: Path) -> None:
    server.plain["m.bin"] = DATA * 10
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1" "$4"'
    command = ["sh", "-c", script, "sh", str(disk), sys.executable, ON_A_SMALL_DISK, server.url("m.bin")]
    done = subprocess.run(
        ["unshare", "--mount", *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if done.returncode and "mount" in done.stderr.partition("\n")[0]:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert "No space left on device" in done.stdout, done.stderr
    assert str(disk) in done.stdout
    assert list(disk.iterdir()) == []  # it was mounted for that process alone
