"""The names that monitors call an app's parts by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Names:
    """The parts of an app, in the order of a tick's columns.

    fields : name and type
    learned : the scorers that are made by training or by a plug-in, not by rules of the app file
    found_as : every name under which a source may send a field, an entity or the time -> its node in the causal graph
    """

    entities: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    features: tuple[str, ...]
    scorers: tuple[str, ...]
    actions: tuple[str, ...]
    learned: tuple[str, ...] = ()
    found_as: Mapping[str, str] = field(default_factory=dict)

    def node(self, name: str) -> str:
        """The node of a column, `source` where none has that name."""
        return self.found_as.get(name, "source")

    def columns(self, *kinds: str) -> list[int]:
        """The columns of the fields of these types."""
        return [column for column, (_, kind) in enumerate(self.fields) if kind in kinds]
