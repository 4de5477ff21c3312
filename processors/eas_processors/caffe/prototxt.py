"""What a deploy.prototxt says about a net: its inputs, its blobs, and which layer makes each of them.

OpenCV reads the file, too, but tells neither the inputs nor the names of blobs, and keeps layers for
training, which can't run. So the text is read here: the text format of Protocol Buffers, as far as nets use
it (https://protobuf.dev/reference/protobuf/textformat-spec/), in all three generations of Caffe's schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

_TOKEN = re.compile(
    r"""\#[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | [{}<>\[\]:;,] | [^\s{}<>\[\]:;,"'\#]+""",
    re.VERBOSE,
)
_LAYERS = frozenset(("layer", "layers"))

Fields: TypeAlias = "list[tuple[str, str | Fields]]"
"""A message: names and values in the order of the text."""


@dataclass(frozen=True, slots=True)
class Input:
    """A blob that is fed.

    Attributes:
        name: of the blob.
        shape: as the file says it, batch included; None: it doesn't say.
    """

    name: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        name: as the file says it.
        kind: its type in capital letters without underscores: ``INNERPRODUCT``.
        bottoms: blobs that it takes.
        tops: blobs that it makes.
        fields: all that the file says about it.
    """

    name: str
    kind: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    fields: Fields


@dataclass(frozen=True, slots=True)
class Net:
    """A net as it is deployed.

    Attributes:
        inputs: in the order of the file.
        layers: those that run in the phase TEST, without inputs.
        text: the file without the layers of the phase TRAIN.
    """

    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    text: str

    def outputs(self) -> list[str]:
        """The blobs that no layer takes, in the order in which they are made; what Caffe answers."""
        taken = {bottom for layer in self.layers for bottom in layer.bottoms if bottom not in layer.tops}
        made = dict.fromkeys(top for layer in self.layers for top in layer.tops)
        return [blob for blob in made if blob not in taken]

    def any_size(self) -> bool:
        """Whether images of other sizes may fit: no layer wants so many features, or a pool makes them."""
        fixed = any(layer.kind == "INNERPRODUCT" for layer in self.layers)
        pooled = any(layer.kind == "SPP" or _pools_all(layer) for layer in self.layers)
        return pooled or not fixed


def parse(text: str) -> Net:
    """Read the text of a prototxt.

    Raises:
        ValueError: it isn't one; says the line.
    """
    cut: list[tuple[int, int]] = []
    fields: Fields = []
    for name, value, start, end in _message(_Tokens(text)):
        if name in _LAYERS and isinstance(value, list) and not _deployed(value):
            cut.append((start, end))
        else:
            fields.append((name, value))
    layers = [_layer(value) for name, value in fields if name in _LAYERS and isinstance(value, list)]
    inputs = _old_inputs(fields)
    for layer in layers:
        if layer.kind == "INPUT":
            inputs += _inputs_of(layer)
    kept = text
    for start, end in reversed(cut):
        kept = kept[:start] + kept[end:]
    return Net(tuple(inputs), tuple(layer for layer in layers if layer.kind != "INPUT"), kept)


class _Tokens:
    """The words of a text, with their places; comments are skipped."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._matches = [match for match in _TOKEN.finditer(text) if not match[0].startswith("#")]
        self._at = 0

    @property
    def next(self) -> str:
        """The next word; empty at the end."""
        return self._matches[self._at][0] if self._at < len(self._matches) else ""

    @property
    def start(self) -> int:
        """Where the next word begins."""
        return self._matches[self._at].start() if self._at < len(self._matches) else len(self._text)

    @property
    def end(self) -> int:
        """Where the last word taken ends."""
        return self._matches[self._at - 1].end()

    def take(self) -> str:
        """The next word; ``ValueError`` at the end."""
        word = self.next
        if not word:
            raise ValueError("the prototxt ends in the middle of a message")
        self._at += 1
        return word

    def wrong(self) -> ValueError:
        """What to raise when the next word fits nowhere."""
        line = self._text.count("\n", 0, self.start) + 1
        return ValueError(
            f"line {line} of the prototxt: {repr(self.next) if self.next else 'its end'} is unexpected"
        )


def _message(tokens: _Tokens, closing: str = "") -> Iterator[tuple[str, str | Fields, int, int]]:
    """The fields of a message up to the closing bracket, and where in the text they stand."""
    while tokens.next != closing:
        start = tokens.start
        if not re.fullmatch(r"\w+", tokens.next):
            raise tokens.wrong()
        name = tokens.take()
        if tokens.next == ":":
            tokens.take()
        for value in _values(tokens):
            yield name, value, start, tokens.end
        while tokens.next in {";", ","}:
            tokens.take()


def _values(tokens: _Tokens) -> list[str | Fields]:
    """What stands behind a name: one value, or a list in brackets."""
    if tokens.next != "[":
        return [_value(tokens)]
    tokens.take()
    values: list[str | Fields] = []
    while tokens.next != "]":
        values.append(_value(tokens))
        if tokens.next == ",":
            tokens.take()
    tokens.take()
    return values


def _value(tokens: _Tokens) -> str | Fields:
    """A message, or a word; strings without their quotes, adjacent ones joined."""
    if tokens.next in {"{", "<"}:
        closing = "}" if tokens.take() == "{" else ">"
        fields: Fields = [(name, value) for name, value, _, _ in _message(tokens, closing)]
        tokens.take()
        return fields
    if tokens.next[:1] in {'"', "'"}:
        text = ""
        while tokens.next[:1] in {'"', "'"}:
            text += re.sub(r"\\(.)", r"\1", tokens.take()[1:-1])
        return text
    if not tokens.next or tokens.next in "{}<>[]:;,":
        raise tokens.wrong()
    return tokens.take()


def _texts(fields: Fields, name: str) -> list[str]:
    return [value for key, value in fields if key == name and isinstance(value, str)]


def _messages(fields: Fields, name: str) -> list[Fields]:
    return [value for key, value in fields if key == name and isinstance(value, list)]


def _layer(fields: Fields) -> Layer:
    """A layer; in the oldest schema its name and type are in a message of their own."""
    own = [*fields, *(field for inner in _messages(fields, "layer") for field in inner)]
    kind = "".join(_texts(own, "type")[:1])
    return Layer(
        "".join(_texts(own, "name")[:1]),
        kind.replace("_", "").upper(),
        tuple(_texts(fields, "bottom")),
        tuple(_texts(fields, "top")),
        own,
    )


def _deployed(layer: Fields) -> bool:
    """Whether a layer runs in the phase TEST: included there if anywhere, and not excluded."""
    included = [_texts(rule, "phase") for rule in _messages(layer, "include")]
    excluded = [_texts(rule, "phase") for rule in _messages(layer, "exclude")]
    return (not included or any(phase in ([], ["TEST"]) for phase in included)) and ["TEST"] not in excluded


def _pools_all(layer: Layer) -> bool:
    """Whether a layer pools over the whole image."""
    return any(
        _texts(parameters, "global_pooling") == ["true"]
        for parameters in _messages(layer.fields, "pooling_param")
    )


def _old_inputs(fields: Fields) -> list[Input]:
    """Inputs said outside of layers: names, then a shape each, or four dimensions each."""
    names = _texts(fields, "input")
    shapes = [_dims(shape) for shape in _messages(fields, "input_shape")]
    flat = [int(dim) for dim in _texts(fields, "input_dim")]
    if not shapes and len(flat) == 4 * len(names):
        shapes = [tuple(flat[at : at + 4]) for at in range(0, len(flat), 4)]
    known = dict(zip(names, shapes, strict=False))
    return [Input(name, known.get(name)) for name in names]


def _inputs_of(layer: Layer) -> list[Input]:
    """The inputs of a layer of the type Input: a shape each, or one for all."""
    shapes = [
        _dims(shape) for one in _messages(layer.fields, "input_param") for shape in _messages(one, "shape")
    ]
    if len(shapes) == 1:
        shapes *= len(layer.tops)
    known = dict(zip(layer.tops, shapes, strict=False))
    return [Input(top, known.get(top)) for top in layer.tops]


def _dims(shape: Fields) -> tuple[int, ...]:
    return tuple(int(dim) for dim in _texts(shape, "dim"))
