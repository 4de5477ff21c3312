"""Signatures against the published examples. oss2 is in test_oss2.py."""

from __future__ import annotations

from eas_engine.artifacts.sources.oss_signing import Credentials, Request, v1, v1_signature, v1_string, v4

AK = Credentials("ak", "sk")


def test_the_example_of_version_1_in_the_documentation() -> None:
    headers = {
        "Content-Md5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=",
        "Content-Type": "text/html",
        "Date": "Thu, 17 Nov 2005 18:49:58 GMT",
        "X-OSS-Meta-Author": "foo@bar.com",
        "X-OSS-Magic": "abracadabra",
    }
    text = v1_string(Request("PUT", "oss-example", "nelson"), headers)
    assert v1_signature(text, "OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV") == "26NBxoKdsyly4EDv6inkoDft/yA="


def test_the_example_of_version_4_in_the_vendor_s_own_client() -> None:
    query = {
        "param1": "value1",
        "+param1": "value3",
        "|param1": "value4",
        "+param2": "",
        "|param2": "",
        "param2": "",
    }
    headers = {
        "x-oss-head1": "value",
        "abc": "value",
        "ZAbc": "value",
        "XYZ": "value",
        "content-type": "text/plain",
    }
    signed = v4(Request("PUT", "bucket", "1234+-/123/1.txt", query, headers), AK, "cn-hangzhou", 1702743657)
    assert signed["Authorization"] == (
        "OSS4-HMAC-SHA256 Credential=ak/20231216/cn-hangzhou/oss/aliyun_v4_request,"
        "Signature=e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"
    )


def test_a_token_is_sent_and_signed() -> None:
    temporary = Credentials("ak", "sk", "token")
    request = Request("GET", "bucket", "key")
    for plain, signed in (
        (v1(request, AK, 1.0), v1(request, temporary, 1.0)),
        (v4(request, AK, "r", 1.0), v4(request, temporary, "r", 1.0)),
    ):
        assert signed["x-oss-security-token"] == "token"
        assert "x-oss-security-token" not in plain
        assert signed["Authorization"] != plain["Authorization"]


def test_version_1_signs_of_the_query_what_oss_counts_as_the_resource() -> None:
    query = {"prefix": "a", "continuation-token": "t"}
    assert v1_string(Request("GET", "b", "", query), {}).endswith("\n/b/?continuation-token=t")


def test_secrets_are_in_no_repr() -> None:
    assert "sk" not in repr(AK)
