"""Who reads from OSS and where: credentials, endpoint and region; no network.

Credentials: ``OSS_ACCESS_KEY_ID``, ``OSS_ACCESS_KEY_SECRET`` and ``OSS_SESSION_TOKEN``; without them those
in ``~/.ossutilconfig``, of ossutil 1 (``[Credentials]``) and 2 (``[default]``); without either, the request
isn't signed and only what is public can be read.

The endpoint is ``oss_endpoint`` (``OSS_ENDPOINT``), or stands in the address: ``oss://bucket.endpoint/key``.
Without a scheme it is asked by https. Buckets are part of the host's name, but for an endpoint that is an IP
address or ``localhost``, where they are the path's first part.

Version 4 of the signature is taken when the region is known: ``OSS_REGION``, or from the endpoint's name.
"""

from __future__ import annotations

import configparser
import ipaddress
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from eas_engine.artifacts.sources.oss_signing import Credentials
from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass

_REGION: Final = re.compile(
    r"oss-(?P<region>(?!accelerate)[a-z0-9-]+?)(?:-internal)?\.(?:oss-[a-z-]+\.)?aliyuncs\.com"
)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
CONFIGURATION: Final = ".ossutilconfig"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a bucket is asked for."""

    scheme: str
    host: str  # with its port
    region: str  # empty: not known

    @classmethod
    def parse(cls, text: str, region: str = "") -> Endpoint:
        """Errors: ConfigurationError."""
        address = text if "://" in text else f"https://{text}"
        try:
            parts = urllib.parse.urlsplit(address)
            usable = bool(parts.hostname) and parts.port != 0 and not parts.query and parts.path in ("", "/")
        except ValueError:
            parts, usable = urllib.parse.urlsplit(""), False
        if not usable or parts.scheme not in ("http", "https") or "@" in parts.netloc:
            raise ConfigurationError(
                f"oss_endpoint: {text!r}: expected a host such as oss-cn-hangzhou.aliyuncs.com"
            )
        match = _REGION.fullmatch(parts.hostname or "")
        return cls(parts.scheme, parts.netloc, region or (match["region"] if match else ""))

    def url(self, bucket: str, key: str) -> str:
        """The address of an object, or of the bucket (empty key)."""
        quoted = urllib.parse.quote(key, safe="/~")
        if self._by_path():
            return f"{self.scheme}://{self.host}/{bucket}/{quoted}"
        return f"{self.scheme}://{bucket}.{self.host}/{quoted}"

    def _by_path(self) -> bool:
        name = urllib.parse.urlsplit(f"//{self.host}").hostname or ""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name == "localhost"
        return True


@dataclass(frozen=True, slots=True)
class Place:
    """What an ``oss://`` address names. An empty key, or one that ends with ``/``, is a folder."""

    bucket: str
    key: str
    endpoint: str  # empty: the service's


def parse(address: str) -> Place:
    """``oss://bucket/key`` or ``oss://bucket.endpoint/key``. Errors: ConfigurationError."""
    rest = address.partition("://")[2]
    host, _, key = rest.partition("/")
    bucket, _, endpoint = host.partition(".")
    if not _BUCKET.fullmatch(bucket):
        raise ConfigurationError(
            f"{address}: expected oss://bucket/path; {bucket!r} can't be a bucket's name"
        )
    return Place(bucket, key, endpoint)


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that the environment says about OSS."""

    credentials: Credentials | None = None
    endpoint: str = ""
    region: str = ""

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Account:
        """From the environment, else from ossutil's file. Errors: ConfigurationError for a broken file."""
        region = environ.get("OSS_REGION", "").removeprefix("oss-")
        endpoint = environ.get("OSS_ENDPOINT", "")
        key_id, secret = environ.get("OSS_ACCESS_KEY_ID", ""), environ.get("OSS_ACCESS_KEY_SECRET", "")
        if key_id and secret:
            token = environ.get("OSS_SESSION_TOKEN", "")
            return cls(Credentials(key_id, secret, token, "the environment"), endpoint, region)
        file = Path(environ["HOME"]) / CONFIGURATION if environ.get("HOME") else None
        if file is None or not file.is_file():
            return cls(None, endpoint, region)
        found = _read(file)
        credentials = None
        if found.get("accesskeyid") and found.get("accesskeysecret"):
            token = found.get("ststoken", "")
            credentials = Credentials(found["accesskeyid"], found["accesskeysecret"], token, str(file))
        return cls(
            credentials,
            endpoint or found.get("endpoint", ""),
            region or found.get("region", "").removeprefix("oss-"),
        )


def _read(file: Path) -> dict[str, str]:
    """The options of the first section that has keys, their names without ``-`` and ``_``, in lower case."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, default_section="\0")
    try:
        parser.read_string(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else type(error).__name__
        )  # its text shows lines
        raise ConfigurationError(f"{file} can't be read as ossutil's configuration: {reason}") from None
    for section in ("Credentials", "default", *parser.sections()):
        if parser.has_section(section):
            options = {
                name.replace("-", "").replace("_", "").lower(): value.strip()
                for name, value in parser.items(section)
            }
            if options.get("accesskeyid"):
                return options
    return {}
