"""An object store over real HTTP that checks signatures as OSS does, and breaks what it is told to break.

``OssServer`` serves buckets under ``/bucket/key`` (and under ``bucket.host`` when it is asked through a
proxy), checks header signatures of versions 1 and 4 on its own (nothing of the engine is imported), lists in
both versions, and serves ranges. ``/plain/...`` is an ordinary web server on the same port: no signatures.

``faults`` is a list of what the next answers do wrong, the first one first; ``requests`` is what was asked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from xml.sax.saxutils import escape

_SKEW = 15 * 60  # seconds
_PLAIN = "plain"
_SUBRESOURCES = {
    "acl",
    "continuation-token",
    "location",
    "security-token",
    "uploads",
    "versionId",
    "bucketInfo",
    "objectMeta",
    "stat",
}
_BOUNDARY = 1 << 16


@dataclass(frozen=True)
class Fault:
    """What one answer does wrong. ``on`` chooses by the path; the first that fits is used up."""

    on: str = ""
    status: int = 0  # this status instead of an answer
    code: str = "InternalError"
    headers: Mapping[str, str] = field(default_factory=dict)  # in place of the right ones
    cut: int | None = None  # the connection breaks after so many bytes of the body
    hold: threading.Event | None = None  # the rest of the body comes when it is set
    hold_after: int = 0
    extra: bytes = b""  # behind the body that was announced
    unsized: bool = False  # chunked, without a length
    no_ranges: bool = False
    wrong_range: bool = False
    change: tuple[str, bytes] | None = None  # after the answer this object has this content


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    query: str
    headers: Mapping[str, str]
    sent: list[int] = field(default_factory=lambda: [0])
    status: list[int] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """How much of the body was sent."""
        return self.sent[0]


@lru_cache
def crc64(data: bytes) -> int:
    """CRC-64/XZ, bit by bit in a table: slow and plain."""
    register = ~0 & (2**64 - 1)
    for byte in data:
        register = _CRC_TABLE[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ (2**64 - 1)


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0xC96C5795D7870F42 if value & 1 else 0)
    return value


_CRC_TABLE = [_crc_entry(value) for value in range(256)]


class OssServer:
    """A server on a free port of 127.0.0.1, from ``with`` to its end."""

    def __init__(
        self, *, bucket: str = "bucket", key_id: str = "id", secret: str = "c2VjcmV0", token: str = ""
    ) -> None:
        self.bucket, self.key_id, self.secret, self.token = bucket, key_id, secret, token
        self.objects: dict[str, bytes] = {}
        self.plain: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[Asked] = []
        self.public = False  # readable without a signature
        self.region = "cn-test"
        self.redirects: dict[str, str] = {}
        self.with_crc = True
        self.no_conditions = False  # If-None-Match is ignored
        self.basic: tuple[str, ...] | None = None  # what /plain asks for
        self.modified = "Mon, 01 Jan 2024 00:00:00 GMT"
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        owner: OssServer = self

        class Handler(_Handler):
            server_owner = owner

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse connections from now on. May be called twice."""
        for fault in self.faults:
            if fault.hold is not None:
                fault.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        """As ``oss_endpoint``."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, name: str) -> str:
        """The address of something plain."""
        return f"{self.endpoint}/{_PLAIN}/{urllib.parse.quote(name)}"

    def fault_for(self, path: str) -> Fault | None:
        """Use up the first fault that fits."""
        with self._lock:
            for index, fault in enumerate(self.faults):
                if fault.on in path:
                    return self.faults.pop(index)
        return None

    def asked(self, part: str) -> list[Asked]:
        """The requests whose path contains ``part``."""
        return [one for one in self.requests if part in one.path]

    def environ(self) -> dict[str, str]:
        """The credentials, as the environment has them."""
        given = {"OSS_ACCESS_KEY_ID": self.key_id, "OSS_ACCESS_KEY_SECRET": self.secret}
        return given | ({"OSS_SESSION_TOKEN": self.token} if self.token else {})


class _Quiet(ThreadingHTTPServer):
    """Clients that go away are what many tests are about."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing on stderr."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server_owner: OssServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        """Objects, listings, plain files."""
        owner = self.server_owner
        parts = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(parts.path)
        host = (parts.netloc or self.headers.get("Host", "")).partition(":")[0]
        if host.startswith(f"{owner.bucket}."):
            path = f"/{owner.bucket}{path}"
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.asked = Asked(path, parts.query, dict(self.headers.items()))
        owner.requests.append(self.asked)
        self.fault = owner.fault_for(path)
        if self.fault is not None and self.fault.status:
            self._refuse(self.fault.status, self.fault.code, "as it was told", self.fault.headers)
        elif path in owner.redirects:
            self._send(302, {"Location": owner.redirects[path]}, b"")
        elif path.startswith(f"/{_PLAIN}/"):
            self._plain(path.removeprefix(f"/{_PLAIN}/"))
        else:
            self._oss(path)

    do_HEAD = do_GET  # noqa: N815 - http.server calls it so

    # -- plain files

    def _plain(self, name: str) -> None:
        owner = self.server_owner
        if owner.basic is not None:
            wanted = "Basic " + base64.b64encode(":".join(owner.basic).encode()).decode()
            if self.headers.get("Authorization") != wanted:
                self._send(401, {"WWW-Authenticate": 'Basic realm="x"'}, b"who are you?\n")
                return
        if name not in owner.plain:
            self._send(404, {"Content-Type": "text/html"}, b"<html><h1>no such page</h1></html>")
            return
        self._content(owner.plain[name], {"ETag": _etag(owner.plain[name])}, range_guard="If-Range")

    # -- OSS

    def _oss(self, path: str) -> None:
        owner = self.server_owner
        bucket, _, key = path[1:].partition("/")
        problem = self._unsigned(bucket, key)
        if problem is not None:
            self._refuse(403, problem[0], problem[1], more="".join(problem[2:]))
        elif bucket != owner.bucket:
            self._refuse(404, "NoSuchBucket", "The specified bucket does not exist.")
        elif not key:
            self._list()
        elif key not in owner.objects:
            self._refuse(404, "NoSuchKey", "The specified key does not exist.")
        else:
            data = owner.objects[key]
            headers = {"ETag": _etag(data).upper(), "x-oss-object-type": "Normal", "x-oss-request-id": "5C"}
            if owner.with_crc:
                headers["x-oss-hash-crc64ecma"] = str(crc64(data))
            self._content(data, headers, range_guard="If-Match")

    def _unsigned(self, bucket: str, key: str) -> tuple[str, ...] | None:
        """What is wrong with the signature: OSS's code and message."""
        owner = self.server_owner
        given = self.headers.get("Authorization", "")
        if not given:
            return None if owner.public else ("AccessDenied", "You have no right to access this object.")
        if self.headers.get("x-oss-security-token", "") != owner.token:
            return "InvalidSecurityToken", "The security token you provided is invalid."
        if given.startswith("OSS4-HMAC-SHA256 "):
            return self._check_v4(given.removeprefix("OSS4-HMAC-SHA256 "), bucket, key)
        if given.startswith("OSS "):
            return self._check_v1(given.removeprefix("OSS "), bucket, key)
        return "InvalidArgument", "Authorization header is invalid."

    def _check_v1(self, given: str, bucket: str, key: str) -> tuple[str, ...] | None:
        owner = self.server_owner
        key_id, _, signature = given.rpartition(":")
        if key_id != owner.key_id:
            return "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records."
        date = self.headers.get("Date", "")
        if abs((parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()) > _SKEW:
            return (
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            )
        own = sorted((k.lower(), v) for k, v in self.headers.items() if k.lower().startswith("x-oss-"))
        chosen = sorted(one for one in self.query.items() if one[0] in _SUBRESOURCES)
        resource = f"/{bucket}/{key}" + (
            "?" + "&".join(f"{k}={v}" if v else k for k, v in chosen) if chosen else ""
        )
        text = "\n".join(
            [
                self.command,
                self.headers.get("Content-MD5", ""),
                self.headers.get("Content-Type", ""),
                date,
                "".join(f"{k}:{v}\n" for k, v in own) + resource,
            ]
        )
        right = base64.b64encode(
            hmac.new(owner.secret.encode(), text.encode(), hashlib.sha1).digest()
        ).decode()
        return None if hmac.compare_digest(right, signature) else _mismatch(text, signature)

    def _check_v4(self, given: str, bucket: str, key: str) -> tuple[str, ...] | None:
        owner = self.server_owner
        fields = dict(one.strip().partition("=")[::2] for one in given.split(","))
        key_id, date, region, product, suffix = fields["Credential"].split("/")
        if key_id != owner.key_id:
            return "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records."
        moment = self.headers.get("x-oss-date", "")
        sent = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs((sent - datetime.now(UTC)).total_seconds()) > _SKEW or moment[:8] != date:
            return (
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            )
        if (region, product, suffix) != (owner.region, "oss", "aliyun_v4_request"):
            return "InvalidArgument", f"Invalid signing region in Authorization header: {region}."
        additional = [one for one in fields.get("AdditionalHeaders", "").split(";") if one]
        signed = sorted(
            (k.lower(), v.strip())
            for k, v in self.headers.items()
            if k.lower().startswith("x-oss-") or k.lower() in {"content-type", "content-md5", *additional}
        )
        canonical = "\n".join(
            [
                self.command,
                urllib.parse.quote(f"/{bucket}/{key}", safe="/~"),
                "&".join(
                    f"{k}={v}" if v else k
                    for k, v in sorted((_quote(k), _quote(v)) for k, v in self.query.items())
                ),
                "".join(f"{k}:{v}\n" for k, v in signed),
                ";".join(additional),
                self.headers.get("x-oss-content-sha256", ""),
            ]
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"OSS4-HMAC-SHA256\n{moment}\n{date}/{region}/oss/aliyun_v4_request\n{digest}"
        secret = f"aliyun_v4{owner.secret}".encode()
        for part in (date, region, "oss", "aliyun_v4_request"):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        right = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return (
            None
            if hmac.compare_digest(right, fields["Signature"])
            else _mismatch(canonical, fields["Signature"])
        )

    def _list(self) -> None:
        """ListObjects and ListObjectsV2: prefix, delimiter, paging, url encoding."""
        owner, query = self.server_owner, self.query
        second = query.get("list-type") == "2"
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        most = min(int(query.get("max-keys", "100")), 1000)
        token = query.get("continuation-token", "")
        after = (
            base64.b64decode(token).decode()
            if token
            else query.get("start-after" if second else "marker", "")
        )
        show: Callable[[str], str] = _quote if query.get("encoding-type") == "url" else escape
        items: list[tuple[str, bool]] = []
        for key in sorted(owner.objects):
            if not key.startswith(prefix):
                continue
            head, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            one = (prefix + head + mark, True) if mark else (key, False)
            if one not in items:
                items.append(one)
        items = [one for one in items if one[0] > after]
        page, more = items[:most], len(items) > most
        last = page[-1][0] if page else ""
        body = [f"<Name>{owner.bucket}</Name><Prefix>{show(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"]
        body.append(
            f"<EncodingType>{query.get('encoding-type', '')}</EncodingType>"
            if "encoding-type" in query
            else ""
        )
        body.append(f"<IsTruncated>{str(more).lower()}</IsTruncated>")
        if more and second:
            body.append(
                f"<NextContinuationToken>{base64.b64encode(last.encode()).decode()}</NextContinuationToken>"
            )
        elif more:
            body.append(f"<NextMarker>{show(last)}</NextMarker>")
        for name, common in page:
            if common:
                body.append(f"<CommonPrefixes><Prefix>{show(name)}</Prefix></CommonPrefixes>")
            else:
                data = owner.objects[name]
                body.append(
                    f"<Contents><Key>{show(name)}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
                    f"<ETag>{escape(_etag(data).upper())}</ETag><Type>Normal</Type><Size>{len(data)}</Size>"
                    "<StorageClass>Standard</StorageClass></Contents>"
                )
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>'
            + "".join(body)
            + "</ListBucketResult>"
        )
        self._send(200, {"Content-Type": "application/xml"}, xml.encode())

    # -- answers

    def _content(self, data: bytes, headers: dict[str, str], *, range_guard: str) -> None:
        owner, fault = self.server_owner, self.fault
        headers = {**headers, "Last-Modified": owner.modified, "Accept-Ranges": "bytes"}
        if self.headers.get("If-None-Match") == headers["ETag"] and not owner.no_conditions:
            self._send(304, headers, b"")
            return
        wanted = self.headers.get("Range", "")
        guard = self.headers.get(range_guard)
        if range_guard == "If-Match" and guard not in (None, headers["ETag"]):
            self._refuse(412, "PreconditionFailed", "At least one of the pre-conditions did not hold.")
            return
        unfit = range_guard == "If-Range" and guard not in (None, headers["ETag"], owner.modified)
        if not wanted or unfit or (fault is not None and fault.no_ranges):
            self._send(200, headers, data)
            return
        first = int(wanted.removeprefix("bytes=").partition("-")[0])
        last = int(wanted.partition("-")[2] or len(data) - 1)
        if first >= len(data):
            self._send(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
            return
        if fault is not None and fault.wrong_range:
            first = 0
        last = min(last, len(data) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        self._send(206, headers, data[first : last + 1])

    def _refuse(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, more: str = ""
    ) -> None:
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
            f"<Message>{escape(message)}</Message>{more}"
            f"<RequestId>5C</RequestId><HostId>{self.server_owner.bucket}.oss</HostId></Error>"
        )
        self._send(status, {"Content-Type": "application/xml", **(headers or {})}, body.encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        fault = self.fault if status in (200, 206) else None
        self.asked.status.append(status)
        self.send_response_only(status)
        if fault is not None:
            headers = {**headers, **fault.headers}
        given = {"Date": formatdate(usegmt=True), "Server": "AliyunOSS", **headers}
        unsized = fault is not None and fault.unsized
        if unsized:
            given["Transfer-Encoding"] = "chunked"
        else:
            given.setdefault("Content-Length", str(len(body)))
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or status == 304:
            return
        self._body(body, fault, unsized=unsized)
        if fault is not None and fault.change is not None:
            name, data = fault.change
            (self.server_owner.plain if name in self.server_owner.plain else self.server_owner.objects)[
                name
            ] = data

    def _body(self, body: bytes, fault: Fault | None, *, unsized: bool) -> None:
        end = len(body) if fault is None or fault.cut is None else fault.cut
        done = 0
        try:
            while done < end:
                if fault is not None and fault.hold is not None and done >= fault.hold_after:
                    fault.hold.wait()
                size = min(_BOUNDARY, end - done)
                if fault is not None and fault.hold is not None and done < fault.hold_after:
                    size = min(size, fault.hold_after - done)
                piece = body[done : done + size]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if unsized else piece)
                done += len(piece)
                self.asked.sent[0] = done
            if unsized and end == len(body):
                self.wfile.write(b"0\r\n\r\n")
            if fault is not None and fault.extra:
                self.wfile.write(fault.extra)
        except OSError:
            self.close_connection = True  # whoever asked is gone
        if end < len(body):
            self.close_connection = True


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe="~")


def _mismatch(text: str, signature: str) -> tuple[str, ...]:
    """As OSS: it repeats what it was given, which nobody may log."""
    return (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
        f"<StringToSign>{escape(text)}</StringToSign><SignatureProvided>{signature}</SignatureProvided>",
    )
