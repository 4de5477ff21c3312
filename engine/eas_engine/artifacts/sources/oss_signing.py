"""The header signatures of OSS, versions 1 and 4; pure.

Version 4 (HMAC-SHA256, scoped to a day and a region) is what OSS asks new accounts for; version 1 (HMAC-SHA1)
needs no region. Both sign the resource as ``/bucket/key``, however the bucket is addressed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.parse
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Final

from eas_engine.records import dataclass

_V1_SUBRESOURCES: Final = frozenset(
    {
        "continuation-token",
        "location",
        "response-content-type",
        "security-token",
        "versionId",
        "x-oss-process",
    }
)
"""Of OSS's list, those that reading may use."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks. ``source`` says where they come from, for messages."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)  # of a temporary identity (STS)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed. ``bucket`` is empty for the service itself."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def v1(request: Request, credentials: Credentials, wall: float) -> dict[str, str]:
    """The header fields to add; ``wall`` is seconds since 1970."""
    added = {"Date": formatdate(wall, usegmt=True)}
    if credentials.token:
        added["x-oss-security-token"] = credentials.token
    text = v1_string(request, {**request.headers, **added})
    return {**added, "Authorization": f"OSS {credentials.key_id}:{v1_signature(text, credentials.secret)}"}


def v1_string(request: Request, headers: Mapping[str, str]) -> str:
    """What version 1 signs; ``headers`` are all that are sent."""
    sent = {name.lower(): value.strip() for name, value in headers.items()}
    named = "".join(f"{name}:{value}\n" for name, value in sorted(sent.items()) if name.startswith("x-oss-"))
    chosen = sorted(item for item in request.query.items() if item[0] in _V1_SUBRESOURCES)
    query = "&".join(f"{name}={value}" if value else name for name, value in chosen)
    resource = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    return "\n".join(
        (
            request.method,
            sent.get("content-md5", ""),
            sent.get("content-type", ""),
            sent.get("date", ""),
            f"{named}{resource}{'?' + query if query else ''}",
        )
    )


def v1_signature(text: str, secret: str) -> str:
    """Base64 of HMAC-SHA1."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()


def v4(request: Request, credentials: Credentials, region: str, wall: float) -> dict[str, str]:
    """The header fields to add; ``region`` is such as ``cn-hangzhou``."""
    moment = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"x-oss-date": moment, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
    if credentials.token:
        added["x-oss-security-token"] = credentials.token
    scope = f"{moment[:8]}/{region}/oss/aliyun_v4_request"
    canonical = v4_canonical(request, {**request.headers, **added})
    signature = v4_signature(canonical, credentials.secret, moment, scope)
    value = f"OSS4-HMAC-SHA256 Credential={credentials.key_id}/{scope},Signature={signature}"
    return {**added, "Authorization": value}


def v4_canonical(request: Request, headers: Mapping[str, str], additional: tuple[str, ...] = ()) -> str:
    """What version 4 signs the digest of. ``additional``: further header fields that are signed."""
    sent = {name.lower(): value.strip() for name, value in headers.items()}
    signed = sorted(
        (name, value)
        for name, value in sent.items()
        if name.startswith("x-oss-") or name in ("content-type", "content-md5") or name in additional
    )
    query = sorted((_quoted(name), _quoted(value)) for name, value in request.query.items())
    path = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    return "\n".join(
        (
            request.method,
            urllib.parse.quote(path, safe="/~"),
            "&".join(f"{name}={value}" if value else name for name, value in query),
            "".join(f"{name}:{value}\n" for name, value in signed),
            ";".join(sorted(additional)),
            sent.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD"),
        )
    )


def v4_signature(canonical: str, secret: str, moment: str, scope: str) -> str:
    """Hex of HMAC-SHA256 under a key that is derived from day, region and product."""
    key = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"OSS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="~")
