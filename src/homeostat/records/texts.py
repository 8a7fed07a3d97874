"""The texts of a body: those of the hashed codes that its rows mention."""

from __future__ import annotations

import struct

from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import IdTexts, category_texts_of, texts_of

_ONE = struct.Struct("<qqI")  # As `encode_texts` lays out a single text.


def padding(length: int) -> int:
    """The bytes from a length to the next multiple of 8."""
    return -length % 8


def mentioned(texts: IdTexts, body: DecisionBatch | OutcomeBatch) -> IdTexts:
    """The texts that these rows mention: a piece of a large batch must not carry the texts of all of it."""
    if len(texts) <= len(body) + 8:
        return texts
    batch = body if isinstance(body, OutcomeBatch) else body.events
    found = texts_of(batch.id_code, batch.id_check, texts)
    if batch.keys is not None and batch.key_checks is not None:
        found.update(texts_of(batch.keys, batch.key_checks, texts))
    if isinstance(body, DecisionBatch):
        found.update(category_texts_of(body.events.numbers, texts))
        if body.events.came is not None:
            found.update(category_texts_of(body.events.came.numbers, texts))
    return {one: found[one] for one in sorted(found)}


def encode_texts(texts: IdTexts) -> bytes:
    """Codes, checks, lengths and the texts themselves in UTF-8, one after the other, padded to a multiple of 8."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts.values()]
    if len(texts) == 1:
        ((code, check),) = texts
        return b"".join((_ONE.pack(code, check, len(encoded[0])), encoded[0], bytes(padding(20 + len(encoded[0])))))
    words = struct.pack(f"<{2 * len(texts)}q", *(code for code, _ in texts), *(check for _, check in texts))
    lengths = struct.pack(f"<{len(texts)}I", *map(len, encoded))
    data = b"".join((words, lengths, *encoded))
    return data + b"\0" * padding(len(data))


def decode_texts(data: bytes, count: int, checked: bool = True) -> IdTexts:
    """The texts by identity. Raises ValueError where they are not whole.

    checked : whether the codes have checks; those of format 1 have none, and get 0
    """
    width = 2 if checked else 1
    if count * (8 * width + 4) > len(data):
        raise ValueError("the body's texts are cut short")
    words = (*struct.unpack_from(f"<{width * count}q", data), *([0] * count))
    lengths = struct.unpack_from(f"<{count}I", data, count * 8 * width)
    texts: IdTexts = {}
    at = count * (8 * width + 4)
    for code, check, length in zip(words[:count], words[count : 2 * count], lengths, strict=True):
        if at + length > len(data):
            raise ValueError("the body's texts are cut short")
        texts[code, check] = data[at : at + length].decode("utf-8", "surrogatepass")
        at += length
    if at + padding(at) != len(data):
        raise ValueError("bytes follow the body's last text")
    return texts
