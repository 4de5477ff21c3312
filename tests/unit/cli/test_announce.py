"""What is printed when the engine is ready."""

from __future__ import annotations

import gzip
import io
import re
import subprocess
from pathlib import Path

import pytest

from eas_engine.announce import announce, announcement, curl
from eas_engine.state import EngineRecord, Token

RECORD = EngineRecord(
    name="digits",
    pid=7,
    version="0.1.0",
    started=0.0,
    host="0.0.0.0",
    port=8080,
    admin_host="127.0.0.1",
    admin_port=9090,
    url="http://127.0.0.1:8080/api/predict/digits",
    admin_url="http://127.0.0.1:9090",
    config="/srv/service.json",
    admin_token_file="/s/admin-token",
)


def test_a_fresh_token_is_shown_once_and_only_to_a_person(tmp_path: Path) -> None:
    fresh = Token("Tell-Once", tmp_path / "token", fresh=True)
    kept = Token("Tell-Once", tmp_path / "token", fresh=False)
    assert "Tell-Once" in announcement(RECORD, fresh, terminal=True)
    for text in (announcement(RECORD, fresh, terminal=False), announcement(RECORD, kept, terminal=True)):
        assert "Tell-Once" not in text
        assert str(tmp_path / "token") in text
    for part in ("digits is ready", RECORD.url, RECORD.admin_url, "0.0.0.0:8080"):
        assert part in announcement(RECORD, fresh, terminal=True)


def test_an_open_service_is_called_open() -> None:
    text = announcement(RECORD, None, terminal=True)
    assert "open" in text
    assert "Authorization" not in text


def test_the_curl_line_works_as_printed_whatever_the_directory_is_called(tmp_path: Path) -> None:
    directory = tmp_path / """a "b" 'c' $HOME `d`"""
    directory.mkdir()
    (directory / "token").write_text("""to"k'en $X""")
    line = curl(RECORD, Token("unused", directory / "token", fresh=False))
    shell = f'curl() {{ for word in "$@"; do printf "%s\\n" "$word"; done; }}; {line}'
    done = subprocess.run(["sh", "-c", shell], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "-H",
        """Authorization: to"k'en $X""",
        "--data-binary",
        "hello",
        RECORD.url,
    ]


def test_with_a_decompressor_the_line_sends_what_is_inflated_or_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    token = Token("unused", tmp_path / "token", fresh=False)
    line = curl(RECORD, token, "it's 5%", "gzip")
    done = subprocess.run(["sh", "-c", f"curl() {{ cat; }}; {line}"], check=True, capture_output=True)
    assert gzip.decompress(done.stdout) == b"it's 5%"
    assert line.endswith(f"--data-binary @- {RECORD.url}")
    assert line in announcement(RECORD, token, terminal=False, data="it's 5%", codec="gzip")
    for codec in ("zlib", "zstd", "snappy", "lz4"):
        assert "curl" not in announcement(RECORD, token, terminal=False, codec=codec)
        assert "curl" in announcement(RECORD, token, terminal=False, data="", codec=codec)  # GET


def test_nobody_there_to_read_it_is_no_error() -> None:
    closed = io.StringIO()
    closed.close()
    announce(RECORD, None, out=closed)
    out = io.StringIO()
    announce(RECORD, None, out=out)
    assert RECORD.url in out.getvalue()
    full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails, too
    announce(RECORD, None, out=full)


class Terminal(io.StringIO):
    """Somebody looks."""

    def isatty(self) -> bool:
        return True


def test_it_is_coloured_on_a_terminal_alone_and_not_against_the_users_will(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain, pipe = Terminal(), Terminal(), io.StringIO()
    announce(RECORD, None, out=coloured)
    announce(RECORD, None, out=pipe)
    monkeypatch.setenv("NO_COLOR", "1")
    announce(RECORD, None, out=plain)
    assert "\x1b[32mdigits is ready" in coloured.getvalue()
    assert "\x1b" not in plain.getvalue() + pipe.getvalue()
    assert re.sub(r"\x1b\[\d+m", "", coloured.getvalue()) == plain.getvalue() == pipe.getvalue()
