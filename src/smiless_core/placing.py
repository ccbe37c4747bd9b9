"""Files that are there whole or not at all."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from smiless_core.errors import InvalidInputError

__all__ = ["place_file", "reason_of", "replace_file"]


def place_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Put a file in place in one step, so that neither a reader nor a failure ever sees half of it.

    Parameters
    ----------
    path : path-like
        A file that is there is replaced and lends its mode; a symbolic link is followed.
    data : bytes
        All that is to be in it.

    Raises
    ------
    InvalidInputError
        If it cannot be written; the error names the file. Nothing is left behind.
    """
    try:
        replace_file(Path(path), data)
    except (OSError, ValueError) as error:  # a ValueError comes from a name with a null byte in it
        raise InvalidInputError(f"cannot be written: {reason_of(error)}", file=os.fspath(path)) from None


def replace_file(path: Path, data: bytes) -> None:
    """Do the same, and let errors be those of the disk."""
    target = path.resolve()  # through a symbolic link, not over it
    draft = target.with_name(f".{target.name}.{os.urandom(8).hex()}")
    try:
        with draft.open("xb") as file:
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def reason_of(error: OSError | ValueError) -> str:
    """Return why a file cannot be had, for the end of a sentence."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return reason[:1].lower() + reason[1:]
