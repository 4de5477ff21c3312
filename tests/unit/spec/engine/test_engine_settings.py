"""eas-engine.toml: what is read, what beats what, and every complaint at once with its line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.devices import Gpu
from eas_engine.options import settings_file
from eas_engine.spec import ConfigurationError, Machine
from eas_engine.spec.engine.document import document, main
from eas_engine.spec.engine.environment import option_variable
from eas_engine.spec.engine.keys import OPTIONS, TABLES
from eas_engine.spec.engine.lines import lines
from eas_engine.spec.engine.load import Read, flags, here, load
from eas_engine.spec.engine.settings import EngineSettings, Group
from eas_engine.spec.machine_types import MachineType
from support.pools import machine
from support.repository import ROOT
from support.services import GIB

PAGE = ROOT / "docs" / "settings.md"
NUMA = machine(8, nodes=2)


def read(directory: Path, text: str, environ: Mapping[str, str] | None = None, on: Machine = NUMA) -> Read:
    path = directory / "eas-engine.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, on, environ or {})


def complaints(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(directory, text, environ)
    assert caught.value.source == str(directory / "eas-engine.toml")
    return [str(one) for one in caught.value.problems]


def outcome(environ: Mapping[str, str], path: Path | None = None) -> Read | ConfigurationError:
    try:
        return load(path, NUMA, environ)
    except ConfigurationError as error:
        return error


def test_a_file_of_everything(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
port = 8081
cache_size = "30%"
log_format = "json"

[groups.fast]
cpus = "0-2,7"  # by hand
memory = "4Gi"
priority = 10
[groups."team.slow"]
cpus = [4, 5]
[types]
"ours.small" = { cpu = 2, memory = 4096 }
ours-large.cpu = 4
ours-large.memory = "16Gi"
ours-large.gpu = 1
ours-large.gpu_memory = 16
""",
    )
    assert found.settings.groups == (
        Group("fast", (0, 1, 2, 7), 4 * GIB, 10),
        Group("team.slow", (4, 5), None, 0),
    )
    assert dict(found.settings.types) == {
        "ours.small": MachineType("ours.small", 2, 4096),
        "ours-large": MachineType("ours-large", 4, 16384, 1, 16),
    }
    assert dict(found.settings.options) == {"port": 8081, "cache_size": "30%", "log_format": "json"}
    assert found.settings.source == str(tmp_path / "eas-engine.toml")
    assert found.origins["groups.fast.priority"].line == 9


def test_a_group_of_numa_nodes_has_their_cpus(tmp_path: Path) -> None:
    found = read(tmp_path, "[groups.near]\nnuma = [1]\n[groups.all]\nnuma = '0'\n")
    assert [one.cpus for one in found.settings.groups] == [(4, 5, 6, 7), (0, 1, 2, 3)]


def test_without_file_and_variables_nothing_is_set() -> None:
    assert load(None, NUMA, {"PATH": "/bin"}).settings == EngineSettings()


class TestVariables:
    FILE = 'admin_port = 1\n[groups."team.fast"]\ncpus = "0-3"\npriority = 1\n'

    def test_beat_the_file(self, tmp_path: Path) -> None:
        found = read(
            tmp_path,
            self.FILE,
            {
                "EAS_ADMIN_PORT": "2",
                "EAS_GROUPS__TEAM_FAST__CPUS": "0-1",
                "EAS_GROUPS__NEW__NUMA": "1",
                "EAS_TYPES__T__CPU": "1",
                "EAS_TYPES__T__MEMORY": "1Gi",
                "EAS_HOST": "",
                "EAS_MODEL_PATH": "/somewhere",
            },
        )
        assert found.settings.groups == (Group("team.fast", (0, 1), None, 1), Group("new", (4, 5, 6, 7)))
        assert dict(found.settings.options) == {"admin_port": 2}
        assert found.settings.types["t"] == MachineType("t", 1, 1024)
        assert str(found.origins["groups.team.fast.cpus"]) == "environment: EAS_GROUPS__TEAM_FAST__CPUS"
        assert found.origins["groups.team.fast.priority"].line == 4
        assert found.values["groups.new.numa"] == "1"

    def test_suffice_without_a_file(self) -> None:
        found = load(None, NUMA, {"EAS_GROUPS__FAST__CPUS": "0"})
        assert (found.settings.groups, found.settings.source) == ((Group("fast", (0,)),), "")

    @pytest.mark.parametrize(
        "key",
        [*OPTIONS, *(f"{table}.x.{key}" for table, model in TABLES.items() for key in model.model_fields)],
    )
    def test_are_there_for_every_key(self, key: str) -> None:
        """A value that no key takes is complained of under the key that the variable stands for."""
        table, _, rest = key.partition(".")
        name = option_variable(table) + (f"__{rest.replace('.', '__').upper()}" if rest else "")
        environ = {name: "\0"} if key not in ("host", "admin_host", "cache_size") else {name: "x"}
        found = outcome(environ)
        if isinstance(found, Read):
            assert found.values == {key: "x"}
        else:
            assert any(one.path == key and name in one.message for one in found.problems), found

    def test_that_are_wrong_are_named(self, tmp_path: Path) -> None:
        environ = {
            "EAS_GROUPS__FAST": "0",
            "EAS_GROUPS__TEAM_FAST__CPU": "0",
            "EAS_PORT": "http",
        }
        assert complaints(tmp_path, self.FILE, environ) == [
            "groups.fast: expected EAS_GROUPS__NAME__KEY (given by EAS_GROUPS__FAST)",
            "groups.team.fast.cpu: unknown key, did you mean cpus? (given by EAS_GROUPS__TEAM_FAST__CPU)",
            'port: "http": expected an integer (given by EAS_PORT)',
        ]


def test_every_complaint_comes_at_once_with_its_line(tmp_path: Path) -> None:
    text = """\
prot = 8081
port = 99999
log_format = "xml"
[groups.fast]
cpus = "0-3"
memroy = "4Gi"
[groups.slow]
cpus = "3-5,8-9"
numa = [0]
[groups.far]
numa = [2]
[groups.none]
priority = "high"
[groups.odd]
cpus = "3-1"
[groups.cards]
cpus = "6"
gpus = [0]
[groups.my.own]
cpus = "7"
[types.small]
memory = "much"
[types.card]
cpu = 1
memory = 1
gpu_memory = 16
"""
    assert complaints(tmp_path, text) == [
        'groups.my: which CPUs has it? cpus = "0-3", or numa = [0]',
        "line 1: prot: unknown key, did you mean port?",
        "line 2: port: 99999: expected at most 65535",
        "line 3: log_format: \"xml\": expected 'console' or 'json'",
        "line 6: groups.fast.memroy: unknown key, did you mean memory?",
        "line 7: groups.slow: cpus and numa both say which CPUs it has: give one of them",
        "line 7: groups.slow: CPUs 0-3 are in fast, too",
        "line 11: groups.far.numa: NUMA node 2: this machine has 0-1",
        'line 13: groups.none.priority: "high": expected an integer',
        'line 15: groups.odd.cpus: "3-1": expected numbers and ranges of them, such as "0-3,8"',
        "line 18: groups.cards.gpus: GPU 0: this machine has none, as far as its driver says",
        'line 19: groups.my.own: unknown key; a name with a dot needs quotes: [groups."my.own"]',
        "line 21: types.small.cpu: required, and not set",
        'line 22: types.small.memory: "much": expected a size such as "64Gi", or a number of MB',
        "line 26: types.card.gpu_memory: is that of one GPU, and gpu is 0",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[groups.a]\ncpus = "8-9"', "line 2: groups.a.cpus: CPUs 8-9: this machine has 0-7 for the engine"),
        ('[groups.a]\ncpus = "8"', "line 2: groups.a.cpus: CPU 8: this machine"),
        ("[groups.a]\ncpus = 4", 'line 2: groups.a.cpus: 4: expected text such as "0-3,8", or a list'),
        ("[groups.a]\ncpus = [true]", "expected text such as"),
        ('[groups.a]\ncpus = ""', 'expected numbers and ranges of them, such as "0-3,8"'),
        ('[groups.a]\ncpus = "0-999999999"', "expected numbers and ranges"),
        ('[groups.a]\ncpus = "0"\nmemory = 0', "groups.a.memory: 0: expected more than 0"),
        (
            '[groups.a]\ncpus = "0"\nmemory = "9Gi"\n[groups.b]\ncpus = "1"\nmemory = "8Gi"',
            "groups: 17 GiB of memory for all groups, this machine has 16 GiB",
        ),
        ('[groups."a b"]\ncpus = "0"', "line 1: groups.a b: names are letters, digits, '.', '_' and '-'"),
        ("groups = 3", "line 1: groups: 3: expected an object"),
        ("groups.a = 3", "line 1: groups.a: 3: expected an object"),
        ("a =", "not TOML: Invalid value (at end of document)"),
        ("[groups]\na = , 1", "line 2: column 5: not TOML: Invalid value"),
        ("x = 1\nx = 2", "not TOML: Cannot overwrite a value"),
        ("x = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_complaints(tmp_path: Path, text: str, words: str) -> None:
    assert words in "\n".join(complaints(tmp_path, text))


class TestTheFile:
    def test_that_is_named_must_be_there(self, tmp_path: Path) -> None:
        missing = tmp_path / "no.toml"
        assert settings_file(missing, tmp_path) == missing
        with pytest.raises(ConfigurationError, match=r"no\.toml: there is no such file"):
            load(missing, NUMA, {})

    def test_of_the_state_directory_comes_before_the_machines(self, tmp_path: Path) -> None:
        own, system = tmp_path / "eas-engine.toml", tmp_path / "etc.toml"
        assert settings_file(None, tmp_path, system) is None
        system.touch()
        assert settings_file(None, tmp_path, system) == system
        own.symlink_to(tmp_path / "nowhere")
        assert settings_file(None, tmp_path, system) == own, "a broken link is complained of, not passed over"

    def test_that_cannot_be_read(self, tmp_path: Path) -> None:
        path = tmp_path / "eas-engine.toml"
        path.mkdir()
        with pytest.raises(ConfigurationError, match="can't be read: Is a directory"):
            load(path, NUMA, {})
        path.rmdir()
        path.write_bytes(b"#\n\xff")
        with pytest.raises(ConfigurationError, match=r"line 2: not UTF-8 \(byte 0xff\)"):
            load(path, NUMA, {})
        path.write_bytes(b"#" * (2**20 + 1))
        with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
            load(path, NUMA, {})

    def test_flags_are_read_whatever_else_is_wrong(self, tmp_path: Path) -> None:
        path = tmp_path / "eas-engine.toml"
        path.write_text('port = 1\nadmin_port = "x"\nhots = 1\n[groups.a]\ncpus = "99"\n')
        assert flags(path) == {"port": 1}
        path.write_text("port")
        assert flags(path) == {}
        assert flags(tmp_path / "none") == {}

    def test_here_is_this_machine_with_it(self, tmp_path: Path) -> None:
        cpu = min(os.sched_getaffinity(0))
        (tmp_path / "eas-engine.toml").write_text(f'[groups.one]\ncpus = "{cpu}"\n')
        found = here(None, tmp_path, {"EAS_PORT": "tcp://10.0.0.1:80", "EAS_GROUPS__ONE__PRIORITY": "3"})
        assert found.settings.groups == (Group("one", (cpu,), None, 3),)
        assert found.settings.source == str(tmp_path / "eas-engine.toml")


@given(st.text(max_size=200))
def test_no_text_whatever_is_a_bug(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("settings") / "eas-engine.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    found = outcome({}, path)
    assert isinstance(found, Read) or found.problems


def test_lines_are_those_of_keys_and_not_of_what_looks_like_one() -> None:
    text = '''\
a = """
b = 1
[c]
"""
d = [  # ]
  "e = 1",
  [1, 2],
]
[f."g.h" . i]
j.k = {l = 1}
m = 'it"s'
n = 1
[[o]]
'''
    assert lines(text) == {
        ("a",): 1,
        ("d",): 5,
        ("f", "g.h", "i"): 9,
        ("f", "g.h", "i", "j"): 10,
        ("f", "g.h", "i", "j", "k"): 10,
        ("f", "g.h", "i", "m"): 11,
        ("f", "g.h", "i", "n"): 12,
    }


def test_the_page_in_the_repository_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), (
        "python -m eas_engine.spec.engine.document docs/settings.md"
    )


def test_the_page_has_every_key(tmp_path: Path) -> None:
    assert main([str(tmp_path / "page.md")]) == 0
    text = (tmp_path / "page.md").read_text()
    keys = [*OPTIONS, *(key for model in TABLES.values() for key in model.model_fields)]
    assert [key for key in keys if f"| `{key}` |" not in text] == []


def test_the_example_on_the_page_is_read(tmp_path: Path) -> None:
    text = PAGE.read_text().partition("```toml\n")[2].partition("```")[0]
    found = read(tmp_path, text, on=machine(12, nodes=2)).settings
    assert {one.name: one.cpus for one in found.groups} == {
        "fast": tuple(range(6)),
        "slow": tuple(range(6, 12)),
    }


CARDS = replace(
    NUMA,
    gpus=(
        Gpu("A100 1g.5gb", 1, "MIG-a", "GPU-a"),
        Gpu("A100 1g.5gb", 1, "MIG-b", "GPU-a"),
        Gpu("A10", 1, "GPU-b"),
        Gpu("A10", 1, "GPU-c"),
    ),
)


@pytest.mark.parametrize(
    ("given", "cards"),
    [
        ('"0-1"', ("MIG-a", "MIG-b", "GPU-b")),
        ("[2, 0]", ("MIG-a", "MIG-b", "GPU-c")),
        ('["GPU-c", "MIG-b"]', ("MIG-b", "GPU-c")),
        ('"GPU-a, GPU-c"', ("MIG-a", "MIG-b", "GPU-c")),
        ("[]", ()),
        ('""', ()),
    ],
)
def test_cards_of_a_group(tmp_path: Path, given: str, cards: tuple[str, ...]) -> None:
    path = tmp_path / "eas-engine.toml"
    path.write_text(f'[groups.a]\ncpus = "0"\ngpus = {given}\n[groups.b]\ncpus = "1"\n')
    a, b = load(path, CARDS, {}).settings.groups
    assert (a.cards, b.cards) == (cards, None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("[3]", "groups.a.gpus: GPU 3: this machine has 0 (GPU-a), 1 (GPU-b), 2 (GPU-c)"),
        ('["GPU-x"]', "GPU GPU-x: this machine has 0 (GPU-a)"),
        ("[true]", 'expected numbers such as "0-1" or [0, 1], or UUIDs: ["GPU-5fd4..."]'),
        ("1", "expected numbers such as"),
        ("[-1]", "expected numbers such as"),
        ('[0]\n[groups.b]\ncpus = "1"\ngpus = ["MIG-b"]', "groups.b.gpus: MIG-b is in a, too"),
    ],
)
def test_cards_that_a_group_cannot_have(tmp_path: Path, given: str, words: str) -> None:
    path = tmp_path / "eas-engine.toml"
    path.write_text(f'[groups.a]\ncpus = "0"\ngpus = {given}\n')
    with pytest.raises(ConfigurationError) as caught:
        load(path, CARDS, {})
    assert words in "\n".join(map(str, caught.value.problems))
