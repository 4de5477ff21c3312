"""The models of gpu-check, small and on the processor: exported, served, and called in a loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from support.presets import started
from support.services import MACHINE, read

np: Any = pytest.importorskip("numpy")
torch: Any = pytest.importorskip("torch")

from eas_bench.gpu import card, loop, networks, scenarios, served  # noqa: E402 - need torch
from eas_bench.gpu.scenarios import SCENARIOS  # noqa: E402
from eas_engine.spec.machine import Gpu, Machine  # noqa: E402
from eas_processors.pytorch import Preset  # noqa: E402

GIB = 1 << 30
SMALL: dict[str, Any] = {
    "G1": lambda: networks.Perceptron(width=32, depth=2),
    "G2": lambda: networks.Images(width=4, blocks=(1, 1, 1, 1)),
    "G3": lambda: networks.Texts(width=24, depth=2, heads=2),
}


def answer(preset: Preset, *bodies: bytes) -> list[Any]:
    told = preset.process_batch([eas_sdk.Request.build(body) for body in bodies])
    return [np.frombuffer(bytes(one.body)[128:], np.float32) for one in told]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_model_is_exported_for_any_number_of_rows_and_joins_its_requests(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    torch.manual_seed(0)
    network = SMALL[name]().eval()
    arrays = [array[:1, ..., :96] if name == "G3" else array for array in scenarios.arrays(scenario)[:3]]
    example = torch.from_numpy(np.concatenate([arrays[0][:1]] * 2))
    path = tmp_path / "model.pt2"
    torch.export.save(networks.exported(network, example, longest=512 if scenario.padding else 0), path)
    batching = eas_sdk.Batching(128, padding=scenario.padding)
    preset = started(Preset, path, '{"batched": true}', batching=batching)
    bodies = [scenarios.body(array) for array in arrays]
    answer(preset, *bodies)
    told = answer(preset, *bodies)  # the second time they are joined
    for ours, array in zip(told, arrays, strict=True):
        with torch.inference_mode():
            wanted = network(torch.from_numpy(array)).numpy().reshape(-1)
        np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-4)


def test_padding_changes_no_answer() -> None:
    torch.manual_seed(0)
    network = SMALL["G3"]().eval()
    text = torch.randint(1, 1000, (1, 20))
    padded = torch.nn.functional.pad(text, (0, 30))
    with torch.inference_mode():
        np.testing.assert_allclose(network(padded), network(text), rtol=1e-4, atol=1e-5)


def test_the_architectures_have_the_sizes_they_are_named_for() -> None:
    with torch.device("meta"):
        counts = {
            name: sum(one.numel() for one in kind().parameters())
            for name, kind in (("G2", networks.Images), ("G3", networks.Texts))
        }
    assert counts["G2"] == 25_557_032  # ResNet-50
    assert 108e6 < counts["G3"] < 110e6  # BERT base


def test_the_loop_tries_every_batch_and_tells_the_best(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert loop.told({8: 100.0, 16: 400.0, 32: 300.0}, rows=4) == {
        "batch": 16,
        "rate": 400.0,
        "batch_ms": 10.0,
        "rates": {"8": 100.0, "16": 400.0, "32": 300.0},
    }
    small = scenarios.Scenario(name="G3", title="", rows=1, batches=(1, 2), bodies=3)
    monkeypatch.setitem(SCENARIOS, "G3", small)
    monkeypatch.setitem(networks._MADE, "G3", SMALL["G3"])
    loop.main("G3", "0.01", "cpu")
    assert '"batch": ' in capsys.readouterr().out


def test_texts_of_a_batch_are_filled_up_to_its_longest() -> None:
    calls = loop._calls([np.ones((1, 3), np.int64), np.ones((1, 5), np.int64)], 2)
    assert next(calls).tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_engine_takes_their_services(name: str, tmp_path: Path) -> None:
    model = tmp_path / "model.pt2"
    model.touch()
    machine = Machine(4, 8 * GIB, gpus=(Gpu("Card X", 64 * GIB),), packages=MACHINE.packages)
    half = {"gpu": 0, "gpu_memory": 16, "gpu_core_percentage": 50}
    for changes in (None, half):
        service = scenarios.service(name.lower(), model, SCENARIOS[name], 64, changes)
        loaded = read(tmp_path, service, machine=machine)
        assert loaded.spec.metadata.rpc.batch_rows == 64
    misuser = read(tmp_path, served._misuser(half), machine=machine)
    assert (Path(misuser.spec.processor_path) / misuser.spec.processor_entry).is_file()


def test_a_part_that_fails_on_the_card_is_told_and_so_is_a_warning() -> None:
    def warns() -> None:
        card._LOG.warning("large bodies are copied once more")

    def fails() -> None:
        raise ValueError("no")

    lines: list[dict[str, str]] = []
    told = card.run({"good": lambda: None, "warns": warns, "fails": fails}, lines.append)
    assert lines[0] == dict.fromkeys(told, card.UNTRIED)
    assert {name: why for line in lines for name, why in line.items()} == told
    assert len(lines) == 4
    assert told == {"good": "", "warns": "large bodies are copied once more", "fails": "ValueError: no"}


def test_without_a_card_its_parts_say_so(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    torch.manual_seed(0)
    path = tmp_path / "small.pt2"
    network = networks.Perceptron(width=16, depth=1).eval()
    torch.export.save(networks.exported(network, torch.zeros(2, 1024)), path)
    told = card.run({"answers": card.checks(path)["answers"]})
    assert told["answers"] == "TypeError: the model doesn't run on the card"
