"""What hosts are told of their mounts, and what they tell of them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from eas_engine.supervisor.control import ControlViolation, Hello, parse
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.mounts import PLACES, Mount, lent, toolkit_mounts, workspace_mounts
from eas_engine.supervisor.observe import HostSnapshot, InstanceSnapshot, Seat


def test_the_workspace_is_at_both_places_and_shared_files_are_protected_first() -> None:
    found = workspace_mounts(Path("/W"), [Path("/W/model/large")])
    assert found[-2:] == tuple(Mount("/W", place) for place in PLACES)
    protected = (Mount("/W/model/large", "/W/model/large", read_only=True),)
    assert found[:-2] == (protected if os.geteuid() == 0 else ())


def test_a_toolkit_is_mounted_unless_it_is_there_already(tmp_path: Path) -> None:
    toolkit, place = tmp_path / "cuda-11.2", tmp_path / "cuda"
    toolkit.mkdir()
    assert toolkit_mounts(None, place) == ()
    mount = Mount(str(toolkit), str(place), read_only=True)
    assert toolkit_mounts(toolkit, place) == (mount,), "nothing is there"
    place.symlink_to(tmp_path)
    assert toolkit_mounts(toolkit, place) == (mount,), "another one is"
    place.unlink()
    place.symlink_to(toolkit)
    assert toolkit_mounts(toolkit, place) == ()


def test_a_host_reads_them_from_a_descriptor() -> None:
    mounts = [Mount("/W", "/eas/workspace"), Mount("/a", "/b", read_only=True)]
    with lent({"shm": (), "workspace": mounts}) as fds:
        (fd,) = fds
        told = json.loads(os.pread(fd, 1000, 0))
    assert [(name, [Mount(*each) for each in some]) for name, some in told] == [("workspace", mounts)]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    with lent({"workspace": ()}) as nothing:
        assert nothing == ()


@pytest.mark.parametrize(
    ("said", "mounts"),
    [
        ("", None),
        (', "mounts": null', None),
        (', "mounts": {"visible": true, "reason": ""}', ""),
        (', "mounts": {"visible": false, "reason": "no"}', "no"),
    ],
)
def test_what_a_hello_says_of_them(said: str, mounts: str | None) -> None:
    hello = parse(f'{{"type": "hello"{said}}}'.encode())
    assert isinstance(hello, Hello)
    assert hello.mounts == mounts


def test_a_hello_that_says_half_of_it_is_none() -> None:
    with pytest.raises(ControlViolation):
        parse(b'{"type": "hello", "mounts": {}}')


@pytest.mark.parametrize(
    ("hosts", "said"), [((None, None), None), ((None, ""), ""), (("", "no"), "no"), ((), None)]
)
def test_an_instance_sees_what_all_its_hosts_see(hosts: tuple[str | None, ...], said: str | None) -> None:
    host = HostSnapshot(Seat(0, 0), "h", "a-0", State.READY)
    seen = InstanceSnapshot("a-0", tuple(replace(host, mounts=each) for each in hosts), 0.0)
    assert seen.mounts == said
