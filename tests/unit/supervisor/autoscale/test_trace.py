"""Load traces: CSV, JSON lines, and what a running engine has recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.errors import ConfigurationError
from eas_engine.supervisor.autoscale.document import document, sampled
from eas_engine.supervisor.autoscale.trace import Stretch, Trace, parse, read
from support.scaling import WALL, second

PLAIN = Trace((Stretch(0.0, 5.0), Stretch(10.0, 20.0)), 20.0)


@pytest.mark.parametrize(
    "text",
    [
        "seconds,qps\n0,5\n10,20\n",
        "qps, seconds\n5, 0\n20, 10\n",
        "# by hand\n0,5\n\n10,20",
        "\r\n100,5\r\n110,20\r\n",
        "seconds,qps,service_time,note\n7,5,,x\n17,20,,y\n",
        '{"seconds": 0, "qps": 5}\n\n{"seconds": 10, "qps": 20, "more": []}\n',
        '{"samples": [{"seconds": 3, "qps": 5}, {"seconds": 13, "qps": 20}]}',
    ],
)
def test_the_same_load_in_each_form(text: str) -> None:
    assert parse(text) == PLAIN


def test_a_service_time_holds_until_another_one_comes() -> None:
    found = parse("0,1,0.05\n1,1,\n2,1,0.1\n")
    assert [one.service_time for one in found.stretches] == [0.05, 0.05, 0.1]
    assert found.end == 3.0
    assert parse("0,1\n").end == 1.0, "one row lasts a second"
    assert {one.service_time for one in found.with_service_time(2.0).stretches} == {2.0}


def test_what_an_engine_has_recorded_is_a_trace() -> None:
    samples = [second(50.0 + n, 4.0 * n, service_time=0.2 if n else None) for n in range(3)]
    whole = parse(json.dumps(document(None, (), samples)))
    lines = parse("\n".join(json.dumps(sampled(one)) for one in samples))
    assert whole == lines
    assert whole.wall == WALL + 50
    assert whole.stretches == (Stretch(0.0, 0.0), Stretch(1.0, 4.0, 0.2), Stretch(2.0, 8.0, 0.2))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "nothing in it; expected the columns seconds,qps"),
        ("seconds,qps\n", "nothing in it"),
        ("seconds,qps\n0,x\n", "line 2: qps = x: expected a number, at least 0"),
        ("0,-1\n", "line 1: qps = -1: expected a number, at least 0"),
        ("0,inf\n", "qps = inf"),
        ("0,1\n0,2\n", "line 2: seconds = 0: expected more than in the row before"),
        ("5\n", "line 1: no qps"),
        ("qps\n5\n", "line 2: no seconds"),
        ("0,1,0\n", "service_time = 0: expected a number above 0"),
        ("0,1\n9000000,1\n", "208 days long: expected at most 31"),
        ('{"seconds": 0, "qps": true}', "qps = True"),
        ('{"seconds": 0}', "no qps"),
        ('{"seconds": 0, "qps": 1}\n[1]', "line 2: no object"),
        ('{"seconds": 0, "qps": 1}\n{', "line 2: not JSON"),
        ('{"seconds": 0, "qps": 1' + "0" * 400 + "}", "qps = 1000"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, wrong: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse(text)
    assert wrong in str(raised.value)


@given(text=st.text(max_size=60) | st.text(alphabet='0123456789,.\n{}":secondqp', max_size=60))
def test_whatever_stands_there_only_a_complaint_comes_out(text: str) -> None:
    try:
        stretches = parse(text).stretches
    except ValueError:
        stretches = ()
    assert all(one.qps >= 0 for one in stretches)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"trace\.csv: can't be read: No such file"):
        read(tmp_path / "trace.csv")
    (tmp_path / "trace.csv").write_bytes(b"\xff\xfe0,1")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read(tmp_path / "trace.csv")
    (tmp_path / "trace.csv").write_text("\ufeff0,x", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"trace\.csv: line 1: qps = x"):
        read(tmp_path / "trace.csv")
