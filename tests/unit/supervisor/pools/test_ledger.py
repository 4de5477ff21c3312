"""What engines tell each other, and what becomes of it when one is gone or its file is nonsense."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.assembly import wishes
from eas_engine.devices import Gpu
from eas_engine.errors import ConfigurationError
from eas_engine.spec import cpu_list
from eas_engine.spec.engine.pools import pools_of
from eas_engine.state import StateDirectory
from eas_engine.supervisor.place import Limits, NoPlace, Place, Wishes
from eas_engine.supervisor.pools.claims import Claim
from eas_engine.supervisor.pools.ledger import DIRECTORY, Ledger, survey
from eas_engine.supervisor.pools.placer import LedgerPlacer
from support.pools import machine
from support.services import GIB, python_service, read
from support.wishes import Wishing

Engine = Callable[..., Wishing]
TWO = Limits(cpu=2)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ExitStack]:
    """State directories that are held; closed, an engine's end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def engine(tmp_path: Path, running: ExitStack) -> Engine:
    """An engine's placer; its state directory is held until the test's end."""

    def start(name: str, resource: str = "fast", workspace: str = "", **wishes: Any) -> Wishing:
        running.enter_context(StateDirectory.acquire(tmp_path, name, workspace))
        ledger = Ledger(tmp_path, name, workspace, pause=lambda _: None)
        pools = pools_of(machine(8, {"fast": "0-3", "slow": "4-5"}))
        placer = Wishing(pools, ledger, Wishes(resource=resource, **wishes))
        placer.clear()
        return placer

    return start


def file_of(root: Path, name: str) -> Path:
    return root / DIRECTORY / f"{name}.json"


def outcome(look: Callable[[], object]) -> object:
    try:
        return look()
    except ConfigurationError as error:
        return error


def reason(found: Place | NoPlace) -> str:
    assert isinstance(found, NoPlace), found
    return found.reason


def test_two_services_share_a_group(engine: Engine, tmp_path: Path) -> None:
    digits, resnet = engine("digits"), engine("resnet", workspace="team")
    assert digits.place("digits-0", TWO) == Place(cpus=(0, 1), group="fast")
    assert resnet.place("resnet-0", TWO) == Place(cpus=(2, 3), group="fast")
    assert reason(digits.place("digits-1", Limits(cpu=1))) == (
        "needs 1 CPU; group fast: 4, of which team/resnet-0 has 2, digits-0 has 2"
    )
    resnet.leave("resnet-0")
    assert digits.place("digits-1", Limits(cpu=1)) == Place(cpus=(2,), group="fast")
    claims, problems = survey(tmp_path)
    assert [(one.label, one.cpu) for one in claims] == [("digits-0", 2000), ("digits-1", 1000)]
    assert problems == []


def test_an_instance_keeps_the_place_that_it_has(engine: Engine) -> None:
    placer = engine("digits")
    first = placer.place("digits-0", TWO)
    assert placer.place("digits-0", Limits(cpu=4)) == first
    placer.wishes = Wishes(resource="slow")
    assert placer.place("digits-0", TWO) == first
    assert placer.place("digits-1", TWO) == Place(cpus=(4, 5), group="slow")


def test_leaving_twice_is_leaving_once(engine: Engine) -> None:
    placer = engine("digits")
    placer.place("digits-0", TWO)
    placer.leave("digits-0")
    placer.leave("digits-0")
    placer.leave("nobody")
    assert placer.claims == ()


def test_best_effort_and_no_cpu_count_for_nothing_but_memory(engine: Engine) -> None:
    placer = engine("digits", resource="")
    for number in range(5):
        limits = Limits(cpu=2, best_effort=True) if number % 2 else Limits()
        assert isinstance(placer.place(f"digits-{number}", limits), Place)
    assert isinstance(placer.place("digits-5", replace(TWO, memory=16 * GIB)), Place)
    assert "needs 1 GiB of memory" in reason(placer.place("digits-6", Limits(best_effort=True, memory=GIB)))


def test_one_more_may_be_tried_in_a_group_of_choice(engine: Engine) -> None:
    """What rebalancing does: the probe is placed first, and the supervisor's own question finds it so."""
    placer = engine("digits", resource="fast", rebalancing=True)
    assert [one.name for one in placer.choices(placer.wishes)] == ["fast", "slow", ""]
    slow = placer.choices(placer.wishes)[1:2]
    assert placer.place("digits-7", TWO, choices=slow) == Place(cpus=(4, 5), group="slow")
    assert placer.place("digits-7", TWO) == Place(cpus=(4, 5), group="slow")
    assert isinstance(placer.place("digits-8", TWO, choices=slow), NoPlace)
    assert [one.instance for one in placer.claims] == ["digits-7"]


class TestAnEngineThatIsGone:
    def test_its_claims_are_void_and_its_file_goes(
        self, engine: Engine, running: ExitStack, tmp_path: Path
    ) -> None:
        gone = engine("gone")
        gone.place("gone-0", Limits(cpu=4))
        running.close()
        other = engine("other")
        assert survey(tmp_path) == ([], []), "who only looks sees the same"
        assert file_of(tmp_path, "gone").exists(), "and deletes nothing"
        assert isinstance(other.place("other-0", Limits(cpu=4)), Place)
        assert not file_of(tmp_path, "gone").exists()

    def test_it_starts_anew_with_nothing(self, engine: Engine, running: ExitStack) -> None:
        engine("digits").place("digits-0", Limits(cpu=4))
        running.close()
        again, other = engine("digits"), engine("other")
        assert again.claims == ()
        assert isinstance(other.place("other-0", Limits(cpu=4)), Place)

    def test_nonsense_that_it_left_is_deleted_unread(self, engine: Engine, tmp_path: Path) -> None:
        placer = engine("digits")
        for name in ("gone", "team@gone", "@", "..@..", "a@b@c", "GONE x"):
            file_of(tmp_path, name).write_text("{")
        assert isinstance(placer.place("digits-0", TWO), Place)
        assert [path.name for path in (tmp_path / DIRECTORY).glob("*.json")] == ["digits.json"]

    def test_its_pid_means_nothing(self, engine: Engine, running: ExitStack, tmp_path: Path) -> None:
        """The kernel may have given the number to another process; only the lock counts."""
        engine("gone").place("gone-0", Limits(cpu=4))
        running.close()
        (tmp_path / "gone" / "lock").write_text(str(os.getpid()))
        assert isinstance(engine("other").place("other-0", Limits(cpu=4)), Place)


CLAIM = Claim(service="bad", instance="bad-0", cpu=1000, within=(0, 1)).as_data()


class TestFilesThatCannotBeRead:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            "7",
            "null",
            '"text"',
            "[" * 100_000,
            '{"version": 1}',
            '{"version": 2, "claims": []}',
            '{"version": 1, "claims": 5}',
            '{"version": 1, "claims": [5]}',
            '{"version": 1, "claims": [{}]}',
            "\x00",
            *(
                json.dumps({"version": 1, "claims": [{**CLAIM, key: value}]})
                for key, value in {
                    "instance": "a\nb",
                    "cpu": -1,
                    "memory": "much",
                    "within": "0-99999",
                    "cpus": [1],
                    "node": [],
                    "alone": "yes",
                    "shares_memory": None,
                    "group": 3,
                }.items()
            ),
        ],
    )
    def test_are_named_and_nothing_is_placed_beside_them(
        self, engine: Engine, tmp_path: Path, text: str
    ) -> None:
        placer, bad = engine("digits"), engine("bad")
        file_of(tmp_path, "bad").write_text(text)
        said = reason(placer.place("digits-0", TWO))
        assert said.startswith(f"{file_of(tmp_path, 'bad')} can't be read (")
        assert "nobody knows what bad has of this machine; restart that engine" in said
        assert survey(tmp_path) == ([], [said])
        bad.place("bad-0", Limits(cpu=1))  # its next change writes the file anew
        assert isinstance(placer.place("digits-0", TWO), Place)

    def test_things_that_are_no_files(self, engine: Engine, tmp_path: Path) -> None:
        placer, _ = engine("digits"), engine("bad")
        path = file_of(tmp_path, "bad")
        path.unlink()
        path.mkdir()
        assert str(path) in reason(placer.place("digits-0", TWO))
        path.rmdir()
        os.mkfifo(path)
        assert "isn't a regular file" in reason(placer.place("digits-0", TWO))
        path.unlink()
        path.symlink_to(file_of(tmp_path, "digits"))
        assert str(path) in reason(placer.place("digits-0", TWO))
        path.unlink()
        path.write_text(" " * 2**20 + " ")
        assert "larger than" in reason(placer.place("digits-0", TWO))

    @given(st.text(max_size=30) | st.from_regex(r'\{"version": 1, "claims": \[.*\]\}'))
    def test_no_text_whatever_ends_the_engine(
        self, tmp_path_factory: pytest.TempPathFactory, text: str
    ) -> None:
        root = tmp_path_factory.mktemp("root")
        with StateDirectory.acquire(root, "digits"), StateDirectory.acquire(root, "bad"):
            ledger = Ledger(root, "digits")
            ledger.write([])
            file_of(root, "bad").write_text(text, encoding="utf-8", errors="replace")
            with ledger.held():
                found = outcome(ledger.others)
            assert found == [] or "can't be read" in str(found)


def test_a_directory_that_cannot_be_used_is_told(engine: Engine, tmp_path: Path) -> None:
    placer = engine("digits")
    for path in (tmp_path / DIRECTORY).iterdir():
        path.unlink()
    (tmp_path / DIRECTORY).rmdir()
    (tmp_path / DIRECTORY).write_text("")
    assert str(tmp_path / DIRECTORY) in reason(placer.place("digits-0", TWO))
    assert placer.claims == (), "what others don't know of isn't had"


def test_who_holds_the_ledger_for_too_long_is_named_and_not_waited_for(
    engine: Engine, tmp_path: Path
) -> None:
    placer = engine("digits")
    with (tmp_path / DIRECTORY / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert f"another engine (pid {os.getpid()}) is deciding" in reason(placer.place("digits-0", TWO))
    assert isinstance(placer.place("digits-0", TWO), Place)


def test_what_could_not_be_given_back_is_with_the_next_change(engine: Engine, tmp_path: Path) -> None:
    placer = engine("digits")
    placer.place("digits-0", TWO)
    directory, aside = tmp_path / DIRECTORY, tmp_path / "aside"
    directory.rename(aside)
    directory.write_text("in the way")
    placer.leave("digits-0")
    directory.unlink()
    aside.rename(directory)
    assert [one.instance for one in survey(tmp_path)[0]] == ["digits-0"], "the ledger doesn't know yet"
    placer.leave("digits-0")
    assert survey(tmp_path) == ([], [])


def test_an_instance_that_counts_for_nothing_starts_although_nothing_can_be_written(
    engine: Engine, tmp_path: Path
) -> None:
    """A full disk used to keep a service that was asleep from waking."""
    placer = engine("digits", resource="")
    file_of(tmp_path, "digits").unlink()
    file_of(tmp_path, "digits").mkdir()  # in the way of what would be written

    assert isinstance(placer.place("digits-0", TWO), NoPlace)
    assert isinstance(placer.place("digits-1", Limits()), Place)

    file_of(tmp_path, "digits").rmdir()
    assert isinstance(placer.place("digits-0", TWO), Place)
    assert [one.instance for one in survey(tmp_path)[0]] == ["digits-1", "digits-0"]


def test_a_placer_is_made_of_what_was_read(tmp_path: Path) -> None:
    content = python_service(
        metadata={"resource": "slow", "workspace_id": "team", "scheduling.spread.policy": "host"}
    )
    loaded = read(tmp_path, content, machine=machine(8, {"fast": "0-3", "slow": "4-5"}))
    with StateDirectory.acquire(tmp_path, "demo", "team"):
        placer = LedgerPlacer.of(loaded, tmp_path)
        assert wishes(loaded.spec) == Wishes(resource="slow", spread="host")
        assert placer.place("demo-0", TWO, wishes(loaded.spec)) == Place(cpus=(4, 5), group="slow")
        assert file_of(tmp_path, "team@demo").exists()


CLAIMS = st.builds(
    Claim,
    service=st.just("s"),
    workspace=st.just("w"),
    instance=st.from_regex(r"[a-z]{1,9}-[0-9]{1,3}", fullmatch=True),
    cpu=st.integers(0, 10**7),
    memory=st.integers(0, 2**50),
    group=st.from_regex(r"[a-z]{0,9}", fullmatch=True),
    within=st.sets(st.integers(0, cpu_list.HIGHEST)).map(sorted).map(tuple),
    shares_memory=st.booleans(),
    cpus=st.sets(st.integers(0, cpu_list.HIGHEST)).map(sorted).map(tuple),
    node=st.none() | st.integers(0, 64),
    alone=st.booleans(),
    cards=st.lists(st.from_regex(r"GPU-[0-9a-f]{8}", fullmatch=True), max_size=3).map(tuple),
    gpu_memory=st.integers(0, 2**40),
    gpu_percent=st.integers(0, 100),
)


@given(CLAIMS)
def test_what_is_written_is_what_is_read(claim: Claim) -> None:
    assert Claim.from_data(json.loads(json.dumps(claim.as_data())), "s", "w") == claim


class TestCards:
    """Services that share cards, each with its own engine."""

    @pytest.fixture
    def placers(self, tmp_path: Path, running: ExitStack) -> Callable[..., LedgerPlacer]:
        gpus = tuple(Gpu("A10", 24 << 30, f"GPU-{one}") for one in range(2))

        def start(name: str, shared: Callable[[Collection[str]], None] | None = None) -> LedgerPlacer:
            running.enter_context(StateDirectory.acquire(tmp_path, name))
            pools = pools_of(replace(machine(8), gpus=gpus))
            return LedgerPlacer(pools, Ledger(tmp_path, name, pause=lambda _: None), shared)

        return start

    def test_nobody_gets_what_another_service_has(self, placers: Callable[..., LedgerPlacer]) -> None:
        one, two = placers("one"), placers("two")
        assert one.place("one-0", Limits(gpus=1), Wishes()) == Place(cards=("GPU-0",))
        share = Limits(gpu_memory=8 << 30, gpu_percent=60)
        assert two.place("two-0", share, Wishes()) == Place(cards=("GPU-1",))
        assert reason(one.place("one-1", Limits(gpus=1), Wishes())) == (
            "needs 1 GPU; this machine: 2, of which two-0 has 8 GiB and 60% of one, one-0 has 1"
        )
        two.leave("two-0")
        assert one.place("one-1", Limits(gpus=1), Wishes()) == Place(cards=("GPU-1",))

    def test_who_shares_compute_is_told_before_and_after(self, placers: Callable[..., LedgerPlacer]) -> None:
        told: list[list[str]] = []
        placer = placers("one", lambda cards: told.append(list(cards)))
        placer.place("one-0", Limits(gpu_memory=1 << 30), Wishes())
        placer.place("one-1", Limits(gpu_memory=1 << 30, gpu_percent=50), Wishes())
        placer.leave("one-1")
        assert told == [[], ["GPU-0"], []]

    def test_a_lost_card_takes_the_places_on_it(
        self, placers: Callable[..., LedgerPlacer], tmp_path: Path
    ) -> None:
        placer = placers("one")
        placer.place("one-0", Limits(gpus=1), Wishes())
        placer.place("one-1", Limits(gpus=1), Wishes())
        assert placer.lose("GPU-0") == ("one-0",)
        assert [one.instance for one in survey(tmp_path)[0]] == ["one-1"]
        assert reason(placer.place("one-0", Limits(gpus=1), Wishes())) == (
            "needs 1 GPU; this machine: 1, of which one-1 has 1"
        )
        assert placer.lose("GPU-0") == ()

    def test_a_card_that_is_back_is_given_again_and_others_stay_lost(
        self, placers: Callable[..., LedgerPlacer]
    ) -> None:
        placer = placers("one")
        for card in ("GPU-0", "GPU-1", "GPU-0"):
            placer.lose(card)
        assert reason(placer.place("one-0", Limits(gpus=1), Wishes())) == ("needs 1 GPU; this machine: none")
        placer.regain("GPU-0")
        assert placer.place("one-0", Limits(gpus=1), Wishes()) == Place(cards=("GPU-0",))
        assert [*placer.pools.cards] == ["GPU-0"]
