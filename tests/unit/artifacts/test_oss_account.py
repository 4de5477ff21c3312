"""Credentials, endpoints and regions: from where, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.artifacts.sources.oss_account import Account, Endpoint, parse
from eas_engine.errors import ConfigurationError

KEYS = {"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": "secret"}


@pytest.mark.parametrize(
    ("text", "region", "url"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", "https://b.oss-cn-hangzhou.aliyuncs.com/a/k"),
        (
            "http://oss-cn-beijing-internal.aliyuncs.com/",
            "cn-beijing",
            "http://b.oss-cn-beijing-internal.aliyuncs.com/a/k",
        ),
        ("oss-accelerate.aliyuncs.com", "", "https://b.oss-accelerate.aliyuncs.com/a/k"),
        ("oss.example.org:9000", "", "https://b.oss.example.org:9000/a/k"),
        ("http://127.0.0.1:81", "", "http://127.0.0.1:81/b/a/k"),
        ("http://[::1]:81", "", "http://[::1]:81/b/a/k"),
        ("http://localhost", "", "http://localhost/b/a/k"),
    ],
)
def test_endpoints(text: str, region: str, url: str) -> None:
    endpoint = Endpoint.parse(text)
    assert endpoint.region == region
    assert endpoint.url("b", "a/k") == url


@pytest.mark.parametrize("text", ["ftp://x", "https://me:pw@x", "https://", "https://x/path", "x:port", ""])
def test_endpoints_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="oss_endpoint"):
        Endpoint.parse(text)


def test_keys_are_quoted() -> None:
    assert (
        Endpoint.parse("http://localhost").url("b", "ä b/+?#%")
        == "http://localhost/b/%C3%A4%20b/%2B%3F%23%25"
    )


def test_addresses() -> None:
    assert parse("oss://bucket/a/b") == parse("OSS://bucket/a/b")
    found = parse("oss://bucket.oss-cn-x.aliyuncs.com/m/")
    assert (found.bucket, found.key, found.endpoint) == ("bucket", "m/", "oss-cn-x.aliyuncs.com")
    for wrong in ("oss://", "oss://B/x", "oss:///x", "oss://a_b/x"):
        with pytest.raises(ConfigurationError, match="bucket"):
            parse(wrong)


def test_the_environment_comes_first(tmp_path: Path) -> None:
    (tmp_path / ".ossutilconfig").write_text(
        "[Credentials]\naccessKeyID=file\naccessKeySecret=x\nendpoint=f\n"
    )
    home = {"HOME": str(tmp_path)}
    found = Account.find(
        {**home, **KEYS, "OSS_SESSION_TOKEN": "t", "OSS_ENDPOINT": "e", "OSS_REGION": "oss-cn-x"}
    )
    assert found.credentials is not None
    assert (found.credentials.key_id, found.credentials.token, found.endpoint) == ("id", "t", "e")
    assert found.region == "cn-x"
    found = Account.find(home)
    assert found.credentials is not None
    assert (found.credentials.key_id, found.endpoint) == ("file", "f")


def test_ossutil_2(tmp_path: Path) -> None:
    (tmp_path / ".ossutilconfig").write_text(
        "[default]\naccess-key-id = id%\naccess_key_secret=s\nsts-token=t\nregion=cn-y\n"
    )
    found = Account.find({"HOME": str(tmp_path)})
    assert found.credentials is not None
    assert (found.credentials.key_id, found.credentials.token, found.region) == ("id%", "t", "cn-y")


def test_nothing_means_anonymous(tmp_path: Path) -> None:
    assert Account.find({"HOME": str(tmp_path)}) == Account()
    assert Account.find({"OSS_ACCESS_KEY_ID": "id"}).credentials is None


def test_a_broken_file_is_named_and_not_quoted(tmp_path: Path) -> None:
    (tmp_path / ".ossutilconfig").write_text("accessKeySecret=hush\n")
    with pytest.raises(ConfigurationError, match="ossutilconfig") as caught:
        Account.find({"HOME": str(tmp_path)})
    assert "hush" not in str(caught.value)
