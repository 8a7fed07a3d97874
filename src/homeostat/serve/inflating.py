"""Bodies that come compressed. The size that a body may grow to is bounded before any of it is read."""

from __future__ import annotations

import zlib

_GZIP = zlib.MAX_WBITS | 16


class NotGzip(ValueError):
    """A body that is no gzip, or more than one; the text says which."""


class TooLarge(ValueError):
    """A body that would have more bytes than are read."""


def inflated(body: bytes, most: int) -> bytes:
    """The content of a gzip body of at most so many bytes. Raises NotGzip; TooLarge, having made no more than that.

    One member is read: bodies of several would have to be copied once for each, and no client sends them.

    >>> import gzip
    >>> inflated(gzip.compress(b"[1, 2]"), 100)
    b'[1, 2]'
    """
    reader = zlib.decompressobj(_GZIP)
    try:
        whole = reader.decompress(body, most + 1)
    except zlib.error as error:
        raise NotGzip("the body is no gzip, though its content-encoding says so") from error
    if len(whole) > most:
        raise TooLarge
    if not reader.eof:
        raise NotGzip("the gzip does not end")
    if reader.unused_data:
        raise NotGzip("something follows the end of the gzip")
    return whole
