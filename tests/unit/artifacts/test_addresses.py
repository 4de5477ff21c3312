"""What can be told from an address, and what of it may be shown."""

from __future__ import annotations

import pytest

from eas_engine.artifacts.fetching.job import identity
from eas_engine.spec import addresses

PIN = "ab" * 32


@pytest.mark.parametrize(
    ("address", "scheme", "name", "archive"),
    [
        ("https://h/a/m.tar.gz?sig=x.zip", "https", "m.tar.gz", True),
        ("http://h/a%20b.bin", "http", "a b.bin", False),
        ("oss://b/models/m.ZIP", "oss", "m.ZIP", True),
        ("oss://b/a?b/m", "oss", "m", False),
        ("oss://b/models/", "oss", "models", False),
        ("models/m.tgz", "", "m.tgz", True),
        ("file:///srv/m.tar", "", "m.tar", True),
        (f"m.bz2#sha256={PIN}", "", "m.bz2", True),
        (f"https://h/m.bin#sha256={PIN}", "https", "m.bin", False),
        ("S3://b/m.jar", "s3", "m.jar", False),
    ],
)
def test_parts(address: str, scheme: str, name: str, archive: bool) -> None:
    assert addresses.scheme(address) == scheme
    assert addresses.name_of(address) == name
    assert addresses.is_archive(address) is archive


def test_pins() -> None:
    assert addresses.pin(f"m.bin#SHA256={PIN.upper()}") == PIN
    assert addresses.without_pin(f"a#b#sha256={PIN}") == "a#b"
    assert addresses.pin("a#b") == ""
    with pytest.raises(ValueError, match="expected 64 hex digits"):
        addresses.pin("m.bin#sha256=abc")


def test_local_paths() -> None:
    assert addresses.local_path("file:///srv/a%20b") == "/srv/a b"
    assert addresses.local_path("file://localhost/srv") == "/srv"
    assert addresses.local_path("a b#c") == "a b#c"


def test_one_thing_has_one_identity_however_it_is_signed() -> None:
    signed = "https://me:pw@Host/m.zip?Expires=1&Signature=x&OSSAccessKeyId=y&v=2"
    again = "https://host/m.zip?v=2&x-oss-signature=z&X-Amz-Date=1"
    assert identity(signed) == identity(again) == "https://host/m.zip?v=2"
    assert identity("https://host/m.zip?v=3") != identity(signed)
    assert identity(f"oss://b/k#sha256={PIN}") == "oss://b/k"
