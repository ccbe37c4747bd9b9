"""Built-in profiles, applications and prices: the published figures of SMIless (see `CITATION`).

The profiles are fits of the constrained model to the published latencies; ``profiles.yaml`` carries the error
of each. Everything is read once, on first use; each call returns a mapping of its own.
"""

from collections.abc import Mapping
from functools import cache
from typing import cast

from smiless_core.errors import InvalidInputError
from smiless_core.model.application import Application
from smiless_core.model.files import decode_application, decode_profile_file
from smiless_core.model.prices import Prices
from smiless_core.model.profiles import Profile

__all__ = ["CITATION", "application", "applications", "prices", "profiles"]

CITATION = (
    "Lu, Xu, Li, Chen, Ye, Xu: SMIless: Serving DAG-based Inference with Dynamic Invocations under "
    "Serverless Computing. SC 2024, doi 10.1109/SC41406.2024.00044"
)

_APPLICATIONS = ("voice-assistant", "amber-alert", "image-query")


def profiles() -> dict[str, Profile]:
    """Return the profiles of the published functions.

    Returns
    -------
    dict of str to Profile
        By name, in alphabetical order.
    """
    return dict(_profile_file()[0])


def prices() -> Prices:
    """Return the published prices: $0.034 per core-hour and $3.06 per GPU-hour.

    Returns
    -------
    Prices
        AWS c6g in Ohio, and a V100 of p3.2xlarge.
    """
    return _profile_file()[1]


def applications() -> dict[str, Application]:
    """Return the three applications of the published evaluation, with its tightest SLA, 2 s.

    Returns
    -------
    dict of str to Application
        By name, in the order of the evaluation.
    """
    return {name: _application(name) for name in _APPLICATIONS}


def application(name: str) -> Application:
    """Return one of the applications.

    Parameters
    ----------
    name : str
        Its name.

    Returns
    -------
    Application
        The application.

    Raises
    ------
    InvalidInputError
        If there is none of this name; it says which was probably meant.
    """
    known = applications()
    if name not in known:
        raise InvalidInputError.unknown("application", name, known)
    return known[name]


@cache
def _application(name: str) -> Application:
    file = f"{name}.yaml"
    return decode_application(_data(file), "yaml", file=file)


@cache
def _profile_file() -> tuple[Mapping[str, Profile], Prices]:
    profiles, prices = decode_profile_file(_data("profiles.yaml"), "yaml", file="profiles.yaml")
    return profiles, cast(Prices, prices)  # this file carries prices


def _data(file: str) -> bytes:
    from importlib import resources  # late: it is slow to import

    return resources.files(__package__).joinpath(file).read_bytes()
