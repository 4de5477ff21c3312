"""What is told of a transfer, where and how often."""

from __future__ import annotations

from typing import Any

from eas_engine.artifacts.fetching.progress import LINE_EVERY, LogProgress, SilentProgress, TerminalProgress
from support.clock import FakeClock


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end() -> None:
    clock, lines = FakeClock(), list[tuple[str, dict[str, Any]]]()
    progress = LogProgress(
        clock, lambda event, **fields: lines.append((event, fields)), lambda *_, **__: None
    )
    task = progress.bar("model_path", "https://h/m")
    task.expects(100 << 20)
    for _ in range(4):
        clock.jump(LINE_EVERY / 2)
        task.moved(10 << 20)
    task.finished(fetched=True)
    assert [event for event, _ in lines] == ["fetching", "fetching", "fetched"]
    assert lines[0][1] == {
        "parameter": "model_path",
        "address": "https://h/m",
        "bytes": 20 << 20,
        "total": 100 << 20,
        "percent": 20,
        "speed": "2.0 MiB/s",
    }
    assert lines[2][1]["seconds"] == 2 * LINE_EVERY


def test_bars(capsys: Any) -> None:
    progress = TerminalProgress()
    progress.end()  # nothing was shown
    task = progress.bar("model_path", "https://h/[m]\x1b[2J")
    task.expects(10)
    task.moved(10)
    task.retries("it broke", 1.0)
    task.phase("unpacking")
    task.at(1, 2)
    task.finished(fetched=True)
    progress.bar("processor_path", "oss://b/k").finished(fetched=False)
    progress.warn("careful", reason="x")
    progress.note("waiting", pid=1)
    progress.end()
    shown = capsys.readouterr().err
    assert "it broke; trying again in 1.0 s" in shown
    assert "careful reason=x" in shown
    assert "https://h/[m]" in shown
    assert "\x1b[2J" not in shown


def test_nothing() -> None:
    progress = SilentProgress()
    progress.bar("a", "b").moved(1)
    progress.end()
