"""Guards in virtual time: whatever fails, no call too many, none while the breaker is open, none too late."""

import asyncio
import math
import random
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.adapters import ArrivalsSource, Outcome
from smiless_core.adapters.testing import CONTRACT, InMemoryPlatform, virtual_now, virtual_run
from smiless_core.controller.guards import Backoff, BreakerState, CircuitBreaker, Guard, GuardedPlatform, RateLimit
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Configuration

START = 1e9  # as seconds since 1970 are: doubles are coarse there
NEAR = 1e-5

CORES = Configuration("cpu", 1)


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


# --- pauses ----------------------------------------------------------------------------------------------------------


@given(
    first=st.floats(0.001, 10.0),
    growth=st.floats(1.0, 100.0),
    failures=st.integers(1, 10_000),
    retry_after=st.none() | st.floats(),
    seed=st.integers(0, 9),
)
def test_pauses_are_bounded_repeatable_and_not_shorter_than_asked(first, growth, failures, retry_after, seed):
    cap = first * growth
    delay, again = (Backoff(first=first, cap=cap, seed=seed).delay(failures, retry_after=retry_after) for _ in range(2))
    assert delay == again
    asked = retry_after if retry_after is not None and retry_after > 0 else 0.0
    assert asked <= delay <= asked + min(cap, first * 2.0 ** min(failures - 1, 900))


def test_pauses_grow_and_differ():
    backoff = Backoff(first=1.0, cap=8.0, seed=1)
    drawn = [[backoff.delay(failures) for _ in range(300)] for failures in range(1, 7)]
    for bound, delays in zip([1.0, 2.0, 4.0, 8.0, 8.0, 8.0], drawn, strict=True):
        assert 0.9 * bound < max(delays) <= bound
        assert min(delays) < 0.1 * bound
    assert Backoff().delay(9) != Backoff().delay(9)


@pytest.mark.parametrize("wrong", [{"first": 0.0}, {"first": math.nan}, {"first": 2.0, "cap": 1.0}])
def test_wrong_pauses(wrong):
    with pytest.raises(InvalidInputError):
        Backoff(**wrong)


# --- rate ------------------------------------------------------------------------------------------------------------


def most_within(times, span):
    """Return the most times within any closed window of a length."""
    first, most = 0, 0
    for last, time in enumerate(times):
        while time - times[first] > span:
            first += 1
        most = max(most, last - first + 1)
    return most


@given(
    rate=st.floats(0.1, 50.0),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0.0, 3.0) | st.just(0.0), min_size=1, max_size=80),
    patience=st.lists(st.floats(0.0, 5.0) | st.just(math.inf), min_size=80, max_size=80),
)
def test_never_more_than_the_rate_in_any_window(rate, burst, gaps, patience):
    limit, now, made = RateLimit(rate, burst=burst), START, []
    for gap, most in zip(gaps, patience, strict=False):
        now += gap
        delay = limit.delay(now, at_most=most)
        assert delay >= 0.0
        if delay <= most:
            made.append(now + delay)
    assert made == sorted(made)
    for span in (0.0, 0.1, 1.0, 7.0, 60.0):
        assert most_within(made, span) <= burst + rate * (span + NEAR) + NEAR


@given(rate=st.floats(0.1, 50.0), burst=st.integers(1, 20))
def test_no_call_waits_longer_than_it_must(rate, burst):
    limit = RateLimit(rate, burst=burst)
    delays = [limit.delay(START) for _ in range(burst + 5)]
    assert delays == pytest.approx([0.0] * burst + [each / rate for each in range(1, 6)], abs=NEAR)
    quiet = START + (burst + 5) / rate + NEAR
    assert [limit.delay(quiet) for _ in range(burst)] == pytest.approx([0.0] * burst, abs=NEAR)


def test_calls_that_are_not_made_do_not_count():
    limit = RateLimit(1.0)
    assert limit.delay(START) == 0.0
    assert [limit.delay(START, at_most=0.5) for _ in range(9)] == [1.0] * 9
    assert limit.delay(START) == 1.0


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": math.inf}, {"rate": 1.0, "burst": 0}])
def test_wrong_rates(wrong):
    with pytest.raises(InvalidInputError):
        RateLimit(**wrong)


# --- breaker ---------------------------------------------------------------------------------------------------------


def test_a_breaker_opens_after_failures_in_a_row_only():
    breaker = CircuitBreaker(failures=3, rest=10.0, now=(clock := Clock()))
    for failures in (2, 2, 3):
        assert breaker.state is BreakerState.CLOSED
        breaker.succeeded(breaker.admit())
        for _ in range(failures):
            breaker.failed(breaker.admit())
    assert breaker.state is BreakerState.OPEN
    assert breaker.remaining() == 10.0
    assert breaker.admit() is None
    clock.now += 9.9
    assert breaker.admit() is None
    clock.now += 0.1
    assert breaker.remaining() == 0.0


def half_open():
    breaker = CircuitBreaker(failures=1, rest=10.0, now=(clock := Clock()))
    late = breaker.admit()
    breaker.failed(breaker.admit())
    clock.now += 10.0
    return breaker, clock, late, breaker.admit()


def test_a_half_open_breaker_lets_one_through():
    breaker, _, _, ticket = half_open()
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.admit() is None
    breaker.succeeded(ticket)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admit() is not None


def test_one_failure_opens_it_again():
    breaker, clock, _, ticket = half_open()
    breaker.failed(ticket)
    assert breaker.state is BreakerState.OPEN
    assert breaker.remaining() == 10.0
    clock.now += 10.0
    assert breaker.admit() is not None


def test_a_call_that_is_cancelled_leaves_the_place_to_another():
    breaker, _, _, ticket = half_open()
    breaker.abandoned(ticket)
    assert breaker.admit() is not None
    assert breaker.admit() is None


@pytest.mark.parametrize("settle", ["succeeded", "failed", "abandoned"])
def test_late_answers_say_nothing(settle):
    breaker, _, late, _ = half_open()
    getattr(breaker, settle)(late)
    assert breaker.state is BreakerState.HALF_OPEN


@given(
    failures=st.integers(1, 3),
    steps=st.lists(
        st.sampled_from(["admit", "succeeded", "failed", "abandoned"]) | st.floats(0.0, 8.0), min_size=10, max_size=80
    ),
    seed=st.integers(0, 99),
)
def test_no_call_goes_through_while_it_is_open(failures, steps, seed):
    """Calls overlap and settle in any order; the rest is told by what was said to the breaker, not by its state."""
    breaker, picks = CircuitBreaker(failures=failures, rest=5.0, now=(clock := Clock())), random.Random(seed)
    under_way, opened_at, probing = [], -math.inf, None
    for step in steps:
        was = breaker.state
        if isinstance(step, float):
            clock.now += step
        elif step == "admit":
            ticket = breaker.admit()
            if ticket is not None:
                assert clock.now >= opened_at + 5.0
                assert probing is None
                under_way.append(ticket)
                if breaker.state is BreakerState.HALF_OPEN:
                    probing = ticket
        elif under_way:
            ticket = under_way.pop(picks.randrange(len(under_way)))
            getattr(breaker, step)(ticket)
            if ticket == probing:
                probing = None
            if breaker.state is BreakerState.OPEN and was is not BreakerState.OPEN and step == "failed":
                opened_at = clock.now
    # It is not stuck: whatever happened, a call goes through in the end.
    for ticket in under_way:
        breaker.abandoned(ticket)
    clock.now += 5.0
    assert breaker.admit() is not None


# --- guard -----------------------------------------------------------------------------------------------------------


class Scripted:
    """A platform that answers by a script, and then well."""

    def __init__(self, script):
        self.script = list(script)
        self.begun = []
        self.ended = []

    async def __call__(self):
        self.begun.append(virtual_now())
        takes, error = self.script.pop(0) if self.script else (0.0, None)
        try:
            await asyncio.sleep(takes)
            if error:
                raise error
            return len(self.begun)
        finally:
            self.ended.append(virtual_now())


def guard(**changes):
    return Guard("cloud", **{"now": virtual_now, "backoff": Backoff(seed=1), **changes})


def busy(retry_after=None):
    return PlatformError("busy", "cloud", retry_after=retry_after)


def refused():
    return PlatformError("no such function", "cloud", retryable=False)


def run(main):
    return virtual_run(main, start=START)


def test_what_may_be_retried_is():
    seen = []

    async def main():
        platform = Scripted([(0.1, busy()), (0.1, OSError()), (0.1, busy())])
        return await guard(on_error=seen.append)(platform, doing="warm detect")

    assert run(main()) == 4
    assert [str(each) for each in seen] == [
        "cloud: warm detect: busy",
        "cloud: warm detect: failed with OSError",
        "cloud: warm detect: busy",
    ]


def test_what_may_not_be_retried_is_raised_at_once():
    async def main(error):
        platform = Scripted([(0.0, error)])
        with pytest.raises(type(error)) as caught:
            await guard()(platform, doing="warm detect")
        assert len(platform.begun) == 1
        return caught.value

    assert str(run(main(refused()))) == "cloud: warm detect: no such function"
    assert str(run(main(InvalidInputError("no function named 'x'")))) == "no function named 'x'"
    own = PlatformError("no", "other", "deploy", retryable=False)
    assert run(main(own)) is own


def test_what_no_one_foresaw_is_an_error_of_the_platform_without_its_text():
    async def main():
        with pytest.raises(PlatformError) as caught:
            await guard()(Scripted([(0.0, KeyError("https://user:hunter2@cloud"))]), doing="observe detect")
        return caught.value

    error = run(main())
    assert str(error) == "cloud: observe detect: failed with KeyError"
    assert "hunter2" not in repr(error)
    assert not error.retryable
    assert isinstance(error.__cause__, KeyError)


def test_what_does_not_answer_is_given_up():
    async def main(**told):
        platform = Scripted([(1000.0, None)] * 9)
        with pytest.raises(PlatformError, match=r"cloud: observe detect: no answer within \d+ s"):
            await guard(timeout=4.0, deadline=10.0)(platform, doing="observe detect", **told)
        lasted = [end - begin for begin, end in zip(platform.begun, platform.ended, strict=True)]
        return virtual_now() - START, lasted

    total, lasted = run(main())
    assert lasted[0] == pytest.approx(4.0)
    assert len(lasted) in (2, 3)
    assert total <= 10.0 + NEAR
    total, lasted = run(main(timeout=60.0))
    assert lasted == [pytest.approx(60.0)]


def test_it_waits_as_long_as_it_is_asked_to_and_not_in_vain():
    async def main(retry_after):
        platform = Scripted([(0.0, busy(retry_after))])
        try:
            await guard(deadline=30.0)(platform, doing="x")
        except PlatformError as error:
            return error.message, virtual_now() - START
        return platform.begun[1] - platform.begun[0]

    assert 20.0 <= run(main(20.0)) <= 20.25 + NEAR
    for long in (30.0, 1e300, math.inf):
        assert run(main(long)) == ("busy", 0.0)
    for odd in (-5.0, math.nan, -math.inf, None, 0.0):
        assert 0.0 <= run(main(odd)) <= 0.25 + NEAR


def test_an_open_breaker_refuses_at_once_and_says_for_how_long():
    async def main():
        breaker = CircuitBreaker(failures=2, rest=60.0, now=virtual_now)
        platform = Scripted([(0.0, busy())] * 2)
        guarded = guard(breaker=breaker)
        with pytest.raises(PlatformError, match="busy"):
            await guarded(platform, doing="x")
        await asyncio.sleep(10.0)
        before = virtual_now()
        with pytest.raises(PlatformError, match="cloud: x: not called: it has failed too often in a row") as caught:
            await guarded(platform, doing="x")
        assert virtual_now() == before
        assert caught.value.retryable
        assert 49.0 <= caught.value.retry_after <= 50.0
        assert len(platform.begun) == 2
        await asyncio.sleep(60.0)
        assert await guarded(platform, doing="x") == 3
        assert guarded.breaker.state is BreakerState.CLOSED

    run(main())


def test_what_opens_the_breaker_is_raised_without_a_pause():
    async def main():
        guarded = guard(breaker=CircuitBreaker(failures=1, now=virtual_now))
        with pytest.raises(PlatformError, match="busy"):
            await guarded(Scripted([(0.0, busy(2.0))]), doing="x")
        assert virtual_now() == START

    run(main())


def test_what_the_breaker_refuses_does_not_use_up_the_rate():
    async def main():
        breaker = CircuitBreaker(failures=1, rest=5.0, now=virtual_now)
        guarded = guard(breaker=breaker, limit=RateLimit(1.0))
        with pytest.raises(PlatformError, match="busy"):
            await guarded(Scripted([(0.0, busy())]), doing="x")
        for _ in range(100):
            with pytest.raises(PlatformError, match="too often"):
                await guarded(Scripted([]), doing="x")
        await asyncio.sleep(5.0)
        assert await guarded(Scripted([]), doing="x") == 1
        assert virtual_now() == pytest.approx(START + 5.0)

    run(main())


def test_a_platform_that_refuses_works():
    async def main():
        guarded = guard(breaker=CircuitBreaker(failures=2, now=virtual_now))
        for _ in range(5):
            with pytest.raises(PlatformError):
                await guarded(Scripted([(0.0, refused())]), doing="x")
        assert guarded.breaker.state is BreakerState.CLOSED

    run(main())


def test_what_is_not_about_the_platform_says_nothing_of_it():
    async def main():
        guarded = guard(breaker=CircuitBreaker(failures=1, rest=1.0, now=virtual_now))
        with pytest.raises(PlatformError):
            await guarded(Scripted([(0.0, busy())]), doing="x")
        await asyncio.sleep(1.0)
        with pytest.raises(InvalidInputError):
            await guarded(Scripted([(0.0, InvalidInputError("x"))]), doing="x")
        assert guarded.breaker.state is BreakerState.OPEN
        assert await guarded(Scripted([]), doing="x") == 1  # it may be tried: the rest is over

    run(main())


def test_a_call_that_is_cancelled_is_not_a_failure_and_blocks_no_one():
    async def main():
        guarded = guard(breaker=CircuitBreaker(failures=1, rest=1.0, now=virtual_now))
        with pytest.raises(PlatformError):
            await guarded(Scripted([(0.0, busy())]), doing="x")
        await asyncio.sleep(1.0)
        probe = asyncio.create_task(guarded(Scripted([(5.0, None)]), doing="x"))
        await asyncio.sleep(1.0)
        with pytest.raises(PlatformError, match="too often"):
            await guarded(Scripted([]), doing="x")
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert await guarded(Scripted([]), doing="x") == 1

    run(main())


def test_too_many_calls_at_once_are_refused_before_they_would_be_too_late():
    async def main():
        guarded, platform = guard(limit=RateLimit(1.0, burst=2), deadline=10.0), Scripted([])
        done = await asyncio.gather(*(guarded(platform, doing="x") for _ in range(20)), return_exceptions=True)
        errors = [each for each in done if isinstance(each, PlatformError)]
        assert {each.message for each in errors} == {"too many calls at once"}
        assert all(each.retry_after > 9.0 for each in errors)
        assert len(platform.begun) == 20 - len(errors) == 11
        assert platform.begun == pytest.approx([START, START, *(START + each for each in range(1, 10))])

    run(main())


ERRORS = st.none() | st.builds(busy, st.none() | st.floats(0.0, 20.0)) | st.builds(refused) | st.builds(OSError)
ANSWERS = st.tuples(st.sampled_from([0.0, 0.1, 3.0, 100.0]), ERRORS)


@given(
    script=st.lists(ANSWERS, max_size=60),
    gaps=st.lists(st.sampled_from([0.0, 0.0, 0.1, 2.0, 15.0]), min_size=1, max_size=15),
    rate=st.sampled_from([0.5, 2.0, 10.0]),
    burst=st.integers(1, 4),
    failures=st.integers(1, 4),
)
def test_whatever_the_platform_does(script, gaps, rate, burst, failures):
    """Calls that overlap: within the rate, none while the breaker is open, each at an end by its deadline."""

    async def main():
        opened = []

        class Watched(CircuitBreaker):
            def failed(self, ticket):
                before = self.state
                super().failed(ticket)
                if before is not BreakerState.OPEN and self.state is BreakerState.OPEN:
                    opened.append(virtual_now())

        guarded = guard(
            limit=RateLimit(rate, burst=burst),
            breaker=Watched(failures=failures, rest=12.0, now=virtual_now),
            timeout=5.0,
            deadline=20.0,
        )
        platform = Scripted(script)

        async def call():
            begun = virtual_now()
            with suppress(PlatformError):  # and nothing else
                await guarded(platform, doing="x")
            assert virtual_now() - begun <= 20.0 + NEAR

        calls = []
        for gap in gaps:
            await asyncio.sleep(gap)
            calls.append(asyncio.create_task(call()))
        await asyncio.gather(*calls)
        for span in (0.0, 0.5, 5.0, 30.0):
            assert most_within(platform.begun, span) <= burst + rate * (span + NEAR) + NEAR
        for moment in opened:
            # The call that opened it may have been begun at that very moment.
            assert not [each for each in platform.begun if moment + NEAR < each < moment + 12.0 - NEAR]
        assert all(end - begin <= 5.0 + NEAR for begin, end in zip(platform.begun, platform.ended, strict=True) if end)

    run(main())


@pytest.mark.parametrize("wrong", [{"timeout": 0.0}, {"deadline": math.inf}])
def test_wrong_times(wrong):
    with pytest.raises(InvalidInputError):
        Guard("cloud", **wrong)


# --- guarded platform ------------------------------------------------------------------------------------------------


class Harness:
    functions = ("detect", "caption")
    configurations = (CORES, Configuration("cpu", 2))
    patience = 30.0

    def __init__(self):
        self.memory = InMemoryPlatform(self.functions, fault=self.fault)
        self.platform = GuardedPlatform(self.memory, guard(timeout=1.0), wall=virtual_now)
        self.now = virtual_now
        self.faults = random.Random(6)

    async def fault(self, operation, function):
        chance = self.faults.random()
        await asyncio.sleep(5.0 if chance < 0.1 else 0.0)
        return busy() if chance < 0.3 else None

    async def invoke(self, function):
        await self.memory.invoke(function, 0.5)

    def changes(self):
        return len(self.memory.sent)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_a_guarded_platform_is_one_and_a_better_one(check):
    """What is behind it fails every third time; that is not seen in front of it."""

    async def main():
        await check(Harness())

    run(main())


def test_calls_that_wait_are_waited_for():
    async def main():
        memory = InMemoryPlatform(["detect"], cold_start=50.0)
        platform = GuardedPlatform(memory, guard(timeout=1.0), wall=virtual_now)
        assert platform.name == "memory"
        assert (await platform.capabilities()).arrivals_source is ArrivalsSource.ANNOUNCED
        warmth = await platform.apply("detect", CORES, replicas=1, by=START + 60.0)
        assert warmth.outcome is Outcome.READY
        assert len(memory.sent) == 1
        warmth = await platform.warm("detect", replicas=2, by=virtual_now() + 10.0)
        assert warmth.outcome is Outcome.LATE
        await platform.close()

    run(main())


def test_pauses_between_tries_are_not_all_alike():
    async def main():
        platform = Scripted([(0.0, busy())] * 4)
        await guard()(platform, doing="x")
        return [later - earlier for earlier, later in pairwise(platform.begun)]

    pauses = run(main())
    assert len(set(pauses)) == 4
    assert all(pause <= bound + NEAR for pause, bound in zip(pauses, [0.25, 0.5, 1.0, 2.0], strict=True))
