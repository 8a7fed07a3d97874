"""The rows of open ticks as arrays, and back: decisions as the bytes of journal entries, all else as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from homeostat.maintain.open_tick import OpenTick, Piece
from homeostat.records.arrays import State
from homeostat.records.changes import changes_text, read_changes
from homeostat.records.codec import decode, encode_beside
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter
from homeostat.records.schemas import Schemas


def packed(ticks: dict[int, OpenTick]) -> State:
    """Open ticks, by number, as arrays."""
    schemas = Schemas()
    bodies: list[bytes] = []
    took: list[float] = []
    arrived: list[int] = []
    facts: list[dict[str, Any]] = []
    for number, tick in ticks.items():
        facts.append({
            "number": number, "total": tick.total, "kept": tick.kept, "halvings": tick.halvings,
            "pieces": len(tick.pieces), "changes": changes_text(tick.changes),
            "letters": [asdict(letter) for letter in tick.letters], "letters_n": tick.letters_n,
            "repeats": tick.repeats,
        })  # fmt: skip
        for piece in tick.pieces:
            bodies.append(encode_beside(piece.decisions, schemas))
            took.append(piece.took_us)
            arrived.append(piece.arrived_ns)
    about = json.dumps({"ticks": facts, "schemas": [schema.text for schema in schemas]})
    return {
        "open": _octets(about.encode("utf-8", "surrogatepass")), "bodies": _octets(b"".join(bodies)),
        "sizes": np.array([len(body) for body in bodies], np.int64), "took_us": np.array(took, np.float64),
        "arrived_ns": np.array(arrived, np.int64),
    }  # fmt: skip


def unpacked(state: State) -> dict[int, OpenTick]:
    """The open ticks of such arrays."""
    about = json.loads(state["open"].tobytes().decode("utf-8", "surrogatepass"))
    schemas, whole = Schemas(about["schemas"]), state["bodies"].tobytes()
    took, arrived = state["took_us"].tolist(), state["arrived_ns"].tolist()
    found: dict[int, OpenTick] = {}
    at = place = 0
    for one in about["ticks"]:
        pieces: list[Piece] = []
        for _ in range(one["pieces"]):
            size = int(state["sizes"][place])
            body = decode(whole[at : at + size], schemas)
            assert isinstance(body, DecisionBatch)
            pieces.append(Piece(body, took[place], arrived[place]))
            at, place = at + size, place + 1
        found[one["number"]] = OpenTick(
            pieces, one["total"], one["kept"], one["halvings"], list(read_changes(one["changes"])),
            [DeadLetter(**letter) for letter in one["letters"]], one["letters_n"], one["repeats"],
        )  # fmt: skip
    return found


def _octets(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(data, np.uint8).copy()
