"""The schemas that the tables keep, each once, and the names that follow from them."""

from __future__ import annotations

from dataclasses import replace

from homeostat.adapters.journals.entries import JournalError, decoded
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.schema import OLD_UNTIL, OLD_WORDS, about
from homeostat.adapters.postgres.writing import Names
from homeostat.records import codec
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.renaming import Entities
from homeostat.records.schemas import Schemas, read_schema, read_words, spoken, words_text
from homeostat.records.vocabulary import Vocabulary

_NEWEST = """SELECT sequence, codec, body FROM entries WHERE kind = %s AND sequence <= %s
    ORDER BY sequence DESC LIMIT 1"""


class KeptSchemas:
    """See the module. May be used by several threads."""

    def __init__(self, connections: Connections, words: Vocabulary) -> None:
        self.schemas = Schemas(legacy=words, ask=self._text)
        self._connections, self._words = connections, words
        self._numbers: dict[bytes, int] = {}
        self._entities: dict[int, Entities] = {}
        self._names: dict[Vocabulary, Names] = {}

    def look(self) -> None:
        """Take the names of entries of format 1 from where they are kept; else keep the app's for them, if they fit.

        Raises JournalError, Unavailable.
        """
        about_all = self._connections.run(about)
        if OLD_WORDS in about_all:
            self.schemas.legacy = read_words(about_all[OLD_WORDS])
        elif OLD_UNTIL in about_all and not self._words.nameless:
            row = self._connections.run(lambda connection: connection.execute(_NEWEST, (
                codec.DECISIONS, int(about_all[OLD_UNTIL]),
            ), binary=True).fetchone())  # fmt: skip
            newest = None if row is None else decoded(self._connections.where, self.schemas, *row)
            if isinstance(newest, DecisionBatch) and newest.words.entities == self._words.entities:
                text = words_text(replace(self._words, software=""))  # This program did not write the old entries.
                sql = "INSERT INTO about VALUES (%s, %s) ON CONFLICT DO NOTHING"
                self._connections.run(lambda connection: connection.execute(sql, (OLD_WORDS, text)))

    def keep(self, body: Body) -> int:
        """The number of a batch's schema, which is kept from now on. Raises Unavailable."""
        schema = codec.schema_of(body)
        number = self._numbers.get(schema.digest)
        if number is None:
            number = self._numbers[schema.digest] = self._connections.run(lambda connection: _keep(connection, schema))
            self.schemas.add(schema)
        return number

    def entities_of(self, number: int) -> Entities:
        """The entities that keys are of, by the number of their schema, which is 0 for those of format 1.

        Raises JournalError, Unavailable.
        """
        if number == 0:
            return self.schemas.legacy.entities
        if number not in self._entities:
            text = self._one("SELECT text FROM schemas WHERE number = %s", number)
            if text is None:
                raise JournalError(f"{self._connections.where}: schema {number} is missing")
            self._entities[number] = spoken(read_schema(text).words).entities
        return self._entities[number]

    def names_of(self, words: Vocabulary) -> Names:
        """The texts for the table that people read."""
        words = self._words if words.nameless else words
        if words not in self._names:
            self._names[words] = Names(words)
        return self._names[words]

    def _text(self, digest: bytes) -> str | None:
        return self._one("SELECT text FROM schemas WHERE hash = %s", digest)

    def _one(self, sql: str, value: object) -> str | None:
        row = self._connections.run(lambda connection: connection.execute(sql, (value,)).fetchone())
        return None if row is None else str(row[0])


def _keep(connection: Connection, schema: codec.Schema) -> int:
    given = (schema.digest, schema.text)
    connection.execute("INSERT INTO schemas (hash, text) VALUES (%s, %s) ON CONFLICT (hash) DO NOTHING", given)
    row = connection.execute("SELECT number FROM schemas WHERE hash = %s", (schema.digest,)).fetchone()
    assert row is not None
    return int(row[0])
