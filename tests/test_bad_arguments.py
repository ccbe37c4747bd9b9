"""Wrong command lines: exit code 2 and one line that names the option and the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from commandline import assert_refused, smiless, smiless_process, write_inputs


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)


COMMAND_LINES = [
    ("plan", ("'APP'", "smiless plan --help")),
    ("plan app.yaml", ("--every SECONDS", "--trace FILE")),
    ("plan app.yaml --every 10 --trace arrivals.csv", ("--every", "--trace", "not both")),
    ("plan app.yaml --every 10 --poisson 3", ("--every", "--poisson", "not both")),
    ("plan app.yaml --every 1 --poisson 1 --trace arrivals.csv", ("--every", "--poisson", "--trace", "not all")),
    ("plan app.yaml --every 10 --history 600", ("--history", "600", "--trace FILE")),
    ("plan app.yaml --poisson 10 --exact", ("--exact", "--trace FILE")),
    ("plan app.yaml --poisson 0", ("--poisson", "'0'")),
    ("plan app.yaml --poisson 10 --target 0", ("--target", "'0'")),
    ("plan app.yaml --poisson 10 --target 1.5", ("--target", "'1.5'")),
    ("plan app.yaml --poisson 10 --target nan", ("--target", "'nan'")),
    ("plan app.yaml --poisson 10 --target most", ("--target", "'most'")),
    ("plan app.yaml --trace arrivals.csv --history -1", ("--history", "'-1'")),
    ("plan app.yaml --trace arrivals.csv --history 0.5", ("arrivals.csv", "--history", "0.5", "got 1")),
    ("frontier image-query --every 10 --over attainment", ("--over", "every 10 s")),
    ("frontier image-query --poisson 10 --over time", ("--over", "'time'", "attainment")),
    ("frontier image-query --poisson 10 --sla 3", ("--sla", "3")),
    ("frontier image-query --poisson 10 --over attainment --min-sla 3", ("--min-sla", "3")),
    ("frontier image-query --poisson 10 --over both --target 0.9", ("--target", "0.9")),
    ("plan street --every 10", ("'street'", "amber-alert")),
    ("plan amber-alrt --every 10", ("'amber-alrt'", "did you mean 'amber-alert'")),
    ("plan ./amber-alert --every 10", ("./amber-alert", "no such file")),
    ("plan amber-alert.yaml --every 10", ("amber-alert.yaml", "no such file")),
    ("plan app.yaml --every 10", ("app.yaml: functions[0].profile", "'detect'", "--profiles FILE")),
    ("plan app.yaml --every soon", ("--every", "'soon'")),
    ("plan app.yaml --every 0", ("--every", "'0'")),
    ("plan app.yaml --every -1", ("--every", "'-1'")),
    ("plan app.yaml --every nan", ("--every", "'nan'")),
    ("plan app.yaml --every inf", ("--every", "'inf'")),
    ("plan app.yaml --every 1e-12", ("--every", "'1e-12'")),
    ("plan app.yaml --every 1e300", ("--every", "'1e300'")),
    ("plan app.yaml --every", ("--every", "argument")),
    ("plan app.yaml --every 10 --sla 0", ("--sla", "'0'")),
    ("plan app.yaml --every 10 --sla 1e300", ("--sla", "'1e300'")),
    ("plan app.yaml --every 10 --time-limit -1", ("--time-limit", "'-1'")),
    ("plan app.yaml --every 10 --method guess", ("--method", "'guess'", "exact", "milp")),
    ("plan app.yaml --every 10 --select x", ("--select", "--trace FILE")),
    ("plan app.yaml --every 10 --seed 1", ("--seed", "--trace FILE")),
    ("plan app.yaml --trace arrivals.csv --seed -1", ("--seed", "'-1'")),
    ("plan app.yaml --trace arrivals.csv --seed 1.5", ("--seed", "'1.5'")),
    ("plan app.yaml --trace arrivals.csv --format xml", ("--format", "'xml'", "jsonl")),
    ("plan app.yaml --trace arrivals.csv --format azure2021", ("arrivals.csv", "line 1", "'timestamp'")),
    ("plan app.yaml --trace arrivals.csv --placement best", ("--placement", "'best'", "uniform")),
    ("plan app.yaml --trace arrivals.csv --select x", ("arrivals.csv", "'x'")),
    ("plan app.yaml --every 10 --evry 3", ("--evry", "--every")),
    ("plan app.yaml more --every 10", ("more",)),
    ("plan amber-alert --profiles profiles.yaml --every 10", ("functions[0].profile", "'object-detection'")),
    ("frontier app.yaml --profiles profiles.yaml --every 10 --max-points 0", ("--max-points", "'0'")),
    ("frontier app.yaml --profiles profiles.yaml --every 10 --min-sla 5 --max-sla 3", ("--max-sla", "3")),
    ("frontier app.yaml --profiles profiles.yaml --every 10 --min-sla 1e300", ("--min-sla", "'1e300'")),
    ("frontier app.yaml", ("--every SECONDS", "--trace FILE")),
    ("fit", ("'MEASUREMENTS'", "smiless fit --help")),
    ("trace describe", ("'FILE'", "smiless trace describe --help")),
    ("trace sketch arrivals.csv", ("'sketch'", "smiless trace --help")),
    ("catalog amber-alrt", ("'amber-alrt'", "did you mean 'amber-alert'")),
    ("catalog --jsn", ("--jsn", "--json")),
    ("pln", ("'pln'", "smiless --help")),
    ("--verbose", ("--verbose", "smiless --help")),
]


@pytest.mark.parametrize(("arguments", "named"), COMMAND_LINES, ids=[line for line, _ in COMMAND_LINES])
def test_a_wrong_command_line(arguments: str, named: tuple[str, ...]) -> None:
    assert_refused(smiless(*arguments.split()), *named)


@pytest.mark.parametrize("arguments", ["plan app.yaml --every soon", "pln", "plan nowhere.yaml --every 10"])
def test_a_wrong_command_line_as_a_user_meets_it(arguments: str) -> None:
    assert_refused(smiless_process(*arguments.split()))


@pytest.mark.parametrize(
    "odd", ["a\nb.yaml", "\x1b[31mred.yaml", "", "x" * 5000, "x" * 300 + ".yaml", "sp\udcffot.yaml"]
)
def test_odd_names_stay_on_one_printable_line(odd: str) -> None:
    assert_refused(smiless("plan", odd, "--every", "10"))
    assert_refused(smiless("plan", "app.yaml", "--every", "10", "--profiles", odd))
    assert_refused(smiless("plan", "app.yaml", "--profiles", "profiles.yaml", "--trace", odd))
    assert_refused(smiless("fit", odd))
    assert_refused(smiless("catalog", odd))
    assert_refused(smiless(odd))
