"""Small models of PyTorch, and the files that people make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

BATCH = torch.export.Dim("batch")
_jit: Any = torch.jit  # without type hints


def scripted(path: Path, model: Any) -> Path:
    _jit.script(model).save(str(path / "model.pt"))
    return path / "model.pt"


def exported(path: Path, model: Any, *example: Any, shapes: Any = None, **named: Any) -> Path:
    program = torch.export.export(model.eval(), example, kwargs=named, dynamic_shapes=shapes)
    torch.export.save(program, path / "model.pt2")
    return path / "model.pt2"


class Perceptron(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.hidden = torch.nn.Linear(6, 16)
        self.dropout = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(self.dropout(torch.relu(self.hidden(x))))
        return y


class Everything(torch.nn.Module):
    """Returns what it gets, with the type that it has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clone()


class Wide(torch.nn.Module):
    """Results of the types that the protocol lacks."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return x.half(), x.to(torch.bfloat16), x > 0


class Narrow(torch.nn.Module):
    def forward(self, x: torch.Tensor, brain: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.where(mask, x + brain.to(torch.float16), x)


class Several(torch.nn.Module):
    def forward(
        self, x: torch.Tensor, y: torch.Tensor | None = None, scale: float = 1.0
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        if y is not None:
            x = x + y
        return x * scale, [x + 1, x + 2]


class Required(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
        return x if y is None else x + y


class Features(torch.nn.Module):
    """Named tensors in, named tensors out; writes into what it gets."""

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        features["a"].mul_(2)
        return {"sum": features["a"] + features["b"], "a": features["a"]}


class Listed(torch.nn.Module):
    def forward(self, parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(parts, 1)


class InPlace(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x[0].add_(1)
        return x


class Constants(torch.nn.Module):
    def forward(self, x: torch.Tensor, times: int, *, mask: torch.Tensor | None = None) -> Any:
        return x * times, None, 2.5


class Nested(torch.nn.Module):
    """A dict of lists."""

    def forward(self, x: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        return {"powers": [x, x * x], "sums": [x + x]}


class Keeps(torch.nn.Module):
    """Answers with what the call before it sent."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.zeros(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.last
        self.last = x
        return before


class Layers(torch.nn.Module):
    """Its second output has as many rows as layers, whatever comes."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2, torch.arange(2.0).reshape(2, 1) + x.sum()


class Fussy(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.size(0) > 3:
            raise ValueError("too many rows")
        assert x.size(0) > 1, "too few rows"
        return x


class Unservable(torch.nn.Module):
    def forward(self, x: torch.Tensor, words: list[str]) -> torch.Tensor:
        return x[: len(words)]


class NoForward(torch.nn.Module):
    @torch.jit.export
    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Images(torch.nn.Module):
    """Takes bytes, and names float32 where it can."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.convolution = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.mean: torch.Tensor
        self.register_buffer("mean", torch.tensor([124.0, 116.0, 104.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = (images.to(torch.float32) - self.mean.view(1, 3, 1, 1)) / 58.0
        y: torch.Tensor = self.norm(self.convolution(x)).mean((2, 3)) + torch.ones(4)
        return y


class Stubborn(torch.nn.Module):
    """Converts to float whatever comes."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(x.float())
        return y
