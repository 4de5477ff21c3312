"""What hosts say, in whatever pieces it comes."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from eas_engine.supervisor.control import (
    MAX_MESSAGE,
    ControlViolation,
    Conversation,
    Failed,
    Hello,
    Message,
    Ready,
    Stopped,
    encode,
    parse,
)
from support.clock import settle


def test_hello_as_the_host_sends_it() -> None:
    said = {
        "type": "hello",
        "pid": 123,
        "python": "3.11.7",
        "kind": "allspark",
        "threads": 5,
        "processes": 1,
        "batch": False,
        "warnings": ["w"],
        "properties": {"rpc.keepalive": 60000},
    }
    assert parse(encode(said)) == Hello("3.11.7", "allspark", 5, 1, False, ("w",), {"rpc.keepalive": "60000"})


def test_the_other_messages() -> None:
    assert parse(b'{"type":"ready","properties":{}}') == Ready({})
    assert parse(b'{"type":"failed","stage":"import","message":"m","traceback":"t"}') == Failed(
        "import", "m", "t"
    )
    assert parse(b'{"type":"stopped"}') == Stopped()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"{}",
        b'{"type":"dance"}',
        b'{"type":["hello"]}',
        b'{"type":"failed"}',
        b'{"type":"hello","threads":"x"}',
        b'{"type":"hello","properties":7}',
        b"\xff\xfe",
    ],
)
def test_nonsense_is_a_violation(line: bytes) -> None:
    with pytest.raises(ControlViolation):
        parse(line)


class Pair:
    """Both ends: a conversation and the socket of whom it talks to."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.heard: list[Message] = []
        self.ends: list[str] = []
        self.conversation = Conversation(ours, self.heard.append, self.ends.append)
        self.conversation.open()


async def test_a_message_in_single_bytes_and_two_in_one_piece() -> None:
    pair = Pair()
    for byte in b'{"type":"stopped"}\n':
        pair.theirs.send(bytes([byte]))
        await settle(3)
    pair.theirs.send(b'{"type":"ready"}\n{"type":"stopped"}\n')
    await settle()
    assert pair.heard == [Stopped(), Ready(), Stopped()]
    pair.conversation.close()
    pair.conversation.close()
    assert pair.ends == []


async def test_hanging_up_is_told_once() -> None:
    pair = Pair()
    pair.theirs.close()
    await settle()
    assert pair.ends == ["the host closed its control socket"]
    pair.conversation.send({"type": "stop"})
    pair.conversation.close()


async def test_a_violation_ends_the_conversation() -> None:
    pair = Pair()
    pair.theirs.send(b'hello\n{"type":"ready"}\n')
    await settle()
    assert pair.heard == []
    assert len(pair.ends) == 1
    assert "not a message" in pair.ends[0]
    pair.conversation.close()


async def test_a_message_without_end_is_a_violation() -> None:
    pair = Pair()
    pair.theirs.setblocking(False)
    sent = 0
    while not pair.ends:
        await asyncio.get_running_loop().sock_sendall(pair.theirs, b"x" * 65536)
        sent += 65536
        await settle(3)
    assert MAX_MESSAGE < sent <= MAX_MESSAGE + 4 * 65536
    pair.conversation.close()


async def test_the_last_words_of_the_dead_are_read_at_once_and_their_end_is_no_news() -> None:
    pair = Pair()
    pair.theirs.send(b'{"type":"failed","stage":"import","message":"m"}\n')
    pair.theirs.close()
    pair.conversation.read_rest()
    assert pair.heard == [Failed("import", "m")]
    assert pair.ends == []
    pair.conversation.close()


async def test_a_message_larger_than_the_socket_goes_out_whole() -> None:
    pair = Pair()
    pair.theirs.setblocking(False)
    message = {"type": "start", "model_config": "c" * 3_000_000}
    pair.conversation.send(message)
    pair.conversation.send({"type": "stop"})
    got = b""
    while not got.endswith(b'"stop"}\n'):
        got += await asyncio.get_running_loop().sock_recv(pair.theirs, 1 << 20)
    assert [json.loads(line) for line in got.splitlines()] == [message, {"type": "stop"}]
    pair.conversation.close()
