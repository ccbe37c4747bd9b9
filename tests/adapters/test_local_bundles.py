"""What runc is told about an instance."""

import json
import os
from pathlib import Path

import pytest

from smiless_core.adapters.local.bundles import Root, bundle, cpu_resources, program
from smiless_core.errors import InvalidInputError
from smiless_core.model import Configuration


@pytest.fixture
def root(tmp_path):
    (tmp_path / "programs").mkdir()
    return Root(tmp_path / "root", [Path("/usr/bin/env")], [tmp_path / "programs"])


def test_an_instance_has_no_rights_and_writes_nothing(root, tmp_path):
    told = bundle(
        root,
        id="a-1",
        command=["/usr/bin/env"],
        environment={"A": "1"},
        directory=tmp_path / "programs",
        configuration=Configuration("cpu", 0.5),
        memory=64,
    )
    process, linux = told["process"], told["linux"]
    assert process["noNewPrivileges"] is True
    assert set(map(tuple, process["capabilities"].values())) == {()}
    assert process["user"] == {"uid": 65534, "gid": 65534}
    assert process["env"] == ["A=1"]
    assert told["root"] == {"path": str(tmp_path / "root"), "readonly": True}
    assert {each["type"] for each in linux["namespaces"]} == {"pid", "mount", "ipc", "uts"}
    assert linux["resources"] == {
        "devices": [{"allow": False, "access": "rwm"}],
        "cpu": {"period": 20_000, "quota": 10_000, "shares": 512},
        "pids": {"limit": 1024},
        "memory": {"limit": 64 * 2**20},
    }
    binds = {each["source"]: each for each in told["mounts"] if each["type"] == "bind"}
    assert {"/usr", str(tmp_path / "programs")} <= set(binds)
    assert all("ro" in each["options"] and "nosuid" in each["options"] for each in binds.values())
    assert not [each for each in binds if Path(each).parts[1] in ("root", "home", "var", "run")]
    assert json.dumps(told)


@pytest.mark.parametrize(
    ("size", "period", "quota"),
    [
        (1, 20_000, 20_000),
        (2.5, 20_000, 50_000),
        (0.05, 20_000, 1_000),
        (0.02, 50_000, 1_000),
        (0.001, 1_000_000, 1_000),
    ],
)
def test_a_quota_is_the_size_and_never_less_than_the_kernel_takes(size, period, quota):
    told = cpu_resources(Configuration("cpu", size))
    assert (told["period"], told["quota"]) == (period, quota)


def test_less_than_the_kernel_takes_is_refused():
    with pytest.raises(InvalidInputError, match=r"size: expected at least 0\.001 cores, got 0\.0005"):
        cpu_resources(Configuration("cpu", 0.0005))


def test_an_interpreter_is_shown_with_all_that_its_links_lead_to(tmp_path):
    for each in ("real/bin", "real/lib", "venv/bin", "programs"):
        (tmp_path / each).mkdir(parents=True)
    (tmp_path / "real/bin/python3.11").touch(mode=0o755)
    (tmp_path / "venv/bin/python").symlink_to(tmp_path / "real/bin/python3.11")
    (tmp_path / "venv/bin/python3").symlink_to("python")
    found = program("../venv/bin/python3", tmp_path / "programs")
    assert found == tmp_path / "venv/bin/python3"
    root = Root(tmp_path / "root", [found], [tmp_path / "programs"])
    shown = {each["source"] for each in root.mounts() if each["type"] == "bind"}
    assert {str(tmp_path / each) for each in ("real", "venv", "programs")} <= shown
    assert str(tmp_path) not in shown


def test_what_lies_in_another_directory_is_shown_once(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    root = Root(
        tmp_path / "root", [Path("/bin/sh")], [tmp_path / "a/b", tmp_path / "a", Path("/usr/lib"), Path("/lib")]
    )
    shown = [each["source"] for each in root.mounts() if each["type"] == "bind"]
    assert str(tmp_path / "a") in shown
    assert not {str(tmp_path / "a/b"), "/usr/lib", "/"} & set(shown)
    assert len(shown) == len(set(shown))


def test_the_root_is_made_and_removed_without_a_trace(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    root = Root(tmp_path / "root", [Path("/usr/bin/env")], [outside])
    before = os.umask(0o077)
    try:
        root.make()
        root.make()
    finally:
        os.umask(before)
    made = tmp_path / "root"
    assert (made / "usr").stat().st_mode & 0o777 == 0o755, "whoever an instance runs as gets in"
    assert (made / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert not list((made / "usr").iterdir())
    (made / "usr" / "kept").write_text("what is not ours stays")
    root.remove()
    assert [str(each.relative_to(made)) for each in sorted(made.rglob("*"))] == ["usr", "usr/kept"]
    (made / "usr" / "kept").unlink()
    root.remove()
    assert not made.exists()
    assert outside.exists()


def test_what_is_not_there_and_what_is_too_much_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="/nowhere is not there"):
        Root(tmp_path, [], [Path("/nowhere")])
    with pytest.raises(InvalidInputError, match="not to read all of /"):
        Root(tmp_path, [], [Path("/")])
    with pytest.raises(InvalidInputError, match="no program 'no-such-program'"):
        program("no-such-program", tmp_path)
