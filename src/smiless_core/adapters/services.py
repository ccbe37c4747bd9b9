"""What a function is on a platform: the image or program that serves its requests.

A services file (YAML, JSON or TOML) holds::

    services:
      detect:
        image: registry.example/detect:1.4
        environment: {MODEL: /models/detect.onnx}
        port: 8080                  # where it listens; 8080 by default
        path: /                     # where requests go
        ready: /healthz             # answers 200 once the model is loaded; by default requests go there at once
        memory: 512                 # MiB, optional
      caption:
        command: [python3, caption.py]     # a program, for local instances

Secrets have no place in it: name those of the platform under `secrets`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from types import MappingProxyType

from smiless_core.errors import InvalidInputError
from smiless_core.model.files import read_nouns
from smiless_core.model.noun import Noun
from smiless_core.validation import mapping, sequence, text, whole_number

__all__ = ["Service", "read_services"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")


class Service(Noun, frozen=True, kw_only=True):
    """What serves the requests of one function.

    Parameters
    ----------
    image : str, default ""
        A container image, for platforms that run images.
    command : tuple of str, optional
        The program and its arguments; what the image says by default.
    environment : mapping of str to str, optional
        Variables. Not for secrets.
    secrets : tuple of str, optional
        Names of secrets that the platform holds and hands to instances.
    port : int, default 8080
        Where an instance listens.
    path : str, default "/"
        Where requests go.
    ready : str, default ""
        A path that answers 200 once the model is loaded. Without one, an instance is taken to be ready when it
        listens.
    memory : int, optional
        MiB that an instance may use.

    Raises
    ------
    InvalidInputError
        If a value is out of range, or there is neither an image nor a command.
    """

    image: str = ""
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = MappingProxyType({})
    secrets: tuple[str, ...] = ()
    port: int = 8080
    path: str = "/"
    ready: str = ""
    memory: int | None = None

    def __post_init__(self) -> None:
        for name in ("path", "ready"):
            if (value := getattr(self, name)) and not (isinstance(value, str) and value.startswith("/")):
                raise InvalidInputError(f"expected a path that begins with '/', got {value!r}", place=name)
        environment = {
            text(key, "environment"): text(value, f"environment.{key}")
            for key, value in mapping(self.environment, "environment").items()
        }
        self._set(
            image=text(self.image, "image") if self.image else "",
            command=tuple(text(each, f"command[{at}]") for at, each in enumerate(sequence(self.command, "command"))),
            environment=MappingProxyType(environment),
            secrets=tuple(text(each, f"secrets[{at}]") for at, each in enumerate(sequence(self.secrets, "secrets"))),
            port=whole_number(self.port, "port", at_least=1, at_most=65535),
            memory=None if self.memory is None else whole_number(self.memory, "memory", at_least=1),
        )
        if not self.image and not self.command:
            raise InvalidInputError("expected an image or a command")


def read_services(path: str | os.PathLike[str]) -> dict[str, Service]:
    """Read what functions are on a platform.

    Parameters
    ----------
    path : path-like
        A ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file.

    Returns
    -------
    dict of str to Service
        By function.

    Raises
    ------
    InvalidInputError
        If the file cannot be read or is wrong: the error names the file, the place and the value.
    """
    services = read_nouns(path, Service, key="services")
    for name in services:
        if not _NAME.fullmatch(name):
            raise InvalidInputError(
                f"expected lower-case letters, digits and '-' only, at most 53, got {name!r}",
                place="services",
                file=os.fspath(path),
            )
    return services
