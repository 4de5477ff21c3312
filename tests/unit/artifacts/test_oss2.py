"""The vendor's own client against our server: so it is right, and not only of one mind with our client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from eas_engine.artifacts.sources.oss_signing import Credentials, Request, v1, v4
from support.oss_server import Fault, OssServer

oss2 = pytest.importorskip("oss2", reason="oss2 isn't installed (the extra [oss])")


@pytest.fixture(params=["v1", "v4"])
def bucket(server: OssServer, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The vendor's bucket object, by each version of the signature."""
    if request.param == "v4":
        auth = oss2.ProviderAuthV4(
            oss2.credentials.StaticCredentialsProvider(server.key_id, server.secret, server.token)
        )
        made = oss2.Bucket(auth, server.endpoint, server.bucket, region=server.region)
    else:
        made = oss2.Bucket(oss2.Auth(server.key_id, server.secret), server.endpoint, server.bucket)
    made.timeout = 30
    yield made
    made.session.session.close()


def test_objects_ranges_and_crc(server: OssServer, bucket: Any) -> None:
    data = bytes(range(256)) * 1000
    server.objects["a b/ü+?.bin"] = data
    assert bucket.get_object("a b/ü+?.bin").read() == data
    assert bucket.get_object("a b/ü+?.bin", byte_range=(10, 19)).read() == data[10:20]
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        bucket.get_object("a b/ü+?.bin", headers={"If-Match": '"other"'})
    assert bucket.object_exists("none") is False


def test_a_wrong_crc_is_noticed(server: OssServer, bucket: Any, tmp_path: Path) -> None:
    server.objects["k"] = b"data"
    server.faults = [Fault(headers={"x-oss-hash-crc64ecma": "42"})]
    with pytest.raises(oss2.exceptions.InconsistentError):
        bucket.get_object_to_file("k", str(tmp_path / "k"))
    bucket.get_object_to_file("k", str(tmp_path / "k"))
    assert (tmp_path / "k").read_bytes() == b"data"


def test_listings(server: OssServer, bucket: Any) -> None:
    server.objects = {f"f/{number:02} ä&<": b"" for number in range(25)} | {"f/x/y": b"", "g": b""}
    names = sorted(server.objects)
    for kind in (oss2.ObjectIterator, oss2.ObjectIteratorV2):
        assert [one.key for one in kind(bucket, max_keys=7)] == names
        found = [(one.key, one.is_prefix()) for one in kind(bucket, prefix="f/", delimiter="/", max_keys=4)]
        assert found == [(name, False) for name in names[:25]] + [("f/x/", True)]


def test_wrong_secrets(server: OssServer, bucket: Any) -> None:
    server.secret = "another"
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        bucket.get_object("k")


def test_temporary_identities(server: OssServer) -> None:
    server.token = "a token"
    server.objects["k"] = b"data"
    one = oss2.Bucket(
        oss2.StsAuth(server.key_id, server.secret, server.token), server.endpoint, server.bucket
    )
    assert one.get_object("k").read() == b"data"
    provider = oss2.credentials.StaticCredentialsProvider(server.key_id, server.secret, server.token)
    four = oss2.Bucket(oss2.ProviderAuthV4(provider), server.endpoint, server.bucket, region=server.region)
    assert four.get_object("k").read() == b"data"


@pytest.mark.parametrize("key", ["k", "a b/ü+?.bin", "x~(y)*!'"])
@pytest.mark.parametrize("query", [{}, {"continuation-token": "a/b=", "prefix": "ä /", "delimiter": ""}])
def test_our_signatures_are_those_of_the_vendor_s_client(key: str, query: dict[str, str]) -> None:
    class Sent:
        method, headers, params, region, product, cloudbox_id = "GET", {}, query, "cn-x", "oss", None  # type: ignore[var-annotated]

    provider = oss2.credentials.StaticCredentialsProvider("ak", "sk", "token")
    for auth in (oss2.ProviderAuth(provider), oss2.ProviderAuthV4(provider)):
        sent = Sent()
        sent.headers = oss2.CaseInsensitiveDict() if hasattr(oss2, "CaseInsensitiveDict") else {}
        auth._sign_request(sent, "bucket", key)
        request, ours = Request("GET", "bucket", key, query), Credentials("ak", "sk", "token")
        if "x-oss-date" in sent.headers:
            moment = datetime.strptime(f"{sent.headers['x-oss-date']}+0000", "%Y%m%dT%H%M%SZ%z")
            made = v4(request, ours, "cn-x", moment.timestamp())
        else:
            made = v1(request, ours, parsedate_to_datetime(sent.headers["date"]).timestamp())
        assert made["Authorization"].replace(",Signature", ", Signature") == sent.headers["authorization"]
