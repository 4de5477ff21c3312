"""PyTorch models through the preset, compared bit by bit with calling torch itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from support.presets import asked, asked_json, batch, described, refusal, started

np: Any = pytest.importorskip("numpy")
torch: Any = pytest.importorskip("torch")
pytest.importorskip("google.protobuf")

from eas_processors.pytorch import Preset, values  # noqa: E402 - needs torch
from eas_processors.pytorch.places import Feed  # noqa: E402
from support import torch_models as models  # noqa: E402
from support.torch_models import BATCH, exported, scripted  # noqa: E402
from support.torch_requests import arrays, loaded, request, rows, said, same  # noqa: E402


def two_rows_at(offset: int) -> Any:
    """So many bytes behind a multiple of 64."""
    memory = np.zeros(256, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    x = memory[start : start + 48].view(np.float32).reshape(2, 6)
    x[...] = rows(2)
    return x


@pytest.mark.parametrize("kind", ["script", "trace", "export"])
def test_results_are_those_of_torch_itself_bit_by_bit(tmp_path: Path, kind: str) -> None:
    model = models.Perceptron()
    if kind == "script":
        path = scripted(tmp_path, model)  # in training mode: served in evaluation mode, without dropout
    elif kind == "trace":
        path = tmp_path / "model.pt"
        torch.jit.trace(model.eval(), torch.zeros(2, 6)).save(str(path))
    else:
        path = exported(tmp_path, model, torch.zeros(2, 6), shapes=({0: BATCH},))
    preset = started(Preset, path)
    for count in (1, 2, 7, 0):
        x = rows(count)
        with torch.inference_mode():
            wanted = model.eval()(torch.from_numpy(x).clone())  # in memory of torch's own
        (ours,) = arrays(asked(preset, request(x)))
        same(ours, wanted)
        (ours,) = arrays(asked(preset, request(x=x)))
        same(ours, wanted)


def test_the_answer_doesnt_depend_on_where_the_body_lies(tmp_path: Path) -> None:
    """MKL sums in another order where memory is aligned to 4 bytes only."""
    preset = started(Preset, scripted(tmp_path, models.Perceptron()))
    for count in (1, 2, 3):
        body = request(rows(count))
        answers = set()
        for offset in range(64):
            memory = memoryview(bytearray(len(body) + 64))[offset : offset + len(body)]
            memory[:] = body
            answers.add(bytes(asked(preset, memory)))
        assert len(answers) == 1


@pytest.mark.parametrize("offset", range(0, 64, 4))
def test_where_in_memory_an_input_lies_changes_no_bit_of_what_the_model_sees(offset: int) -> None:
    x = two_rows_at(offset)

    placed = values.tensor(x, "x", torch.device("cpu"), writes=False)

    assert placed.data_ptr() % 64 == 0
    assert (placed.data_ptr() == x.ctypes.data) == (offset == 0)
    same(placed.numpy(), rows(2))


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2), (1, 1, 1, 2)])
def test_every_type_and_shape_of_the_protocol_survives(
    tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    x = np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)
    if dtype.startswith("float"):
        x = x - np.asarray(0.5, dtype)
    preset = started(Preset, scripted(tmp_path, models.Everything()))
    (ours,) = arrays(asked(preset, request(x)))
    same(ours, np.asarray(x))


@pytest.mark.parametrize("kind", ["script", "export"])
def test_half_and_bfloat16_come_as_float_and_bool_as_uint8(tmp_path: Path, kind: str) -> None:
    x = torch.from_numpy(rows(2))
    path = scripted(tmp_path, models.Wide()) if kind == "script" else exported(tmp_path, models.Wide(), x)
    preset = started(Preset, path)
    half, brain, positive = arrays(asked(preset, request(x.numpy())))
    same(half, x.half().float())
    same(brain, x.bfloat16().float())
    same(positive, (x > 0).to(torch.uint8))
    assert asked_json(preset, inputs=[x.tolist()])[2] == (x > 0).to(torch.uint8).tolist()


def test_an_exported_program_takes_float_for_half_and_uint8_for_bool(tmp_path: Path) -> None:
    x, brain, mask = torch.rand(4).half(), torch.rand(4).bfloat16(), torch.tensor([True, False, True, False])
    preset = started(Preset, exported(tmp_path, models.Narrow(), x, brain, mask))
    assert [one["type"] for one in described(preset)["inputs"]] == ["DT_FLOAT", "DT_FLOAT", "DT_UINT8"]
    (ours,) = arrays(
        asked(preset, request(x.float().numpy(), brain.float().numpy(), mask.numpy().view(np.uint8)))
    )
    same(ours, models.Narrow()(x, brain, mask).float())


def test_tuples_and_lists_are_laid_end_to_end_and_the_filter_counts_them(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Several()))
    x = rows(2)
    for ours, wanted in zip(arrays(asked(preset, request(x))), (x, x + 1, x + 2), strict=True):
        same(ours, wanted)
    last, first = arrays(asked(preset, request(x, output_filter=(2, 0))))
    same(last, x + 2)
    same(first, x)
    assert asked_json(preset, inputs=[[1.0]], output_filter=["output_1"]) == [[2.0]]
    assert "unknown output 3; the model has 3 outputs: 0 ('output_0')" in refusal(
        preset, request(x, output_filter=(3,))
    )
    assert "unknown output -1" in refusal(preset, request(x, output_filter=(-1,)))


def test_optional_arguments_and_numbers_by_order_and_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    preset = started(Preset, scripted(tmp_path, models.Several()))
    x = rows(2)
    same(arrays(asked(preset, request(x, x)))[0], x + x)
    two = np.asarray(2.0, np.float32)
    same(arrays(asked(preset, request(x=x, scale=two)))[0], x * 2)
    assert described(preset)["inputs"] == [
        {"name": "x", "shape": None, "type": ""},
        {"name": "y", "shape": None, "type": ""},
        {"name": "scale", "shape": [], "type": ""},
    ]
    assert "missing inputs: 'x'" in refusal(preset, request(y=x))
    assert "unknown inputs: 'z'" in refusal(preset, request(x=x, z=x))
    assert "4 inputs were sent, the model takes 1 to 3" in refusal(preset, request(x, x, two, x))
    batching = eas_sdk.Batching(8)
    path = f"{tmp_path}/"
    assert (
        not started(Preset, path, batching=batching).model.signature("").batched
    )  # they'd be several numbers
    assert said(caplog) == ["requests are not joined: model.pt takes numbers"]
    assert started(Preset, path, '{"batched": true}', batching=batching).model.signature("").batched
    assert not started(Preset, path, '{"batched": false}', batching=batching).model.signature("").batched
    assert len(said(caplog)) == 1


def test_an_optional_argument_without_a_default_is_none(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Required()))
    same(arrays(asked(preset, request(rows(1))))[0], rows(1))


@pytest.mark.parametrize("kind", ["script", "export"])
def test_a_dict_of_tensors_in_and_out(tmp_path: Path, kind: str) -> None:
    a, b = rows(2, seed=1), rows(2, seed=2)
    if kind == "script":
        path = scripted(tmp_path, models.Features())
    else:
        path = exported(
            tmp_path, models.Features(), {"a": torch.from_numpy(a.copy()), "b": torch.from_numpy(b)}
        )
    preset = started(Preset, path)
    ours = arrays(asked(preset, request(a=a, b=b)))
    assert set(ours) == {"sum", "a"}
    same(ours["sum"], a * 2 + b)
    assert set(arrays(asked(preset, request(a=a, b=b, output_filter=(1,))))) == {"a"}
    answer = asked_json(preset, inputs={"a": a.tolist(), "b": b.tolist()}, output_filter=["sum"])
    assert answer == {"sum": (a * 2 + b).tolist()}


def test_a_dict_of_lists_is_laid_end_to_end_or_refused(tmp_path: Path) -> None:
    x = rows(2)
    preset = started(Preset, exported(tmp_path, models.Nested(), torch.from_numpy(x)))
    assert [one["name"] for one in described(preset)["outputs"]] == ["output_0", "output_1", "output_2"]
    for ours, wanted in zip(arrays(asked(preset, request(x))), (x, x * x, x + x), strict=True):
        same(ours, wanted)
    preset = started(Preset, scripted(tmp_path, models.Nested()))
    assert "output 'powers' of the model is list, not a tensor" in refusal(preset, request(x))


def test_a_model_of_named_inputs_refuses_unnamed_ones(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Features()))
    assert "by name: send map_inputs" in refusal(preset, request(rows(1), rows(1)))


def test_a_list_of_tensors_in(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Listed()))
    x, y = rows(2, 2), rows(2, 3)
    same(arrays(asked(preset, request(x, y)))[0], np.concatenate([x, y], 1))
    assert "a list of unnamed inputs" in refusal(preset, request(x=x))


@pytest.mark.parametrize("kind", ["script", "export"])
def test_a_model_that_writes_into_its_input_does_not_write_into_the_request(
    tmp_path: Path, kind: str
) -> None:
    """The body may be memory that nobody may write to, and a batch that fails is tried again from it."""
    path = (
        scripted(tmp_path, models.InPlace())
        if kind == "script"
        else exported(tmp_path, models.InPlace(), torch.zeros(2, 6))
    )
    preset = started(Preset, path)
    assert loaded(preset)._writes
    x = rows(2)
    body = request(x)
    for _ in range(2):
        ours = arrays(asked(preset, body))[0]
        same(ours, np.concatenate([x[:1] + np.float32(1), x[1:]]))
    assert body == request(x)
    assert not loaded(started(Preset, scripted(tmp_path, models.Perceptron())))._writes


def test_a_model_that_keeps_its_input_keeps_a_copy(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Keeps()))
    memory = bytearray(request(rows(2)))
    asked(preset, memoryview(memory).toreadonly())
    memory[:] = bytes(len(memory))  # the next request's
    same(arrays(asked(preset, request(rows(1))))[0], rows(2))


def test_outputs_with_as_many_rows_as_the_batch_by_chance_are_not_cut(tmp_path: Path) -> None:
    """Two requests of one row, and a model of two layers: the state would have been taken for a batch."""
    path = scripted(tmp_path, models.Layers())
    alone, together = started(Preset, path), started(Preset, path, batching=eas_sdk.Batching(8))
    bodies = [request(rows(1, seed=seed)) for seed in range(2)]
    assert batch(together, bodies) == [asked(alone, body) for body in bodies]
    assert batch(together, bodies) == [asked(alone, body) for body in bodies]


@pytest.mark.filterwarnings("error:The given NumPy array")
def test_the_body_itself_is_the_models_input_where_nothing_is_written(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Everything()))
    x = two_rows_at(0)
    x.flags.writeable = False
    tensor = loaded(preset).place._tensor(Feed("x", x))
    assert tensor.data_ptr() == x.ctypes.data
    unaligned = np.frombuffer(b"x" + x.tobytes(), np.uint8)[1:].view(np.float32)
    assert not unaligned.flags.aligned
    assert loaded(preset).copied == 0
    assert loaded(preset).place._tensor(Feed("x", unaligned)).data_ptr() != unaligned.ctypes.data
    assert loaded(preset).copied == unaligned.nbytes


def test_the_signature_of_an_exported_program(tmp_path: Path) -> None:
    preset = started(Preset, exported(tmp_path, models.Perceptron(), torch.zeros(2, 6), shapes=({0: BATCH},)))
    assert described(preset) == {
        "signature_name": "forward",
        "inputs": [{"name": "x", "shape": [-1, 6], "type": "DT_FLOAT"}],
        "outputs": [{"name": "output_0", "shape": [-1, 3], "type": "DT_FLOAT"}],
    }
    assert preset.model.signature("forward").batched
    with pytest.raises(ValueError, match="unknown signature 'other'"):
        preset.model.signature("other")


def test_many_threads_get_their_own_answers(tmp_path: Path) -> None:
    for path in (
        scripted(tmp_path, models.Perceptron()),
        exported(tmp_path, models.Perceptron(), torch.zeros(2, 6), shapes=({0: BATCH},)),
    ):
        ask = partial(asked, started(Preset, path))
        bodies = [request(rows(1 + seed % 3, seed=seed)) for seed in range(40)]
        alone = [ask(body) for body in bodies]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, bodies)) == alone


@pytest.mark.parametrize("kind", ["script", "export"])
def test_joined_requests_get_what_they_would_get_alone(tmp_path: Path, kind: str) -> None:
    path = (
        scripted(tmp_path, models.Perceptron())
        if kind == "script"
        else exported(tmp_path, models.Perceptron(), torch.zeros(2, 6), shapes=({0: BATCH},))
    )
    alone = started(Preset, path)
    together = started(Preset, path, batching=eas_sdk.Batching(8))
    bodies = [request(rows(1 + seed % 3, seed=seed)) for seed in range(9)]
    bodies.insert(4, request(rows(2, 5)))
    for ours, body in zip(batch(together, bodies), bodies, strict=True):
        if body is bodies[4]:
            assert isinstance(ours, str)
            continue
        # The kernels for one row and for many may round differently in the last bit.
        np.testing.assert_allclose(arrays(ours)[0], arrays(asked(alone, body))[0], rtol=1e-5, atol=1e-6)


def test_a_batch_dimension_that_ends_below_the_batch_size_is_not_joined(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = exported(
        tmp_path, models.Perceptron(), torch.zeros(2, 6), shapes=({0: torch.export.Dim("n", max=8)},)
    )
    assert started(Preset, path, batching=eas_sdk.Batching(8)).model.signature("").batched
    assert not said(caplog)
    assert not started(Preset, path, batching=eas_sdk.Batching(9)).model.signature("").batched
    (text,) = said(caplog)
    assert text.endswith(
        "model.pt2 was exported without a dynamic dimension 0, up to 9, of all inputs and outputs"
    )
    sizes = eas_sdk.Batching(4, sizes=[4, 16])
    assert not started(Preset, path, batching=sizes).model.signature("").batched
    fixed = exported(tmp_path, models.Perceptron(), torch.zeros(2, 6))
    assert not started(Preset, fixed, batching=eas_sdk.Batching(1)).model.signature("").batched


def test_model_config_turns_joining_off_and_sets_threads(tmp_path: Path) -> None:
    path = scripted(tmp_path, models.Perceptron())
    before = torch.get_num_threads()
    try:
        preset = started(Preset, f"{tmp_path}/", '{"batched": false, "intra_op_threads": 2}')
        assert not preset.model.signature("").batched
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 2
        with pytest.raises(ValueError, match="expected at least 1"):
            started(Preset, path, '{"intra_op_threads": 0}')
    finally:
        torch.set_num_threads(before)


def test_a_gpu_that_is_not_there_is_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")

    class OnGpu(Preset):
        device = "gpu"

    preset = started(OnGpu, scripted(tmp_path, models.Perceptron()))
    assert "sees no GPU: the model runs on the CPU (" in caplog.text
    assert torch.version.cuda is not None or "not compiled with CUDA" in caplog.text
    assert arrays(asked(preset, request(rows(1))))
