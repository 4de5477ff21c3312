"""A store to fetch from, and a cache to fetch into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fetching import Fetching
from support.oss_server import OssServer


@pytest.fixture
def server() -> Iterator[OssServer]:
    """An object store, and a plain web server beside it."""
    with OssServer() as made:
        yield made


@pytest.fixture
def fetching(server: OssServer, tmp_path: Path) -> Iterator[Fetching]:
    """A cache, and credentials for the store."""
    made = Fetching(tmp_path, server.endpoint, server.environ())
    yield made
    made.end()
