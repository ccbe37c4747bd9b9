"""Containers without images: a read-only root of bind mounts, and what `runc` is told about one instance.

A bundle shows an instance the host's ``/usr``, the few files of ``/etc`` that programs look for, the directories of its
interpreter and of the programs, all read-only, and an empty ``/tmp``. Nothing is downloaded or copied.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from smiless_core.errors import InvalidInputError
from smiless_core.model import Configuration

__all__ = ["Root", "bundle", "cpu_resources", "program", "search_path"]

NOBODY = 65534

_SMALLEST_QUOTA = 1000  # microseconds: the kernel refuses less
_PERIOD = 20_000  # microseconds: a fifth of the kernel's default, so that a small instance is not held up for long
_LONGEST_PERIOD = 1_000_000  # microseconds
_PIDS = 1024
_TMP = "64m"

# Where they are symbolic links to parts of /usr, as on all present distributions, they are links here too.
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("alternatives", "group", "hosts", "ld.so.cache", "localtime", "nsswitch.conf", "passwd", "resolv.conf", "ssl")

_FILESYSTEMS = tuple(map(Path, ("/proc", "/dev", "/sys", "/tmp")))
_READ_ONLY = ["rbind", "ro", "nosuid", "nodev", "rprivate"]


def search_path() -> str:
    """Return where programs are looked for: beside the interpreter that runs this, then as the environment says."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def program(command: str, directory: Path) -> Path:
    """Return the file that a command stands for.

    Parameters
    ----------
    command : str
        A name that is looked for, or a path, relative to the directory.
    directory : Path
        Where the programs are.

    Returns
    -------
    Path
        Absolute; symbolic links are kept, since an interpreter finds its environment by them.

    Raises
    ------
    InvalidInputError
        If there is no such program.
    """
    named = str(directory / command) if os.sep in command else command
    found = shutil.which(named, path=search_path())
    if found is None:
        raise InvalidInputError(f"no program {command!r} that can be run", place="command[0]")
    return Path(os.path.abspath(found))


def cpu_resources(configuration: Configuration) -> dict[str, int]:
    """Return what the kernel is told about the cores of an instance.

    Parameters
    ----------
    configuration : Configuration
        On a cpu.

    Returns
    -------
    dict of str to int
        ``period`` and ``quota`` in microseconds: what it may use at most; ``shares``: its weight against others.

    Raises
    ------
    InvalidInputError
        If the size is so small that the kernel has no quota for it.
    """
    period = max(_PERIOD, math.ceil(_SMALLEST_QUOTA / configuration.size))
    if period > _LONGEST_PERIOD:
        least = _SMALLEST_QUOTA / _LONGEST_PERIOD
        raise InvalidInputError(f"expected at least {least:g} cores, got {configuration.size:g}", place="size")
    return {
        "period": period,
        "quota": max(_SMALLEST_QUOTA, round(period * configuration.size)),
        "shares": min(max(2, round(1024 * configuration.size)), 262_144),
    }


class Root:
    """The read-only root that all instances of a node share: nothing but the places of mounts.

    Parameters
    ----------
    directory : Path
        Where it is made; anything that is there stays.
    programs : iterable of Path
        The programs that instances run: the directories that they need can be read.
    readable : iterable of Path, optional
        Further directories and files that instances may read.

    Raises
    ------
    InvalidInputError
        If something that is to be readable is not there, or is the host's root.
    """

    def __init__(self, directory: Path, programs: Iterable[Path], readable: Iterable[Path] = ()) -> None:
        self.path = directory
        self._links = {f"/{name}": os.readlink(f"/{name}") for name in _SYSTEM if os.path.islink(f"/{name}")}
        places = [Path("/usr"), *(Path(f"/{name}") for name in _SYSTEM if f"/{name}" not in self._links)]
        places += [Path("/etc", name) for name in _ETC]
        shown = dict.fromkeys(place for place in places if place.exists())
        for each in (*readable, *(place for file in programs for place in _needed_by(file))):
            place = Path(os.path.abspath(each))
            if not place.exists():
                raise InvalidInputError(f"{place} is not there")
            if place == Path("/"):
                raise InvalidInputError("instances are not to read all of /")
            if f"/{place.parts[1]}" not in self._links:  # else it is a part of /usr
                shown[place] = None
        # Outer ones first, so that none hides another; what lies in one that is shown is shown with it.
        ordered = sorted(shown, key=lambda place: place.parts)
        self._shown = [each for each in ordered if not any(other in each.parents for other in ordered)]

    def make(self) -> None:
        """Make the places of the mounts."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for place in self._places():
            for parent in (*reversed(place.parents), place):
                inside = self._inside(parent)
                if parent in _FILESYSTEMS or parent.is_dir():
                    inside.mkdir(exist_ok=True)
                    # Whatever the mask of this process; runc gives the mount of /tmp the mode of its place.
                    inside.chmod(0o1777 if parent == Path("/tmp") else 0o755)
                else:
                    inside.touch()
        for link, target in self._links.items():
            with suppress(FileExistsError):
                self._inside(Path(link)).symlink_to(target)

    def remove(self) -> None:
        """Remove the places again, one by one: were anything still mounted there, it would not be touched."""
        made = {self._inside(parent) for place in self._places() for parent in (place, *place.parents)}
        for link in self._links:
            with suppress(OSError):
                self._inside(Path(link)).unlink()
        for path in sorted(made, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()

    def mounts(self) -> list[dict[str, Any]]:
        """Return the mounts as the OCI runtime specification has them."""
        quiet = ["nosuid", "noexec", "nodev"]
        return [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=64k"],
            },
            {
                "destination": "/dev/shm",
                "type": "tmpfs",
                "source": "shm",
                "options": [*quiet, "mode=1777", f"size={_TMP}"],
            },
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, "ro"]},
            {
                "destination": "/tmp",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "nodev", "mode=1777", f"size={_TMP}"],
            },
            *(
                {"destination": str(place), "type": "bind", "source": str(place), "options": _READ_ONLY}
                for place in self._shown
            ),
        ]

    def _places(self) -> Iterator[Path]:
        yield from _FILESYSTEMS
        # What is below /tmp is made by runc, on the tmpfs that hides what we would make.
        yield from (place for place in self._shown if Path("/tmp") not in place.parents)

    def _inside(self, place: Path) -> Path:
        return self.path / place.relative_to("/")


def bundle(
    root: Root,
    *,
    id: str,
    command: Iterable[str],
    environment: Mapping[str, str],
    directory: Path,
    configuration: Configuration,
    memory: int | None = None,
) -> dict[str, Any]:
    """Return the ``config.json`` of one instance.

    Parameters
    ----------
    root : Root
        What it sees.
    id : str
        What it is called.
    command : iterable of str
        The program and its arguments.
    environment : mapping of str to str
        All of its variables.
    directory : Path
        Where it runs.
    configuration : Configuration
        How many cores it may use.
    memory : int, optional
        MiB that it may use.

    Returns
    -------
    dict
        Version 1.0.2 of the OCI runtime specification.
    """
    none: dict[str, list[str]] = {each: [] for each in ("bounding", "effective", "inheritable", "permitted", "ambient")}
    resources: dict[str, Any] = {
        "devices": [{"allow": False, "access": "rwm"}],
        "cpu": cpu_resources(configuration),
        "pids": {"limit": _PIDS},
    }
    if memory is not None:
        resources["memory"] = {"limit": memory * 2**20}
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": NOBODY, "gid": NOBODY},
            "args": list(command),
            "env": [f"{name}={value}" for name, value in environment.items()],
            "cwd": str(directory),
            "capabilities": none,
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 4096}],
            "noNewPrivileges": True,
        },
        "root": {"path": str(root.path), "readonly": True},
        "hostname": id,
        "mounts": root.mounts(),
        "linux": {
            "cgroupsPath": f"/smiless-{id}",
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
            "resources": resources,
            "rootfsPropagation": "rprivate",
            "maskedPaths": [
                "/proc/acpi",
                "/proc/asound",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/sched_debug",
                "/proc/scsi",
                "/proc/timer_list",
                "/sys/firmware",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def _needed_by(file: Path) -> Iterator[Path]:
    """Yield the directories that a program needs: for each link on the way to it, that of its installation."""
    names = [file]
    while names[-1].is_symlink() and len(names) < 40:  # as deep as the kernel follows
        names.append(Path(os.path.normpath(names[-1].parent / os.readlink(names[-1]))))
    for name in (*names, file.resolve()):
        # An interpreter is <prefix>/bin/<name>, with its libraries in <prefix>/lib.
        prefix = name.parent.parent if name.parent.name == "bin" else name.parent
        if prefix != Path("/"):  # /bin is a part of the system
            yield prefix
