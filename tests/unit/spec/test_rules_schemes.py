"""Addresses whose scheme nobody knows are refused when the file is read."""

from __future__ import annotations

import pytest

from eas_engine.spec import schemes


@pytest.mark.parametrize("scheme", ["", "http", "https", "oss", "s3", "hdfs", "memory"])
def test_schemes_that_can_be_fetched(scheme: str) -> None:
    assert schemes.what_is_wrong(scheme, lambda: ["memory"]) == ""


@pytest.mark.parametrize(("scheme", "meant"), [("htp", "http"), ("osss", "oss"), ("memry", "memory")])
def test_the_nearest_is_named(scheme: str, meant: str) -> None:
    said = schemes.what_is_wrong(scheme, lambda: ["memory"])
    assert f'"{scheme}://"' in said
    assert f"did you mean {meant}?" in said


def test_without_fsspec_it_is_said_what_would_know_more() -> None:
    assert "pip install fsspec" in schemes.what_is_wrong("qqqq", lambda: None)
    assert "pip install" not in schemes.what_is_wrong("qqqq", list)


def test_fsspec_is_not_asked_about_what_is_in_the_table() -> None:
    def asked() -> list[str]:
        raise AssertionError

    assert not any(schemes.what_is_wrong(one, asked) for one in (*schemes.OWN, *schemes.PACKAGES))
