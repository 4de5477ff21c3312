"""The figures of the tester's own test, as text for the documentation, and the bars for them."""

from __future__ import annotations

import statistics
from typing import Any, Final

from eas_bench import places, units
from eas_bench.proof.known import apart

BEGIN: Final = "<!-- figures of eas_bench.proof: begin -->"
END: Final = "<!-- figures of eas_bench.proof: end -->"
PAGE: Final = places.BENCHMARKS.parent / "docs" / "eas-bench.md"

RIGHT: Final = 0.02
AS_WRK: Final = 0.05
LIMIT: Final = 40_000.0

_WHAT: Final = {
    "bimodal": "7 of 8 requests take 20 ms, one 200 ms",
    "stalls": "5 ms, but in the fifth second it stops for 1.5 s",
}


def text(figures: dict[str, Any]) -> str:
    """Markdown."""
    described = figures["machine"]
    where = (
        f"{described['cpu']}, {described['usable_cores']} cores, Linux {described['kernel']}, "
        f"Python {described['python']}; {figures['pinned']}; {figures['rounds']} rounds."
    )
    lines = [
        where,
        "",
        "| server | tester | p50 | p90 | p99 | p99.9 |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in figures["known"].items():
        lines += _known(name, found)
    lines += [
        "",
        "| engine's echo, 64 bytes | wrk, 1/s | eas-bench, 1/s | eas-bench over wrk | p50: wrk, eas-bench |",
        "|---|---|---|---|---|",
    ]
    for connections, pairs in figures["wrk"].items():
        lines.append(_pairs(connections, pairs))
    lines += ["", "| bodies of | the generator itself could do, 1/s a core |", "|---|---|"]
    lines += [
        f"| {int(size):,} bytes | {_spread(found, ',.0f')} |" for size, found in figures["limit"].items()
    ]
    return "\n".join(lines)


def missed(figures: dict[str, Any]) -> list[str]:
    """Bars that weren't met, in words."""
    words = []
    for name, found in figures["known"].items():
        worst = max(apart(found["open"], found["true"]))
        if worst > RIGHT:
            words.append(
                f"{name}: a percentile of the open loop is {worst:.1%} off, at most {RIGHT:.0%} are allowed"
            )
    for connections, pairs in figures["wrk"].items():
        ratio = statistics.median(_ratios(pairs))
        if abs(ratio - 1) > AS_WRK:
            words.append(
                f"{connections} connections: {ratio:.3f} of wrk's rate, within {AS_WRK:.0%} is asked"
            )
    if (found := statistics.median(figures["limit"]["64"])) < LIMIT:
        words.append(f"{found:,.0f} requests/s a core are less than {LIMIT:,.0f}")
    return words


def update(figures: dict[str, Any]) -> None:
    """Put them between the markers of the page. Raises ValueError: there are none."""
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no markers {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n{text(figures)}\n{END}{after}")


def _known(name: str, found: dict[str, Any]) -> list[str]:
    rows = [("what the server's own record implies", found["true"]), ("eas-bench, open loop", found["open"])]
    lines = [f"| {_WHAT[name]} | {tester} | {_times(values)} |" for tester, values in rows]
    worst = max(apart(found["open"], found["true"]))
    lines[-1] = lines[-1].replace("open loop", f"open loop ({worst:.1%} off at most)")
    for tester, key in (("eas-bench, closed loop, 8 connections", "closed"), ("wrk, 8 connections", "wrk")):
        one = {name: units.micros(found[key][name]) for name in ("p50", "p99", "max")}
        lines.append(f"| | {tester} | {one['p50']} | | {one['p99']} | (max {one['max']}) |")
    return lines


def _pairs(connections: str, pairs: list[list[dict[str, Any]]]) -> str:
    wrk, ours = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    rates = [f"{statistics.median(one['rate'] for one in side):,.0f}" for side in (wrk, ours)]
    p50s = [units.micros(statistics.median(one["p50"] for one in side)) for side in (wrk, ours)]
    who = "1 connection" if connections == "1" else f"{connections} connections"
    ratios = _spread(_ratios(pairs), ".3f")
    return f"| {who} | {rates[0]} | {rates[1]} | {ratios} | {p50s[0]}, {p50s[1]} |"


def _ratios(pairs: list[list[dict[str, Any]]]) -> list[float]:
    return [ours["rate"] / wrk["rate"] for wrk, ours in pairs]


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _times(values: list[int]) -> str:
    return " | ".join(units.micros(value) for value in values)
