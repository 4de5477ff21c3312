"""A report as a document; what a browser makes of it is tested with one (tests/system)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from eas_bench import record, report, units
from eas_bench.cli import app
from eas_bench.record import Asked, Generator, Run
from eas_bench.report import rates, settings
from eas_bench.report.markup import Markup, element, table
from eas_bench.report.page import figures_of, page
from support.bench_runs import a_curve, a_run, without_answers

HOSTILE = """</script><script>alert(1)</script>"'><img src=x onerror=alert(2)>&lt;"""


class Document(HTMLParser):
    """Elements, attributes and texts."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._in: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "br"}:
            self._in.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._in.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._in[-1:] == ["script"]:
            self.scripts.append(data)
        elif self._in[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def of(runs: Sequence[Run]) -> Document:
    return Document(page(runs))


@given(st.text(), st.text())
def test_text_stays_text(content: str, value: str) -> None:
    made = Document(element("p", content, title=value))
    assert made.opened == ["p"]
    assert made.attributes == [("title", value)]
    assert "".join(made.texts) == units.plain(content)


def test_markup_is_nested_and_none_is_left_out() -> None:
    made = element("p", element("b", "1 < 2"), Markup("<br>"), class_=None, aria_label="x")
    assert made == '<p aria-label="x"><b>1 &lt; 2</b><br></p>'


def test_a_table_tells_what_its_cells_are_of() -> None:
    made = table(("run", "p50"), [("a", "1 ms")], "All runs")
    assert '<th scope="col">p50</th>' in made
    assert '<th scope="row">a</th><td>1 ms</td>' in made
    assert "<caption>All runs</caption>" in made


def test_a_page_holds_everything_and_refers_to_nothing() -> None:
    made = of([a_run(seconds=3)])
    assert not [name for name, _ in made.attributes if name in {"src", "href", "srcset", "action", "data"}]
    assert "link" not in made.opened
    policy = dict(made.attributes)["content"] or ""
    assert any(value and value.startswith("default-src 'none'") for _, value in made.attributes), policy
    assert made.opened.count("script") == 3


def test_a_page_has_the_figures_as_words_for_those_who_see_no_plot() -> None:
    run = a_run(seconds=3, notes=["the load had core 1"])
    made = of([run])
    assert made.opened.count("figure") == made.opened.count("table") == 14
    for word in ("echo, 64 B", "the load had core 1", "Some CPU at 2.5 GHz", "52,000/s by itself", "3 s"):
        assert word in made.text
    assert "INVALID" not in made.text


def test_an_invalid_run_says_so_before_all_figures() -> None:
    generator = Generator(limit=9, late_p99=0, cpu_seconds=0, invalid=["it was at its limit", "it was late"])
    made = of([a_run(seconds=1, generator=generator)])
    assert made.text.index("INVALID") < made.text.index("it was late") < made.text.index("answered")
    many = of([a_run(seconds=1), a_run(seconds=1, generator=generator)])
    assert many.text.index("INVALID") < many.text.index("Latency against throughput")


def test_nothing_that_a_record_says_is_markup() -> None:
    run = a_run(
        seconds=1,
        title=HOSTILE,
        taken=HOSTILE,
        notes=[HOSTILE],
        machine={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
        asked=Asked(url=f"http://x/{HOSTILE}", method=HOSTILE, body_bytes=[1]),
        generator=Generator(limit=None, late_p99=0, cpu_seconds=0, invalid=[HOSTILE]),
    )
    for runs in ([run], [run, run, run]):
        made = of(runs)
        assert "img" not in made.opened
        assert made.opened.count("script") == 3
        assert made.text.count(HOSTILE) >= 8
        assert not [name for name, _ in made.attributes if name.startswith("on")]


def test_the_figures_are_json_that_cant_end_its_element() -> None:
    run = a_run(seconds=1)
    run = run.model_copy(update={"latency": {HOSTILE: run.latency["200"], "x": run.latency["450"]}})
    figures = json.loads(of([run]).scripts[0])
    assert [trace["name"] for trace in figures["percentiles"]["data"]] == [
        HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        "x",
    ]


def test_not_even_a_plot_that_forgot_to_escape_ends_it() -> None:
    plot = rates.throughput(a_run(seconds=1))
    assert plot is not None
    plot.figure.update_layout(title={"text": HOSTILE})
    (script,) = Document(figures_of({"x": plot})).scripts
    assert json.loads(script)["x"]["layout"]["title"]["text"] == HOSTILE


def test_what_all_runs_share_is_told_once() -> None:
    text = of(a_curve((50, 100, 200))).text
    assert text.count("Some CPU at 2.5 GHz") == 1
    assert text.count("open: send times are fixed in advance") == 1
    assert text.count("What is this run's own") == 3  # its rate


def test_several_runs_have_their_own_plots_each() -> None:
    made = of(a_curve((50, 100)))
    figures = json.loads(made.scripts[0])
    assert set(figures) >= {"all-throughput-latency", "all-percentiles", "run0-latency", "run1-cpu"}
    assert {value for name, value in made.attributes if name == "id"} >= set(figures)


def test_a_moment_is_told_as_people_do() -> None:
    assert settings.moment("2026-11-29T02:05:00.123+00:00") == "2026-11-29 02:05:00 UTC"
    assert settings.moment("2026-11-29T02:05:00Z") == "2026-11-29 02:05:00 UTC"
    assert settings.moment("2026-11-29T02:05:00+01:00") == "2026-11-29T02:05:00+01:00"


def test_runs_that_are_folded_up_say_the_most_important_thing() -> None:
    text = of(a_curve((50, 100, 200))).text
    assert "49.9/s with 2xx, p99 4.3 ms" in text


def test_what_is_missing_is_said() -> None:
    text = of([without_answers()]).text
    assert "Nothing was answered" in text
    assert "Nothing was read off the server" in text


# --- the command ----------------------------------------------------------------------------------------


def command(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["report", *map(str, arguments)])
    return done.exit_code, done.output


def test_the_command_makes_a_page_of_records(tmp_path: Path) -> None:
    for number, run in enumerate(a_curve((50, 100))):
        record.write(run, tmp_path / f"{number}.json")
    page_file = tmp_path / "report.html"
    assert command(tmp_path / "0.json", tmp_path / "1.json", "-o", page_file) == (
        0,
        f"wrote {page_file}: 2 runs\n",
    )
    assert "100/s" in page_file.read_text()


def test_the_command_says_what_it_cant_read(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    for content, words in (
        (None, "can't be read: No such file"),
        ("{", "is no JSON"),
        ("{}", "is no record of a run"),
        (a_run(seconds=1, latency={"200": "HISTF"}).model_dump_json(), "latency.200: is no HDR histogram"),
    ):
        if content is not None:
            file.write_text(content)
        code, said = command(file, "-o", tmp_path / "x.html")
        assert code == 2
        assert words in said
    assert not (tmp_path / "x.html").exists()


def test_the_command_says_where_it_cant_write(tmp_path: Path) -> None:
    record.write(a_run(seconds=1), tmp_path / "run.json")
    code, said = command(tmp_path / "run.json", "-o", tmp_path / "none" / "x.html")
    assert (code, "can't be written: No such file" in said) == (2, True)


def test_no_record_is_overwritten_by_its_report(tmp_path: Path) -> None:
    record.write(a_run(seconds=1), tmp_path / "run.json")
    code, said = command(tmp_path / "run.json", "-o", tmp_path / "run.json")
    assert code == 2
    assert "is one of the records" in said
    assert record.read(tmp_path / "run.json").seconds == 1


@pytest.mark.parametrize("text", ["", "é", "AAAA", "A" * 400])
def test_a_histogram_that_is_none_is_a_record_that_is_none(tmp_path: Path, text: str) -> None:
    record.write(a_run(seconds=1, latency={"all": text}), tmp_path / "run.json")
    with pytest.raises(record.NoRecord, match=r"latency\.all"):
        report.read(tmp_path / "run.json")
