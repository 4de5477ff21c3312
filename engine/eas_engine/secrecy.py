"""What nobody may see: values whose names tell that they are secrets, and the secret parts of addresses.

One answer for everything that shows or hands on a configuration: ``check``, the status, what is kept of a
crash, the processors' own copy.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(
    r"secret|passw|(?<!generate_)token|credential|authori[sz]ation|key|dockerauth", re.IGNORECASE
)
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PIN: Final = re.compile(r"#sha256=.*\Z", re.IGNORECASE | re.DOTALL)
_USER: Final = re.compile(r"(?<=://)[^/?#]*@")
_USER_IN_TEXT: Final = re.compile(r"(\w+://)[^/\s@]+@")


def is_secret(name: str) -> bool:
    """Whether what a parameter or a variable of that name holds is never shown."""
    return _NAME.search(name) is not None


def redacted(address: str) -> str:
    """An address without what may be secret: user and password, and a query, which is a signature as a rule.

    A local path comes back as it is.
    """
    match = _ADDRESS.match(address)
    if match is None:
        return address
    pinned = _PIN.search(address)
    shown = _USER.sub("", _PIN.sub("", address))
    if match.group(1).lower() not in ("oss", "file"):  # a ? is part of an object's name there
        head, mark, _ = shown.partition("?")
        shown = f"{head}?..." if mark else head.partition("#")[0]
    return shown + (pinned.group() if pinned else "")


def without_users(text: str, mask: str) -> str:
    """Any text; ``user:password`` of the addresses in it is masked."""
    return _USER_IN_TEXT.sub(rf"\1{mask}@", text)
