"""``dtype`` and ``compile`` of PyTorch's ``model_config``, with torch itself beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from support.presets import asked, asked_json, batch, described, refusal, started

np: Any = pytest.importorskip("numpy")
torch: Any = pytest.importorskip("torch")
pytest.importorskip("google.protobuf")

from eas_processors.pytorch import Preset  # noqa: E402 - needs torch
from eas_processors.pytorch.archive import NotServed  # noqa: E402
from eas_processors.pytorch.precision import of_input  # noqa: E402
from support import torch_models as models  # noqa: E402
from support.torch_models import BATCH, exported, scripted  # noqa: E402
from support.torch_requests import arrays, loaded, request, rows, same  # noqa: E402

LOW = ["float16", "bfloat16"]


def perceptron(path: Path, kind: str) -> Path:
    if kind == "script":
        return scripted(path, models.Perceptron())
    return exported(path, models.Perceptron(), torch.zeros(2, 6), shapes=({0: BATCH},))


@pytest.mark.parametrize("kind", ["script", "export"])
@pytest.mark.parametrize("dtype", LOW)
def test_the_model_computes_in_the_type_asked_for_and_answers_in_float(
    tmp_path: Path, kind: str, dtype: str
) -> None:
    preset = started(Preset, perceptron(tmp_path, kind), f'{{"dtype": "{dtype}"}}')
    low = getattr(torch, dtype)
    x = torch.from_numpy(rows(4).copy())
    with torch.inference_mode():
        wanted = models.Perceptron().eval().to(low)(x.to(low)).float()
        other = models.Perceptron().eval()(x)
    (ours,) = arrays(asked(preset, request(x.numpy())))
    same(ours, wanted)
    assert not np.array_equal(ours, other)  # it can be told from the model's own type
    np.testing.assert_allclose(ours, other, atol=0.05)
    if kind == "export":
        assert {one["type"] for one in described(preset)["inputs"]} == {"DT_FLOAT"}


@pytest.mark.parametrize("kind", ["script", "export"])
def test_float32_is_what_the_model_was_made_in(tmp_path: Path, kind: str) -> None:
    path = perceptron(tmp_path, kind)
    body = request(rows(3))
    assert asked(started(Preset, path, '{"dtype": "float32"}'), body) == asked(started(Preset, path), body)


@pytest.mark.parametrize("dtype", LOW)
def test_images_are_normalised_on_the_way_in_the_type_asked_for(tmp_path: Path, dtype: str) -> None:
    """The exported graph names float32 three times: a conversion, an assertion, and what it adds."""
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    preset = started(
        Preset, exported(tmp_path, models.Images(), images, shapes=({0: BATCH},)), f'{{"dtype": "{dtype}"}}'
    )
    with torch.inference_mode():
        wanted = models.Images().eval()(images)
    (ours,) = arrays(asked(preset, request(images.numpy())))
    np.testing.assert_allclose(ours, wanted, atol=0.05)
    assert not np.array_equal(ours, wanted)


def test_whole_numbers_and_doubles_stay_what_they_are() -> None:
    for dtype in (torch.int64, torch.uint8, torch.float64, torch.bool):
        assert of_input(dtype, torch.bfloat16) == dtype
    assert of_input(torch.float16, torch.bfloat16) == torch.bfloat16
    assert of_input(torch.float32, None) == torch.float32


def test_a_script_that_names_float_itself_says_so_at_the_call(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Stubborn()), '{"dtype": "bfloat16"}')
    assert "BFloat16" in refusal(preset, request(rows(1)))


def test_joined_requests_in_another_type(tmp_path: Path) -> None:
    path = perceptron(tmp_path, "export")
    alone = started(Preset, path, '{"dtype": "bfloat16"}')
    together = started(Preset, path, '{"dtype": "bfloat16"}', batching=eas_sdk.Batching(8))
    bodies = [request(rows(1 + seed % 3, seed=seed)) for seed in range(6)]
    for ours, body in zip(batch(together, bodies), bodies, strict=True):
        np.testing.assert_allclose(arrays(ours)[0], arrays(asked(alone, body))[0], rtol=0.02, atol=0.02)


def test_another_type_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one of float32, float16, bfloat16"):
        started(Preset, perceptron(tmp_path, "script"), '{"dtype": "half"}')


def test_a_compiled_model_is_compiled_at_the_start_and_answers_the_same(tmp_path: Path) -> None:
    path = perceptron(tmp_path, "export")
    plain, compiled = started(Preset, path), started(Preset, path, '{"compile": true}')
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for count in (2, 5, 1):
        body = request(rows(count))
        np.testing.assert_allclose(
            arrays(asked(compiled, body))[0], arrays(asked(plain, body))[0], rtol=1e-5, atol=1e-6
        )
    new = torch._dynamo.utils.counters["stats"]["unique_graphs"] - before
    assert new <= 1  # for one row, which torch always takes for a number of its own; no others


def test_compile_and_dtype_together(tmp_path: Path) -> None:
    preset = started(Preset, perceptron(tmp_path, "export"), '{"compile": true, "dtype": "bfloat16"}')
    assert len(asked_json(preset, inputs=[rows(1).tolist()])[0][0]) == 3


def test_torchscript_is_not_compiled(tmp_path: Path) -> None:
    with pytest.raises(NotServed, match="takes no TorchScript: leave out compile"):
        started(Preset, perceptron(tmp_path, "script"), '{"compile": true}')


def test_what_cant_be_compiled_ends_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Any:
        def call(*_: object, **__: object) -> Any:
            raise RuntimeError("no compiler is installed")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(NotServed, match=r"model.pt2: it can't be compiled: no compiler is installed"):
        started(Preset, perceptron(tmp_path, "export"), '{"compile": true}')


def test_inference_mode_holds_inside_of_the_model(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Everything()))
    model = loaded(preset)
    seen: list[bool] = []
    inner = model._module

    def watched(**named: Any) -> Any:
        seen.append(torch.is_inference_mode_enabled())
        return inner(**named)

    model._module = watched
    asked(preset, request(rows(1)))
    assert seen == [True]
