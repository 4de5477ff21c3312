"""The model of the queue against cases worked out by hand, and the real decisions on top of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.supervisor.autoscale.simulate import Model, Outcome, simulate
from eas_engine.supervisor.autoscale.trace import Trace, parse
from support.scaling import settings

TEN_A_SECOND = Model(service_time=0.1, threads=1, startup=5.0, queue=100, keepalive=60.0)


def model(**given: Any) -> Model:
    facts = {name: getattr(TEN_A_SECOND, name) for name in TEN_A_SECOND.__dataclass_fields__}
    return Model(**{**facts, **given})


def fixed(trace: str, *, instances: int = 1, **given: Any) -> Outcome:
    """With a number that nothing moves."""
    return simulate(settings(thresholds={}), model(**given), parse(trace), instances=instances)


class TestQueue:
    """One instance works off ten requests a second."""

    def test_what_it_can_work_off_never_waits(self) -> None:
        outcome = fixed("0,10\n20,10\n")
        assert (outcome.requests, outcome.served, outcome.most_waiting) == (400, 400, 0)
        assert outcome.seconds_over_capacity == 0
        assert outcome.instance_hours == pytest.approx(40 / 3600)

    def test_more_waits_and_is_worked_off_later(self) -> None:
        outcome = fixed("0,15\n10,0\n20,0\n")  # 150 in ten seconds, five a second too many
        assert [round(step.queue, 6) for step in outcome.steps[:16]] == [
            *(5, 10, 15, 20, 25, 30, 35, 40, 45, 50),
            *(40, 30, 20, 10, 0, 0),
        ]
        assert (outcome.served, outcome.seconds_over_capacity) == (150, 10)

    def test_what_finds_no_place_is_refused(self) -> None:
        outcome = fixed("0,30\n3,0\n6,0\n", queue=25)  # 20 a second too many: 20 wait, then 25
        assert [step.refused for step in outcome.steps[:4]] == [0, 15, 20, 0]
        assert outcome.served == 90 - 35

    def test_two_instances_have_twice_of_everything(self) -> None:
        outcome = fixed("0,60\n3,0\n6,0\n", queue=25, instances=2)
        assert [step.refused for step in outcome.steps[:4]] == [0, 30, 40, 0]

    def test_over_the_rate_limit_is_429(self) -> None:
        outcome = fixed("0,30\n2,0\n", rate=8.0)
        assert (outcome.limited, outcome.served, outcome.refused) == (44, 16, 0)

    def test_who_waits_longer_than_keepalive_is_late(self) -> None:
        outcome = fixed("0,40\n1,0\n9,0\n", keepalive=3.1)  # ten a second: the last ten after three seconds
        assert (outcome.served, outcome.late) == (40, 0)
        late = fixed("0,60\n1,0\n9,0\n", keepalive=3.1)
        assert (late.served, late.late) == (40, 20)
        assert late.steps[3].late == 20

    def test_a_service_time_of_the_trace_counts(self) -> None:
        assert fixed("0,10,0.2\n10,10\n").served == 100
        assert fixed("0,10,0.2\n10,10,0.05\n").served == 50 + 150, "what waited is worked off, too"

    def test_threads_work_beside_each_other(self) -> None:
        assert fixed("0,30\n10,30\n", threads=3).most_waiting == 0

    def test_no_more_at_once_than_the_cpus_are_enough_for(self) -> None:
        assert fixed("0,30\n10,30\n", threads=4, cpus=2.0).steps[0].queue == 10
        assert fixed("0,30\n10,30\n", threads=4, cpus=2.0, cpu_share=0.5).most_waiting == 0
        assert fixed("0,30\n10,30\n", threads=4, cpus=2.0, cpu_share=0.0).most_waiting == 0


class TestSeconds:
    """A trace needn't have a row a second, nor whole seconds."""

    @pytest.mark.parametrize(
        ("trace", "arrived"),
        [
            ("0,10\n0.5,20\n", [15]),
            ("0,10\n1.5,20\n2,0\n", [10, 15, 0]),
            ("0,8\n0.25,0\n0.5,8\n0.75,0\n", [4]),
            ("0,4\n2.5,8\n", [4, 4, 6, 8, 8]),
        ],
    )
    def test_each_second_has_the_mean_of_what_lies_in_it(self, trace: str, arrived: list[float]) -> None:
        assert [round(step.arrived, 9) for step in fixed(trace).steps] == arrived

    @given(
        rows=st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 100)), min_size=1, max_size=20),
    )
    def test_no_request_is_lost_on_the_way(self, rows: list[tuple[float, float]]) -> None:
        begin, lines = 0.0, []
        for lasts, qps in rows:
            lines.append(f"{begin!r},{qps!r}")
            begin += lasts
        trace = parse("\n".join(lines))
        ends = [*(one.start for one in trace.stretches[1:]), trace.end]
        sent = sum(one.qps * (end - one.start) for one, end in zip(trace.stretches, ends, strict=True))
        outcome = simulate(settings(thresholds={}), TEN_A_SECOND, trace, instances=1)
        assert outcome.requests == pytest.approx(sent, abs=1e-6)
        left = outcome.steps[-1].queue
        counted = outcome.served + outcome.refused + outcome.limited + outcome.late + left
        assert counted == pytest.approx(sent, abs=1e-6)


class TestScaling:
    """With the decisions."""

    def test_instances_come_after_their_start_and_go_after_the_window(self) -> None:
        outcome = simulate(
            settings(thresholds={"qps": 8.0}, down_window=60.0),
            TEN_A_SECOND,
            parse("0,5\n30,32\n130,5\n300,5\n"),
            instances=1,
        )
        most = [step.second for step in outcome.steps if step.ready == 4]
        ordered = next(second for second, one in outcome.changes if one.wanted == 4)
        assert most[0] == ordered + 5, "ordered, and ready five seconds later"
        assert 30 < ordered <= 30 + 15
        assert 130 + 60 <= most[-1] <= 130 + 60 + 16
        assert outcome.steps[-1].ready == 1
        assert outcome.most_instances == 4

    def test_cpu_follows_busy_threads(self) -> None:
        outcome = simulate(
            settings(thresholds={"cpu": 50.0}, cpus=1.0), TEN_A_SECOND, parse("0,9\n60,9\n"), instances=1
        )
        assert outcome.steps[-1].ready == 2, "nine tenths of a CPU, half of one for each"
        shared = simulate(
            settings(thresholds={"cpu": 50.0}), model(cpu_share=0.5), parse("0,9\n60,9\n"), instances=1
        )
        assert shared.steps[-1].ready == 1

    def test_the_queue_counts_too(self) -> None:
        outcome = simulate(
            settings(thresholds={"queue": 10.0}), TEN_A_SECOND, parse("0,20\n30,20\n"), instances=1
        )
        assert outcome.most_instances > 1

    def test_asleep_the_first_second_wakes_it_and_who_waits_is_answered(self) -> None:
        outcome = simulate(
            settings(low=0, zero_grace=60.0), TEN_A_SECOND, parse("0,5\n20,0\n120,5\n150,5\n"), instances=1
        )
        assert [(second, one.current, one.wanted) for second, one in outcome.changes] == [
            (80, 1, 0),
            (120, 0, 1),
        ]
        assert outcome.steps[119].ready + outcome.steps[119].starting == 0
        assert [step.starting for step in outcome.steps[120:126]] == [1, 1, 1, 1, 1, 0]
        assert outcome.steps[124].queue == 25
        assert (outcome.served, outcome.requests) == (400, 400)

    def test_a_request_right_after_the_last_one_went_wakes_it(self) -> None:
        outcome = simulate(
            settings(low=0, zero_grace=60.0), TEN_A_SECOND, parse("0,5\n20,0\n80,5\n90,5\n"), instances=1
        )
        causes = [(second, one.cause) for second, one in outcome.changes]
        assert causes == [(80, "idle"), (80, "woken")]

    def test_asleep_with_a_short_keepalive_the_first_are_late(self) -> None:
        outcome = simulate(
            settings(low=0, zero_grace=60.0),
            model(keepalive=3.0),
            parse("0,0\n90,5\n180,5\n"),
            instances=1,
        )
        assert outcome.late == 10, "who came in the last three seconds of the start is reached in time"

    def test_the_calendar_begins_where_it_is_said(self) -> None:
        from eas_engine.spec.schedules import cron
        from eas_engine.supervisor.autoscale.cron import Job, Jobs

        jobs = Jobs((Job("day", cron("0 0 8 * * *", "UTC"), 3), Job("night", cron("0 0 20 * * *", "UTC"), 1)))
        trace = Trace(parse("0,0\n").stretches, 120.0)
        outcome = simulate(
            settings(thresholds={}, jobs=jobs), TEN_A_SECOND, trace, instances=1, wall=8 * 3600.0 - 60
        )
        assert [(second, one.wanted) for second, one in outcome.changes] == [(60, 3)]
