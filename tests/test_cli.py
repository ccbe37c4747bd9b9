"""The command line: what it answers, and how it behaves among other programs."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import smiless_core
from commandline import smiless, smiless_process, write_inputs
from smiless_core import Arrivals, Problem, catalog, read_trace
from smiless_core.model.files import read_application, read_profile_file, read_profiles
from smiless_core.solver.pareto import frontier
from smiless_core.solver.solution import solve

APPLICATIONS = ["amber-alert", "image-query", "voice-assistant"]
STREET = ("app.yaml", "--profiles", "profiles.yaml", "--every", "10")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def answer(*arguments: object, code: int = 0) -> str:
    """Run a command that shall end like this without a complaint, and return what it prints."""
    outcome = smiless(*arguments)
    assert (outcome.code, outcome.err) == (code, "")
    return outcome.out


def answer_json(*arguments: object, code: int = 0) -> dict:
    return json.loads(answer(*arguments, "--json", code=code))


# -- Help ----------------------------------------------------------------------------------------------------

COMMANDS = ["plan", "frontier", "fit", "trace", "trace describe", "catalog", "versions"]


def test_without_a_command_there_is_help() -> None:
    assert answer() == answer("--help")
    assert answer("trace") == answer("trace", "--help")
    for command in COMMANDS:
        assert command.split()[0] in answer()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_terminal_and_says_what_the_command_does(command: str) -> None:
    page = answer(*command.split(), "--help")
    assert page.startswith(f"Usage: smiless {command} ")
    assert page.isascii()
    assert max(map(len, page.splitlines())) <= 80
    first = page.split("\n\n")[1].strip()
    assert first.endswith(".")
    assert "..." not in answer().partition("Commands:")[2], "a first sentence is too long for the list of commands"


def examples_of(command: str) -> list[str]:
    return re.findall(r"^ +(smiless .*)$", answer(*command.split(), "--help").partition("For example:")[2], re.M)


@pytest.mark.parametrize("command", ["", "plan", "frontier", "fit", "trace describe", "catalog"])
def test_every_example_of_the_help_works(command: str) -> None:
    header = "HashOwner,HashApp,HashFunction,Trigger,1,2\n"
    Path("invocations.csv").write_text(f"{header}owner,app,0f18b823,timer,3,4\nowner,app,12345678,timer,9,9\n")
    if command == "fit":  # whose examples write it
        Path("profiles.yaml").unlink()
    examples = examples_of(command)
    assert examples
    for example in examples:
        answer(*example.split()[1:])


def test_the_version() -> None:
    assert answer("--version") == smiless_process("--version").out == f"smiless {smiless_core.__version__}\n"


# -- Plans ---------------------------------------------------------------------------------------------------

PLAN_KEYS = [
    "schema",
    "application",
    "prices",
    "arrivals",
    "method",
    "status",
    "sla",
    "attainment_target",
    "cost",
    "replay_cost",
    "bound",
    "gap",
    "latency",
    "cold_latency",
    "attainment",
    "misses",
    "ready_set",
    "critical_path",
    "shortest_latency",
    "limited_by",
    "work",
    "functions",
]
FUNCTION_KEYS = [
    "hardware",
    "size",
    "batch",
    "replicas",
    "readiness",
    "price_per_second",
    "latency",
    "cold_start",
    "schedule",
    "levels",
    "prewarm",
    "keep_alive",
    "cost",
]


def test_a_plan_in_json() -> None:
    plan = answer_json("plan", *STREET)
    assert list(plan) == PLAN_KEYS
    assert list(plan["functions"]) == ["detect", "read"]
    for function in plan["functions"].values():
        assert list(function) == FUNCTION_KEYS
        assert [list(stay) for stay in function["schedule"]] == [["start", "ready", "until"]]
    profiles, prices = read_profile_file("profiles.yaml")
    solution = solve(Problem(read_application("app.yaml"), profiles, prices), Arrivals.every(10.0))
    assert plan == solution.to_dict()
    assert (plan["schema"], plan["status"], plan["gap"]) == (1, "optimal", 0.0)


def test_a_plan_for_people() -> None:
    page = answer("plan", *STREET)
    for text in ("street: proved optimal", "detect", "read", "detect -> read", "$0.036 per core-hour"):
        assert text in page
    assert "catalog" not in page, "the prices are those of the file"
    assert "(from the catalog)" in answer("plan", "amber-alert", "--every", "10")


def test_an_sla_on_the_command_line_replaces_that_of_the_application() -> None:
    tight, loose = (answer_json("plan", *STREET, "--sla", sla) for sla in ("1.5", "4"))
    assert (tight["sla"], loose["sla"]) == (1.5, 4.0)
    assert tight["latency"] <= 1.5 < loose["latency"] <= 4.0
    assert tight["cost"] > loose["cost"]


def test_the_methods_agree() -> None:
    exact, milp = (answer_json("plan", *STREET, "--method", method) for method in ("exact", "milp"))
    assert exact.pop("work") != milp.pop("work")
    assert (exact.pop("method"), milp.pop("method")) == tuple(
        {"search": method, "joint": False} for method in ("exact", "milp")
    )
    assert exact == milp


@pytest.mark.parametrize("as_json", [False, True])
def test_without_a_plan_the_exit_code_is_1_and_the_reasons_are_given(as_json: bool) -> None:
    if as_json:
        plan = answer_json("plan", *STREET, "--sla", "0.1", code=1)
        assert (plan["status"], plan["cost"], plan["limited_by"]) == ("infeasible", None, ["detect", "read"])
        assert 0.1 < plan["shortest_latency"] == plan["latency"]
    else:
        page = answer("plan", *STREET, "--sla", "0.1", code=1)
        assert "infeasible" in page
        assert "limited by detect, read" in " ".join(page.split())


def street() -> Problem:
    profiles, prices = read_profile_file("profiles.yaml")
    return Problem(read_application("app.yaml"), profiles, prices)


def read_from(plan: dict, source: str | None = "arrivals.csv", history: float | None = None) -> dict:
    """Return a plan in JSON with where its arrivals were read, which the library does not know."""
    return plan | {"arrivals": plan["arrivals"] | {"source": source, "history": history}}


TRACED = ("app.yaml", "--profiles", "profiles.yaml", "--trace", "arrivals.csv")


def test_a_trace_is_planned_for_as_a_distribution() -> None:
    trace = read_trace("arrivals.csv")
    assert answer_json("plan", *TRACED) == read_from(solve(street(), trace.arrivals()).to_dict())
    exact = answer_json("plan", *TRACED, "--exact")
    assert exact == read_from(solve(street(), trace.arrivals(exact=True)).to_dict())
    assert [begin for begin, _ in exact["ready_set"]] != [
        begin for begin, _ in answer_json("plan", *TRACED)["ready_set"]
    ]
    page = " ".join(answer("plan", *TRACED).split())
    assert "and arrivals much as in 5 recorded ones, 5 s apart on average." in page
    assert "Arrivals: 5 within 20 s; planned for the distribution of their gaps, smoothed" in page
    assert "planned for exactly their gaps" in " ".join(answer("plan", *TRACED, "--exact").split())


def test_the_end_of_a_trace_is_enough() -> None:
    page = answer("plan", *TRACED, "--history", "10")
    assert "Arrivals: the last 3 of 5 within 20 s" in page
    recent = solve(street(), Arrivals.smoothed([6.0, 4.0])).to_dict()
    assert answer_json("plan", *TRACED, "--history", "10") == read_from(recent, history=10.0)
    assert read_from(answer_json("plan", *TRACED, "--history", "20")) == answer_json("plan", *TRACED)


def test_a_plan_in_json_says_what_it_is_for() -> None:
    usual, recent, random, steady = (
        answer_json("plan", *STREET[:3], *more)["arrivals"]
        for more in (TRACED[3:], [*TRACED[3:], "--exact", "--history", "10"], ["--poisson", "20"], STREET[3:])
    )
    assert usual.pop("mean") == pytest.approx(5.0, rel=1e-3)
    assert usual == {"kind": "smoothed", "gaps": 4, "source": "arrivals.csv", "history": None}
    assert recent == {"kind": "empirical", "mean": 5.0, "gaps": 2, "source": "arrivals.csv", "history": 10.0}
    assert random == {"kind": "exponential", "mean": 20.0, "gaps": None, "source": None, "history": None}
    assert steady == {"kind": "deterministic", "mean": 10.0, "gaps": None, "source": None, "history": None}
    plan = answer_json("plan", *TRACED)
    assert plan["method"] == {"search": "exact", "joint": True}
    assert plan["prices"] == {"cpu": street().prices.cpu, "gpu": street().prices.gpu}


def test_one_arrival_has_no_gap_to_plan_for() -> None:
    Path("one.csv").write_text("timestamp\n5\n")
    outcome = smiless("plan", *TRACED[:4], "one.csv")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "smiless: one.csv: a single arrival has no gap to the next one to plan for: record at least two,"
        " or give --poisson SECONDS or --every SECONDS instead\n"
    )


def test_a_trace_without_variation_is_an_interval() -> None:
    Path("steady.csv").write_text("timestamp\n0\n5\n10\n15\n")
    steady = ("app.yaml", "--profiles", "profiles.yaml", "--trace", "steady.csv")
    found, meant = answer_json("plan", *steady), answer_json("plan", *STREET[:3], "--every", "5")
    assert found.pop("arrivals") == meant.pop("arrivals") | {"source": "steady.csv"}
    assert found == meant
    assert "all gaps are 5 s" in answer("plan", *steady)


def test_random_arrivals_and_a_target_can_be_asked_for() -> None:
    asked = ("plan", *STREET[:3], "--poisson", "20")
    usual, easy = (answer_json(*asked, *more) for more in ((), ("--target", "0.5")))
    assert usual == solve(street(), Arrivals.exponential(20.0)).to_dict()
    assert (usual["attainment_target"], easy["attainment_target"]) == (0.99, 0.5)
    assert usual["attainment"] >= 0.99
    assert easy["attainment"] >= 0.5
    assert easy["cost"] <= usual["cost"] * (1 + 1e-9)
    for plan in (usual, easy):
        assert math.isclose(plan["attainment"] + sum(plan["misses"].values()), 1.0, abs_tol=1e-9)
        for function in plan["functions"].values():
            assert function["levels"][:1] in ([], [function["schedule"]])


@pytest.mark.parametrize("as_json", [False, True])
def test_a_target_out_of_reach_is_told_with_what_is_reached(as_json: bool) -> None:
    asked = ("plan", *STREET[:3], "--poisson", "2", "--max-replicas", "1")
    reached = answer_json(*asked, code=1)
    assert (reached["status"], reached["cost"], reached["replay_cost"]) == ("infeasible", None, None)
    assert 0.0 < reached["attainment"] < 0.99
    assert reached["latency"] <= reached["sla"], "it is not the SLA that cannot be met"
    assert reached["misses"]["overlap"] > 0.0
    assert "detect" in reached["limited_by"]
    page = " ".join(answer(*asked, code=1).split())
    assert "The highest attainment found with max_replicas = 1 is" in page
    assert "limited by detect" in page


def test_what_the_platform_can_do_can_be_said() -> None:
    plain = answer_json("plan", "image-query", "--every", "10")
    kept = answer_json("plan", "image-query", "--every", "10", "--min-replicas", "1")
    assert all(each["schedule"][0]["start"] == each["schedule"][0]["ready"] for each in kept["functions"].values())
    assert kept["cost"] > plain["cost"]
    longer = answer_json("plan", "image-query", "--every", "10", "--min-keep-alive", "2.5")
    assert plain["cost"] < longer["cost"] < kept["cost"]
    assert answer_json("plan", "image-query", "--every", "10", "--min-keep-alive", "0") == plain
    assert answer_json("plan", "image-query", "--every", "10", "--min-keep-alive", "-0.0") == plain
    together = answer_json("plan", "image-query", "--every", "10", "--concurrency", "4")
    assert {each["batch"] for each in together["functions"].values()} == {4}
    assert together["cost"] < plain["cost"]
    told = answer_json("plan", "image-query", "--every", "10", "--announced")
    assert told["cost"] == plain["cost"]
    assert told["cold_latency"] < plain["cold_latency"]
    few = answer_json("plan", "image-query", "--every", "0.1", "--max-replicas", "2", code=1)
    assert (few["status"], few["shortest_latency"], few["limited_by"]) == ("infeasible", None, ["image-recognition"])
    assert len(answer_json("frontier", "image-query", "--every", "10", "--concurrency", "4")["points"]) > 1


def test_how_a_trace_is_read_can_be_said() -> None:
    Path("counts.csv").write_text(
        "HashOwner,HashApp,HashFunction,Trigger,1,2,3\no,a,f1,timer,1,0,1\no,a,f2,http,5,5,5\n"
    )
    trace = ("app.yaml", "--profiles", "profiles.yaml", "--trace", "counts.csv")
    one = answer("plan", *trace, "--select", "f1", "--placement", "equidistant", "--format", "azure2019")
    assert "Arrivals: 2 within 120 s, placed by the rule equidistant" in one
    both = [answer("plan", *trace, "--seed", seed) for seed in (1, 1, 2)]
    assert "of 2 functions together (--select takes one)" in " ".join(both[0].split())
    assert both[0] == both[1] != both[2]


def test_a_built_in_name_goes_before_a_file_of_that_name(here: Path) -> None:
    (here / "amber-alert").mkdir()
    assert answer_json("plan", "amber-alert", "--every", "10")["application"] == "amber-alert"


def _enumerated(listing: dict, application: str, interval: float) -> tuple[np.ndarray, np.ndarray]:
    """Latency and cost of every choice of hardware and size, from nothing but the catalog in JSON."""
    edges = listing["applications"][application]["edges"]
    names = list(dict.fromkeys(itertools.chain(*edges)))
    axes: list[np.ndarray] = []
    total = np.zeros([1] * len(names))
    for position, name in enumerate(names):
        modes = [
            (price * size, model["alpha"] / size + model["beta"] + model["gamma"] + model["dispatch"], cold)
            for hardware, model in listing["profiles"][name]["hardware"].items()
            for price in [listing["prices"][hardware]]
            for cold in [model["cold_start_mean"] + 3 * model["cold_start_std"]]
            for size in model["sizes"]
        ]
        billed = [
            price * min(cold + latency, max(1, math.ceil(round(latency * 1e9) / round(interval * 1e9))) * interval)
            for price, latency, cold in modes
        ]
        shape = [1] * len(names)
        shape[position] = len(modes)
        axes.append(np.array([latency for _, latency, _ in modes]).reshape(shape))
        total = total + np.array(billed).reshape(shape)
    finish: dict[str, np.ndarray] = {}
    while len(finish) < len(names):
        for name, latency in zip(names, axes, strict=True):
            before = [source for source, target in edges if target == name]
            if name not in finish and all(source in finish for source in before):
                start = np.zeros([1] * len(names))
                for source in before:
                    start = np.maximum(start, finish[source])
                finish[name] = start + latency
    slowest = np.zeros_like(total)
    for each in finish.values():
        slowest = np.maximum(slowest, each)
    return slowest, total


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("interval", [1, 3, 10, 60])
def test_plans_equal_an_enumeration_of_the_catalog(application: str, interval: int) -> None:
    latency, cost = _enumerated(answer_json("catalog"), application, interval)
    for sla in range(2, 7):
        met = latency <= sla + 1e-10
        outcome = smiless("plan", application, "--every", interval, "--sla", sla, "--json")
        plan = json.loads(outcome.out)
        if met.any():
            assert outcome.code == 0
            assert math.isclose(plan["cost"], cost[met].min(), rel_tol=1e-9)
        else:
            assert (outcome.code, plan["status"]) == (1, "infeasible")
            assert math.isclose(plan["shortest_latency"], latency.min(), rel_tol=1e-8)


def test_prices_without_a_file_of_their_own_are_those_of_the_catalog() -> None:
    text = Path("profiles.yaml").read_text().partition("prices:")[0]
    Path("free.yaml").write_text(text)
    plan = answer_json("plan", "app.yaml", "--profiles", "free.yaml", "--every", "10")
    for function in plan["functions"].values():
        assert function["price_per_second"] == catalog.prices()[function["hardware"]] * function["size"]


# -- Frontiers -----------------------------------------------------------------------------------------------


def test_a_frontier_in_json_holds_what_plans_cost() -> None:
    found = answer_json("frontier", *STREET)
    profiles, prices = read_profile_file("profiles.yaml")
    problem = Problem(read_application("app.yaml"), profiles, prices)
    assert found == frontier(problem, Arrivals.every(10.0)).to_dict()
    assert len(found["points"]) > 3
    for point in found["points"]:
        assert answer_json("plan", *STREET, "--sla", repr(point["sla"]))["cost"] == point["cost"]


def test_a_frontier_can_be_cut() -> None:
    full = answer_json("frontier", *STREET)["points"]
    some = answer_json("frontier", *STREET, "--max-points", "2")
    assert (some["truncated"], some["points"]) == (True, full[-2:])
    middle = [point for point in full if 1.0 <= point["sla"] <= 2.0]
    part = answer_json("frontier", *STREET, "--min-sla", "1", "--max-sla", "2")["points"]
    assert 0 < len(middle) < len(full)
    assert part[-len(middle) :] == middle


def test_a_frontier_for_people() -> None:
    page = answer("frontier", *STREET)
    assert page.startswith("street: ")
    assert "*" in page
    assert "Prices: " in page


def test_frontiers_over_attainment_and_both() -> None:
    asked = ("frontier", *STREET[:3], "--poisson", "20", "--max-points", "4")
    over = answer_json(*asked, "--over", "attainment", "--sla", "2")
    assert over == frontier(street(), Arrivals.exponential(20.0), over="attainment", sla=2.0, max_points=4).to_dict()
    assert {point["sla"] for point in over["points"]} == {2.0}
    table = answer_json(*asked, "--over", "both")
    assert table == frontier(street(), Arrivals.exponential(20.0), over="both", max_points=4).to_dict()
    assert len({point["sla"] for point in table["points"]}) <= 4
    walked = answer_json(*asked, "--target", "0.9")
    assert walked["over"] == "sla"
    assert {point["target"] for point in walked["points"]} == {0.9}
    for more in (["--over", "attainment"], ["--over", "both"], []):
        page = " ".join(answer(*asked, *more).split())
        assert "The plans come from the joint search; the largest gap to a proved bound is" in page


def test_a_frontier_out_of_reach() -> None:
    asked = ("frontier", *STREET[:3], "--poisson", "0.5", "--max-replicas", "1")
    for over in ("sla", "both"):
        found = answer_json(*asked, "--over", over, code=1)
        assert (found["over"], found["points"]) == (over, [])
        assert "the highest attainment found with max_replicas = 1 is" in " ".join(
            answer(*asked, "--over", over, code=1).split()
        )


def test_a_range_of_slas_that_cannot_be_met() -> None:
    found = answer_json("frontier", *STREET, "--max-sla", "0.1", code=1)
    assert found["points"] == []
    assert found["shortest_latency"] == answer_json("plan", *STREET)["shortest_latency"]
    assert "limited by detect, read" in " ".join(answer("frontier", *STREET, "--max-sla", "0.1", code=1).split())


def test_commands_that_plan_share_their_options() -> None:
    plan, frontier = (set(re.findall(r"^ +(--[a-z-]+)", answer(name, "--help"), re.M)) for name in ("plan", "frontier"))
    assert plan - frontier == {"--method", "--time-limit"}
    assert frontier - plan == {"--over", "--min-sla", "--max-sla", "--max-points"}
    assert {"--every", "--trace", "--history", "--profiles", "--max-replicas", "--announced", "--json"} <= plan


# -- Fits ----------------------------------------------------------------------------------------------------


def test_a_fit_is_written_and_planned_with() -> None:
    page = answer("fit", "measurements.csv", "-o", "fitted.yaml")
    flat = " ".join(page.split())
    assert "detect on cpu, 8 cores, batch 1: set aside 9.990 s" in flat
    assert "caption: next, measure cpu" in flat
    assert flat.endswith("Written to fitted.yaml.")
    assert answer_json("plan", "app.yaml", "--profiles", "fitted.yaml", "--every", "10")["status"] == "optimal"
    for suffix in ("json", "toml"):
        answer("fit", "measurements.csv", "-o", f"fitted.{suffix}")
        assert read_profiles(f"fitted.{suffix}") == read_profiles("fitted.yaml")


def test_a_fit_in_json() -> None:
    found = answer_json("fit", "measurements.csv")
    assert found["output"] is None
    detect = found["fits"]["detect"]["cpu"]
    assert detect["outliers"] == [{"size": 8.0, "batch": 1, "latency": 9.99}]
    assert detect["next_measurement"] is None
    assert found["fits"]["caption"]["cpu"]["next_measurement"]["parameters"]
    assert found["profiles"]["detect"]["hardware"]["cpu"]["sizes"] == [1.0, 2.0, 4.0]


def test_a_fit_of_several_files() -> None:
    lines = Path("measurements.csv").read_text().splitlines(keepends=True)
    Path("a.csv").write_text("".join(lines[:8]))
    Path("b.csv").write_text("".join([lines[0], *lines[8:]]))
    whole, parts = answer_json("fit", "measurements.csv"), answer_json("fit", "a.csv", "b.csv")
    assert whole == parts


def test_sizes_in_percent() -> None:
    rows = "".join(f"x,gpu,{percent},1,{0.1 + 1 / percent}\n" for percent in (10, 20, 50, 100))
    Path("gpu.csv").write_text(f"function,hardware,size,batch,latency_s\n{rows}")
    Path("cold.csv").write_text("function,hardware,cold_start_mean_s,cold_start_std_s\nx,gpu,3,0.1\n")
    found = answer_json("fit", "gpu.csv", "cold.csv", "--gpu-percent")
    assert found["profiles"]["x"]["hardware"]["gpu"]["sizes"] == [0.1, 0.2, 0.5, 1.0]


def test_a_file_is_replaced_only_by_force() -> None:
    before = Path("profiles.yaml").read_bytes()
    assert smiless("fit", "measurements.csv", "-o", "profiles.yaml").code == 2
    assert Path("profiles.yaml").read_bytes() == before
    answer("fit", "measurements.csv", "-o", "profiles.yaml", "--force")
    assert Path("profiles.yaml").read_bytes() != before


# -- Traces, the catalog, versions ---------------------------------------------------------------------------


def test_a_trace_is_described() -> None:
    found = answer_json("trace", "describe", "arrivals.csv")
    assert (found["schema"], found["count"], found["span"], found["gaps"]["mean"]) == (1, 5, 20.0, 5.0)
    assert "5 in 20 s" in answer("trace", "describe", "arrivals.csv")


def test_the_catalog_in_json() -> None:
    listing = answer_json("catalog")
    assert list(listing) == ["schema", "prices", "profiles", "applications"]
    assert listing["prices"] == {"cpu": catalog.prices().cpu, "gpu": catalog.prices().gpu}
    assert sorted(listing["applications"]) == APPLICATIONS
    for name, profile in catalog.profiles().items():
        for hardware, model in profile.hardware.items():
            listed = listing["profiles"][name]["hardware"][str(hardware)]
            assert {key: getattr(model, key) for key in listed if key not in ("sizes", "batches")} == {
                key: value for key, value in listed.items() if key not in ("sizes", "batches")
            }
            assert (listed["sizes"], listed["batches"]) == (list(model.sizes), list(model.batches))
    for name, application in catalog.applications().items():
        listed = listing["applications"][name]
        assert [tuple(edge) for edge in listed["edges"]] == list(application.edges)
        named = set(itertools.chain(*application.edges))
        assert named == set(application.names), "edges alone tell the functions"
        assert all(function.profile == function.name for function in application.functions)


def test_one_entry_of_the_catalog() -> None:
    application = answer_json("catalog", "image-query")
    assert list(application["applications"]) == ["image-query"]
    assert sorted(application["profiles"]) == sorted(catalog.application("image-query").names)
    profile = answer_json("catalog", "distilbert")
    assert (list(profile["profiles"]), profile["applications"]) == (["distilbert"], {})
    page = answer("catalog", "image-query")
    assert "image-recognition -> distilbert" in page
    assert "alpha" in page
    assert "translation" not in page


def test_the_catalog_for_people() -> None:
    page = answer("catalog")
    assert [name for name in (*catalog.applications(), *catalog.profiles()) if name not in page] == []
    assert "$0.034 per core-hour, $3.06 per GPU-hour" in page


def test_the_versions() -> None:
    assert answer_json("versions")["packages"]["numpy"] == np.__version__
    assert re.search(rf"^numpy +{re.escape(np.__version__)}$", answer("versions"), re.M)
