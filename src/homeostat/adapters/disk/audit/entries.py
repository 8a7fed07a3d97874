"""Comparing entries of a journal with what the trail says of them, whatever keeps them.

The trail names the digest of each body's content, and how long the batch took, which the digest leaves out. All else
that is kept beside the body is worked out of it, and compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256

from homeostat.adapters.disk.audit.findings import Faults
from homeostat.adapters.disk.audit.trail import TookDigest
from homeostat.adapters.disk.audit.verification import Named, Said
from homeostat.adapters.journals import compression
from homeostat.adapters.journals.entries import beside_body
from homeostat.records import codec
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.identity import Coding
from homeostat.records.schemas import read_schema

COLUMNS = ("kind", "rows", "first_ns", "last_ns", "digest")
_BODY = "as its body says"


class Entries:
    """The table of entries, one after the other."""

    def __init__(
        self, where: str, said: Said, faults: Faults, schemas: Iterable[tuple[bytes, str]], secret: str | None
    ) -> None:
        """schemas : hash and text of each that is kept beside the entries; a body's digest covers its own's hash
        secret : by which ids beside entries of format 1 are named; None where those are as their bodies have them
        """
        self._where = f"{where}, entries" if where else "entries"
        self._faults, self._kept, self._took = faults, said.kept, TookDigest()
        self._schemas = codec.Schemas()
        if secret is not None:
            with suppress(ValueError):  # A changed secret is found as any other row of `about`.
                self._schemas.coding = Coding(bytes.fromhex(secret))
        for digest, text in schemas:
            try:
                self._schemas.add(_schema(bytes(digest), text))
            except ValueError as error:
                table = f"{where}, schemas" if where else "schemas"
                faults.add(table, bytes(digest).hex()[:16], f"text {error}", "text")

    def compare(
        self, line: Named | None, sequence: int, stored_as: int, stored: bytes, found: dict[str, object]
    ) -> Body | None:
        """The body of an entry, once it and the columns beside it have been compared; None where it is damaged.

        line : None where the trail does not name it
        found : the columns COLUMNS
        """
        try:
            raw = compression.unpack(stored_as, stored)
            body = codec.decode(raw, self._schemas)  # It digests the content again, and refuses one of another digest.
            head = codec.head(raw)
        except ValueError as error:
            self.add(sequence, f"body is damaged: {error}", "body")
            return None
        expected = (*beside_body(body), bytes.fromhex(head.digest))
        if tuple(found.values()) != expected:
            for (name, value), own in zip(found.items(), expected, strict=True):
                self.expect(sequence, name, value, own)
        if line is not None:
            self._compare_with(line, head, expected)
        self._compare_took(line, sequence, codec.took_us(raw))
        if isinstance(body, ChangeBatch):
            self._faults.changes += head.rows
        elif isinstance(body, DecisionBatch):
            self._faults.decisions += int((body.events.kind != Row.OUTCOME).sum())
        else:
            self._faults.outcomes += head.rows
        return body

    def expect(self, sequence: int, column: str, found: object, expected: object, by: str = _BODY) -> None:
        """A column must hold this."""
        if found != expected:
            self._faults.differs(self._where, f"entry {sequence}", column, found, expected, by)

    def add(self, sequence: int, why: str, column: str = "") -> None:
        """A fault of an entry."""
        self._faults.add(self._where, f"entry {sequence}", why, column)

    def finish(self) -> None:
        """After the last."""
        if self._kept.took_entries and self._took.hexdigest() != self._kept.took:
            row = f"one of the entries 1 to {self._kept.took_entries}"
            self._faults.add(self._where, row, "took_us, in body, is not what the checkpoint says", "body")

    def _compare_with(self, line: Named, head: codec.Head, expected: tuple[object, ...]) -> None:
        if head.digest != line.digest:
            why = f"body is not the one that was written: its digest is {head.digest} instead of {line.digest}"
            self.add(line.entry, f"{why}, {said_by(line)}", "body")
        claimed = (line.kind, line.rows, line.first_ns, line.last_ns)
        for name, own, other in zip(COLUMNS, expected, claimed, strict=False):
            if own != other:
                self.add(line.entry, f"{name} of its body is {own} instead of {other}, {said_by(line)}", "body")

    def _compare_took(self, line: Named | None, sequence: int, took_us: float) -> None:
        if line is not None and line.took_us is not None:
            if line.took_us != took_us:
                self.expect(sequence, "took_us, in body,", took_us, line.took_us, said_by(line))
        elif sequence <= self._kept.took_entries:
            self._took.add(sequence, took_us)


def _schema(digest: bytes, text: str) -> codec.Schema:
    if sha256(text.encode("utf-8", "surrogatepass")).digest() != digest:
        raise ValueError("is not the one that the hash is of")
    try:
        return read_schema(text)
    except ValueError as error:
        raise ValueError(f"is no schema: {error}") from error


def said_by(line: Named) -> str:
    """The part of the trail that says so."""
    return f"as line {line.line} of the trail says"
