"""A start goes on with what holds, with its files; what was gone back from doesn't come back by itself."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from eas_engine.artifacts.fetching.progress import SilentProgress
from eas_engine.artifacts.resolve import Places
from eas_engine.beginning import Beginning
from eas_engine.clock import SystemClock
from eas_engine.configuration import Checked, Configured, configured, read
from eas_engine.history import History
from eas_engine.operations import Version
from eas_engine.options import ServeOptions
from eas_engine.telemetry.logs import Logs

NEW = "the files of the model or the processor are new"


class Machine:
    """One directory with a service and its state: ``"processor_path": "."``, as in the README."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.logged: list[str] = []
        self._times = count(1.0)
        (directory / "state").mkdir()
        self.write("A1", keepalive=2000)

    def write(self, code: str | None = None, *, keepalive: int) -> None:
        """Edit in place."""
        self.text = json.dumps(
            {
                "name": "rc",
                "token": "t",
                "processor_type": "python",
                "processor_path": ".",
                "processor_entry": "app.py",
                "metadata": {"rpc": {"keepalive": keepalive}},
            }
        )
        (self.directory / "service.json").write_text(self.text)
        if code is not None:
            (self.directory / "app.py").write_text(f"# {code}")

    @property
    def history(self) -> History:
        return History.open(self.directory / "state" / "rc" / "history")

    def start(self, *, comes_up: bool = True, fresh: bool = False) -> Configured:
        """Of an engine, that ends then; what it would serve."""
        self.logged.clear()
        logs = Logs(lambda line: self.logged.append(str(line)), SystemClock())
        options = ServeOptions(config=self.directory / "service.json", fresh=fresh)
        history = self.history
        places = Places(self.directory / "state", self.directory / "state" / "rc")
        beginning = Beginning(options, self.text, read(self.text, options.config), history, logs)
        first = beginning.first(places)
        made = beginning.made(first, self.make(first.kept.version.number, first.files, first.checked))
        if comes_up:
            history.settle(made.version, "current", at=next(self._times), held=(made.files, made.pinned))
        return made

    def make(self, number: int, files: str = "", checked: Checked | None = None) -> Configured:
        """The files of a version."""
        places = Places(self.directory / "state", self.directory / "state" / "rc")
        with configured(
            checked or read(self.text, self.directory / "service.json"),
            number,
            places=places,
            clock=SystemClock(),
            progress=SilentProgress(),
            files=files,
        ) as made:
            return made

    def update(self, state: str = "current") -> int:
        """To what lies there now."""
        history = self.history
        source = str(self.directory / "service.json")
        number = history.add(
            Version(number=0, time=1.0, source=source, digest="", kind="update"), self.text
        ).version.number
        history.settle(number, state, at=next(self._times), held=(self.make(number).files, False))
        return number

    def go_back(self, number: int) -> None:
        history = self.history
        kept = history.find(number)
        assert kept is not None
        history.settle(number, "current", at=next(self._times), held=(kept.version.files, True))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    found = Machine(tmp_path)
    (tmp_path / "state" / "rc").mkdir()
    return found


def served(of: Configured) -> tuple[int, str, int | None]:
    """Version, code, keepalive."""
    return of.version, of.artifacts.entry.read_text(), of.loaded.spec.metadata.rpc.keepalive


def test_a_rollback_holds_although_what_was_left_still_lies_there(machine: Machine) -> None:
    machine.start()
    machine.write("A2", keepalive=3000)
    machine.update()
    machine.go_back(1)

    for _ in range(2):
        assert served(machine.start()) == (1, "# A1", 2000)
        assert "the file says what an operator went back from (version 2)" in str(machine.logged)
    assert [one.kind for one in machine.history.versions()] == ["start", "update"]

    assert served(machine.start(fresh=True)) == (3, "# A2", 3000)


def test_a_file_that_nobody_went_back_from_is_taken(machine: Machine) -> None:
    machine.start()
    machine.write("A2", keepalive=3000)
    machine.update()
    machine.go_back(1)
    machine.write("A3", keepalive=4000)

    assert served(machine.start()) == (3, "# A3", 4000)


def test_of_two_starts_the_one_that_was_gone_back_to_has_its_own_settings(machine: Machine) -> None:
    """The first one's number used to be served with the second one's file."""
    machine.start()
    machine.write(keepalive=3000)
    assert served(machine.start())[::2] == (2, 3000)
    machine.go_back(1)

    assert served(machine.start()) == (1, "# A1", 2000)


@pytest.mark.parametrize("updated", [False, True])
def test_code_that_was_edited_is_a_version_of_its_own_and_can_be_gone_back_from(
    machine: Machine, updated: bool
) -> None:
    machine.start()
    first = machine.text
    if updated:
        machine.write(keepalive=3000)
        machine.update()
        (machine.directory / "service.json").write_text(first)
        machine.text = first
    before = machine.history.versions()[-1]
    (machine.directory / "app.py").write_text("# A2")

    made = machine.start()

    assert served(made) == (before.number + 1, "# A2", 3000 if updated else 2000)
    assert NEW in str(machine.logged)
    [*_, old, new] = machine.history.versions()
    assert (old.files, old.state, new.kind, new.files) == (before.files, "replaced", "start", made.files)
    previous = machine.history.previous
    assert previous is not None
    assert previous.version.number == before.number
    assert served(machine.start()) == served(made)
    assert NEW not in str(machine.logged)


def test_edited_code_that_does_not_come_up_stays_one_version(machine: Machine) -> None:
    machine.start()
    (machine.directory / "app.py").write_text("# A2")

    numbers = [machine.start(comes_up=False).version for _ in range(3)]

    assert numbers == [2, 2, 2]
    (machine.directory / "app.py").write_text("# A3")
    assert served(machine.start()) == (2, "# A3", 2000)


def test_a_file_of_the_service_that_changed_beside_its_code_is_no_new_code(machine: Machine) -> None:
    made = machine.start()
    machine.write(keepalive=3000)
    history = machine.history
    number = history.add(Version(number=0, time=1.0, source=str(made.loaded.source), digest=""), machine.text)
    history.settle(number.version.number, "current", at=9.0, held=(made.files, False))

    again = machine.start()

    assert (again.version, again.files, again.pinned) == (2, made.files, False)
    assert NEW not in str(machine.logged)


def test_code_that_failed_under_the_file_that_holds_is_no_fault_of_the_file(machine: Machine) -> None:
    machine.start()
    history = machine.history
    source, scaled = str(machine.directory / "service.json"), ("metadata.instance=2",)
    scale = Version(number=0, time=1.0, source=source, digest="", overrides=scaled, kind="scale")
    files = history.versions()[0].files
    history.settle(history.add(scale, machine.text).version.number, "current", at=9.0, held=(files, False))
    (machine.directory / "app.py").write_text("# A2")
    machine.update("failed")

    assert served(machine.start())[:2] == (2, "# A1")
    assert "the file says" not in str(machine.logged)
    assert "the files at its addresses are those that version 3 failed with" in str(machine.logged)


@pytest.mark.parametrize("keepalive", [2000, 9000])
def test_code_that_failed_while_it_was_served_is_not_taken_at_the_next_start(
    machine: Machine, keepalive: int
) -> None:
    machine.start()
    machine.write("A2", keepalive=keepalive)
    machine.update("failed")
    machine.write(keepalive=2000)

    assert served(machine.start()) == (1, "# A1", 2000)
    assert "the files at its addresses are those that version 2 failed with" in str(machine.logged)
    (machine.directory / "app.py").write_text("# A3")
    assert served(machine.start()) == (3, "# A3", 2000)
