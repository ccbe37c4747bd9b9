"""The hybrid histogram: windows from counted idle times, by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import pytest

from observations import names_all, seen
from problems import chain, diamond
from smiless_core.baselines import HybridHistogram
from smiless_core.errors import InvalidInputError
from smiless_core.model import Stay
from smiless_core.policies import Directive, Policy

HOUR = 3600.0
PROBLEM = chain(1.0)  # 1 s, and 3 s to start
STANDARD = (Stay(0.0, 0.0, 4 * HOUR),)


def after(gaps: Sequence[float], **settings: float) -> Directive:
    """Return what is decided after arrivals so far apart, when asked after each of them."""
    decide = HybridHistogram(refresh=0.0, **settings).start(PROBLEM, now=0.0, seed=0)
    decision = decide(seen(PROBLEM, 0.0))
    assert names_all(PROBLEM, decision)
    directive = decision.directives["f0"]
    times = list(accumulate(gaps, initial=0.0))
    for count, now in enumerate(times, start=1):
        decision = decide(seen(PROBLEM, now + 1e-9, times[:count]))
        assert (decision.wake, decision.at_arrivals) == (None, True)
        directive = decision.directives.get("f0", directive)
    assert (directive.from_finish, directive.repeats) == (True, True)
    return directive


def window(gaps: Sequence[float], **settings: float) -> tuple[Stay, ...]:
    (schedule,) = after(gaps, **settings).schedules
    return schedule


def test_it_begins_with_the_standard_keep_alive() -> None:
    assert window([]) == STANDARD
    assert window([], fallback=600.0) == (Stay(0.0, 0.0, 600.0),)


def test_the_window_is_that_of_the_percentiles_with_a_margin() -> None:
    # Idle for 600 s, in the bin from 600 to 660 s: from 600 less 10 % to 660 plus 10 %.
    (stay,) = window([601.0])
    assert (stay.start, stay.ready, stay.until) == pytest.approx((540.0, 543.0, 726.0))
    # 1 of 21 is less than 5 %, and 1 of 20 is not; bins from 60 s and from 600 s.
    assert window([100.0] + [601.0] * 20)[0].start == pytest.approx(540.0)
    assert window([100.0] + [601.0] * 19)[0].start == pytest.approx(54.0)
    # 99 of 100 are in the bin of 600 s, and 98 of 99 are fewer than 99 %.
    assert window([601.0] * 99 + [1300.0])[0].until == pytest.approx(726.0)
    assert window([601.0] * 98 + [1300.0])[0].until == pytest.approx(22 * 60 * 1.1)
    assert window([601.0], margin=0.0, head=0.0, tail=1.0)[0].until == pytest.approx(660.0)


def test_an_instance_stays_if_the_next_request_may_come_soon() -> None:
    (stay,) = window([30.0, 30.0, 601.0])
    assert (stay.start, stay.ready) == (0.0, 0.0)
    assert stay.until == pytest.approx(726.0)
    # A request that comes during a service has been idle for no time.
    (stay,) = window([0.5])
    assert (stay.start, stay.ready, stay.until) == pytest.approx((0.0, 0.0, 66.0))


def test_most_idle_times_out_of_bounds_leave_the_standard_keep_alive() -> None:
    day = 24 * HOUR
    assert window([day]) == STANDARD
    assert window([601.0, day]) == STANDARD  # half of them
    assert window([601.0, 601.0, day])[0].start == pytest.approx(540.0)
    assert window([601.0, day], out_of_bounds=0.6)[0].start == pytest.approx(540.0)
    # The histogram ends at 4 hours.
    assert window([4 * HOUR + 1.0]) == STANDARD
    assert window([4 * HOUR + 0.5])[0].start == pytest.approx(239 * 54.0)


def test_a_histogram_without_a_pattern_is_not_used() -> None:
    # Counts in four bins: variance over squared mean 3 for (1, 0, 0, 0), 1 for (1, 1, 0, 0), 0 for (1, 1, 1, 1).
    four = {"span": 240.0, "fallback": 600.0}
    fallback = (Stay(0.0, 0.0, 600.0),)
    assert window([70.0], **four, variation=1.7)[0].start == pytest.approx(54.0)
    assert window([70.0], **four, variation=1.8) == fallback
    assert window([70.0, 130.0], **four, variation=1.0)[0].start == pytest.approx(54.0)
    assert window([70.0, 130.0], **four, variation=1.1) == fallback
    assert window([10.0, 70.0, 130.0, 190.0], **four, variation=0.1) == fallback


def test_it_is_asked_once_in_a_while_and_not_without_arrivals() -> None:
    decide = HybridHistogram(refresh=60.0).start(PROBLEM, now=0.0, seed=0)
    assert decide(seen(PROBLEM, 0.0)).at_arrivals
    assert decide(seen(PROBLEM, 0.1, [0.1]))[1:] == (60.1, False)
    many = [0.1, *(0.1 + 5.0 * k for k in range(1, 12))]
    assert decide(seen(PROBLEM, 60.1, many))[1:] == (120.1, False)
    assert decide(seen(PROBLEM, 120.1, many))[1:] == (None, True)
    decision = decide(seen(PROBLEM, 1000.0, [*many, 1000.0]))
    assert decision[1:] == (1060.0, False)
    # 11 in the first bin and one in the last: it ends at bin 15, of 960 s.
    assert decision.directives["f0"].schedules[0][0].until == pytest.approx(16 * 60 * 1.1)


def test_what_does_not_change_is_not_decided_again() -> None:
    decide = HybridHistogram(refresh=0.0).start(PROBLEM, now=0.0, seed=0)
    decide(seen(PROBLEM, 0.0))
    decide(seen(PROBLEM, 0.0, [0.0]))
    assert list(decide(seen(PROBLEM, 601.0, [0.0, 601.0])).directives) == ["f0"]
    assert not decide(seen(PROBLEM, 1202.0, [0.0, 601.0, 1202.0])).directives


def test_each_function_counts_from_its_own_end() -> None:
    problem = chain(1.0, 70.0, sla=100.0)
    decide = HybridHistogram().start(problem, now=0.0, seed=0)
    decide(seen(problem, 0.0))
    decide(seen(problem, 0.0, [0.0]))
    decision = decide(seen(problem, 125.0, [0.0, 125.0]))
    begins = [each.schedules[0][0].start for each in decision.directives.values()]
    assert begins == pytest.approx([2 * 54.0, 0.0])


def test_any_application_will_do() -> None:
    problem = diamond()
    decide = HybridHistogram().start(problem, now=0.0, seed=0)
    assert names_all(problem, decide(seen(problem, 0.0)))


def test_what_it_says_of_itself() -> None:
    policy: Policy = HybridHistogram(refresh=0.0)
    assert policy.name == "hybrid histogram"
    assert policy.fidelity.startswith("simplified: no ARIMA")
    assert "60 s" not in policy.fidelity
    assert "60 s" in HybridHistogram().fidelity
    assert "margin=0.1" in repr(policy)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"bin_width": 0.0}, "bin_width"),
        ({"bin_width": 1e-6}, "bin_width"),
        ({"span": 30.0}, "span"),
        ({"head": 0.5, "tail": 0.4}, "tail"),
        ({"margin": 1.5}, "margin"),
        ({"variation": math.nan}, "variation"),
        ({"out_of_bounds": 0.0}, "out_of_bounds"),
        ({"fallback": -1.0}, "fallback"),
        ({"refresh": -1.0}, "refresh"),
    ],
)
def test_a_bad_setting_is_named(settings: dict[str, float], place: str) -> None:
    with pytest.raises(InvalidInputError, match=place):
        HybridHistogram(**settings)
