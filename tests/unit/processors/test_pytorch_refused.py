"""What the PyTorch preset refuses: requests that do not fit, and files that are no model."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.presets import asked, asked_json, described, refusal, refusal_json, started

np: Any = pytest.importorskip("numpy")
torch: Any = pytest.importorskip("torch")
pytest.importorskip("google.protobuf")

from eas_processors.pytorch import Preset  # noqa: E402 - needs torch
from eas_processors.tensors import dtypes  # noqa: E402
from support import torch_models as models  # noqa: E402
from support.torch_models import BATCH, exported, scripted  # noqa: E402
from support.torch_requests import PROTO, arrays, request, rows, same  # noqa: E402


def test_what_does_not_fit_an_exported_program_names_input_sent_and_wanted(tmp_path: Path) -> None:
    preset = started(Preset, exported(tmp_path, models.Perceptron(), torch.zeros(2, 6), shapes=({0: BATCH},)))
    assert refusal(preset, request(rows(2, 5))) == (
        "input 'x': sent DT_FLOAT [2, 5], the model wants DT_FLOAT [-1, 6]"
    )
    assert "sent DT_DOUBLE [2, 6]" in refusal(preset, request(rows(2).astype(np.float64)))
    assert "2 inputs were sent, the model takes 1: 'x'" in refusal(preset, request(rows(2), rows(2)))


def test_constants_of_an_export_are_not_the_clients_business(tmp_path: Path) -> None:
    preset = started(Preset, exported(tmp_path, models.Constants(), torch.zeros(2, 6), 3, mask=None))
    assert [one["name"] for one in described(preset)["inputs"]] == ["x"]
    assert "output 1 of the model is NoneType, not a tensor" in refusal(preset, request(rows(2)))
    number, product = arrays(asked(preset, request(rows(2), output_filter=(2, 0))))
    same(number, np.asarray(2.5, np.float32))
    same(product, rows(2) * 3)


def test_errors_of_torchscript_are_said_without_its_traces(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Perceptron()))
    assert refusal(preset, request(rows(2, 5))) == "mat1 and mat2 shapes cannot be multiplied (2x5 and 6x16)"
    assert refusal(preset, request(rows(2).astype(np.float64))) == (
        "mat1 and mat2 must have the same dtype, but got Double and Float"
    )
    fussy = started(Preset, scripted(tmp_path, models.Fussy()))
    assert refusal(fussy, request(rows(4))) == "ValueError: too many rows"
    assert refusal(fussy, request(rows(1))) == "AssertionError: too few rows"
    assert len(arrays(asked(fussy, request(rows(2))))) == 1


def test_whole_numbers_in_json_get_a_hint_and_a_type_that_was_said_none(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Perceptron()))
    told = "mat1 and mat2 must have the same dtype, but got Long and Float"
    hint = " (whole numbers in JSON are int64: write 1.0, or give the dtype)"
    whole = [[1, 2, 3, 4, 5, 6]]
    assert refusal_json(preset, inputs=[whole]) == told + hint
    assert refusal_json(preset, inputs={"x": whole}) == told + hint
    assert refusal_json(preset, inputs=[{"dtype": "DT_INT64", "values": whole}]) == told
    assert refusal(preset, request(np.asarray(whole))) == told
    assert "int64" not in refusal_json(preset, inputs=[[[1.0, 2.0]]])
    assert asked_json(preset, inputs=[{"dtype": "DT_FLOAT", "values": whole}])


def test_strings_are_refused_by_name(tmp_path: Path) -> None:
    preset = started(Preset, scripted(tmp_path, models.Everything()))
    assert "input 'x'" in refusal_json(preset, inputs={"x": ["a"]})
    message = PROTO["PredictRequest"]()
    message.inputs.add(dtype=dtypes.NUMBERS["DT_STRING"], string_val=[b"a"]).array_shape.dim.append(1)
    assert refusal(preset, message.SerializeToString()) == (
        "input 'x': DT_STRING, which PyTorch has no type for"
    )


class Ran:
    """Unpickling it would leave a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    saves: list[Callable[[Path], object]] = [
        lambda path: torch.save(Ran(trace), path),
        lambda path: torch.save(Ran(trace), path, _use_new_zipfile_serialization=False),
        lambda path: path.write_bytes(pickle.dumps(Ran(trace))),
    ]
    for save in saves:
        save(tmp_path / "model.pt")
        with pytest.raises(ValueError, match=r"export it with torch\.jit\.script"):
            started(Preset, tmp_path / "model.pt")
    torch.save(models.Perceptron().state_dict(), tmp_path / "model.pt")
    with pytest.raises(
        ValueError, match=r"model\.pt: it was written by torch\.save: it holds weights without"
    ):
        started(Preset, tmp_path / "model.pt")
    assert not trace.exists()


@pytest.mark.parametrize("part", ["data/sample_inputs/model.pt", "data/weights/weight_0", "opaque"])
def test_pickles_inside_an_exported_program_are_not_loaded(tmp_path: Path, part: str) -> None:
    trace = tmp_path / "ran"
    path = exported(tmp_path, models.Perceptron(), torch.zeros(2, 6))
    torch.save(Ran(trace), tmp_path / "evil.pt")
    with zipfile.ZipFile(path) as good, zipfile.ZipFile(tmp_path / "evil.pt2", "w") as evil:
        for name in good.namelist():
            data = good.read(name)
            if name.endswith(part):
                data = (tmp_path / "evil.pt").read_bytes()
            if name.endswith("weights_config.json") and part == "data/weights/weight_0":
                data = re.sub(rb'"use_pickle": ?false', b'"use_pickle": true', data)
            if name.endswith("constants_config.json") and part == "opaque":
                entry = {
                    "path_name": "opaque_obj_0",
                    "is_param": False,
                    "use_pickle": True,
                    "tensor_meta": None,
                }
                data = json.dumps({"config": {"c": entry}}).encode()
            evil.writestr(name, data)
        evil.writestr("model/data/constants/opaque_obj_0", pickle.dumps(Ran(trace)))
    with pytest.raises(ValueError, match=r"evil\.pt2"):
        started(Preset, tmp_path / "evil.pt2")
    assert not trace.exists()


def test_files_of_other_kinds_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"not a model")
    with pytest.raises(
        ValueError, match=r"^model\.pt: it is neither TorchScript nor torch\.export: export it with"
    ):
        started(Preset, tmp_path / "model.pt")
    broken = scripted(tmp_path, models.Perceptron())
    whole = broken.read_bytes()
    with zipfile.ZipFile(broken) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if not name.endswith("data.pkl")}
    with zipfile.ZipFile(broken, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match=r"^model\.pt can't be loaded: ") as caught:
        started(Preset, broken)
    assert "\n" not in str(caught.value)
    assert whole


def test_models_that_requests_cannot_call_end_the_start(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"model\.pt: requests have tensors only, and can't give words of forward"
    ):
        started(Preset, scripted(tmp_path, models.Unservable()))
    with pytest.raises(ValueError, match=r"model\.pt: it has no forward\(\)"):
        started(Preset, scripted(tmp_path, models.NoForward()))
