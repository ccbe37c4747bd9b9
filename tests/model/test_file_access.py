"""Files that cannot be read or written: one line each, and nothing left behind."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from smiless_core.errors import InvalidInputError
from smiless_core.model import Hardware, HardwareProfile, Profile, files

OCR_PROFILE = Profile(
    "ocr",
    {Hardware.CPU: HardwareProfile(alpha=1.0, beta=0.1, gamma=0.0, cold_start_mean=2.0, sizes=(1,), batches=(1,))},
)
READERS = [files.read_application, files.read_profiles, files.read_profile_file]


def error_of(read: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read(*arguments, **options)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("suffix", [".yaml", ".json", ".toml"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\t", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\xff\xfe\x00\x01", "not UTF-8 text: byte 0xff at position 0"),
        (bytes(range(256)), "not UTF-8 text: byte 0x80 at position 128"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not UTF-8 text: byte 0x89 at position 0"),
    ],
)
def test_a_file_that_holds_no_text(tmp_path: Path, read: Any, suffix: str, content: bytes, message: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    assert error_of(read, path) == f"{path}: {message}"


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_cannot_be_read(tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    assert error_of(read, folder) == f"{folder}: this is a directory, not a file"
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert error_of(read, pipe) == f"{pipe}: this is not a regular file"
    missing = tmp_path / "missing.yaml"
    assert error_of(read, missing) == f"{missing}: cannot be read: no such file or directory"
    assert error_of(read, f"{tmp_path}/a\0b.yaml") == f"{tmp_path}/a\\x00b.yaml: cannot be read: embedded null byte"
    other = tmp_path / "app.txt"
    other.write_bytes(b"sla: 1")
    expected = f"{other}: expected a name ending in .yaml, .yml, .json or .toml, got 'app.txt'"
    assert error_of(read, other) == expected
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(16 * 2**20 + 1)
    assert error_of(read, large) == f"{large}: the file is larger than 16 MiB"

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert error_of(read, large) == f"{large}: cannot be read: permission denied"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the superuser")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.touch(mode=0o000)
    assert error_of(files.read_application, path) == f"{path}: cannot be read: permission denied"


def test_the_name_of_a_file_may_be_odd(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\n.yaml")
    Path(path).write_bytes(b"sla: 1")
    assert error_of(files.read_application, path) == f"{tmp_path}/a\\udcff\\n.yaml: the key 'functions' is missing"


def test_a_new_file_is_readable_and_a_replaced_one_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    target = tmp_path / "real.yaml"
    files.write_profiles({"ocr": OCR_PROFILE}, target)
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    target.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(target)
    files.write_profiles({"ocr": OCR_PROFILE}, link, notes=["again"])
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert "again" in target.read_text(encoding="utf-8")
    assert sorted(os.listdir(tmp_path)) == ["link.yaml", "real.yaml"]


@pytest.mark.parametrize(
    ("profiles", "name", "options", "message"),
    [
        ({}, "p.yaml", {}, "profiles: expected at least one profile, got none"),
        ({"tts": OCR_PROFILE}, "p.yaml", {}, "profiles.tts: this key holds the profile 'ocr'"),
        ({"ocr": OCR_PROFILE}, "p.yaml", {"notes": ["a\nb"]}, "notes[0]: expected printable text"),
        ({"ocr": OCR_PROFILE}, "p.yaml", {"notes": "ab"}, "notes: expected a list, got 'ab'"),
        ({"ocr": OCR_PROFILE}, "p.txt", {}, "{}/p.txt: expected a name ending in .yaml"),
        ({"ocr": OCR_PROFILE}, "no/p.yaml", {}, "{}/no/p.yaml: cannot be written: no such file or directory"),
        ({"ocr": OCR_PROFILE}, "folder.yaml", {}, "{}/folder.yaml: cannot be written: is a directory"),
    ],
)
def test_nothing_is_left_behind_where_nothing_can_be_written(
    tmp_path: Path, profiles: dict[str, Profile], name: str, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "folder.yaml").mkdir()
    error = error_of(files.write_profiles, profiles, tmp_path / name, **options)
    assert error.startswith(message.format(tmp_path))
    assert os.listdir(tmp_path) == ["folder.yaml"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_failure_half_way_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise failure

    monkeypatch.setattr(os, step, fail)
    with pytest.raises((InvalidInputError, KeyboardInterrupt)) as caught:
        files.write_profiles({"ocr": OCR_PROFILE}, path)
    if isinstance(failure, OSError):
        assert str(caught.value) == f"{path}: cannot be written: no space left on device"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["p.yaml"]
