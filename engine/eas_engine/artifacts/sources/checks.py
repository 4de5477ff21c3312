"""Is what came what the server has? Sizes, digests, and what a server says to recognise a version by.

Which header is trusted for what:

* ``x-oss-hash-crc64ecma``: OSS, of the whole object, also in answers to ranges.
* ``Repr-Digest`` (RFC 9530) and ``Digest`` (RFC 3230): SHA-256 or MD5 of the whole file, also with ranges.
* ``Content-MD5`` of a whole answer; ``x-goog-hash``: MD5 of the whole object.
* ``ETag`` where it is known to be an MD5: 32 hex digits from OSS for an object put in one go, or from S3, not
  encrypted by a key service. Any other server may make its tags as it likes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from eas_engine.artifacts.sources.crc64 import Crc64
from eas_engine.records import dataclass

_MD5_TAG: Final = re.compile(r'"?([0-9A-Fa-f]{32})"?')


@dataclass(frozen=True, slots=True)
class Version:
    """By what a server recognises one version of a file."""

    etag: str = ""
    modified: str = ""  # Last-Modified, as it came

    @property
    def known(self) -> bool:
        """Whether it can be asked for at all."""
        return bool(self.etag or self.modified)

    @property
    def strong(self) -> str:
        """What ``If-Range`` may say; empty: the server promises nothing byte for byte."""
        return "" if self.etag.startswith("W/") else self.etag or self.modified

    def differs(self, other: Version) -> bool:
        """Whether the two are certainly different versions."""
        if self.etag and other.etag:
            return self.etag.removeprefix("W/") != other.etag.removeprefix("W/")
        return bool(self.modified and other.modified and self.modified != other.modified)

    def is_same(self, other: Version) -> bool:
        """Whether the two are certainly the same version."""
        if self.etag or other.etag:
            return bool(self.etag and other.etag) and not self.differs(other)
        return bool(self.modified) and self.modified == other.modified


@dataclass(frozen=True, slots=True)
class Expected:
    """The digests that the whole file must have, in hex; ``crc64`` as a decimal number, as OSS says it."""

    sha256: str = ""
    md5: str = ""
    crc64: str = ""


NO_VERSION: Final = Version()
NO_DIGESTS: Final = Expected()


def version_of(headers: Mapping[str, str]) -> Version:
    """From an answer's headers (a mapping that ignores case). A date too fresh to be sure of is dropped."""
    modified = headers.get("Last-Modified", "")
    return Version(headers.get("ETag", "").strip(), modified if _settled(modified, headers) else "")


def _settled(modified: str, headers: Mapping[str, str]) -> bool:
    """A file changed in the second in which it is sent may change again unseen (RFC 9110, 8.8.2.2)."""
    try:
        sent, changed = parsedate_to_datetime(headers.get("Date", "")), parsedate_to_datetime(modified)
        return (sent - changed).total_seconds() >= 1.0
    except (ValueError, TypeError, IndexError):
        return False


def expected_of(headers: Mapping[str, str], *, whole: bool) -> Expected:
    """The digests in an answer's headers; ``whole``: its body is the whole file."""
    found = _digest_fields(headers)
    md5 = found.get("md5", "")
    if not md5 and whole:
        md5 = _hex(headers.get("Content-MD5", ""), 16)
    crc64 = headers.get("x-oss-hash-crc64ecma", "").strip()
    return Expected(found.get("sha256", ""), md5 or _md5_tag(headers), crc64 if crc64.isdecimal() else "")


def _digest_fields(headers: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in ("Repr-Digest", "Digest", "x-goog-hash"):
        for part in headers.get(field, "").split(","):
            name, _, value = part.strip().partition("=")
            algorithm = name.lower().replace("-", "")
            size = {"sha256": 32, "md5": 16}.get(algorithm)
            if size and (digest := _hex(value.strip().strip(":"), size)):
                found.setdefault(algorithm, digest)
    return found


def _md5_tag(headers: Mapping[str, str]) -> str:
    match = _MD5_TAG.fullmatch(headers.get("ETag", "").strip())
    if match is None:
        return ""
    oss = headers.get("x-oss-object-type") == "Normal" and not headers.get("x-oss-server-side-encryption")
    s3 = headers.get("x-amz-request-id") and "kms" not in headers.get("x-amz-server-side-encryption", "")
    return match.group(1).lower() if oss or s3 else ""


def _hex(text: str, size: int) -> str:
    """Base64 of ``size`` bytes as hex; empty when it isn't that."""
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return digest.hex() if len(digest) == size else ""


class Digests:
    """The digests of what comes, computed as it comes; SHA-256 always."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._sha256 = hashlib.sha256()
        self._md5: Any = hashlib.md5(usedforsecurity=False) if expected.md5 else None
        self._crc64 = Crc64() if expected.crc64 else None

    def update(self, data: bytes) -> None:
        """The next bytes."""
        for one in (self._sha256, self._md5, self._crc64):
            if one is not None:
                one.update(data)

    @property
    def sha256(self) -> str:
        """Of what came so far, in hex."""
        return self._sha256.hexdigest()

    def wrong(self, pin: str) -> str:
        """What doesn't agree, with both values; empty: all is well. ``pin``: see ``spec.addresses``."""
        crc64 = str(self._crc64.value) if self._crc64 is not None else ""
        md5 = self._md5.hexdigest() if self._md5 is not None else ""
        for name, said, got in (
            ("CRC64", self._expected.crc64, crc64),
            ("MD5", self._expected.md5, md5),
            ("SHA-256", self._expected.sha256, self.sha256),
        ):
            if said and said != got:
                return f"its {name} is {got}, the server says {said}"
        if pin and pin != self.sha256:
            return f"its SHA-256 is {self.sha256}, the address says {pin}"
        return ""
