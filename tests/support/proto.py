"""Message classes of google.protobuf made from the .proto files in processors/, without protoc.

Reads the small part of the language that those files use: messages, enums, maps, ``packed``.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest

_FIELD = re.compile(
    r"(?P<label>repeated |optional )?(?P<type>map<string, \w+>|\w+) (?P<name>\w+) = (?P<number>\d+)"
    r"(?P<packed> \[packed = true\])?;"
)
_VALUE = re.compile(r"(\w+) = (\d+);")


def messages(name: str) -> dict[str, Any]:
    """The message classes of one file by name; skips the test where google.protobuf isn't installed."""
    pool = pytest.importorskip("google.protobuf.descriptor_pool").DescriptorPool()
    factory = pytest.importorskip("google.protobuf.message_factory")
    file = _file(name)
    pool.Add(file)
    prefix = f"{file.package}." if file.package else ""
    return {
        message.name: factory.GetMessageClass(pool.FindMessageTypeByName(prefix + message.name))
        for message in file.message_type
    }


def _file(name: str) -> Any:
    """The ``FileDescriptorProto`` of a file."""
    source = files("eas_processors").joinpath("proto", name).read_text()
    source = re.sub(r"//.*", "", source)
    file = pytest.importorskip("google.protobuf.descriptor_pb2").FileDescriptorProto(name=name)
    file.syntax = _only(re.findall(r'syntax = "(\w+)";', source))
    file.package = "".join(re.findall(r"package ([\w.]+);", source))
    for kind, title, body in re.findall(r"(message|enum) (\w+) \{(.*?)\}", source, re.DOTALL):
        if kind == "enum":
            enum = file.enum_type.add(name=title)
            for value, number in _VALUE.findall(body):
                enum.value.add(name=value, number=int(number))
            assert not _VALUE.sub("", body).strip(), body
        else:
            message = file.message_type.add(name=title)
            for field in _FIELD.finditer(body):
                _add_field(message, file, field)
            assert not _FIELD.sub("", body).strip(), body
    return file


def _only(found: list[str]) -> str:
    (one,) = found
    return one


def _add_field(message: Any, file: Any, match: re.Match[str]) -> None:
    field = message.field.add(name=match["name"], number=int(match["number"]))
    field.label = field.LABEL_REPEATED if match["label"] == "repeated " else field.LABEL_OPTIONAL
    kind = match["type"]
    if match["packed"]:
        field.options.packed = True
    scope = f".{file.package}." if file.package else "."
    if kind.startswith("map<"):
        entry = message.nested_type.add(name=match["name"].title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
        value = kind.removeprefix("map<string, ").removesuffix(">")
        entry.field.add(
            name="value",
            number=2,
            label=field.LABEL_OPTIONAL,
            type=field.TYPE_MESSAGE,
            type_name=scope + value,
        )
        field.label, field.type = field.LABEL_REPEATED, field.TYPE_MESSAGE
        field.type_name = f"{scope}{message.name}.{entry.name}"
    elif hasattr(field, f"TYPE_{kind.upper()}"):
        field.type = getattr(field, f"TYPE_{kind.upper()}")
    else:
        enums = {enum.name for enum in file.enum_type}
        field.type = field.TYPE_ENUM if kind in enums else field.TYPE_MESSAGE
        field.type_name = scope + kind
