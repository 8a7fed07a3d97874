"""Bodies made smaller before they are stored, where that is faster than storing them whole."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

PLAIN = 0
LZ4 = 1
ZSTD = 2
_NAMES = {LZ4: "lz4", ZSTD: "zstd"}
_COMPRESS_FROM = 1 << 15  # Smaller bodies gain a few pages at most; pyarrow is not even imported for them.


@lru_cache(maxsize=2)
def _codec(codec: int) -> Any:
    # pyarrow takes a tenth of a second to import, and a journal of small batches never needs it.
    import pyarrow

    return pyarrow.Codec(_NAMES[codec], 1) if codec == ZSTD else pyarrow.Codec(_NAMES[codec])


def pack(body: bytes, codec: int) -> tuple[int, bytes]:
    """The body as stored, and how: PLAIN where compressing would not save an eighth.

    The stored form begins with the body's own length, which is what decompression needs.
    """
    if codec == PLAIN or len(body) < _COMPRESS_FROM:
        return PLAIN, body
    packed: bytes = _codec(codec).compress(body, asbytes=True)
    if len(packed) > len(body) - len(body) // 8:
        return PLAIN, body
    return codec, len(body).to_bytes(8, "little") + packed


def unpack(codec: int, stored: bytes) -> bytes:
    """The body of its stored form. Raises ValueError on one that is damaged."""
    return bytes(unpacked(codec, stored))


def unpacked(codec: int, stored: bytes) -> bytes | memoryview:
    """The same as a view of memory that nobody else has, where it was compressed: it may be written to."""
    if codec == PLAIN:
        return stored
    if codec not in _NAMES:
        raise ValueError(f"a body is compressed in an unknown way ({codec})")
    length = int.from_bytes(stored[:8], "little")
    if not 0 < length <= len(stored) * 4096:
        raise ValueError("a compressed body states an absurd length")
    try:
        return memoryview(_codec(codec).decompress(memoryview(stored)[8:], decompressed_size=length)).cast("B")
    except OSError as error:
        raise ValueError("a compressed body is damaged") from error
