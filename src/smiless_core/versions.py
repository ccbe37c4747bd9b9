"""What is installed here: the facts that a bug report needs."""

from typing import Any

__all__ = ["show_versions", "version_report"]

# Everything that can change a plan or its printing, in the order of what it can change most.
_PACKAGES = (
    "numpy",
    "scipy",
    "cvxpy",
    "highspy",
    "msgspec",
    "PyYAML",
    "typer",
    "rich",
    "polars",
    "plotly",
    "pyarrow",
    "numba",
)


def version_report() -> dict[str, Any]:
    """Return the versions of this library, of Python and of what it builds on.

    Returns
    -------
    dict of str to Any
        ``schema``, ``smiless_core``, ``python``, ``platform``, ``processors``, and ``packages``: version by
        package name, None where a package is not installed. No package is imported to find out.
    """
    import os
    import platform

    return {
        "schema": 1,
        "smiless_core": _installed("smiless-core"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {package: _installed(package) for package in _PACKAGES},
    }


def show_versions() -> None:
    """Print the versions of this library, of Python and of what it builds on, one a line.

    Examples
    --------
    >>> show_versions()  # doctest: +ELLIPSIS
    smiless-core  ...
    """
    report = version_report()
    rows = {"smiless-core": report["smiless_core"]}
    rows |= {name: report[name] for name in ("python", "platform", "processors")}
    rows |= report["packages"]
    width = max(map(len, rows)) + 2
    for name, value in rows.items():
        print(f"{name:<{width}}{'not installed' if value is None else value}")


def _installed(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # late: it is slow to import

    try:
        return version(package)
    except PackageNotFoundError:
        return None
