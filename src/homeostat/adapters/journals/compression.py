"""Bodies made smaller before they are stored, where that is faster than storing them whole."""

from __future__ import annotations

import threading
from typing import Any

PLAIN = 0
LZ4 = 1
ZSTD = 2
_NAMES = {LZ4: "lz4", ZSTD: "zstd"}
_COMPRESS_FROM = 1 << 15  # Smaller bodies gain a few pages at most; pyarrow is not even imported for them.


class _Codecs(threading.local):
    """The codecs of one thread: Arrow does not promise that several may share one."""

    def __init__(self) -> None:
        self.by_kind: dict[int, Any] = {}

    def of(self, kind: int) -> Any:
        found = self.by_kind.get(kind)
        if found is None:
            # pyarrow takes a tenth of a second to import, and a journal of small batches never needs it.
            import pyarrow

            found = pyarrow.Codec(_NAMES[kind], 1) if kind == ZSTD else pyarrow.Codec(_NAMES[kind])
            self.by_kind[kind] = found
        return found


_codecs = _Codecs()


def pack(body: bytes, codec: int) -> tuple[int, bytes]:
    """The body as stored, and how: PLAIN where compressing would not save an eighth.

    The stored form begins with the body's own length, which is what decompression needs.
    """
    if codec == PLAIN or len(body) < _COMPRESS_FROM:
        return PLAIN, body
    packed: bytes = _codecs.of(codec).compress(body, asbytes=True)
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
        return memoryview(_codecs.of(codec).decompress(memoryview(stored)[8:], decompressed_size=length)).cast("B")
    except OSError as error:
        raise ValueError("a compressed body is damaged") from error
