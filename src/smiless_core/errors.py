"""Every error this library raises on purpose.

::

    Exception
    └── SmilessError
        ├── InvalidInputError   (also a ValueError)    an argument or a file is wrong
        ├── InfeasibleError                            no plan can meet the SLA
        ├── PlatformError                              a platform failed, refused, or answered what makes no sense
        ├── SolverError         (also a RuntimeError)  a search failed, or its plan failed the re-evaluation
        └── MissingExtraError   (also an ImportError)  an optional dependency is not installed

All of them pickle, so they cross process boundaries unharmed.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Self

__all__ = [
    "InfeasibleError",
    "InvalidInputError",
    "MissingExtraError",
    "PlatformError",
    "SmilessError",
    "SolverError",
]

_MOST_NAMES_LISTED = 12
_MOST_CHARACTERS_COMPARED = 80


class SmilessError(Exception):
    """The root of the tree: catch this to catch every deliberate error."""


class InvalidInputError(SmilessError, ValueError):
    """An argument or a file is wrong.

    Parameters
    ----------
    message : str
        What is wrong, naming the value.
    place : str, optional
        Where in the input, such as ``functions[2].profile``.
    file : str, optional
        The file that the input came from.

    Attributes
    ----------
    message, place, file : str
        As given.

    Notes
    -----
    ``str(error)`` is always one printable line, ``file: place: message``, without the parts that are empty.
    """

    def __init__(self, message: str, *, place: str = "", file: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.file = file

    def __str__(self) -> str:
        return _one_line(": ".join(part for part in (self.file, self.place, self.message) if part))

    @classmethod
    def unknown(cls, kind: str, name: object, known: Iterable[str], *, place: str = "") -> Self:
        """Say that nothing of this kind has this name, and which known name was probably meant.

        Parameters
        ----------
        kind : str
            What was looked for, such as ``profile``.
        name : object
            The name that is not known.
        known : iterable of str
            The names that are.
        place : str, optional
            Where the name was used.

        Returns
        -------
        InvalidInputError
            To be raised by the caller.
        """
        names = list(known)
        close = get_close_matches(str(name)[:_MOST_CHARACTERS_COMPARED], names, n=1)
        if close:
            hint = f" (did you mean {close[0]!r}?)"
        elif names:
            more = ", ..." if len(names) > _MOST_NAMES_LISTED else ""
            hint = f" (known: {', '.join(names[:_MOST_NAMES_LISTED])}{more})"
        else:
            hint = ""
        shown = repr(name)
        if len(shown) > _MOST_CHARACTERS_COMPARED:
            shown = shown[: _MOST_CHARACTERS_COMPARED - 3] + "..."
        return cls(f"no {kind} named {shown}{hint}", place=place)

    def within(self, *, file: str = "", place: str = "") -> Self:
        """Return this error as seen from outside.

        Parameters
        ----------
        file : str, optional
            The file to name, where none is named yet.
        place : str, optional
            What contains the present place; it is put in front of it.

        Returns
        -------
        InvalidInputError
            A new error; this one does not change.
        """
        joint = "." if place and self.place and not self.place.startswith("[") else ""
        return type(self)(self.message, place=place + joint + self.place, file=self.file or file)


class InfeasibleError(SmilessError):
    """No choice of modes meets the SLA.

    Parameters
    ----------
    message : str
        What was asked for, and what can be had.
    shortest_latency : float
        The shortest end-to-end latency that can be reached, in seconds.
    limited_by : tuple of str
        The functions that limit it.
    """

    def __init__(self, message: str, shortest_latency: float, limited_by: tuple[str, ...]) -> None:
        super().__init__(message, shortest_latency, limited_by)
        self.message = message
        self.shortest_latency = shortest_latency
        self.limited_by = limited_by

    def __str__(self) -> str:
        return _one_line(self.message)


class SolverError(SmilessError, RuntimeError):
    """A search failed, or the plan it returned did not survive its independent re-evaluation."""


class PlatformError(SmilessError):
    """A platform failed, refused, or answered what makes no sense.

    Parameters
    ----------
    message : str
        What happened; never a secret.
    platform : str
        Which one, such as ``openfaas``.
    doing : str, default ""
        What was being done, such as ``warm detect``.
    retryable : bool, default True
        Whether the same call may succeed later.
    retry_after : float, optional
        Seconds that the platform asks to wait.
    """

    def __init__(
        self,
        message: str,
        platform: str,
        doing: str = "",
        retryable: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, platform, doing, retryable, retry_after)
        self.message = message
        self.platform = platform
        self.doing = doing
        self.retryable = retryable
        self.retry_after = retry_after

    def __str__(self) -> str:
        return _one_line(": ".join(part for part in (self.platform, self.doing, self.message) if part))


class MissingExtraError(SmilessError, ImportError):
    """An optional dependency is needed and not installed.

    Parameters
    ----------
    extra : str
        The extra to install, such as ``report``.
    purpose : str
        What needs it, such as ``writing a report``.
    """

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(extra, purpose)
        self.extra = extra
        self.purpose = purpose

    def __str__(self) -> str:
        install = f"pip install 'smiless-core[{self.extra}]'"
        return _one_line(f"{self.purpose} needs the optional dependencies {self.extra!r}: {install}")


def _one_line(text: str) -> str:
    """Escape what would break a line or a terminal, such as the bytes of an odd file name."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)
