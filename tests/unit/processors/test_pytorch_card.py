"""How models of PyTorch are called on a card: the card is the processor, and tells what it was asked for."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from support.presets import asked, batch, refusal, started

np: Any = pytest.importorskip("numpy")
torch: Any = pytest.importorskip("torch")
pytest.importorskip("google.protobuf")

from eas_processors.pytorch import Preset, values  # noqa: E402 - needs torch
from eas_processors.pytorch.cards import Card  # noqa: E402
from eas_processors.pytorch.places import Feed  # noqa: E402
from eas_processors.tensors.stacked import Stacked  # noqa: E402
from support import torch_models as models  # noqa: E402
from support.card import ScriptedCard  # noqa: E402
from support.torch_models import BATCH, exported, scripted  # noqa: E402
from support.torch_requests import arrays, loaded, request, rows, said, same  # noqa: E402

SIZES = eas_sdk.Batching(4, sizes=[2, 4])


def on_card(
    card: ScriptedCard, path: Path, config: str = "", *, batching: eas_sdk.Batching | None = None
) -> Preset:
    """The preset as it is where there is a card."""

    class OnCard(Preset):
        device = "gpu"

        def _card(self) -> ScriptedCard:
            return card

    return started(OnCard, path, config, batching=batching)


def perceptron(path: Path) -> Path:
    return exported(path, models.Perceptron(), torch.zeros(2, 6), shapes=({0: BATCH},))


def sent(card: Card, value: Any) -> Any:
    """An input, as it stands on the card."""
    return card._sent(Feed("x", value)).numpy()


def test_answers_are_those_of_the_processor(tmp_path: Path) -> None:
    path = perceptron(tmp_path)
    plain, there = started(Preset, path), on_card(ScriptedCard(), path)
    for count in (0, 1, 2, 7):
        assert asked(there, request(rows(count))) == asked(plain, request(rows(count)))


def test_joined_requests_are_copied_once_together_and_a_thread_waits_once(tmp_path: Path) -> None:
    card = ScriptedCard()
    preset = on_card(card, perceptron(tmp_path), batching=eas_sdk.Batching(8))
    assert card.settled == 1, "no thread's stream waits for the one in which the model was loaded"
    batch(preset, [request(rows(1)), request(rows(2))])  # the proof that outputs follow rows
    batch(preset, [request(rows(3))])
    before, waits = card.pinned_bytes, len(card.finished)
    loaded(preset).copied = 0
    bodies = [request(rows(count, seed=count)) for count in (1, 2, 3)]
    answers = batch(preset, bodies)
    plain = started(Preset, tmp_path / "model.pt2")
    for ours, body in zip(answers, bodies, strict=True):
        np.testing.assert_allclose(arrays(ours)[0], arrays(asked(plain, body))[0], rtol=1e-5, atol=1e-6)
    assert loaded(preset).copied == 6 * 6 * 4  # each body once
    assert card.pinned_bytes - before == 6 * 6 * 4 + 6 * 3 * 4  # the inputs, and the outputs
    assert len(card.finished) - waits == 1


def test_every_thread_has_a_stream_of_its_own(tmp_path: Path) -> None:
    card = ScriptedCard()
    preset = on_card(card, perceptron(tmp_path))
    inside = threading.Barrier(3)
    streams: list[int | None] = []
    inner = loaded(preset)._module

    def model(*given: Any, **named: Any) -> Any:
        inside.wait()  # all three compute at once
        streams.append(card.current)
        return inner(*given, **named)

    loaded(preset)._module = model
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            list(pool.map(lambda seed: asked(preset, request(rows(2, seed=seed))), range(3)))
    assert sorted(map(str, streams)) == ["1", "1", "2", "2", "3", "3"]
    assert card.current is None


def test_what_lies_in_the_arena_is_read_where_it_lies() -> None:
    card = ScriptedCard()
    place = Card(card)
    memory = memoryview(bytearray(4096)).toreadonly()
    inside, across = (np.frombuffer(memory[at : at + 96], np.float32).reshape(4, 6) for at in (1001, 2000))
    place.arena.adopt(memory, 2048)
    assert list(card.registered.values()) == [2048]
    same(sent(place, inside), inside)
    assert (place.copies.bytes, card.pinned_bytes) == (0, 0)
    same(sent(place, across), across)  # it ends behind what is registered
    assert (place.copies.bytes, card.pinned_bytes) == (96, 96)
    same(sent(place, Stacked.of([inside, across, inside], 12)), np.concatenate([inside, across, inside]))
    assert place.copies.bytes == 2 * 96
    place.arena.close()
    assert not card.registered
    sent(place, inside)
    assert place.copies.bytes == 3 * 96


def test_another_arena_takes_the_place_of_the_first() -> None:
    card = ScriptedCard()
    arena = Card(card).arena
    first, second = (memoryview(bytearray(1024)) for _ in range(2))
    arena.adopt(first, 1024)
    arena.adopt(second, 512)
    assert list(card.registered.values()) == [512]
    assert arena.holds(np.frombuffer(second[:512], np.uint8))
    assert not arena.holds(np.frombuffer(first[:512], np.uint8))
    arena.adopt(second, 0)  # a service whose arena may lose its pages
    assert not card.registered


def test_memory_that_cant_be_registered_is_copied_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    card = ScriptedCard()
    card.refusal = "cudaHostRegister: operation not supported (801)"
    place = Card(card)
    memory = memoryview(bytearray(1024))
    place.arena.adopt(memory, 1024)
    x = np.frombuffer(memory[:96], np.float32)
    same(sent(place, x), x)
    assert place.copies.bytes == 96
    assert said(caplog) == [f"large bodies are copied once more on their way to the card: {card.refusal}"]
    place.arena.close()  # nothing to take back


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("lengths", [(5, 5), (5, 3, 1)])
def test_parts_stand_where_joining_in_memory_puts_them(lengths: tuple[int, ...], registered: bool) -> None:
    card = ScriptedCard()
    place = Card(card)
    memory = memoryview(bytearray(range(1, 241)))
    if registered:
        place.arena.adopt(memory, len(memory))
    parts, at = [], 3
    for rows_of_it, length in enumerate(lengths, 1):
        size = rows_of_it * length * 4
        parts.append(np.frombuffer(memory[at : at + size], np.int32).reshape(rows_of_it, length))
        at += size
    stacked = Stacked.of(parts, 8)
    same(sent(place, stacked), stacked.array())
    assert bool(place.copies.bytes) != registered


@pytest.mark.parametrize("dtype", ["float64", "int8", "uint8", "int16", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_every_type_and_shape_gets_there(dtype: str, shape: tuple[int, ...]) -> None:
    x = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    same(sent(Card(ScriptedCard()), x), x)
    same(sent(Card(ScriptedCard()), x.copy(order="F")), x)


def test_a_model_that_raises_leaves_nothing_on_its_way(tmp_path: Path) -> None:
    card = ScriptedCard()
    preset = on_card(card, scripted(tmp_path, models.Fussy()))
    assert "too many rows" in refusal(preset, request(rows(4)))
    assert card.finished == [1]  # the body may be gone from now on


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("The following operation failed in the TorchScript interpreter.\nCUDA error: device"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_what_is_wrong_with_the_card_is_no_refusal(tmp_path: Path, error: Exception) -> None:
    preset = on_card(ScriptedCard(), perceptron(tmp_path))

    def model(*_: object) -> Any:
        raise error

    loaded(preset)._module = model
    (failure,) = preset.process_batch([eas_sdk.Request.build(request(rows(1)))])
    assert failure is error
    model_s_own = RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x5 and 6x16)")
    assert values.refusal(model_s_own) is not model_s_own


def test_graphs_are_captured_at_the_first_call_and_replayed_from_then_on(tmp_path: Path) -> None:
    card = ScriptedCard()
    path = perceptron(tmp_path)
    preset = on_card(card, path, '{"cuda_graphs": true}', batching=SIZES)
    plain = started(Preset, path, batching=SIZES)
    asked(preset, request(rows(1)))
    assert card.captures == [[(4, 3)], [(2, 3)]] * 2  # two lanes, the largest first
    for count in (2, 4, 2):
        replayed = card.replays
        body = request(rows(count, seed=count))
        assert arrays(asked(preset, body))[0].tolist() == pytest.approx(
            arrays(asked(plain, body))[0], rel=1e-5
        )
        assert card.replays == replayed + 1
    three = request(rows(3))
    together = arrays(batch(preset, [three])[0])[0]  # filled up to four
    np.testing.assert_allclose(together, arrays(asked(plain, three))[0], rtol=1e-5, atol=1e-6)
    asked(preset, request(rows(7)))  # larger than any size: without a graph
    assert len(card.captures) == 4


def test_two_threads_use_graphs_at_once_and_a_third_waits_for_a_lane(tmp_path: Path) -> None:
    card = ScriptedCard()
    preset = on_card(card, perceptron(tmp_path), '{"cuda_graphs": true}', batching=SIZES)
    bodies = [request(rows(2, seed=seed)) for seed in range(3)]
    alone = [asked(preset, body) for body in bodies]
    busy: set[int] = set()
    both = threading.Barrier(2)
    replays: list[int] = []

    def in_graph(stream: int) -> None:
        assert stream not in busy, "a graph runs once at a time"
        busy.add(stream)
        replays.append(stream)
        if len(replays) <= 2:
            both.wait()  # the first two are inside together
        busy.discard(stream)

    card.in_graph = in_graph
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda body: asked(preset, body), bodies)) == alone
    assert len(replays) == 3
    assert set(replays[:2]) != {replays[0]}


def test_a_model_that_cant_be_captured_runs_without_graphs_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = ScriptedCard()
    card.uncapturable = RuntimeError("operation not permitted when stream is capturing")
    preset = on_card(card, perceptron(tmp_path), '{"cuda_graphs": true}', batching=SIZES)
    plain = started(Preset, tmp_path / "model.pt2")
    for _ in range(2):
        assert asked(preset, request(rows(2))) == asked(plain, request(rows(2)))
    assert card.replays == 0
    assert said(caplog) == [
        "calls with x [6] are not captured: operation not permitted when stream is capturing"
    ]


def test_clients_cant_fill_the_card_with_graphs(tmp_path: Path) -> None:
    card = ScriptedCard()
    path = exported(
        tmp_path,
        models.Everything(),
        torch.zeros(2, 6),
        shapes=({0: BATCH, 1: torch.export.Dim("width")},),
    )
    preset = on_card(card, path, '{"cuda_graphs": true}', batching=SIZES)
    for width in range(2, 40):
        x = rows(2, width)
        same(arrays(asked(preset, request(x)))[0], x)
    assert len(card.captures) == 16 * 2 * 2


def test_graphs_need_sizes_a_card_and_no_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, config = perceptron(tmp_path), '{"cuda_graphs": true}'
    with pytest.raises(ValueError, match=r'"cuda_graphs" needs rpc.batch_sizes'):
        started(Preset, path, config, batching=eas_sdk.Batching(4))
    started(Preset, path, config, batching=SIZES)
    assert said(caplog) == ["cuda_graphs has no effect: the model runs on the CPU"]
    with pytest.raises(ValueError, match=r"model.pt: cuda_graphs: it takes numbers"):
        on_card(ScriptedCard(), scripted(tmp_path, models.Several()), config, batching=SIZES)


def test_the_log_says_what_was_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = request(rows(2), debug_level=1)
    asked(on_card(ScriptedCard(), perceptron(tmp_path)), body)
    assert f"; 48 bytes of {len(body)} copied in memory\n" in capsys.readouterr().out
