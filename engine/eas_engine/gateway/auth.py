r"""Who may call? The three ways in which clients of the service send its token.

``Authorization: <token>``; ``Authorization: Bearer <token>``; and ``Authorization: EAS <signature>``, where
the signature is base64(HMAC-SHA1(token, message)) and the message is five lines::

    POST \n Content-MD5 \n Content-Type \n Date \n path

The official clients differ in what they sign, so several readings are tried (all of them, always, so that the
time taken says nothing): the path with and without query, with a slash after the service's name, and the
Content-Type as sent or ``application/octet-stream``. Header values are taken as they came: one client drops
leading zeros of the MD5, others write local time as GMT or replay an old Date on a retry. So neither the MD5
nor the age of the Date is enforced, which gives up no more than a plain token gives up: integrity and
freshness are the transport's business.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eas_engine.gateway.head import Head

_DEFAULT_TYPE = b"application/octet-stream"


class Verifier:
    """Checks requests against one token; without a token all pass (``generate_token: "false"``)."""

    def __init__(self, token: str, service_path: bytes) -> None:
        self._token = token.encode()
        self._service_path = service_path

    def __repr__(self) -> str:
        return f"<Verifier {'with' if self._token else 'without'} token>"

    def allows(self, head: Head) -> bool:
        """Whether the request carries the token, or a signature made with it."""
        if not self._token:
            return True
        given = head.authorization
        if given is None:
            return False
        scheme, _, rest = given.partition(b" ")
        plain = hmac.compare_digest(given, self._token)
        bearer = scheme.lower() == b"bearer" and hmac.compare_digest(rest.strip(), self._token)
        signed = scheme == b"EAS" and self._signed(rest.strip(), head)
        return plain or bearer or signed

    def _signed(self, signature: bytes, head: Head) -> bool:
        valid = False
        for path in self._paths(head):
            for content_type in {head.content_type or b"", _DEFAULT_TYPE}:
                expected = sign(self._token, path, head.content_md5 or b"", content_type, head.date or b"")
                valid |= hmac.compare_digest(expected, signature)
        return valid

    def _paths(self, head: Head) -> set[bytes]:
        paths = {head.target, head.path}
        service = self._service_path
        if service and head.target.startswith(service):
            paths |= {service + b"/" + path[len(service) :] for path in (head.target, head.path)}
        return paths


def sign(token: bytes, path: bytes, content_md5: bytes, content_type: bytes, date: bytes) -> bytes:
    """The signature that the official clients send after ``EAS ``."""
    message = b"\n".join((b"POST", content_md5, content_type, date, path))
    return base64.b64encode(hmac.new(token, message, hashlib.sha1).digest())
