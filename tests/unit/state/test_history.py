"""Versions are kept whole, and whoever starts after a crash finds the last complete one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eas_engine import history
from eas_engine.errors import ConfigurationError
from eas_engine.history import History, Kept, digest
from eas_engine.operations import Version

TEXT = '{"name": "digits"}'

OTHER = TEXT.replace("}", " }")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "history"


@pytest.fixture
def kept(directory: Path) -> History:
    return History.open(directory)


def version(kind: str = "update", *overrides: str) -> Version:
    return Version(number=0, time=1.0, source="/srv/service.json", digest="", overrides=overrides, kind=kind)


def complete(of: History, kind: str = "update", text: str = TEXT, *, at: float = 1.0) -> int:
    number = of.add(version(kind), text).version.number
    of.settle(number, "current", at=at)
    return number


def states(of: History) -> list[str]:
    return [one.state for one in of.versions()]


def test_numbers_count_up_and_outlive_the_engine(kept: History, directory: Path) -> None:
    assert [complete(kept), complete(kept)] == [1, 2]
    assert complete(History.open(directory)) == 3


def test_the_last_complete_version_is_current_and_the_one_before_is_the_previous(
    kept: History, directory: Path
) -> None:
    first, second = complete(kept, at=1.0), complete(kept, at=2.0)
    kept.add(version(), "{}")

    found = History.open(directory)

    assert found.current is not None
    assert found.current.version.number == second
    assert found.previous is not None
    assert found.previous.version.number == first
    assert states(found) == ["replaced", "current", "failed"]
    assert found.versions()[2].reason == "the engine ended before it was complete"


def test_going_back_makes_the_version_that_was_left_the_previous_one(kept: History) -> None:
    first, second, third = complete(kept, at=1.0), complete(kept, at=2.0), complete(kept, at=3.0)

    kept.settle(first, "current", at=4.0)

    assert states(kept) == ["current", "replaced", "replaced"]
    assert kept.previous is not None
    assert kept.previous.version.number == third
    assert kept.find(second) is not None


def test_who_rolls_back_means_what_was_before_the_numbers_of_instances(kept: History) -> None:
    first = complete(kept, text=OTHER, at=1.0)
    complete(kept, at=2.0)
    for at in (3.0, 4.0):
        of = kept.add(version("scale", f"metadata.instance={at:.0f}"), TEXT)
        kept.settle(of.version.number, "current", at=at)

    assert kept.previous is not None
    assert kept.previous.version.number == first


def test_versions_that_differ_in_their_files_alone_are_not_passed_over(kept: History) -> None:
    for at, files in enumerate(("a1", "a2", "a3")):
        kept.settle(kept.add(version(), TEXT).version.number, "current", at=at + 1.0, held=(files, False))
    scaled = kept.add(version("scale", "metadata.instance=2"), TEXT).version.number
    kept.settle(scaled, "current", at=4.0, held=("a3", False))

    assert kept.previous is not None
    assert (kept.previous.version.number, kept.files_wanted) == (2, ("a2", "a3"))


def test_a_version_that_failed_leaves_the_current_one_alone(kept: History, directory: Path) -> None:
    first = complete(kept)
    kept.settle(kept.add(version(), "{}").version.number, "failed", "not ready")

    found = History.open(directory)

    assert found.current is not None
    assert found.current.version.number == first
    assert (found.versions()[1].state, found.versions()[1].reason) == ("failed", "not ready")


def test_text_and_overrides_come_back_as_they_were(kept: History, directory: Path) -> None:
    text = '{"name": "\u00fc\\u0000", "token": "s\U0001f600"}\n'
    kept.add(version("update", "metadata.instance=3", "token=x y"), text)

    one = History.open(directory).find(1)

    assert one is not None
    assert (one.text, one.version.overrides) == (text, ("metadata.instance=3", "token=x y"))
    assert one.version.digest == digest(text, ("metadata.instance=3", "token=x y"))


def test_files_with_secrets_are_for_the_owner_alone(kept: History, directory: Path) -> None:
    complete(kept)

    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_start_with_the_file_of_the_last_start_goes_on_with_what_it_was_updated_to(kept: History) -> None:
    complete(kept, "start")
    updated = complete(kept, "update", "{}")

    found = kept.resumable(TEXT, ())

    assert found is not None
    assert found.version.number == updated


def test_a_start_with_another_file_or_other_flags_is_new(kept: History) -> None:
    complete(kept, "start")
    complete(kept, "update", "{}")

    assert kept.resumable(OTHER, ()) is None
    assert kept.resumable(TEXT, ("metadata.instance=2",)) is None


def left(of: History, text: str, overrides: tuple[str, ...] = ()) -> int:
    found = of.left(text, overrides)
    return found.version.number if found is not None else 0


def test_a_file_that_was_edited_in_place_and_gone_back_from_is_not_taken(
    kept: History, directory: Path
) -> None:
    first, second = complete(kept, "start", at=1.0), complete(kept, "update", OTHER, at=2.0)
    assert left(kept, OTHER) == 0
    kept.settle(first, "current", at=3.0)

    found = History.open(directory)

    assert [one.rejected for one in found.versions()] == [False, True]
    assert found.resumable(OTHER, ()) == found.current
    assert (left(found, OTHER), left(found, "{}"), left(found, TEXT)) == (second, 0, 0)
    assert found.resumable("{}", ()) is None
    assert found.resumable(OTHER, ("metadata.instance=2",)) is None

    kept.settle(second, "current", at=4.0)
    assert [one.rejected for one in kept.versions()] == [False, False]


def test_a_number_of_instances_hides_nothing_that_was_gone_back_from(kept: History) -> None:
    first, second = complete(kept, "start", at=1.0), complete(kept, "update", OTHER, at=2.0)
    scaled = kept.add(version("scale", "metadata.instance=2"), OTHER).version.number
    kept.settle(scaled, "current", at=3.0)
    kept.settle(first, "current", at=4.0)
    again = kept.add(version("scale", "metadata.instance=3"), TEXT).version.number
    kept.settle(again, "current", at=5.0)

    assert left(kept, OTHER) == second
    assert kept.resumable(OTHER, ()) == kept.current


def test_a_number_that_a_promoted_canary_replaces_was_not_gone_back_from(kept: History) -> None:
    complete(kept, "start", at=1.0)
    canary = kept.add(version(), OTHER).version.number
    kept.settle(canary, "trying")
    complete(kept, "scale", at=2.0)
    kept.settle(canary, "current", at=3.0)

    assert [one.rejected for one in kept.versions()] == [False] * 3


def test_what_replaced_a_version_later_on_is_no_reason_to_refuse_its_file(kept: History) -> None:
    complete(kept, "start", at=1.0)
    complete(kept, "update", OTHER, at=2.0)
    complete(kept, "update", "{}", at=3.0)

    assert (left(kept, OTHER), kept.resumable(OTHER, ())) == (0, None)


def test_a_file_that_failed_while_it_was_served_is_not_taken_and_one_of_a_start_is_tried_again(
    kept: History,
) -> None:
    complete(kept, "start")
    kept.settle(kept.add(version("update"), OTHER).version.number, "failed", "not ready")
    assert (left(kept, OTHER), kept.resumable(OTHER, ())) == (2, kept.current)

    kept.settle(kept.begin(version("start"), "{}").version.number, "failed", "not ready")
    assert (left(kept, "{}"), kept.resumable("{}", ())) == (0, None)


def test_a_file_with_the_flags_of_the_start_is_known_by_itself(kept: History) -> None:
    """An update from it had none."""
    first = kept.begin(version("start", "token=x"), TEXT).version.number
    kept.settle(first, "current", at=1.0)
    complete(kept, "update", OTHER, at=2.0)
    kept.settle(first, "current", at=3.0)

    assert (left(kept, OTHER, ("token=x",)), left(kept, OTHER, ("token=y",))) == (2, 0)


def test_what_was_set_beside_a_file_that_was_edited_in_place_outlives_the_engine(kept: History) -> None:
    complete(kept, "start", at=1.0)
    complete(kept, "update", OTHER, at=2.0)
    set_ = kept.add(version("update", "metadata.rpc.keepalive=3"), OTHER).version.number
    kept.settle(set_, "current", at=3.0)

    found = kept.resumable(OTHER, ())

    assert found is not None
    assert found.version.number == set_


def test_only_the_latest_start_counts(kept: History) -> None:
    complete(kept, "start", '{"name": "old"}')
    complete(kept, "start", TEXT)

    assert kept.resumable('{"name": "old"}', ()) is None


def test_a_first_start_that_failed_is_tried_anew(kept: History, directory: Path) -> None:
    kept.add(version("start"), TEXT)

    assert History.open(directory).resumable(TEXT, ()) is None


def test_a_start_that_failed_after_one_that_held_is_not_gone_on_from(kept: History, directory: Path) -> None:
    complete(kept, "start", '{"name": "old"}')
    kept.begin(version("start"), TEXT)

    assert History.open(directory).resumable(TEXT, ()) is None


def test_a_start_that_is_tried_again_and_again_stays_one_version(kept: History, directory: Path) -> None:
    numbers = [History.open(directory).begin(version("start"), TEXT).version.number for _ in range(3)]

    assert numbers == [1, 1, 1]
    assert History.open(directory).begin(version("start"), "{}").version.number == 2


def test_an_override_takes_the_place_of_an_earlier_one_of_its_key() -> None:
    one = Kept(version("update", "token=a", "metadata.instance=2", "labels.b=c"), TEXT)

    assert one.overrides_with("metadata.instance", 5) == ("token=a", "labels.b=c", "metadata.instance=5")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"number": 1}', '{"number": "1", "overrides": [], "text": ""}', "[" * 100_000],
)
def test_a_file_that_cannot_be_read_is_named_and_the_others_are_there(
    kept: History, directory: Path, text: str
) -> None:
    complete(kept)
    (directory / "000007.json").write_text(text)

    found = History.open(directory)

    assert len(found.problems) == 1
    assert "000007.json" in found.problems[0]
    assert states(found) == ["current"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("overrides", [1]),
        ("state", {}),
        ("time", "x"),
        ("source", 5),
        ("replaced_at", "x"),
        ("instances", []),
        ("files", 5),
        ("pinned", "x"),
    ],
)
def test_a_field_of_another_kind_makes_a_file_unreadable_and_not_its_readers(
    kept: History, directory: Path, field: str, value: object
) -> None:
    complete(kept)
    complete(kept)
    path = directory / "000001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))

    assert "000001.json" in History.open(directory).problems[0]
    assert states(History.open(directory)) == ["current"]


def test_the_number_of_a_file_that_cannot_be_read_is_not_given_again(kept: History, directory: Path) -> None:
    """The next version used to be written over it."""
    complete(kept)
    (directory / "000002.json").write_text("{")

    assert complete(History.open(directory)) == 3
    assert (directory / "000002.json").read_text() == "{"


def test_a_file_under_another_number_is_none(kept: History, directory: Path) -> None:
    complete(kept)
    (directory / "000002.json").write_bytes((directory / "000001.json").read_bytes())

    assert "000002.json" in History.open(directory).problems[0]


@pytest.mark.parametrize("text", ["", "x", "9999999", "\u0663", "1" * 60])
def test_a_current_version_that_is_not_there_is_none(kept: History, directory: Path, text: str) -> None:
    complete(kept)
    (directory / "current").write_text(text)

    assert History.open(directory).current is None


def test_the_oldest_go_but_never_the_current_one(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    kept = History.open(directory)
    complete(kept)
    for _ in range(5):
        kept.add(version(), TEXT)

    assert [one.number for one in kept.versions()] == [1, 4, 5, 6]
    assert sorted(path.stem for path in directory.glob("*.json")) == ["000001", "000004", "000005", "000006"]


def test_a_directory_that_cannot_be_one_says_so(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("")

    with pytest.raises(ConfigurationError, match="history"):
        History.open(tmp_path / "history")


def test_what_is_written_is_json_for_people_too(kept: History, directory: Path) -> None:
    complete(kept)

    assert json.loads((directory / "000001.json").read_text())["text"] == TEXT


def test_what_a_version_held_with_is_kept_and_not_known_of_earlier_ones(
    kept: History, directory: Path
) -> None:
    complete(kept)
    assert (kept.versions()[0].files, kept.versions()[0].pinned) == ("", False)

    kept.settle(1, "current", held=("0123456789abcdef", True))
    complete(kept)

    found, _ = History.open(directory).versions()
    assert (found.files, found.pinned, found.state) == ("0123456789abcdef", True, "replaced")

    path = directory / "000001.json"
    fields = {
        key: value for key, value in json.loads(path.read_text()).items() if key not in ("files", "pinned")
    }
    path.write_text(json.dumps(fields))
    assert History.open(directory).versions()[0].files == ""


def test_what_a_version_holds_with_is_known_before_it_is_the_current_one(
    kept: History, directory: Path
) -> None:
    """Else an engine that ends in between goes on with other files than those that it went back to."""
    complete(kept, at=1.0)
    complete(kept, at=2.0)
    (directory / "current").unlink()
    (directory / "current").mkdir()  # stands for a disk that fails just then

    with pytest.raises(ConfigurationError):
        kept.settle(1, "current", at=3.0, held=("0123456789abcdef", True))

    found = History.open(directory).find(1)
    assert found is not None
    assert (found.version.files, found.version.pinned) == ("0123456789abcdef", True)
    assert states(kept) == ["replaced", "current"]


@pytest.mark.parametrize("lost", [(2,), (1, 2)], ids=["after the one before", "before both"])
def test_an_engine_that_ended_while_one_version_took_the_place_of_another_left_one_current(
    kept: History, directory: Path, lost: tuple[int, ...]
) -> None:
    complete(kept, at=1.0)
    kept.add(version(), OTHER)
    before = {number: (directory / f"00000{number}.json").read_bytes() for number in lost}
    kept.settle(2, "current", at=2.0)
    for number, content in before.items():  # as if that hadn't been written any more
        (directory / f"00000{number}.json").write_bytes(content)

    found = History.open(directory)

    assert states(found) == ["replaced", "current"]
    assert found.previous is not None
    assert found.previous.version.number == 1


def test_the_files_of_the_current_version_are_wanted_by_a_start_with_another_one(kept: History) -> None:
    """It is what a rollback goes to then; failed updates may have used other workspaces since."""
    for number, files in enumerate(("one", "", "three", "four"), start=1):
        complete(kept, at=number)
        kept.settle(number, "current", held=(files, False))

    assert kept.files_wanted == ("three", "four")
