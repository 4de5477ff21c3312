"""The head of an HTTP/1.1 request: strict, pure, bytes in and a value or an error out.

Source: RFC 9110 and RFC 9112. Where the RFC lets a server be lenient, this one isn't, because every leniency
that a proxy in front doesn't share is a way to smuggle a request: bare LF or CR, folded lines, white space
before the colon, a repeated or signed Content-Length, Content-Length together with Transfer-Encoding, and
codings other than exactly ``chunked`` are all refused.
"""

from __future__ import annotations

import re
from typing import Final

from eas_engine.errors import BadRequest, HeadTooLarge, LengthRequired
from eas_engine.gateway.accept import choose

MAX_HEAD: Final = 64 * 1024
MAX_FIELDS: Final = 256
CHUNKED: Final = -1

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([^\x00-\x20\x7f]+) HTTP/(\d)\.(\d)")
# One quantifier after the colon: were the white space around the value in the pattern, too, a value of nearly
# nothing but spaces would take cubic time (a thousand of them two seconds).
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):([^\x00-\x08\x0a-\x1f\x7f]*)")
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://[^/?#]*")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")


class Head:
    """A parsed head. Field values are bytes as they came, None when the field isn't there.

    ``length``: of the body in bytes, or ``CHUNKED``. ``path``: the target without query, and without scheme
    and authority when it was absolute. ``target``: the same with the query. ``coding``: which one the answer
    may have (``accept``).
    """

    __slots__ = (
        "authorization",
        "coding",
        "content_md5",
        "content_type",
        "date",
        "expects",
        "keep_alive",
        "length",
        "method",
        "minor",
        "path",
        "plain",
        "request_id",
        "target",
        "timing",
    )

    def __init__(self, method: bytes, target: bytes, minor: int, fields: dict[bytes, bytes]) -> None:
        self.method = method
        self.target = _origin_form(target)
        self.path = self.target.partition(b"?")[0]
        self.minor = minor
        self.length = _length(fields, method, minor)
        connection = {word.strip().lower() for word in fields.get(b"connection", b"").split(b",")}
        self.keep_alive = b"close" not in connection and (minor >= 1 or b"keep-alive" in connection)
        self.expects = _expects(fields, minor)
        self.authorization = fields.get(b"authorization")
        self.content_md5 = fields.get(b"content-md5")
        self.content_type = fields.get(b"content-type")
        self.date = fields.get(b"date")
        self.coding = choose(fields.get(b"accept-encoding"))
        given = fields.get(b"x-request-id")
        self.request_id = given if given and _REQUEST_ID.fullmatch(given) else None
        self.timing = fields.get(b"x-eas-timing", b"").lower() in (b"1", b"true")
        # Nothing about the answer differs from the usual one.
        self.plain = (
            self.request_id is None
            and not self.timing
            and minor >= 1
            and self.keep_alive
            and method != b"HEAD"
        )

    def __repr__(self) -> str:
        return f"<Head {self.method!r} {self.path!r} {self.length}>"


def parse(raw: bytes) -> Head:
    """Parse a head: everything before the empty line, without the last CRLF.

    Raises:
        BadRequest: it isn't HTTP/1.0 or 1.1, or could be read in two ways.
        HeadTooLarge: more than ``MAX_FIELDS`` fields.
        LengthRequired: there is a body whose end can't be known.
    """
    line, _, rest = raw.partition(b"\r\n")
    start = _REQUEST_LINE.fullmatch(line)
    if start is None:
        raise BadRequest("malformed request line")
    method, target, major, minor = start.groups()
    if major != b"1":
        raise BadRequest("only HTTP/1.0 and HTTP/1.1 are spoken here")
    return Head(method, target, int(minor), _fields(rest, int(minor)))


def suspicious(data: bytes) -> bool:
    """Whether an incomplete head has a bare LF or CR, so that it can't become valid any more.

    Counting is a hundred times as fast as a pattern, which made every small piece of a long head cost 5 ms.
    """
    pairs = data.count(b"\r\n")
    return data.count(b"\n") != pairs or data.count(b"\r") != pairs + data.endswith(b"\r")


def _fields(rest: bytes, minor: int) -> dict[bytes, bytes]:
    lines = rest.split(b"\r\n") if rest else []
    if len(lines) > MAX_FIELDS:
        raise HeadTooLarge(f"more than {MAX_FIELDS} header fields")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadRequest("malformed header field")
        name, value = match[1].lower(), match[2].strip(b" \t")
        if name not in fields:
            fields[name] = value
        elif name in (b"content-length", b"transfer-encoding", b"host", b"authorization", b"expect"):
            raise BadRequest(f"repeated {name.decode()} field")
        else:
            fields[name] += b", " + value
    if b"host" not in fields and minor >= 1:
        raise BadRequest("a Host field is required")
    return fields


def _origin_form(target: bytes) -> bytes:
    if target.startswith(b"/"):
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        behind = target[absolute.end() :]
        return behind if behind.startswith(b"/") else b"/" + behind
    if target == b"*":
        return target
    raise BadRequest("malformed request target")


def _length(fields: dict[bytes, bytes], method: bytes, minor: int) -> int:
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise BadRequest("both Content-Length and Transfer-Encoding")
        if minor == 0:
            raise BadRequest("Transfer-Encoding in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise LengthRequired("the only transfer coding taken is chunked")
        return CHUNKED
    if length is not None:
        if not _LENGTH.fullmatch(length):
            raise BadRequest("malformed Content-Length")
        return int(length)
    if method == b"POST" and minor == 0:
        raise LengthRequired("HTTP/1.0 needs a Content-Length")
    return 0


def _expects(fields: dict[bytes, bytes], minor: int) -> bool:
    expectation = fields.get(b"expect")
    if expectation is None or minor == 0:
        return False
    if expectation.lower() != b"100-continue":
        raise BadRequest("the only expectation taken is 100-continue")
    return True
