"""The architectures, with random weights that are always the same. No package of models has a part in it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import torch
from torch import nn

_SEED: Final = 0


class Perceptron(nn.Module):
    """1024 columns, eight hidden layers, 1000 classes; floats."""

    def __init__(self, width: int = 8192, depth: int = 8, columns: int = 1024) -> None:
        super().__init__()
        widths = [columns, *[width] * depth]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1000))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Classes of rows."""
        classes: torch.Tensor = self.layers(rows)
        return classes


class Bottleneck(nn.Module):
    """A block of ResNet-50: 1 x 1, 3 x 3, 1 x 1, and a way around them."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        self.inside = nn.Sequential(
            *_convolution(before, width, 1),
            nn.ReLU(),
            *_convolution(width, width, 3, stride),
            nn.ReLU(),
            *_convolution(width, after, 1),
        )
        same = stride == 1 and before == after
        self.around = nn.Identity() if same else nn.Sequential(*_convolution(before, after, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block."""
        return torch.relu(self.inside(x) + self.around(x))


class Images(nn.Module):
    """Shaped like ResNet-50 (3, 4, 6 and 3 blocks); takes bytes and normalises them itself."""

    def __init__(self, width: int = 64, blocks: tuple[int, ...] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.register_buffer("mean", torch.tensor([123.7, 116.3, 103.5]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([58.4, 57.1, 57.4]).view(1, 3, 1, 1))
        layers: list[nn.Module] = [*_convolution(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        before = width
        for stage, count in enumerate(blocks):
            inside = width << stage
            for block in range(count):
                layers.append(Bottleneck(before, inside, 2 if stage and not block else 1))
                before = 4 * inside
        self.layers = nn.Sequential(*layers)
        self.classes = nn.Linear(before, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Classes of images of uint8, channels first."""
        x = (images.to(self.mean.dtype) - self.mean) / self.deviation
        classes: torch.Tensor = self.classes(self.layers(x).mean((2, 3)))
        return classes


class Layer(nn.Module):
    """A layer of an encoder: attention to what isn't padding, and two linear layers."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.all = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.between = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """The layer; ``seen``: which tokens are no padding."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.all(x).chunk(3, -1)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        x = self.first(x + self.out(mixed.transpose(1, 2).flatten(2)))
        y: torch.Tensor = self.second(x + self.between(x))
        return y


class Texts(nn.Module):
    """Shaped like BERT base (12 layers, 768, 12 heads); token 0 is padding."""

    def __init__(self, width: int = 768, depth: int = 12, heads: int = 12) -> None:
        super().__init__()
        self.tokens = nn.Embedding(30_522, width, padding_idx=0)
        self.positions = nn.Embedding(512, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.classes = nn.Linear(width, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Two classes, by the first token of each text."""
        here = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.norm(self.tokens(tokens) + self.positions(here))
        seen = (tokens != 0)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, seen)
        classes: torch.Tensor = self.classes(x[:, 0])
        return classes


def _convolution(before: int, after: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return (
        nn.Conv2d(before, after, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(after),
    )


_MADE: Final[dict[str, Callable[[], nn.Module]]] = {"G1": Perceptron, "G2": Images, "G3": Texts}


def made(name: str) -> nn.Module:
    """The network of a scenario, ready to be called."""
    torch.manual_seed(_SEED)
    return _MADE[name]().eval()


def exported(network: nn.Module, example: torch.Tensor, *, longest: int = 0) -> Any:
    """The network for any number of rows.

    Args:
        network: ready to be called.
        example: its input, of two rows.
        longest: how long dimension 1 may be; 0: it is as long as that of the example.
    """
    shape = {0: torch.export.Dim("rows", max=1 << 16)}
    if longest:
        shape[1] = torch.export.Dim("length", max=longest)
    return torch.export.export(network, (example,), dynamic_shapes=(shape,))
