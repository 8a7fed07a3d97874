"""The texts of a body: those of the hashed codes that its rows mention."""

from __future__ import annotations

import struct

import numpy as np

from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch

_CATEGORY_END = float(1 << 52)  # Category codes are below this.


def padding(length: int) -> int:
    """The bytes from a length to the next multiple of 8."""
    return -length % 8


def mentioned(texts: dict[int, str], body: DecisionBatch | OutcomeBatch) -> dict[int, str]:
    """The texts that these rows mention: a piece of a large batch must not carry the texts of all of it."""
    if len(texts) <= len(body) + 8:
        return texts
    if isinstance(body, OutcomeBatch):
        codes = set(body.id_code.tolist())
        codes.update([] if body.keys is None else body.keys.ravel().tolist())
    else:
        events = body.events
        codes = set(events.id_code.tolist()).union(events.keys.ravel().tolist())
        codes.update(map(int, events.numbers[np.abs(events.numbers) < _CATEGORY_END].tolist()))
    return {code: texts[code] for code in sorted(codes) if code in texts}


def encode_texts(texts: dict[int, str]) -> bytes:
    """Codes, lengths and the texts themselves in UTF-8, one after the other, padded to a multiple of 8 bytes."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts.values()]
    codes = struct.pack(f"<{len(texts)}q", *texts)
    lengths = struct.pack(f"<{len(texts)}I", *map(len, encoded))
    data = b"".join((codes, lengths, *encoded))
    return data + b"\0" * padding(len(data))


def decode_texts(data: bytes, count: int) -> dict[int, str]:
    """The texts by code. Raises ValueError where they are not whole."""
    if count * 12 > len(data):
        raise ValueError("the body's texts are cut short")
    codes = struct.unpack_from(f"<{count}q", data)
    lengths = struct.unpack_from(f"<{count}I", data, count * 8)
    texts: dict[int, str] = {}
    at = count * 12
    for code, length in zip(codes, lengths, strict=True):
        if at + length > len(data):
            raise ValueError("the body's texts are cut short")
        texts[code] = data[at : at + length].decode("utf-8", "surrogatepass")
        at += length
    if at + padding(at) != len(data):
        raise ValueError("bytes follow the body's last text")
    return texts
