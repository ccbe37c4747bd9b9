"""The loop in virtual time: what it sends, what it must not, and what it does when things go wrong."""

import asyncio
import contextlib
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from smiless_core.adapters import ArrivalsSource, Arrived, Capabilities, Observed
from smiless_core.adapters.testing import InMemoryPlatform, virtual_now, virtual_run
from smiless_core.controller.loop import Controller
from smiless_core.controller.running import control
from smiless_core.controller.state import Store
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Configuration, Stay
from smiless_core.policies import Decision, Directive, TimedStart
from strategies import examples

START = 1_080_000.0  # seconds: no clock begins at 0, and a policy's begins with the hour
CPU, MORE = Configuration("cpu", 1), Configuration("cpu", 2)
COLD = 2.0


def profile(name, latency=0.5):
    return sc.Profile(
        name,
        {
            "cpu": sc.HardwareProfile(
                alpha=latency,
                beta=0.0,
                gamma=0.0,
                cold_start_mean=COLD,
                cold_start_std=0.0,
                sizes=(1, 2),
                batches=(1,),
            )
        },
    )


def problem(*names, **limits):
    return sc.Problem(
        sc.Application.chain(*names, sla=10.0),
        {name: profile(name) for name in names},
        sc.Prices(cpu=1.0, gpu=1.0),
        limits=sc.Limits(**limits),
    )


class Memory:
    """What outlives a controller, in memory: the store on disk is tested on its own."""

    def __init__(self):
        self.times, self.cursors, self.entries, self.notes = [], {}, {}, {}

    def ingest(self, function, times, cursor, lost=0):
        self.times += list(times)
        self.cursors[function] = cursor

    def cursor(self, function):
        return self.cursors.get(function, "")

    def history(self):
        return np.array(self.times)

    def begin(self, key, due):
        return (
            self.entries.setdefault(key, None) is None
            and not self.notes.setdefault(f"begun {key}", "")
            and (self.notes.__setitem__(f"begun {key}", "yes") or True)
        )

    def finish(self, key, outcome):
        self.entries[key] = outcome

    def unfinished(self):
        return [SimpleNamespace(key=key) for key, outcome in self.entries.items() if outcome is None]

    def decision(self, now, payload):
        self.notes["last decision"] = payload

    def forget(self, before):
        pass

    def meta(self, name):
        return self.notes.get(name)

    def set_meta(self, name, value):
        self.notes[name] = value


class Lease:
    def __init__(self):
        self.held = True

    async def hold(self):
        return self.held

    async def release(self):
        pass


class Script:
    """A policy that says what it is given."""

    name, fidelity = "script", "script"

    def __init__(self, *decisions):
        self.decisions, self.seen = list(decisions), []

    def start(self, problem, *, now, seed):
        def decide(observation):
            self.seen.append(observation)
            return self.decisions[min(len(self.seen), len(self.decisions)) - 1]

        return decide


class World:
    """A controller on a platform in memory, with everything that they say."""

    def __init__(self, policy, given=None, *, store=None, **settings):
        self.problem = given or problem("detect")
        self.platform = InMemoryPlatform(
            self.problem.application.names, now=self.now, cold_start=COLD, fault=self.fault, lies=self.lie
        )
        self.policy, self.settings = policy, settings
        self.store, self.lease = store or Memory(), Lease()
        self.told, self.calls = [], []
        self.failing, self.slow, self.lies = None, 0.0, None
        self.running = None
        self.set_by = 0.0  # seconds, all clocks

    async def fault(self, operation, function):
        if self.slow:
            await asyncio.sleep(self.slow)
        if operation in ("apply", "warm", "retire"):
            self.calls.append((virtual_now(), operation, function))
        if self.failing:
            return PlatformError("it fails", "memory", f"{operation} {function}")
        return None

    def now(self):
        return virtual_now() + self.set_by

    def lie(self, function, seen):
        return self.lies(seen) if self.lies else seen

    def tell(self, event, /, **fields):
        if event != "tick":
            self.told.append(SimpleNamespace(event=event, at=virtual_now(), **fields))

    def events(self, event):
        return [each for each in self.told if each.event == event]

    def controller(self):
        return Controller(
            self.problem,
            self.policy,
            self.platform,
            store=self.store,
            lease=self.lease,
            now=self.now,
            journal=self.tell,
            **self.settings,
        )

    def begin(self):
        self.running = asyncio.create_task(self.controller().run())

    async def kill(self):
        """End it as a kill does: at any await, and without a word."""
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running

    def ready(self, function="detect"):
        deployed = self.platform._deployed[function]
        return sum(each.ready_at <= self.now() for each in self.platform._current(deployed))


def play(world, story):
    async def run():
        world.begin()
        try:
            await story(world)
            if world.running.done() and not world.running.cancelled():
                world.running.result()
        finally:
            await world.kill()

    virtual_run(run(), start=START)


def keep(seconds, **more):
    return Decision({"detect": Directive.keep_alive(CPU, seconds, **more)})


# --- what it does ----------------------------------------------------------------------------------------------------


def test_an_instance_stays_for_its_keep_alive():
    async def story(world):
        await asyncio.sleep(5.0)
        assert world.platform._deployed["detect"].configuration == CPU
        assert world.ready() == 0
        await world.platform.invoke("detect", 0.5)  # cold: 2.5 s
        end = virtual_now()
        await asyncio.sleep(29.0)
        assert world.ready() == 1
        await asyncio.sleep(end + 32.0 - virtual_now())
        assert world.ready() == 0

    world = World(Script(keep(30.0)))
    play(world, story)
    assert [each.action for each in world.events("action")] == ["apply", "warm", "retire"]


def test_an_instance_starts_before_it_is_needed():
    async def story(world):
        await asyncio.sleep(1.0)
        await world.platform.invoke("detect", 0.5)
        end = virtual_now()
        await asyncio.sleep(10.0)
        assert world.ready() == 0
        await asyncio.sleep(end + 20.5 + COLD - virtual_now())
        assert world.ready() == 1, world.told
        await asyncio.sleep(end + 27.0 - virtual_now())
        assert world.ready() == 0

    world = World(Script(keep(5.0, prewarm=20.0, cold_start=COLD)))
    play(world, story)
    on_request, ahead = [each for each in world.events("action") if each.action == "warm"]
    assert on_request.entries == []
    assert ahead.outcome == "ready"
    assert len(ahead.entries) == 1


def test_timed_starts_are_on_the_policys_clock():
    start = TimedStart(50.0, 60.0, count=3)

    async def story(world):
        await asyncio.sleep(49.0)
        assert world.ready() == 0
        await asyncio.sleep(4.0)
        assert world.ready() == 3
        await asyncio.sleep(10.0)
        assert world.ready() == 0

    play(World(Script(Decision({"detect": Directive(configuration=CPU, starts=(start,))}))), story)


def test_another_configuration_is_made_ready_before_it_serves():
    async def story(world):
        await asyncio.sleep(30.0)
        assert world.platform._deployed["detect"].configuration == MORE
        assert world.ready() == 2

    first = Decision({"detect": Directive(configuration=CPU, min_replicas=2)}, wake=10.0)
    world = World(Script(first, Decision({"detect": Directive(configuration=MORE, min_replicas=2)})))
    play(world, story)
    assert [(each.action, each.replicas) for each in world.events("action")] == [("apply", 2), ("apply", 2)]


def test_the_policy_is_asked_at_arrivals_and_when_it_wants():
    async def story(world):
        await asyncio.sleep(20.0)
        assert len(world.policy.seen) == 1
        await world.platform.invoke("detect", 0.1)
        await asyncio.sleep(5.0)
        assert len(world.policy.seen) == 2
        await asyncio.sleep(100.0)
        assert len(world.policy.seen) == 3

    hold = {"detect": Directive(configuration=CPU)}
    world = World(Script(Decision(hold, at_arrivals=True), Decision({}, wake=60.0), Decision({})))
    play(world, story)
    first, second, third = world.policy.seen
    assert (len(first.arrivals), len(second.arrivals), len(third.arrivals)) == (0, 1, 1)
    assert second.arrivals[0] == pytest.approx(20.0, abs=0.1)
    assert third.now == pytest.approx(60.0, abs=0.6)
    assert np.isnan(second.responses).all()


def test_a_dry_run_tells_and_sends_nothing():
    async def story(world):
        await asyncio.sleep(10.0)

    world = World(Script(Decision({"detect": Directive(configuration=CPU, min_replicas=2)})), dry_run=True)
    play(world, story)
    would = world.events("would")
    assert (would[0].action, would[0].replicas, would[0].seen["ready"]) == ("apply", 2, 0)
    assert len(would) < 8  # not at every tick
    assert world.calls == []


def test_the_policy_of_the_simulator_runs_here():
    given = problem("detect", "caption", announces_arrivals=True)

    async def story(world):
        for _ in range(12):
            await asyncio.sleep(20.0)
            await world.platform.invoke("detect", 0.4)
            await world.platform.invoke("caption", 0.4)

    world = World(sc.Smiless(), given)
    play(world, story)
    assert not world.events("policy_error")
    assert len(world.events("decision")) > 5
    assert {each.function for each in world.events("action")} == {"detect", "caption"}


def test_what_came_is_served_as_decided_before():
    async def story(world):
        await asyncio.sleep(1.0)
        await world.platform.invoke("detect", 0.4)
        await asyncio.sleep(10.0)
        assert world.ready() == 1
        await world.platform.invoke("detect", 0.4)  # warm, so it has its instance for no cold start
        await asyncio.sleep(1.0)
        assert world.ready() == 0

    later = Directive(configuration=CPU, readiness="prewarmed", schedules=((Stay(100.0, 102.0, 110.0),),))
    once = keep(30.0)._replace(at_arrivals=True)
    play(World(Script(once, once, Decision({"detect": later}))), story)


def test_an_instance_further_down_waits_for_its_work():
    profiles = {"detect": profile("detect", 3.0), "caption": profile("caption")}
    given_problem = sc.Problem(
        sc.Application.chain("detect", "caption", sla=10.0), profiles, sc.Prices(cpu=1.0, gpu=1.0)
    )

    async def story(world):
        await asyncio.sleep(3.13)
        for _ in range(4):
            await world.platform.invoke("detect", 3.0)
            await world.platform.invoke("caption", 0.5)
            await asyncio.sleep(12.3)

    world = World(
        Script(Decision({name: Directive.keep_alive(CPU, 60.0) for name in ("detect", "caption")})), given_problem
    )
    play(world, story)
    assert [each[1:] for each in world.platform.sent] == [("start", "detect", 1), ("start", "caption", 1)]


def test_arrivals_without_times_are_told():
    async def lost(function, *, since):
        return Arrived((), "7", 0 if since else 3)

    async def story(world):
        world.platform.arrivals = lost
        await asyncio.sleep(5.0)

    world = World(Script(keep(30.0)))
    play(world, story)
    assert [(each.count, each.lost) for each in world.events("arrivals")] == [(0, 3)]


@pytest.mark.parametrize("by", [-7200.0, -0.2, 7200.0])
@pytest.mark.parametrize("restarted", [False, True])
def test_clocks_are_set(by, restarted):
    async def story(world):
        for at in range(8):
            await asyncio.sleep(1.0)
            await world.platform.invoke("detect", 0.5)
            await asyncio.sleep(28.0)
            # Nobody knows how long it was away if its clock was set back meanwhile: once it may keep one more.
            assert world.ready() == 1 or (restarted and by < 0.0 and at == 4)
            await asyncio.sleep(20.0)
            assert world.ready() == 0
            if at == 3:
                world.set_by = by
                if restarted:
                    await world.kill()
                    world.begin()

    world = World(Script(keep(30.0)))
    play(world, story)
    if not restarted:
        assert [each[1:] for each in world.platform.sent] == 8 * [("start", "detect", 1), ("stop", "detect", 1)]
    assert not world.events("policy_error")
    assert {each.outcome for each in world.events("action")} == {"ready"}


# --- what it must not do ---------------------------------------------------------------------------------------------


def test_without_the_lease_nothing_is_sent():
    async def story(world):
        await asyncio.sleep(5.0)
        world.lease.held = False
        await asyncio.sleep(3.0)
        sent = len(world.calls)
        await world.platform.invoke("detect", 0.5)
        await asyncio.sleep(200.0)
        assert len(world.calls) == sent
        world.lease.held = True
        await asyncio.sleep(5.0)
        assert len(world.calls) > sent

    world = World(Script(keep(30.0)))
    play(world, story)
    assert [each.event for each in world.told if each.event in ("leader", "standby")] == ["leader", "standby", "leader"]


def test_what_is_under_way_ends_with_the_lease():
    async def story(world):
        await asyncio.sleep(0.5)
        assert world.calls
        world.lease.held = False
        await asyncio.sleep(20.0)
        assert not world.events("action")

    play(World(Script(Decision({"detect": Directive(configuration=CPU, min_replicas=1)}))), story)


def test_a_lease_lost_while_the_policy_thinks_is_lost():
    class Slow(Script):
        def start(self, problem, *, now, seed):
            decide = super().start(problem, now=now, seed=seed)

            def slow(observation):
                asyncio.get_running_loop()._jump.now += 20.0  # nothing else goes on meanwhile
                world.lease.held = False
                return decide(observation)

            return slow

    async def story(world):
        await asyncio.sleep(60.0)

    world = World(Slow(Decision({"detect": Directive(configuration=CPU, min_replicas=1)})))
    play(world, story)
    assert world.events("decision")
    assert world.calls == []


def test_what_a_request_waits_for_is_not_let_go():
    async def story(world):
        await asyncio.sleep(5.0)
        world.lies = lambda seen: seen._replace(wanted=1, ready=0, in_flight=1)  # the platform starts one for it
        await asyncio.sleep(20.0)
        assert "retire" not in [operation for _, operation, _ in world.calls]
        world.lies = lambda seen: seen._replace(wanted=1, ready=1, in_flight=0)
        await asyncio.sleep(5.0)
        assert "retire" in [operation for _, operation, _ in world.calls]

    play(World(Script(Decision({"detect": Directive(configuration=CPU)}))), story)


def test_stale_arrivals_stop_it():
    async def story(world):
        await asyncio.sleep(5.0)
        world.failing = True
        await asyncio.sleep(60.0)
        sent = len(world.calls)
        await asyncio.sleep(60.0)
        assert len(world.calls) == sent
        assert world.events("stale")
        world.failing = None
        await asyncio.sleep(5.0)
        assert world.ready() == 1

    play(World(Script(Decision({"detect": Directive(configuration=CPU, min_replicas=1)}))), story)


def test_nothing_is_let_go_at_the_end():
    async def story(world):
        await asyncio.sleep(10.0)
        await world.kill()
        assert world.ready() == 2

    world = World(Script(Decision({"detect": Directive(configuration=CPU, min_replicas=2)})))
    play(world, story)
    assert "retire" not in [operation for _, operation, _ in world.calls]


def test_a_policy_that_fails_leaves_everything_as_it_is():
    class Failing(Script):
        def start(self, problem, *, now, seed):
            decide = super().start(problem, now=now, seed=seed)

            def failing(observation):
                decision = decide(observation)
                if len(self.seen) > 1:
                    raise ZeroDivisionError("by zero")
                return decision

            return failing

    async def story(world):
        await asyncio.sleep(60.0)
        assert world.ready() == 1

    world = World(Failing(Decision({"detect": Directive(configuration=CPU, min_replicas=1)}, wake=10.0)))
    play(world, story)
    assert world.events("policy_error")[0].error == "ZeroDivisionError: by zero"
    assert [operation for _, operation, _ in world.calls] == ["apply"]


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        (None, "expected a Decision, got nothing"),
        (Decision({}), "the first decision has none for 'detect'"),
        (Decision({"detek": Directive(configuration=CPU)}), "no function named 'detek' (did you mean 'detect'?)"),
        (Decision({"detect": CPU}), "expected a Directive"),
        (Decision({"detect": Directive(configuration=CPU)}, wake=-1.0), "is not later than now"),
        (Decision({"detect": Directive(configuration=Configuration("gpu", 1.0))}), "gpu"),
    ],
)
def test_nonsense_of_a_policy_is_told_and_not_done(decision, says):
    async def story(world):
        await asyncio.sleep(5.0)

    world = World(Script(decision))
    play(world, story)
    assert says in world.events("policy_error")[0].error
    assert world.calls == []


def test_what_does_not_come_about_is_not_asked_for_all_the_time():
    async def story(world):
        world.lies = lambda seen: seen._replace(ready=5, wanted=5)  # it never gets fewer
        await asyncio.sleep(600.0)

    world = World(Script(Decision({"detect": Directive(configuration=CPU)})))
    world.platform._deployed["detect"].configuration = CPU

    play(world, story)
    retired = [each for each in world.calls if each[1] == "retire"]
    assert 10 <= len(retired) <= 40
    assert world.ready() == 0


def test_it_goes_on_trying_for_ever():
    async def story(world):
        await asyncio.sleep(31.0 * 1100)
        assert not world.running.done()

    world = World(Script(Decision({"detect": Directive(configuration=CPU)})), dry_run=True, poll=31.0, stale=100.0)
    play(world, story)
    assert len(world.events("would")) > 1090


def test_what_a_platform_cannot_run_is_told():
    async def refuses(function, configuration, *, replicas, by):
        world.calls.append(configuration)
        raise InvalidInputError("local instances have no gpu")

    async def story(world):
        world.platform.apply = refuses
        await asyncio.sleep(100.0)

    world = World(Script(Decision({"detect": Directive(configuration=CPU)})))
    play(world, story)
    action = world.events("action")[0]
    assert (action.outcome, action.detail) == ("unsupported", "local instances have no gpu")
    assert 3 < len(world.calls) < 15


def test_a_fault_in_an_adapter_ends_it():
    async def faulty(function, configuration, *, replicas, by):
        raise ZeroDivisionError

    async def story(world):
        world.platform.apply = faulty
        await asyncio.sleep(100.0)

    with pytest.raises(ZeroDivisionError):
        play(World(Script(Decision({"detect": Directive(configuration=CPU)}))), story)


def test_a_function_that_cannot_be_seen_is_left_alone():
    async def story(world):
        await asyncio.sleep(10.0)
        sent = len(world.calls)

        async def blind(operation, function):
            return PlatformError("it fails", "memory") if operation == "observe" else None

        world.platform._fault = blind
        await world.platform.invoke("detect", 0.5)
        await asyncio.sleep(100.0)
        assert len(world.calls) == sent

    play(World(Script(keep(30.0))), story)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"entry": "detek"}, "entry: no function named 'detek'"), ({"poll": 0.0}, "poll"), ({"stale": -1.0}, "stale")],
)
def test_settings_are_checked(settings, says):
    with pytest.raises(InvalidInputError, match=says):
        World(Script(), **settings).controller()


# --- anything, in any order ------------------------------------------------------------------------------------------

happenings = st.sampled_from(
    [
        "invoke",
        "invoke",
        "invoke",
        "crash",
        "restart",
        "lose",
        "regain",
        "slow",
        "quick",
        "fail",
        "heal",
        "lie",
        "truth",
    ]
)
lies = st.sampled_from(
    [
        lambda seen: Observed(None),
        lambda seen: seen._replace(ready=seen.ready + 3),
        lambda seen: seen._replace(ready=0, wanted=0),
        lambda seen: seen._replace(in_flight=None),
        lambda seen: seen._replace(in_flight=10**6),
    ]
)
policies = st.sampled_from(
    [
        lambda: Script(Decision({name: Directive.keep_alive(CPU, 20.0) for name in ("detect", "caption")})),
        lambda: Script(
            Decision(
                {
                    name: Directive.keep_alive(CPU, 10.0, prewarm=15.0, cold_start=COLD)
                    for name in ("detect", "caption")
                },
            )
        ),
        lambda: sc.baselines.FixedKeepAlive(seconds=15.0),
        lambda: sc.PublishedSmiless(),
        lambda: sc.Smiless(),
    ]
)


@examples(60)
@given(
    make=policies,
    story=st.lists(st.tuples(happenings, st.integers(1, 200)), min_size=1, max_size=25),
    lie=lies,
    counted=st.booleans(),
)
def test_whatever_happens(make, story, lie, counted):
    given_problem = problem("detect", "caption", announces_arrivals=not counted)
    world = World(make(), given_problem)
    if counted:
        world.platform._capabilities = Capabilities(arrivals_source=ArrivalsSource.COUNTED)
    invoked, without_lease = [], []

    async def run():
        world.begin()
        requests = []
        lost_at = None
        try:
            for what, tenths in story:
                if what == "invoke":
                    invoked.append(virtual_now())
                    for function in ("detect", "caption"):
                        requests.append(asyncio.create_task(served(world, function)))
                elif what == "crash":
                    for deployed in world.platform._deployed.values():
                        deployed.instances = [each for each in deployed.instances if each.serving]
                elif what == "restart":
                    await world.kill()
                    world.begin()
                elif what == "lose":
                    world.lease.held = False
                    lost_at = virtual_now() if lost_at is None else lost_at
                elif what == "regain":
                    world.lease.held = True
                    if lost_at is not None:
                        without_lease.append((lost_at, virtual_now()))
                    lost_at = None
                elif what in ("slow", "quick"):
                    world.slow = 3.0 if what == "slow" else 0.0
                elif what in ("fail", "heal"):
                    world.failing = what == "fail"
                else:
                    world.lies = lie if what == "lie" else None
                await asyncio.sleep(tenths / 10)
                if world.running.done():
                    world.running.result()
            if lost_at is not None:
                without_lease.append((lost_at, virtual_now()))
            # All is well again: before long what is there is what should be.
            world.lease.held, world.slow, world.failing, world.lies = True, 0.0, None, None
            await asyncio.gather(*requests)
            await asyncio.sleep(400.0)
            sent = len(world.calls)
            await asyncio.sleep(20.0)
            static = isinstance(world.policy, Script | sc.baselines.FixedKeepAlive)
            if static:
                assert len(world.calls) == sent, "nothing happens, and it still sends something"
                assert [world.ready(name) for name in ("detect", "caption")] == [0, 0]
        finally:
            await world.kill()

    async def served(world, function):
        while True:
            try:
                await world.platform.invoke(function, 0.5)
                return
            except PlatformError:  # not deployed yet
                world.platform._deployed[function].arrivals.pop()
                await asyncio.sleep(1.0)

    virtual_run(run(), start=START)
    assert not world.events("policy_error"), world.events("policy_error")[0].error
    for lost, regained in without_lease:
        # What had been sent before is not the controller's any more; a tick's work is.
        assert not [
            each for each in world.calls if lost + 2.0 * (world.settings.get("poll", 0.5)) + 3.0 < each[0] < regained
        ]
    keys = [key for each in world.events("action") for key in each.entries]
    assert len(keys) == len(set(keys))
    told = sum(each.count for each in world.events("arrivals"))
    assert told == len(world.store.times) <= len(invoked)
    assert math.isfinite(sum(world.store.times))


class Full(Memory):
    """A disk that gets full."""

    full = False

    def ingest(self, function, times, cursor, lost=0):
        if self.full:
            raise PlatformError("no space left on device", "state", retryable=True)
        super().ingest(function, times, cursor, lost)


def test_what_cannot_be_remembered_is_not_done():
    async def story(world):
        await asyncio.sleep(5.0)
        world.store.full = True
        sent = len(world.calls)
        await world.platform.invoke("detect", 0.5)
        await asyncio.sleep(50.0)
        assert len(world.calls) == sent
        assert world.store.times == []
        world.store.full = False
        await asyncio.sleep(5.0)
        assert len(world.store.times) == 1

    world = World(Script(keep(120.0)), store=Full())
    play(world, story)
    assert "no space left" in world.events("platform_error")[0].error


def test_a_restart_goes_on_with_the_schedule(tmp_path):
    given_problem = problem("detect")

    async def story(world):
        await asyncio.sleep(1.0)
        await world.platform.invoke("detect", 0.5)
        end = virtual_now()
        await asyncio.sleep(10.0)
        await world.kill()
        world.begin()
        await asyncio.sleep(end + 20.5 + COLD - virtual_now())
        assert world.ready() == 1
        await world.kill()
        world.begin()
        await asyncio.sleep(2.0)
        assert world.ready() == 1

    with Store.open(tmp_path / "state.db", application=given_problem.application) as store:
        world = World(Script(keep(5.0, prewarm=20.0, cold_start=COLD)), given_problem, store=store)
        play(world, story)
        assert store.history().tolist() == pytest.approx([START + 1.0])
        assert store.decisions()[-1].payload["arrivals"] == 1
    started = [each for each in world.platform.sent if each[1] == "start"]
    assert len(started) == 2  # on request, and ahead of time: once, whatever was killed
    assert [each.resumed for each in world.events("started")] == [False, True, True]


@pytest.mark.parametrize(
    ("able", "offered"),
    [
        ({}, {"cpu": (1.0,)}),
        ({"gpu": True}, {"cpu": (1.0,), "gpu": (1.0,)}),
        ({"gpu": True, "fractional_gpu": True}, {"cpu": (1.0,), "gpu": (0.5, 1.0)}),
    ],
)
def test_hardware_that_is_not_there_is_not_planned_with(able, offered, tmp_path):
    cpu = profile("detect").hardware[sc.Hardware.CPU].replace(sizes=(1,))
    both = sc.Profile("detect", {"cpu": cpu, "gpu": cpu.replace(sizes=(0.5, 1.0))})
    seen = {}

    class Looks(Script):
        def start(self, problem, *, now, seed):
            seen.update({kind: problem.sizes(0, kind) for kind in sc.Hardware if problem.sizes(0, kind)})
            return super().start(problem, now=now, seed=seed)

    given_problem = problem("detect").replace(profiles={"detect": both, "unused": both.replace(name="unused")})
    there = InMemoryPlatform(["detect"], now=time.time, capabilities=Capabilities(**able))
    asyncio.run(control(given_problem, Looks(keep(1.0)), there, state=tmp_path / "state.db", until=time.time() + 0.2))
    assert seen == offered
    if not able:
        only = problem("detect").replace(profiles={"detect": both.replace(hardware={"gpu": cpu.replace(sizes=(1,))})})
        with pytest.raises(InvalidInputError, match="memory offers nothing that profile 'detect' has measured"):
            asyncio.run(control(only, Looks(keep(1.0)), there, state=tmp_path / "other.db"))
