"""What is never shown: secrets by their names, and in addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.secrecy import is_secret, redacted, without_users

PIN = "a" * 64


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "git.password",
        "OSS_ACCESS_KEY_SECRET",
        "Authorization",
        "clientSecret",
        "db_passwd",
        "dockerAuth",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["generate_token", "keepalive", "OMP_NUM_THREADS", "model_path", ""])
def test_other_names(name: str) -> None:
    assert not is_secret(name)


def test_users_in_any_text() -> None:
    assert without_users("see ftp://me:pw@host/a and b@c", "*") == "see ftp://*@host/a and b@c"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@h:8/a?token=secret#secret", "https://h:8/a?..."),
        ("https://h/a#secret", "https://h/a"),
        ("oss://b/a?b", "oss://b/a?b"),
        ("s3://key:secret@b/x", "s3://b/x"),
        (f"https://h/a?k=secret#sha256={PIN}", f"https://h/a?...#sha256={PIN}"),
        ("models/a?b#c", "models/a?b#c"),
        ("http://me:sec@ret@h/a", "http://h/a"),
    ],
)
def test_secrets_are_not_shown(address: str, shown: str) -> None:
    assert redacted(address) == shown


@given(user=st.text(), password=st.text(), query=st.text())
def test_whatever_is_before_the_host_or_in_the_query_is_not_shown(
    user: str, password: str, query: str
) -> None:
    mark = "Zq9"
    quoted = "".join(one for one in f"{user}:{password}" if one not in "/?#")
    shown = redacted(f"https://{quoted}{mark}@host/path?{query}{mark}")
    assert mark not in shown
    assert shown.startswith("https://host/path")
