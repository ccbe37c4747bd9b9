"""The node on both runtimes: requests, crashes, kills and ends, with real instances."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from local_nodes import FULL, HALF, PATIENCE, PROGRAMS, RUNTIMES, LocalNode, deploy, leftovers, run, until
from smiless_core.adapters import Outcome
from smiless_core.adapters.local import Local, running_node
from smiless_core.adapters.local.__main__ import main
from smiless_core.adapters.services import Service
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Application, Configuration

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=RUNTIMES)
def node(request, tmp_path_factory):
    names = ["waits", "crash", "broken", "stubborn", "cold", "slow", "change", "batch", "big", "gone", "quick", "never"]
    environment = {"broken": {"BROKEN": "1"}, "stubborn": {"STUBBORN": "1"}, "cold": {"LOAD": "0.4"}}
    with LocalNode(
        tmp_path_factory.mktemp(request.param),
        names,
        runtime=request.param,
        environment=environment,
        options=("--max-replicas", "3", "--request-timeout", "3", "--largest-body", "1"),
    ) as started:
        yield started


def in_background(function, *arguments):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function(*arguments)))
    thread.start()
    return thread, answers


def error_of(answer):
    return json.loads(answer[1])["error"]


def test_a_request_that_finds_nothing_deployed_is_refused(node):
    answer = node.send("gone", "sleep 0")
    assert answer[0] == 503
    assert error_of(answer) == "gone: nothing is deployed"
    status, body = node.send("no-such", "sleep 0")
    assert status == 404
    assert b"no function named 'no-such'" in body


def test_a_request_starts_an_instance_and_waits_for_its_cold_start(node):
    deploy(node, "cold", replicas=0)
    begun = time.monotonic()
    assert node.send("cold", "sleep 0")[0] == 200
    assert time.monotonic() - begun >= 0.4
    begun = time.monotonic()
    assert node.send("cold", "sleep 0")[0] == 200
    assert time.monotonic() - begun < 0.4
    counts = node.counts("cold")
    assert (counts["cold_starts"], counts["starts"], counts["answered"]) == (1, 1, 2)
    measured = run(node, lambda platform: platform.statistics())["functions"]["cold"]["configurations"]
    assert len(measured) == 1
    assert measured[0]["configuration"] == {"hardware": "cpu", "size": 1, "batch": 1}
    assert len(measured[0]["cold_starts"]) == 1
    assert measured[0]["cold_starts"][0] >= 0.4
    assert measured[0]["instance_seconds"]["initializing"] == pytest.approx(measured[0]["cold_starts"][0], abs=0.02)


def test_instances_are_started_for_all_that_wait_up_to_the_limit_and_the_rest_queue(node):
    deploy(node, "waits", replicas=0)
    sent = [in_background(node.send, "waits", "sleep 0.4") for _ in range(5)]
    until(lambda: node.counts("waits")["arrivals"] == 5)
    for thread, _ in sent:
        thread.join()
    assert [answers[0][0] for _, answers in sent] == [200] * 5
    assert node.counts("waits")["starts"] == 3


def test_a_batch_takes_what_waits_together(node):
    deploy(node, "batch", Configuration("cpu", 1, batch=3), replicas=0)
    begun = time.monotonic()
    sent = [in_background(node.send, "batch", "sleep 0.5") for _ in range(3)]
    for thread, _ in sent:
        thread.join()
    ids = {json.loads(answers[0][1])["id"] for _, answers in sent}
    assert len(ids) == 1
    assert node.counts("batch")["starts"] == 1
    assert time.monotonic() - begun < 3 * 0.5 + 1.0


def test_an_instance_that_crashes_is_a_bad_gateway_and_another_serves_the_next_request(node):
    deploy(node, "crash")
    answer = node.send("crash", "exit 3")
    assert answer[0] == 502
    assert error_of(answer).startswith("crash: the instance did not answer")
    until(lambda: node.counts("crash")["crashes"] == 1)
    seen = run(node, lambda platform: platform.observe("crash"))
    assert seen.configuration == FULL
    assert node.send("crash", "sleep 0")[0] == 200
    assert node.counts("crash")["starts"] == 2


def test_a_program_that_cannot_start_says_why_and_is_not_started_for_ever(node):
    warmth = deploy(node, "broken")
    assert warmth.outcome is Outcome.LATE
    assert "there is no such model" in warmth.detail
    before = node.counts("broken")["starts"]
    answer = node.send("broken", "sleep 0")
    assert answer[0] == 502
    assert "there is no such model" in error_of(answer)
    assert node.counts("broken")["starts"] == before + 1
    assert run(node, lambda platform: platform.observe("broken")).wanted == 0


def test_an_instance_that_does_not_answer_is_given_up(node):
    deploy(node, "slow")
    (first,) = [each for each in node.ids() if each.startswith("slow")]
    begun = time.monotonic()
    answer = node.send("slow", "sleep 60")
    assert answer[0] == 504
    assert time.monotonic() - begun < 10.0
    until(lambda: first not in node.ids())
    assert node.send("slow", "sleep 0")[0] == 200


def test_one_that_ignores_being_told_to_end_is_ended(node):
    deploy(node, "stubborn")
    run(node, lambda platform: platform.retire("stubborn", replicas=0))
    until(lambda: not [each for each in node.ids() if each.startswith("stubborn")])


def test_the_old_configuration_serves_until_the_new_one_is_ready(node):
    deploy(node, "change")
    (old,) = [each for each in node.ids() if each.startswith("change")]
    # Another batch is another instance on both runtimes.
    thread, answers = in_background(node.send, "change", "sleep 1.5")
    until(lambda: run(node, lambda platform: platform.observe("change")).in_flight == 1)
    assert deploy(node, "change", Configuration("cpu", 1, batch=2)).outcome is Outcome.READY
    assert old in node.ids(), "it serves"
    new = json.loads(node.send("change", "sleep 0")[1])["id"]
    assert new != old
    thread.join()
    assert json.loads(answers[0][1])["id"] == old
    until(lambda: old not in node.ids())


def test_a_caller_that_leaves_neither_frees_an_instance_nor_takes_one(node):
    deploy(node, "gone")
    host, port = node.address.removeprefix("http://").split(":")

    def leave(what):
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /function/gone HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(what)}\r\n\r\n"
            connection.sendall(head.encode() + what)
            time.sleep(0.15)

    leave(b"sleep 1")
    time.sleep(0.1)
    assert run(node, lambda platform: platform.observe("gone")).in_flight == 1, "it is still at it"
    run(node, lambda platform: platform.retire("gone", replicas=0))
    assert run(node, lambda platform: platform.observe("gone")).ready == 1, "it is not let go meanwhile"
    until(lambda: run(node, lambda platform: platform.observe("gone")).in_flight == 0)
    assert node.counts("gone")["answered"] == 1


def test_what_is_too_much_is_refused_on_both_sides(node):
    deploy(node, "big")
    status, body = node.send("big", "x" * (2**20 + 1))
    assert status == 413
    answer = node.send("big", f"bytes {2**20 + 1}")
    assert answer[0] == 502
    assert "more than 1048576 bytes" in error_of(answer)
    status, body = node.send("big", "bytes 1000000")
    assert (status, len(body)) == (200, 1_000_000)
    assert node.send("big", "status 418") == (418, b"as you say")


def test_arrivals_are_numbered_and_survive_any_cursor(node):
    deploy(node, "quick")

    async def go(platform):
        begin = await platform.arrivals("quick", since="")
        before = time.time()
        assert node.send("quick", "sleep 0")[0] == 200
        first = await platform.arrivals("quick", since=begin.cursor)
        token = await platform.announce()
        assert node.ask("/function/quick", b"sleep 0", {"Smiless-Announced": token})[0] == 200
        second = await platform.arrivals("quick", since=first.cursor)
        assert node.ask("/function/quick", b"sleep 0", {"Smiless-Announced": token})[0] == 200, "it tells of one"
        third = await platform.arrivals("quick", since=second.cursor)
        assert [len(each.times) for each in (first, second, third)] == [1, 1, 1]
        assert before <= first.times[0] <= second.times[0] <= third.times[0] <= time.time()
        for wrong in ("x", "1", f"{begin.cursor}x", "-", "9" * 99):
            with pytest.raises(InvalidInputError, match="expected the cursor"):
                await platform.arrivals("quick", since=wrong)

    run(node, go)


def test_what_cannot_be_is_said(node):
    async def go(platform):
        for wrong, why in ((Configuration("gpu", 0.5), "no gpu"), (Configuration("cpu", 512), "this machine has")):
            warmth = await platform.apply("quick", wrong, replicas=1, by=time.time())
            assert warmth.outcome is Outcome.UNSUPPORTED
            assert why in warmth.detail
        with pytest.raises(PlatformError, match="local: warm never: nothing is deployed") as caught:
            await platform.warm("never", replicas=1, by=time.time())
        assert not caught.value.retryable

    run(node, go)


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("/apply", b"{", 400),
        ("/apply", b"[" * 100_000, 400),
        ("/apply", {"function": "quick", "replicas": 1, "configuration": {"hardware": "cpu"}}, 400),
        ("/apply", {"function": "quick", "replicas": -1, "configuration": {}}, 400),
        ("/warm", {"function": "quick", "replicas": True}, 400),
        ("/warm", {"function": ["quick"], "replicas": 1}, 400),
        ("/retire", {"function": "quick"}, 400),
        ("/nowhere", None, 404),
        ("/warm", None, 405),
    ],
)
def test_wrong_calls_are_one_line(node, path, data, status):
    answer = node.ask(path, data)
    assert answer[0] == status
    assert "\n" not in error_of(answer)


@pytest.mark.parametrize("headers", [{"Origin": "https://example.org"}, {"Host": "example.org"}, {"Host": "a:80"}])
def test_pages_in_a_browser_are_refused(node, headers):
    assert node.ask("/announce", b"", headers)[0] == 403


def test_metrics_are_text_that_prometheus_reads(node):
    from prometheus_client.parser import text_string_to_metric_families

    deploy(node, "quick")
    families = {each.name: each for each in text_string_to_metric_families(node.ask("/metrics")[1].decode())}
    ready = {each.labels["function"]: each.value for each in families["smiless_ready_instances"].samples}
    assert ready["quick"] == 1
    assert families["smiless_arrivals"].type == "counter"
    assert {each.labels["doing"] for each in families["smiless_instance_seconds"].samples} >= {"initializing", "idle"}
    assert node.ask("/healthz") == (200, b"ok\n")


# --- nodes of their own ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_killed_node_takes_over_what_it_finds_and_removes_what_it_cannot_use(tmp_path, runtime):
    with LocalNode(tmp_path, ["a", "b"], runtime=runtime) as node:
        deploy(node, "a", HALF)
        deploy(node, "b", replicas=2)
        assert node.send("a", "fork 300")[0] == 200, "a process that it starts is a part of the instance"
        begin = run(node, lambda platform: platform.arrivals("a", since=""))
        kept = json.loads(node.send("a", "sleep 0")[1])["id"]
        ids = node.ids()
        node.kill()
        assert leftovers(tmp_path), "instances survive the node"
        # One has no process any more, one was being started, and the program of b has become another one.
        services = json.loads((tmp_path / "s.json").read_text())
        services["services"]["b"]["environment"]["NEW"] = "1"
        (tmp_path / "s.json").write_text(json.dumps(services))
        (tmp_path / "kept" / "instances" / "a-00000000").mkdir()
        node.start()
        until(lambda: node.ids() == [kept])
        assert len(ids) == 3
        seen = until(lambda: (s := run(node, lambda platform: platform.observe("a"))).ready and s)
        assert seen.configuration == HALF
        assert run(node, lambda platform: platform.observe("b"))[:3] == (FULL, 0, 0)
        assert node.counts("a")["starts"] == 0
        assert json.loads(node.send("a", "sleep 0")[1])["id"] == kept
        after = run(node, lambda platform: platform.arrivals("a", since=begin.cursor))
        assert len(after.times) == 2, "it has forgotten no arrival"
        assert after.lost == 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_node_that_is_killed_again_and_again_leaves_nothing(tmp_path, runtime):
    node = LocalNode(tmp_path, ["a", "b"], runtime=runtime)
    for pause in (0.0, 0.03, 0.08, 0.15):
        asked = {"configuration": {"hardware": "cpu", "size": 1 - 4 * pause, "batch": 1}, "replicas": 2}
        for function in "ab":
            assert node.ask("/apply", {"function": function, **asked})[0] == 200
        time.sleep(pause)
        node.kill()
        node.start()
    assert node.ask("/apply", {"function": "a", **asked, "replicas": 4})[0] == 200
    node.stop()  # in the midst of starting them; looks for what is left, too


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_node_finishes_what_is_being_served_and_leaves_nothing(tmp_path, runtime):
    node = LocalNode(tmp_path, ["a", "b"], runtime=runtime)
    deploy(node, "a", replicas=2)
    thread, answers = in_background(node.send, "a", "sleep 0.6")
    until(lambda: run(node, lambda platform: platform.observe("a")).in_flight)
    deploy(node, "b", replicas=0)
    node.stop()  # looks for what is left, too
    thread.join()
    assert answers[0][0] == 200


def test_an_application_is_traversed_and_answers_of_predecessors_are_passed_on(tmp_path):
    diamond = Application(
        functions=Application.chain("first", "left", "right", "last", sla=1.0).functions,
        edges=(("first", "left"), ("first", "right"), ("left", "last"), ("right", "last")),
        sla=1.0,
    )
    with LocalNode(tmp_path, diamond, runtime="processes") as node:
        assert node.ask("/invoke", b"sleep 0")[0] == 503
        for function in diamond.names:
            deploy(node, function, HALF, replicas=0)
        begun = {
            each: run(node, lambda platform, each=each: platform.arrivals(each, since="")) for each in diamond.names
        }
        status, body = node.ask("/invoke", b"python 'sleep 0.3'")
        assert status == 200
        assert json.loads(body)["did"] == '{"left":', "the last one gets an object of the answers"
        came = {
            each: run(node, lambda platform, each=each: platform.arrivals(each, since=begun[each].cursor)).times
            for each in diamond.names
        }
        assert all(len(times) == 1 for times in came.values())
        first, left, right, last = (came[each][0] for each in diamond.names)
        assert first <= left
        assert abs(left - right) < 0.1
        assert last >= max(left, right) + 0.3
        status, body = node.ask("/invoke", b"status 500")
        assert status == 502
        assert json.loads(body)["error"] == "first answered 500"
        status, body = node.ask("/invoke", b"bytes 10")
        assert status == 502
        told = run(node, lambda platform: platform.statistics())["invocations"]
        assert (told["answered"], told["failed"], len(told["responses"])) == (1, 3, 1)
        token = run(node, lambda platform: platform.announce())
        assert node.ask("/invoke", b"sleep 0", {"Smiless-Announced": token})[0] == 200
        again = run(node, lambda platform: platform.arrivals("first", since=begun["first"].cursor))
        assert len(again.times) == 4, "one, two that failed, and the one that was announced, once"


def test_a_socket_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "socket"

    class OnSocket(LocalNode):
        def ask(self, path, data=None, headers=()):
            raise AssertionError

    with OnSocket(tmp_path, ["a"], runtime="processes", options=("--listen", f"unix:{path}")) as node:
        assert node.address == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        assert deploy(node, "a").outcome is Outcome.READY
        node.kill()
        node.start()
        until(lambda: run(node, lambda platform: platform.observe("a")).ready)


def test_a_node_runs_as_long_as_it_is_needed(tmp_path):
    app = Application.chain("only", sla=1.0)
    services = {
        "only": Service(
            command=("python3", "local_function.py"), environment={"SMILESS_TEST": str(tmp_path), "A": "é ü"}
        )
    }

    async def go():
        async with running_node(
            app, services, runtime="processes", directory=tmp_path / "kept", programs=PROGRAMS
        ) as address:
            platform = Local(address)
            warmth = await platform.apply("only", FULL, replicas=1, by=time.time() + PATIENCE)
            assert warmth.outcome is Outcome.READY
            with pytest.raises(PlatformError, match=r"local: start a node: .*another node runs here"):
                async with running_node(
                    app, services, runtime="processes", directory=tmp_path / "kept", programs=PROGRAMS
                ):
                    pass
        with pytest.raises(PlatformError, match="cannot be reached"):
            await platform.observe("only")
        await platform.close()

    asyncio.run(go())
    assert not leftovers(tmp_path)


BAD = [
    (["--runtime", "docker"], "invalid choice: 'docker'"),
    (["--listen", "0.0.0.0:80"], "--listen: expected 127.0.0.1:<port>"),
    (["--listen", "192.168.0.1:80"], "--listen: expected 127.0.0.1:<port>"),
    (["--max-replicas", "0"], "expected a whole number from 1 to 1000"),
    (["--drain", "nan"], "expected seconds above 0"),
    (["--application", "none.yaml"], "none.yaml: cannot be read"),
    (["--directory", "/proc/none"], "/proc/none: cannot be used"),
    (["--nonsense"], "unrecognized arguments: --nonsense"),
]


@pytest.mark.parametrize(("options", "why"), BAD, ids=lambda each: str(each[0]) if isinstance(each, list) else "")
def test_bad_input_is_one_line_and_exit_2(tmp_path, options, why, capsys):
    assert why in fails(tmp_path, capsys, {"a": {"command": ["python3"]}}, options)


def test_a_process_says_so_too(tmp_path):
    command = [sys.executable, "-m", "smiless_core.adapters.local", "--listen", "0.0.0.0:80"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ({"image": "x"}, "services.a: expected a command: images are not run here"),
        ({"command": ["python3"], "secrets": ["s"]}, "secrets are not handed out here"),
        ({"command": ["no-such-program"]}, "services.a.command[0]: no program 'no-such-program'"),
        ({"command": ["./s.json"]}, "no program './s.json' that can be run"),
        (None, "no service named 'a'"),
    ],
)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_services_that_cannot_run_here_are_refused(tmp_path, capsys, service, why, runtime):
    assert why in fails(tmp_path, capsys, {"a": service} if service else {}, ["--runtime", runtime])


def fails(tmp_path, capsys, services, options):
    """Return the one line that is said."""
    (tmp_path / "a.json").write_text(json.dumps({"functions": ["a"], "sla": 1.0}))
    (tmp_path / "s.json").write_text(json.dumps({"services": services}))
    given = {
        "--application": str(tmp_path / "a.json"),
        "--services": str(tmp_path / "s.json"),
        "--runtime": "processes",
        "--directory": str(tmp_path / "kept"),
    }
    assert main([*(word for pair in given.items() for word in pair), *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def test_a_second_node_keeps_off_the_directory_of_the_first(tmp_path, capsys):
    with LocalNode(tmp_path, ["a"], runtime="processes") as node:
        deploy(node, "a")
        said = fails(tmp_path, capsys, {"a": {"command": ["python3"]}}, [])
        assert said.endswith("kept: another node runs here")
        assert node.send("a", "sleep 0")[0] == 200


def test_ctrl_c_ends_a_node_too(tmp_path):
    node = LocalNode(tmp_path, ["a"], runtime="processes")
    deploy(node, "a")
    os.kill(node.process.pid, signal.SIGINT)
    node.stop()
