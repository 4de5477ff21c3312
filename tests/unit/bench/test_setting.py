"""A processor's service.json with changes of ours."""

from __future__ import annotations

import json
from pathlib import Path

from eas_bench import places
from eas_bench.machine import Cores
from eas_bench.scenarios.load import Clients
from eas_bench.scenarios.setting import Setting, noise


def setting(directory: Path) -> Setting:
    cores = Cores.of_this_process()
    clients = Clients("wrk", "closed_loop", directory, cores.load)
    return Setting(3, 1.0, clients, cores, ["eas-engine"], directory, lambda _text: None)


def test_changes_are_merged_part_by_part_and_the_rest_stays(tmp_path: Path) -> None:
    path = setting(tmp_path).changed("echo", {"metadata": {"instance": 4, "rpc": {"max_queue_size": 9}}})
    told = json.loads(path.read_text())
    own = json.loads((places.PROCESSORS / "echo" / "service.json").read_text())
    assert told["metadata"]["instance"] == 4
    assert told["metadata"]["rpc"] == {**own["metadata"]["rpc"], "max_queue_size": 9}
    assert told["name"] == own["name"]


def test_the_processor_is_found_from_wherever_the_file_lies(tmp_path: Path) -> None:
    told = json.loads(setting(tmp_path).changed("echo", {}).read_text())
    assert (Path(told["processor_path"]) / told["processor_entry"]).exists()


def test_different_changes_do_not_share_a_file(tmp_path: Path) -> None:
    here = setting(tmp_path)
    one, two = (here.changed("echo", {"metadata": {"instance": number}}) for number in (1, 2))
    assert one != two
    assert json.loads(one.read_text())["metadata"]["instance"] == 1


def test_a_launch_may_have_a_configuration_of_its_own(tmp_path: Path) -> None:
    here = setting(tmp_path)
    assert here.launch(here.cores.every).config is None
    assert here.launch(here.cores.every, tmp_path / "x.json").config == tmp_path / "x.json"


def test_bodies_are_always_the_same_and_hard_to_compress() -> None:
    assert noise(64) == noise(64)
    assert len(noise(602_112)) == 602_112
    assert len(set(noise(4096))) > 200
