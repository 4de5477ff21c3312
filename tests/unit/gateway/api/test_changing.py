"""Pages that change something: who may, what they ask of the service, and what they say when it can't be."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from eas_engine.errors import ArtifactError, ConfigurationError
from eas_engine.gateway.admin import AdminServer
from eas_engine.gateway.api.page import LARGEST_BODY
from eas_engine.operations import (
    Change,
    Drain,
    Effect,
    Plan,
    Promote,
    RefusedError,
    Replace,
    Restart,
    Rollback,
    Scale,
    Start,
    Stop,
    Update,
)
from eas_engine.spec.problems import ConfigurationError as SpecError
from eas_engine.spec.problems import Problem
from support.admin import MINE, TOKEN, ask, serving, tell
from support.fleet import Fleet

ROOT = "/api/v1"
CHANGES = [
    ("/service", b"{}"),
    ("/scale?instances=4", None),
    ("/restart", None),
    ("/stop", None),
    ("/start", None),
    ("/drain", None),
    ("/instances/digits-0/replace", None),
    ("/rollback", None),
    ("/promote", None),
    ("/crashes/clear", None),
]


@pytest.mark.parametrize(
    ("page", "asked"),
    [
        ("/scale?instances=4&by=anna", Scale(by="anna", instances=4)),
        ("/scale?instances=0&by=anna", Scale(by="anna", instances=0)),
        ("/restart?by=anna", Restart(by="anna")),
        ("/stop?by=anna", Stop(by="anna")),
        ("/start?by=anna", Start(by="anna")),
        ("/drain?by=anna", Drain(by="anna")),
        ("/instances/digits-0/replace?by=anna", Replace(by="anna", instance="digits-0")),
        ("/instances/a%20b/replace?by=anna", Replace(by="anna", instance="a b")),
        ("/rollback?by=anna", Rollback(by="anna")),
        ("/rollback?version=3&by=anna", Rollback(by="anna", version=3)),
        ("/promote?by=anna", Promote(by="anna")),
    ],
)
def test_a_change_is_accepted_and_says_where_it_can_be_watched(page: str, asked: object) -> None:
    fleet = Fleet()
    with serving(fleet) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", ROOT + page, headers=MINE)
        response = connection.getresponse()
        operation = json.loads(response.read())
        assert (response.status, response.headers["Location"]) == (202, f"{ROOT}/operations/1")
        assert ask(port, response.headers["Location"])[1]["number"] == operation["number"] == 1
        connection.close()
    assert fleet.asked == [asked]


def test_an_update_with_everything() -> None:
    fleet = Fleet()
    query = urlencode(
        {"source": "/srv/höhe.json", "strict": "", "canary": "10%", "slo": "errors=1%,p99=2x", "by": "a"}
    )
    with serving(fleet) as port:
        page = f"{ROOT}/service?{query}&define=a%3D1&define=b%3D%22x%20y%22"
        assert tell(port, page, '{"name": "höhe"}'.encode())[0] == 202
        assert tell(port, f"{ROOT}/service?shadow=5%&define=a%3D1&by=b")[0] == 202
    assert fleet.asked == [
        Update(
            by="a",
            text='{"name": "höhe"}',
            source="/srv/höhe.json",
            overrides=("a=1", 'b="x y"'),
            strict=True,
            canary=0.1,
            objective="errors=1%,p99=2x",
        ),
        Update(by="b", overrides=("a=1",), shadow=0.05),
    ]


def test_a_dry_run_only_asks() -> None:
    fleet = Fleet()
    change = Change(path="metadata.instance", before=1, after=4, effect=Effect.INSTANCES)
    fleet.planned = Plan(effect=Effect.INSTANCES, changes=(change,), notes=("n",), warnings=("w",))
    with serving(fleet) as port:
        status, plan = tell(port, f"{ROOT}/service?dry_run=1", b"{}")
        assert ask(port, f"{ROOT}/operations")[1] == {"operations": []}
    assert (status, plan) == (
        200,
        {
            "effect": "instances",
            "changes": [{"path": "metadata.instance", "before": 1, "after": 4, "effect": "instances"}],
            "notes": ["n"],
            "warnings": ["w"],
        },
    )
    assert isinstance(fleet.asked[0], Update)


@pytest.mark.parametrize(("page", "body"), CHANGES)
def test_every_change_wants_the_token_also_on_loopback(page: str, body: bytes | None) -> None:
    fleet = Fleet()
    with serving(fleet) as port:
        assert ask(port, ROOT + page, "POST", body)[0] == 401
        assert ask(port, ROOT + page, "POST", body, Authorization="Bearer wrong")[0] == 401
        assert ask(port, ROOT + page, "POST", body, Authorization=TOKEN)[0] == 401
        from_elsewhere = MINE | {"Origin": "http://evil.example"}
        assert ask(port, ROOT + page, "POST", body, **from_elsewhere)[0] == 403
        assert ask(port, ROOT + page, "POST", body, **MINE, Host="evil.example")[0] == 403
        for method in ("PUT", "DELETE", "PATCH"):
            assert ask(port, ROOT + page, method, body, **MINE)[0] == 405
    assert fleet.asked == []


def test_without_an_admin_token_nothing_can_be_changed() -> None:
    """Not even with an empty one."""
    fleet = Fleet()
    server = AdminServer(fleet, "127.0.0.1", 0, "")
    port = server.start()
    try:
        assert ask(port, f"{ROOT}/stop", "POST", Authorization="Bearer ")[0] == 401
    finally:
        server.stop()
    assert fleet.asked == []


@pytest.mark.parametrize(("page", "body"), CHANGES)
def test_a_service_of_a_workspace_wants_to_hear_its_id(page: str, body: bytes | None) -> None:
    fleet = Fleet(workspace="red")
    mark = "&" if "?" in page else "?"
    with serving(fleet) as port:
        status, said = tell(port, ROOT + page, body)
        assert status == 403
        assert said["error"] == ("this service is of workspace 'red': the query must have workspace_id=red")
        status, said = tell(port, f"{ROOT}{page}{mark}workspace_id=blue", body)
        assert (status, said["error"]) == (403, "this service is of workspace 'red', not of 'blue'")
        assert fleet.asked == []
        assert tell(port, f"{ROOT}{page}{mark}workspace_id=red", body)[0] in (202, 404)


def test_a_service_of_no_workspace_is_not_of_another() -> None:
    fleet = Fleet()
    with serving(fleet) as port:
        status, said = tell(port, f"{ROOT}/stop?workspace_id=red")
        assert (status, said["error"]) == (403, "this service is of no workspace, not of 'red'")
        assert tell(port, f"{ROOT}/stop?workspace_id=")[0] == 202


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("/scale", "instances is missing: How many there are to be."),
        ("/scale?instances=", "isn't a whole number"),
        ("/scale?instances=four", "isn't a whole number"),
        ("/scale?instances=-1", "isn't a whole number"),
        ("/scale?instances=1000001", "isn't between 0 and 1000000"),
        ("/scale?instance=4", "unknown parameter 'instance': known are by, instances, workspace_id"),
        ("/rollback?version=0", "isn't between 1"),
        ("/stop?now=1", "unknown parameter 'now'"),
        ("/service", "what to? The body is the text of a service.json"),
        ("/service?canary=10%&shadow=5%&define=a%3D1", "canary and shadow: which of them?"),
        ("/service?slo=errors%3D1%25&define=a%3D1", "slo: only a canary has one"),
        ("/service?source=a.json&define=a%3D1", "source: 'a.json' isn't an absolute path"),
        ("/service?canary=1&define=a%3D1", "canary: '1' isn't a percentage"),
    ],
)
def test_what_makes_no_sense_is_400(page: str, said: str) -> None:
    fleet = Fleet()
    with serving(fleet) as port:
        status, answer = tell(port, ROOT + page)
        assert status == 400
        assert said in answer["error"]
    assert fleet.asked == []


@pytest.mark.parametrize("body", [b" ", b"\n"])
def test_an_empty_body_is_none(body: bytes) -> None:
    fleet = Fleet()
    with serving(fleet) as port:
        assert tell(port, f"{ROOT}/service", body)[0] == 400
        assert tell(port, f"{ROOT}/service?define=a%3D1", body)[0] == 202
    (asked,) = fleet.asked
    assert isinstance(asked, Update)
    assert asked.text is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b" " * LARGEST_BODY, 400),
        (b"{" * LARGEST_BODY, 202),
        (b"{" * (LARGEST_BODY + 1), 413),
        (b"\xff", 400),
    ],
)
def test_bodies_are_bounded_and_text(body: bytes, status: int) -> None:
    fleet = Fleet()
    with serving(fleet) as port:
        found, answer = tell(port, f"{ROOT}/service", body)
    assert found == status, answer
    assert len(fleet.asked) == (status == 202)


def test_a_body_that_takes_no_end_is_cut_off() -> None:
    fleet = Fleet()

    def endless() -> Any:
        while True:
            yield b"x" * (1 << 20)

    with serving(fleet) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with pytest.raises(OSError):  # noqa: PT012 - the answer may come first, or the end of the connection
            connection.request("POST", f"{ROOT}/service", endless(), MINE, encode_chunked=True)
            connection.getresponse()
        connection.close()
        assert ask(port, "/healthz")[0] == 200
    assert fleet.asked == []


def test_a_change_that_takes_no_body_refuses_one() -> None:
    fleet = Fleet()
    with serving(fleet) as port:
        status, answer = tell(port, f"{ROOT}/scale?instances=4", b'{"instances": 5}')
        assert (status, answer["error"]) == (400, "takes no body: what it needs stands in the query")
        assert tell(port, f"{ROOT}/scale?instances=4", b"")[0] == 202
    assert fleet.asked == [Scale(by="127.0.0.1", instances=4)]


PROBLEMS = ({"path": "name", "line": 3, "message": "is missing"},)


@pytest.mark.parametrize(
    ("error", "status", "problems"),
    [
        (RefusedError("an update is under way", conflict=True), 409, []),
        (RefusedError("over autoscaler.max", problems=PROBLEMS), 422, list(PROBLEMS)),
        (SpecError("s.json", [Problem("name", 3, "is missing")]), 422, list(PROBLEMS)),
        (ConfigurationError("no"), 422, []),
        (ArtifactError("no model"), 422, []),
    ],
)
@pytest.mark.parametrize("query", ["", "?dry_run=1"])
def test_a_refusal_says_why(error: Exception, status: int, problems: list[Any], query: str) -> None:
    fleet = Fleet()
    fleet.refusing = error
    with serving(fleet) as port:
        assert tell(port, f"{ROOT}/service{query}", b"{}") == (
            status,
            {"error": str(error), "problems": problems},
        )


def test_a_bug_is_500_and_json() -> None:
    fleet = Fleet()
    fleet.refusing = KeyError("oops")
    with serving(fleet) as port:
        status, answer = tell(port, f"{ROOT}/stop")
        assert (status, answer["error"]) == (500, "the engine failed to answer; its log says why")
        assert ask(port, "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("anna@build", "anna@build"),
        ("x" * 999, "x" * 200),
        ("a\x1b[2J\nb", r"a\x1b[2J\nb"),
        ("", "127.0.0.1"),
    ],
)
def test_who_asked_is_kept_in_printable_characters(given: str, kept: str) -> None:
    fleet = Fleet()
    with serving(fleet) as port:
        assert tell(port, f"{ROOT}/stop?by={quote(given)}")[0] == 202
    assert fleet.asked == [Stop(by=kept)]


def test_changes_run_on_the_loop_that_started_the_server() -> None:
    """The gateway's: decisions need no lock there. Many at once are taken one after the other."""
    fleet = Fleet()

    async def main() -> list[int]:
        server = AdminServer(fleet, "127.0.0.1", 0, TOKEN)
        port = server.start()
        try:
            with ThreadPoolExecutor(8) as pool:
                calls = [
                    asyncio.get_running_loop().run_in_executor(
                        pool, tell, port, f"{ROOT}/scale?instances={n}"
                    )
                    for n in range(32)
                ]
                return [answer[1]["number"] for answer in await asyncio.gather(*calls)]
        finally:
            await asyncio.to_thread(server.stop)

    assert sorted(asyncio.run(main())) == list(range(1, 33))
    assert fleet.threads == {threading.main_thread().name}
