"""Which of several controllers may act: the one that holds the lease."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Protocol

from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.placing import reason_of

__all__ = ["FileLease", "Lease", "SoleLease"]

_TAKEN = (errno.EAGAIN, errno.EACCES)


class Lease(Protocol):
    """What at most one controller holds at a time."""

    async def hold(self) -> bool:
        """Take the lease, or keep it; return whether it is held now.

        Raises
        ------
        PlatformError
            If that cannot be told. Then it is not held.
        """
        ...

    async def release(self) -> None:
        """Let others have it. What is not held is released already."""
        ...


class SoleLease:
    """For a controller that is alone."""

    async def hold(self) -> bool:
        """Return True."""
        return True

    async def release(self) -> None:
        """Do nothing: there is no one else."""


class FileLease:
    """A lock on a file, for controllers on one machine; the kernel lets it go when the holder dies.

    Parameters
    ----------
    path : path-like
        The file; made if there is none, and never removed. Its content does not matter.

    Raises
    ------
    InvalidInputError
        If the file cannot be had.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._descriptor: int | None = None
        try:
            os.close(self._open())  # say now rather than later that this cannot be
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"cannot be opened: {reason_of(error)}", file=self._path) from None

    async def hold(self) -> bool:
        """See `Lease.hold`: of all that use this file, one is answered True."""
        try:
            if self._descriptor is not None:
                if self._is_in_place(self._descriptor):
                    return True
                # Someone removed the file, and others may hold the one that took its place: this lease is lost.
                await self.release()
                return False
            return self._take()
        except OSError as error:
            await self.release()
            raise PlatformError(f"{self._path}: {reason_of(error)}", "lease", "hold") from None

    async def release(self) -> None:
        """See `Lease.release`."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _open(self) -> int:
        # Python has it closed in programs that this one starts: they would hold the lease after its death.
        return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)

    def _take(self) -> bool:
        descriptor = self._open()
        try:
            # Of the open file, not of the process: so two leases within one process exclude each other too.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = self._is_in_place(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _TAKEN:
                return False
            raise
        if taken:
            self._descriptor = descriptor
        else:
            os.close(descriptor)
        return taken

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(descriptor))
