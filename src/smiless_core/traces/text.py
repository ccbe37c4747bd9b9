"""Trace files as blocks of whole lines, so that any size of file passes through a few megabytes of memory."""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from smiless_core.errors import InvalidInputError

__all__ = ["Block", "first_block", "place", "text_blocks"]

_BLOCK_BYTES = 4 * 2**20
_LONGEST_LINE = 2**20
_NO_LINE = f"expected lines of text, got {_LONGEST_LINE} bytes without one"
_ROWS_PER_BLOCK = 2**16
_GZIP = b"\x1f\x8b"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """Some whole lines of a file, without the last line's end."""

    text: bytes
    line: int
    """The number of the first of them, from 1."""


def place(line: int, field: str = "") -> str:
    """Name a place in a file for an error.

    Parameters
    ----------
    line : int
        From 1.
    field : str, optional
        What of the line, such as ``column time``.

    Returns
    -------
    str
        Such as ``line 3, column time``.
    """
    return f"line {line}, {field}" if field else f"line {line}"


def first_block(path: Path) -> Block:
    """Return the first lines of a file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Block
        As `text_blocks` gives them, but for a line that is longer than that.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, is empty or is not text.
    """
    with closing(_chunks(path)) as chunks:
        text = next(chunks, b"")
    if len(text) >= _BLOCK_BYTES:
        text = text[: text.rfind(b"\n") + 1 or text.rfind(b" ") + 1]
        if not text:
            raise InvalidInputError(_NO_LINE, place=place(1))
    if not text.strip(b"\r\n "):
        raise InvalidInputError("the file is empty")
    return _checked(Block(text.rstrip(b"\r\n "), 1))


def text_blocks(path: Path, *, within_lines: bool = False) -> Iterator[Block]:
    """Read a plain, gzip or Zstandard file block by block.

    Blank lines at the end of the file are dropped, and a byte order mark at its start.

    Parameters
    ----------
    path : Path
        The file. What it is compressed with is told by its first bytes, not by its name.
    within_lines : bool, default False
        Whether a block may also end at a space within a line.

    Yields
    ------
    Block
        UTF-8 text without null bytes.

    Raises
    ------
    InvalidInputError
        If the file cannot be read or is not such text.
    """
    ends = b"\n \t" if within_lines else b"\n"
    line, rest = 1, b""
    for chunk in _chunks(path):
        data = rest + chunk
        cut = max(data.rfind(end) for end in ends) + 1
        text = data[:cut].rstrip(b"\r\n ")
        if not text:
            rest = data
        else:
            used = len(text) if within_lines else data.index(b"\n", len(text)) + 1
            yield _checked(Block(text, line))
            line += data.count(b"\n", 0, used)
            rest = data[used:]
        if len(rest) > _LONGEST_LINE:
            raise InvalidInputError(_NO_LINE, place=place(line))
    if text := rest.rstrip(b"\r\n "):
        yield _checked(Block(text, line))


def _checked(block: Block) -> Block:
    text, line = block
    wrong = text.find(b"\0")
    before = text if wrong < 0 else text[:wrong]
    if not before.isascii():
        try:
            before.decode()
        except UnicodeDecodeError as error:
            wrong = error.start
    if wrong >= 0:
        message = f"expected text in UTF-8, got byte 0x{text[wrong]:02x}"
        raise InvalidInputError(message, place=place(line + text.count(b"\n", 0, wrong)))
    return block


def _chunks(path: Path) -> Generator[bytes]:
    try:
        mode = path.stat().st_mode  # before opening: to open a pipe is to wait for its writer
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise InvalidInputError("expected a file, got a device or a pipe")
        with path.open("rb") as stream:
            start = stream.read(len(_ZSTANDARD))
            if start == _ZSTANDARD:
                yield from _zstandard(path)
                return
            stream.seek(len(_BYTE_ORDER_MARK) if start.startswith(_BYTE_ORDER_MARK) else 0)
            if not start.startswith(_GZIP):
                while chunk := stream.read(_BLOCK_BYTES):
                    yield chunk
                return
            with gzip.open(stream) as unpacked:
                while chunk := unpacked.read(_BLOCK_BYTES):
                    yield chunk
    except (OSError, EOFError, zlib.error, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"cannot read it: {reason}") from None


def _zstandard(path: Path) -> Iterator[bytes]:
    # The standard library has no Zstandard before Python 3.14; polars has, and reads it line by line.
    import polars as pl

    try:
        lines = pl.scan_lines(path.absolute(), name="line", glob=False)
        for batch in lines.collect_batches(chunk_size=_ROWS_PER_BLOCK, maintain_order=True, lazy=True):
            text: str = batch["line"].str.join("\n").item()
            yield text.encode() + b"\n"
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInputError(f"cannot read it: {reason}") from None
