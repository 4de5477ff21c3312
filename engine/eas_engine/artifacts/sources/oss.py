"""Objects and folders of OSS: signed requests, listings, and what OSS says when it refuses."""

from __future__ import annotations

import re
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from typing import Final

from eas_engine.artifacts.sources import oss_signing
from eas_engine.artifacts.sources.checks import Version
from eas_engine.artifacts.sources.http import Session, refusal
from eas_engine.artifacts.sources.oss_account import Account, Endpoint, Place
from eas_engine.artifacts.sources.retry import TransferError
from eas_engine.artifacts.sources.source import Member
from eas_engine.artifacts.sources.web import WebFile
from eas_engine.clock import Clock
from eas_engine.errors import ArtifactError, ConfigurationError
from eas_engine.records import dataclass

_PAGE: Final = 1000  # objects in one answer to a listing, OSS's most
_LARGEST_LISTING: Final = 16 << 20  # bytes of one such answer
_MOST_OBJECTS: Final = 100_000  # in a folder
_SHOWN: Final = 20
_TAG: Final = r"<{0}>([^<]*)</{0}>"
_HINTS: Final[Mapping[str, str]] = {
    "SignatureDoesNotMatch": "check OSS_ACCESS_KEY_SECRET",
    "InvalidAccessKeyId": "check OSS_ACCESS_KEY_ID; a temporary one needs OSS_SESSION_TOKEN",
    "SecurityTokenExpired": "OSS_SESSION_TOKEN has expired; get new temporary credentials",
    "InvalidSecurityToken": "check OSS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "set this machine's clock",
    "NoSuchKey": "the address of a folder ends with /",
    "NoSuchBucket": "check the bucket's name and oss_endpoint",
    "InvalidObjectState": "the object is archived; restore it first",
}


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, as one identity sees it. ``session`` gives the calling thread's."""

    name: str
    endpoint: Endpoint
    credentials: oss_signing.Credentials | None
    session: Callable[[], Session]
    clock: Clock

    @classmethod
    def of(
        cls, place: Place, account: Account, endpoint: str, session: Callable[[], Session], clock: Clock
    ) -> Bucket:
        """``endpoint`` is ``oss_endpoint``. Errors: ConfigurationError."""
        host = place.endpoint or endpoint or account.endpoint
        if not host:
            raise ConfigurationError("oss:// needs oss_endpoint, or OSS_ENDPOINT in the environment")
        return cls(place.bucket, Endpoint.parse(host, account.region), account.credentials, session, clock)

    def file(self, key: str) -> WebFile:
        """An object."""
        return WebFile(
            self.session,
            self.endpoint.url(self.name, key),
            label=self.label(key),
            authorise=lambda: self._authorised(key, {}),
            say=self._said,
            ranges="If-Match",
        )

    def label(self, key: str) -> str:
        """The address of an object or folder."""
        return f"oss://{self.name}/{key}"

    def folder(self, prefix: str) -> Folder:
        """Everything whose key begins with ``prefix`` (which ends with ``/``, or is empty)."""
        return Folder(self, prefix)

    def page(self, query: Mapping[str, str]) -> ET.Element:
        """One answer to a listing (ListObjectsV2). Errors: TransferError."""
        wanted = {"list-type": "2", "encoding-type": "url", **query}
        label = self.label(query.get("prefix", ""))
        asked = urllib.parse.urlencode(wanted, quote_via=urllib.parse.quote)
        url = f"{self.endpoint.url(self.name, '')}?{asked}"
        answer = self.session().get(url, {}, lambda: self._authorised("", wanted))
        try:
            if answer.status != 200:
                raise refusal(answer, label, self._said(answer.text()))
            data = b""
            while more := answer.read(1 << 16):
                data += more
                if len(data) > _LARGEST_LISTING:
                    raise TransferError(f"{label}: the listing has no end", again=False, answered=True)
        finally:
            answer.close()
        return _parsed(data, label)

    def _authorised(self, key: str, query: Mapping[str, str]) -> dict[str, str]:
        if self.credentials is None:
            return {}
        request = oss_signing.Request("GET", self.name, key, query)
        if self.endpoint.region:
            return oss_signing.v4(request, self.credentials, self.endpoint.region, self.clock.wall())
        return oss_signing.v1(request, self.credentials, self.clock.wall())

    def _said(self, body: str) -> str:
        """Code and message of OSS's XML, nothing of what it repeats of the request."""
        code, message = _field(body, "Code"), _field(body, "Message")
        hint = _HINTS.get(code, "")
        if code == "AccessDenied" and self.credentials is None:
            hint = "the request was anonymous: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET"
        if other := _field(body, "Endpoint"):
            hint = f"the bucket's endpoint is {other}"
        return "; ".join(part for part in (f"{code}: {message}" if code else message, hint) if part)


@dataclass(frozen=True, slots=True)
class Folder:
    """The objects below a prefix; see ``source.RemoteFolder``."""

    bucket: Bucket
    prefix: str

    @property
    def label(self) -> str:
        """Its address."""
        return self.bucket.label(self.prefix)

    def members(self) -> list[Member]:
        """Every object; keys that end with ``/`` only stand for folders and are left out."""
        found: list[Member] = []
        query = {"prefix": self.prefix, "max-keys": str(_PAGE)}
        while True:
            page = self.bucket.page(query)
            found += [one for one in map(self._member, page.iter("Contents")) if one is not None]
            if len(found) > _MOST_OBJECTS:
                raise ArtifactError(
                    f"{self.label}: more than {_MOST_OBJECTS} objects; pack them into an archive"
                )
            token = page.findtext("NextContinuationToken") or ""
            if page.findtext("IsTruncated") != "true" or not token:
                break
            query["continuation-token"] = token
        if not found:
            raise ArtifactError(f"{self.label}: there is no object; {self.neighbours()}")
        return found

    def neighbours(self) -> str:
        """What lies beside it, for whoever mistyped it."""
        above = self.prefix.rstrip("/").rpartition("/")[0]
        above = f"{above}/" if above else ""
        try:
            page = self.bucket.page({"prefix": above, "delimiter": "/", "max-keys": str(_SHOWN)})
        except TransferError:
            return "its surroundings can't be listed"
        names = [
            _text(one, tag)
            for group, tag in (("CommonPrefixes", "Prefix"), ("Contents", "Key"))
            for one in page.iter(group)
        ]
        shown = ", ".join(name.removeprefix(above) for name in names if name != above) or "nothing"
        return f"in {self.bucket.label(above)} there is: {shown}"

    def _member(self, entry: ET.Element) -> Member | None:
        key = _text(entry, "Key")
        if key.endswith("/") or not key.startswith(self.prefix):
            return None
        version = Version(entry.findtext("ETag") or "", entry.findtext("LastModified") or "")
        size = int(entry.findtext("Size") or 0)
        return Member(key[len(self.prefix) :], size, version, self.bucket.file(key))


def _text(entry: ET.Element, tag: str) -> str:
    """A name in a listing with ``encoding-type=url``."""
    return urllib.parse.unquote_plus(entry.findtext(tag) or "")


def _field(body: str, tag: str) -> str:
    match = re.search(_TAG.format(tag), body)
    return match.group(1).strip() if match else ""


def _parsed(data: bytes, label: str) -> ET.Element:
    """A listing as XML, without name space. A document type could hide a bomb: OSS sends none."""
    try:
        if b"<!DOCTYPE" in data:
            raise ET.ParseError("a document type")  # noqa: TRY301 - one message for both
        root = ET.fromstring(data)  # noqa: S314 - see above
    except ET.ParseError as error:
        raise TransferError(f"{label}: the listing isn't XML ({error})", again=True, answered=True) from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
