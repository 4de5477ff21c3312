"""Which header is believed for what."""

from __future__ import annotations

import base64
import hashlib
from email.message import Message

import pytest

from eas_engine.artifacts.sources.checks import Digests, Expected, Version, expected_of, version_of

DATA = b"some bytes"
MD5 = hashlib.md5(DATA).hexdigest()
SHA = hashlib.sha256(DATA).hexdigest()


def headers(**fields: str) -> Message:
    made = Message()
    for name, value in fields.items():
        made[name.replace("_", "-")] = value
    return made


def b64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ETag": f'"{MD5}"'}, Expected()),
        ({"ETag": f'"{MD5.upper()}"', "x_oss_object_type": "Normal"}, Expected(md5=MD5)),
        ({"ETag": f'"{MD5}"', "x_oss_object_type": "Multipart"}, Expected()),
        ({"ETag": f'"{MD5}-2"', "x_oss_object_type": "Normal"}, Expected()),
        ({"ETag": f'"{MD5}"', "x_amz_request_id": "1"}, Expected(md5=MD5)),
        (
            {"ETag": f'"{MD5}"', "x_amz_request_id": "1", "x_amz_server_side_encryption": "aws:kms"},
            Expected(),
        ),
        ({"Content_MD5": b64(MD5)}, Expected(md5=MD5)),
        ({"Content_MD5": "nonsense"}, Expected()),
        ({"x_goog_hash": f"crc32c=AAAAAA==,md5={b64(MD5)}"}, Expected(md5=MD5)),
        ({"Repr_Digest": f"sha-256=:{b64(SHA)}:"}, Expected(sha256=SHA)),
        ({"Digest": f"SHA-256={b64(SHA)}, md5={b64(MD5)}"}, Expected(sha256=SHA, md5=MD5)),
        ({"x_oss_hash_crc64ecma": "123"}, Expected(crc64="123")),
        ({"x_oss_hash_crc64ecma": "-1"}, Expected()),
    ],
)
def test_what_is_expected(fields: dict[str, str], expected: Expected) -> None:
    assert expected_of(headers(**fields), whole=True) == expected  # type: ignore[arg-type]


def test_content_md5_of_a_range_is_of_the_range() -> None:
    assert expected_of(headers(Content_MD5=b64(MD5)), whole=False) == Expected()  # type: ignore[arg-type]


def test_both_values_are_named() -> None:
    for expected, words in (
        (Expected(md5="0" * 32), f"its MD5 is {MD5}, the server says {'0' * 32}"),
        (Expected(crc64="1"), "the server says 1"),
        (Expected(sha256="0" * 64), f"its SHA-256 is {SHA}, the server says"),
    ):
        digests = Digests(expected)
        digests.update(DATA)
        assert words in digests.wrong("")
    digests = Digests(Expected(md5=MD5))
    digests.update(DATA)
    assert digests.wrong("") == digests.wrong(SHA) == ""
    assert f"its SHA-256 is {SHA}, the address says 00" in digests.wrong("00")


def test_versions() -> None:
    assert Version('"a"').differs(Version('"b"'))
    assert not Version('"a"').differs(Version('W/"a"'))
    assert not Version('"a"').differs(Version("", "date"))
    assert Version("", "x").differs(Version("", "y"))
    assert (Version('W/"a"', "date").strong, Version("", "date").strong, Version().known) == (
        "",
        "date",
        False,
    )


def test_a_date_is_believed_when_it_is_settled() -> None:
    date = "Mon, 01 Jan 2024 00:00:01 GMT"
    changed = {"Last_Modified": date}
    assert version_of(headers(**changed, Date=date)).modified == ""  # type: ignore[arg-type]
    assert version_of(headers(**changed, Date="Mon, 01 Jan 2024 00:00:02 GMT")).modified == date  # type: ignore[arg-type]
    assert version_of(headers(**changed)).modified == ""  # type: ignore[arg-type]
