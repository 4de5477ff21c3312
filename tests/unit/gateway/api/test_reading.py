"""Pages that show what is, and wait for news if they are told to."""

from __future__ import annotations

import http.client
import json

import pytest

from eas_engine.operations import OperationState, Version
from support.admin import TOKEN, ask, serving, tell
from support.fleet import EPOCH, Fleet

ROOT = "/api/v1"
READING = ["service", "instances", "operations", "versions", "events", "logs", "openapi.json"]


@pytest.mark.parametrize("page", READING)
def test_reading_is_open_on_loopback_alone(page: str) -> None:
    with serving(Fleet(workspace="red")) as port:
        assert ask(port, f"{ROOT}/{page}")[0] == 200
        assert ask(port, f"{ROOT}/{page}", "HEAD") == (200, b"")
        assert ask(port, f"{ROOT}/{page}", Host="evil.example")[0] == 403
    with serving(Fleet(), "0.0.0.0") as port:
        assert ask(port, f"{ROOT}/{page}")[0] == 401
        assert ask(port, f"{ROOT}/{page}", Authorization=f"Bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize(
    "path", ["nothing", "service/", "operations/1/x", "instances/a/b/replace", "../service"]
)
def test_unknown_paths(path: str) -> None:
    with serving(Fleet()) as port:
        assert ask(port, f"{ROOT}/{path}") == (404, {"error": "no such page", "problems": []})


def test_wrong_methods_say_which_are_right() -> None:
    with serving(Fleet()) as port:
        for path, right in (("service", "GET, HEAD, POST"), ("events", "GET, HEAD"), ("stop", "POST")):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("DELETE", f"{ROOT}/{path}")
            response = connection.getresponse()
            assert response.status == 405
            assert json.loads(response.read())["error"].startswith("only ")
            assert sorted(response.headers["Allow"].split(", ")) == sorted(right.split(", "))
            connection.close()


def test_instances_are_those_of_the_service() -> None:
    with serving(Fleet()) as port:
        found = ask(port, f"{ROOT}/instances")[1]["instances"]
        assert found == ask(port, f"{ROOT}/service")[1]["instances"]
        assert [one["name"] for one in found] == ["digits-0"]


def test_versions_hide_secrets_of_overrides() -> None:
    fleet = Fleet()
    overrides = (
        "metadata.instance=4",
        "token=Tell-Nobody",
        'processor_envs=[{"name": "API_KEY", "value": "Tell-Nobody"}, {"name": "A", "value": "1"}]',
        'metadata={"oss": {"access_key_secret": "Tell-Nobody"}}',
        "model_path=http://anna:Tell-Nobody@host/model",
    )
    fleet.held = [Version(number=3, time=EPOCH, source="/s.json", digest="ab", overrides=overrides)]
    with serving(fleet) as port:
        listed = ask(port, f"{ROOT}/versions")[1]["versions"]
        one = ask(port, f"{ROOT}/versions/3")[1]
    assert "Tell-Nobody" not in json.dumps([listed, one])
    assert one["overrides"][:2] == ["metadata.instance=4", "token=********"]
    assert '{"name": "A", "value": "1"}' in one["overrides"][2]
    assert one.pop("configuration") == {"name": "digits", "token": "********"}
    assert listed == [one]


@pytest.mark.parametrize("number", ["2", "0", "x", "-1", "1.0", "%31%32", "9" * 5000, "%EF%BC%91"])
@pytest.mark.parametrize("page", ["versions", "operations"])
def test_numbers_that_there_are_not(page: str, number: str) -> None:
    fleet = Fleet()
    fleet.held = [Version(number=1, time=EPOCH, source="", digest="")]
    fleet.began(kind="stop", by="", state=OperationState.DONE)
    with serving(fleet) as port:
        status, answer = ask(port, f"{ROOT}/{page}/{number}")
        assert status == 404
        assert answer["error"].startswith(f"no {page[:-1]} ")
        assert ask(port, f"{ROOT}/{page}/1")[0] == 200


def test_what_there_is_not() -> None:
    with serving(Fleet()) as port:
        assert ask(port, f"{ROOT}/autoscale") == (200, {"settings": None})
        assert ask(port, f"{ROOT}/canary") == (
            404, {"error": "there is no canary and no shadow", "problems": []},
        )  # fmt: skip


STEPS: list[dict[str, object]] = [
    {"state": OperationState.PREPARING},
    {"state": OperationState.ROLLING, "wanted": 4, "updated": 1},
    {"updated": 4, "ready": 4},
]


@pytest.mark.parametrize("last", [OperationState.DONE, OperationState.FAILED, OperationState.TRYING])
def test_an_operation_can_be_waited_for(last: OperationState) -> None:
    """No time is over until the end: each look brings it a step further."""
    fleet = Fleet(script={"restart": [*STEPS, {"state": last}]})
    with serving(fleet) as port:
        assert tell(port, f"{ROOT}/restart")[1]["state"] == "preparing"
        assert ask(port, f"{ROOT}/operations/1")[1]["state"] == "preparing"
        assert ask(port, f"{ROOT}/operations/1")[1]["updated"] == 1
        assert ask(port, f"{ROOT}/operations/1?wait=60")[1]["state"] == last


def test_waiting_ends_when_its_time_is_over() -> None:
    fleet = Fleet()
    fleet.began(kind="restart", by="", state=OperationState.ROLLING)
    with serving(fleet) as port:
        assert ask(port, f"{ROOT}/operations/1?wait=0.2")[1]["state"] == "rolling"
        assert ask(port, f"{ROOT}/operations/1?wait=61")[0] == 400


def test_the_index_names_every_page() -> None:
    with serving(Fleet()) as port:
        pages = ask(port, "/")[1]["pages"]
        assert f"{ROOT}/openapi.json" in pages
        assert len(pages) == len(set(pages))
        for page in pages:
            assert ask(port, page.replace("{number}", "1").replace("{name}", "x"))[0] in (200, 404, 405)
