"""The instances of one function, in virtual time and without processes: who serves, starts, ends, and when."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.adapters.local import pool as pool_module
from smiless_core.adapters.local.ledger import Doing
from smiless_core.adapters.local.pool import Limits, Pool, UnservedError
from smiless_core.adapters.local.runtimes import Running
from smiless_core.adapters.testing import virtual_now, virtual_run
from smiless_core.errors import PlatformError
from smiless_core.model import Configuration

ONE, TWO, HALF = (Configuration("cpu", size) for size in (1, 2, 0.5))
THREES = Configuration("cpu", 1, batch=3)
COLD = 1.0


class FakeRuntime:
    """Instances that are nothing but their records."""

    name = "fake"

    def __init__(self, in_place_resize=False, cold=COLD):
        self.in_place_resize = in_place_resize
        self.cold = cold
        self.ends = {}
        self.pids = {}
        self.on = {}
        self.born = {}
        self.lifetimes = {}
        self.serving = {}
        self.started = []
        self.stopped = []
        self.starting = set()
        self.crashed = set()
        self.fails = False
        self.refuses_resize = False

    async def start(self, id, function, configuration, *, port):
        self.started.append(id)
        self.starting.add(id)
        pid = len(self.started)
        self.born[id] = virtual_now()
        await asyncio.sleep(0.1)
        self.starting.remove(id)
        if self.fails:
            raise PlatformError("no room", self.name)
        self.ends[pid] = asyncio.Event()
        self.pids[id] = pid
        self.on[id] = configuration
        return Running(id, function, configuration, port, pid)

    async def stop(self, id, *, grace):
        assert not self.serving.get(id) or id in self.crashed, f"{id} was stopped while it served"
        assert id not in self.starting, f"{id} was stopped while it was started: something would be left of it"
        self.stopped.append(id)
        await asyncio.sleep(0.05)
        if id in self.born:
            self.lifetimes[id] = virtual_now() - self.born[id]
        if id in self.pids:
            self.ends[self.pids[id]].set()

    async def resize(self, id, configuration):
        await asyncio.sleep(0.02)
        if self.refuses_resize:
            raise PlatformError("cannot", self.name)
        self.on[id] = configuration

    def last_words(self, id):
        return "words"

    def crash(self, id):
        self.crashed.add(id)
        self.ends[self.pids[id]].set()

    async def ended(self, pid):
        await self.ends[pid].wait()

    async def ready(self, function, port):
        (id,) = [each.id for each in self.pool._instances.values() if each.port == port]
        return virtual_now() - self.born[id] >= self.cold


FOUR = Limits(replicas=4)


def in_pool(scenario, *, limits=FOUR, **runtime):
    """Run a scenario with a pool and its runtime; afterwards, all is accounted for."""

    async def go():
        fake = FakeRuntime(**runtime)
        before, pool_module.ended = pool_module.ended, fake.ended
        try:
            pool = fake.pool = Pool("f", runtime=fake, limits=limits, answers=fake.ready, ports=set())
            await scenario(pool, fake)
            await pool.close()
            assert sorted(fake.started) == sorted(set(fake.stopped))
            assert not pool._instances
            assert not pool._ports
            spent = pool.ledger.seconds()
            assert math.fsum(spent.values()) == pytest.approx(math.fsum(fake.lifetimes.values()), abs=1e-3)
            assert all(each >= 0.0 for each in spent.values())
            return pool
        finally:
            pool_module.ended = before

    return virtual_run(go())


async def serve(pool, fake, seconds):
    """Take an instance for so long; return its id and when it was taken."""
    instance = await pool.take()
    taken = virtual_now()
    fake.serving[instance.id] = fake.serving.get(instance.id, 0) + 1
    assert fake.serving[instance.id] <= instance.configuration.batch
    try:
        await asyncio.sleep(seconds)
    finally:
        fake.serving[instance.id] -= 1
        pool.release(instance)
    return instance.id, taken


def test_the_instance_that_served_last_serves_next():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=3)
        await asyncio.sleep(2.0)
        first, second = await asyncio.gather(serve(pool, fake, 1.0), serve(pool, fake, 2.0))
        assert (await serve(pool, fake, 1.0))[0] == second[0]
        assert (await serve(pool, fake, 1.0))[0] == second[0]
        both = await asyncio.gather(serve(pool, fake, 2.0), serve(pool, fake, 1.0))
        assert [each[0] for each in both] == [second[0], first[0]]
        assert (await serve(pool, fake, 1.0))[0] == second[0], "it was taken first, and finished last"
        assert (await asyncio.gather(serve(pool, fake, 1.0), serve(pool, fake, 3.0)))[1][0] == first[0]
        pool.retire(1)
        assert (await serve(pool, fake, 1.0))[0] == first[0], "those that served longest ago were let go"

    in_pool(scenario)


def test_a_request_joins_what_initializes_already():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=1)
        await asyncio.sleep(0.6)
        requests = [asyncio.ensure_future(serve(pool, fake, 5.0)) for _ in range(2)]
        done = await asyncio.gather(*requests)
        assert len(fake.started) == 2
        assert done[0][1] == pytest.approx(COLD, abs=0.06), "what was begun before"
        assert done[1][1] == pytest.approx(0.6 + COLD, abs=0.06)
        assert pool.ledger.counts["cold_starts"] == 1

    in_pool(scenario)


def test_requests_beyond_the_limit_wait_in_order():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=0)
        done = await asyncio.gather(*(serve(pool, fake, 1.0) for _ in range(6)))
        assert len(fake.started) == 2
        taken = [each[1] for each in done]
        assert taken == sorted(taken)
        assert taken[-1] == pytest.approx(COLD + 2.0, abs=0.1)

    in_pool(scenario, limits=Limits(replicas=2))


def test_too_many_and_too_long_are_refused():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=0)
        busy = asyncio.ensure_future(serve(pool, fake, 30.0))
        await asyncio.sleep(2.0)
        waits = asyncio.ensure_future(serve(pool, fake, 1.0))
        await asyncio.sleep(0.1)
        with pytest.raises(UnservedError, match="1 requests wait already") as caught:
            await pool.take()
        assert caught.value.status == 503
        begun = virtual_now()
        with pytest.raises(UnservedError, match="no instance within 5 s") as caught:
            await waits
        assert caught.value.status == 504
        assert virtual_now() - begun == pytest.approx(4.9, abs=0.01)
        assert pool.in_flight == 1
        await busy

    in_pool(scenario, limits=Limits(replicas=1, waiting=1, patience=5.0))


def test_a_batch_is_what_waits_together():
    async def scenario(pool, fake):
        pool.deploy(THREES, replicas=0)
        done = await asyncio.gather(*(serve(pool, fake, 1.0) for _ in range(4)))
        ids = [each[0] for each in done]
        assert len(fake.started) == 2
        assert sorted(map(ids.count, set(ids))) == [1, 3]

    in_pool(scenario)


def test_what_serves_and_what_is_waited_for_is_not_let_go():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=3)
        await asyncio.sleep(2.0)
        busy = asyncio.ensure_future(serve(pool, fake, 3.0))
        await asyncio.sleep(0.1)
        pool.retire(0)
        assert pool.kept == 1
        waits = asyncio.ensure_future(serve(pool, fake, 1.0))
        await asyncio.sleep(0.1)
        assert pool.kept == 2
        pool.warm(4)
        pool.retire(0)
        await asyncio.sleep(0.3)
        assert pool.kept == 2
        assert sorted(set(fake.started) - set(fake.stopped)) == sorted([(await busy)[0], fake.started[3]])
        await asyncio.gather(busy, waits)
        pool.retire(0)
        assert pool.kept == 0

    in_pool(scenario)


def test_those_that_initialize_are_let_go_before_those_that_are_ready():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=1)
        await asyncio.sleep(2.0)
        pool.warm(3)
        pool.retire(1)
        assert (pool.kept, pool.ready) == (1, 1)
        await asyncio.sleep(1.0)
        assert fake.started[0] not in fake.stopped

    in_pool(scenario)


def test_old_instances_serve_until_enough_new_ones_are_ready():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=2)
        await asyncio.sleep(2.0)
        old = set(fake.started)
        pool.deploy(TWO, replicas=2)
        await asyncio.sleep(0.5)
        assert (pool.kept, pool.ready) == (2, 0)
        served = asyncio.ensure_future(serve(pool, fake, 5.0))
        await asyncio.sleep(1.0)
        assert (pool.kept, pool.ready) == (2, 2)
        assert (await serve(pool, fake, 0.1))[0] not in old
        assert len(fake.stopped) == 1
        assert (await served)[0] in old
        await asyncio.sleep(1.0)
        assert set(fake.stopped) == old

    in_pool(scenario)


def test_without_any_to_wait_for_old_instances_end_at_once():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=2)
        await asyncio.sleep(2.0)
        pool.deploy(TWO, replicas=0)
        await asyncio.sleep(0.1)
        assert len(fake.stopped) == 2

    in_pool(scenario)


def test_instances_are_resized_at_once_but_not_shrunk_while_they_serve():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=2)
        await asyncio.sleep(2.0)
        busy = asyncio.ensure_future(serve(pool, fake, 3.0))
        await asyncio.sleep(0.1)
        pool.deploy(HALF, replicas=1)
        await asyncio.sleep(0.1)
        assert (pool.kept, pool.ready) == (2, 1)
        assert sorted(each.size for each in fake.on.values()) == [0.5, 1.0]
        await busy
        await asyncio.sleep(0.1)
        assert pool.ready == 2
        busy = asyncio.ensure_future(serve(pool, fake, 3.0))
        await asyncio.sleep(0.1)
        pool.deploy(TWO, replicas=1)
        await asyncio.sleep(0.1)
        assert pool.ready == 2, "more cores do a request no harm"
        assert set(fake.on.values()) == {TWO}
        await busy
        assert len(fake.started) == 2
        spent = pool.ledger.seconds()
        assert spent[ONE, Doing.BUSY] == pytest.approx(3.0, abs=0.05)
        assert spent[HALF, Doing.BUSY] + spent[TWO, Doing.BUSY] == pytest.approx(3.0, abs=0.05)
        pool.deploy(THREES, replicas=0)
        await asyncio.sleep(0.1)
        assert len(fake.stopped) == 2, "another batch is another instance"

    in_pool(scenario, in_place_resize=True)


def test_what_cannot_be_resized_is_replaced():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=1)
        await asyncio.sleep(2.0)
        fake.refuses_resize = True
        pool.deploy(TWO, replicas=1)
        await asyncio.sleep(0.1)
        assert "cannot" in pool.trouble
        pool.warm(1)
        await asyncio.sleep(0.1)
        assert fake.stopped == [], "it serves meanwhile"
        await asyncio.sleep(2.0)
        assert fake.stopped == fake.started[:1]
        assert pool.ready == 1

    in_pool(scenario, in_place_resize=True)


def test_instances_that_do_not_start_are_given_up():
    async def scenario(pool, fake):
        fake.fails = True
        pool.deploy(ONE, replicas=0)
        for _ in range(2):
            with pytest.raises(UnservedError, match="no room: words") as caught:
                await pool.take()
            assert caught.value.status == 502
        assert len(fake.started) == 2
        fake.fails, fake.cold = False, math.inf
        begun = virtual_now()
        with pytest.raises(UnservedError, match="it was not ready within 20 s"):
            await pool.take()
        assert virtual_now() - begun == pytest.approx(20.0, abs=0.1)

    in_pool(scenario, limits=Limits(start=20.0))


def test_a_crash_is_counted_and_the_next_request_starts_another():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=1)
        await asyncio.sleep(2.0)
        fake.crash(fake.started[0])
        await asyncio.sleep(0.2)
        assert (pool.kept, pool.ledger.counts["crashes"]) == (0, 1)
        assert (await serve(pool, fake, 1.0))[0] == fake.started[1]

    in_pool(scenario)


def test_what_a_crashed_instance_was_serving_costs_nothing_more():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=1)
        await asyncio.sleep(2.0)
        busy = asyncio.ensure_future(serve(pool, fake, 3.0))
        await asyncio.sleep(1.0)
        fake.crash(fake.started[0])
        await busy
        assert pool.ledger.seconds()[ONE, Doing.BUSY] == pytest.approx(1.0, abs=0.1)

    in_pool(scenario)


def test_callers_that_leave_take_no_instance():
    async def scenario(pool, fake):
        pool.deploy(ONE, replicas=1)
        await asyncio.sleep(2.0)
        busy = await pool.take()
        waits = [asyncio.ensure_future(pool.take()) for _ in range(2)]
        await asyncio.sleep(0.1)
        waits[0].cancel()
        await asyncio.sleep(0.1)
        pool.release(busy)
        waits[1].cancel()  # just when it has been given the instance
        await asyncio.wait(waits)
        assert pool.in_flight == 0
        assert (await serve(pool, fake, 1.0))[0] == fake.started[0]

    in_pool(scenario, limits=Limits(replicas=1))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.floats(0.0, 3.0)),
        st.tuples(st.just("leave"), st.floats(0.0, 3.0)),
        st.tuples(st.just("sleep"), st.floats(0.0, 2.0)),
        st.tuples(st.just("deploy"), st.tuples(st.sampled_from([ONE, TWO, HALF, THREES]), st.integers(0, 5))),
        st.tuples(st.just("warm"), st.integers(0, 6)),
        st.tuples(st.just("retire"), st.integers(0, 4)),
        st.tuples(st.just("crash"), st.integers(0, 3)),
        st.tuples(st.just("fail"), st.booleans()),
        st.tuples(st.just("stubborn"), st.booleans()),
    ),
    max_size=40,
)


@given(steps=STEPS, in_place=st.booleans(), data=st.integers(0, 2))
def test_whatever_happens_nothing_that_serves_is_stopped_and_nothing_is_forgotten(steps, in_place, data):
    outcomes = []

    async def scenario(pool, fake):
        async def request(seconds):
            try:
                await serve(pool, fake, seconds)
                outcomes.append("served")
            except UnservedError as error:
                outcomes.append(error.status)
            except asyncio.CancelledError:
                outcomes.append("left")

        requests = []
        pool.deploy(ONE, replicas=data)
        for what, value in steps:
            if what in ("request", "leave"):
                requests.append(asyncio.ensure_future(request(value)))
                if what == "leave":
                    asyncio.get_running_loop().call_later(value, requests[-1].cancel)
            elif what == "sleep":
                await asyncio.sleep(value)
            elif what == "deploy":
                pool.deploy(value[0], replicas=value[1])
            elif what == "crash":
                if alive := [id for id in fake.pids if id not in fake.stopped]:
                    fake.crash(alive[value % len(alive)])
            elif what == "fail":
                fake.fails = value
            elif what == "stubborn":
                fake.refuses_resize = value
            else:
                busy = sum(each.serving > 0 for each in pool._kept())
                getattr(pool, what)(value)
                if what == "retire":
                    assert sum(each.serving > 0 for each in pool._kept()) == busy
            current = [each for each in pool._instances.values() if not each.ending]
            for each in (ONE, TWO, HALF, THREES):
                assert sum(one.configuration == each for one in current) <= 4 * (1 + in_place)
            assert pool.kept <= 4 * (1 + in_place)
        if requests:
            await asyncio.wait(requests)
        assert len(outcomes) == len([each for each in steps if each[0] in ("request", "leave")])
        assert pool.in_flight == 0
        fake.fails = False
        await asyncio.sleep(5.0)
        assert (await serve(pool, fake, 0.0))[0] in fake.started, "it goes on serving"

    in_pool(scenario, in_place_resize=in_place, limits=Limits(replicas=4, patience=60.0))
