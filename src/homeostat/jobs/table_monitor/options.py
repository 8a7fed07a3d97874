"""Options of a monitor of tables, and which column plays which part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from homeostat.adapters.disk.table_files import TableError
from homeostat.jobs.table_monitor.source import Source


@dataclass(frozen=True, slots=True)
class Options:
    """Names of columns, and how the analysis is cut.

    chunk : rows of a chunk; by : the column whose values each make a chunk. One of the two at most
    prediction, probability, target : columns; a prediction that is not named is probability >= .5
    """

    chunk: int | None = None
    by: str | None = None
    prediction: str | None = None
    probability: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The columns of two tables by their parts.

    compared : shared columns whose drift is measured, in the order of the reference
    features : those of them that estimates may rest on, the probability among them
    roles : shared columns that are predictions, probabilities, labels or the chunks' column
    labelled : whether the analysis has the target
    missing, added : columns of the reference alone, and of the analysis alone
    """

    compared: tuple[str, ...]
    features: tuple[str, ...]
    roles: tuple[str, ...]
    labelled: bool
    missing: tuple[str, ...]
    added: tuple[str, ...]


def parts_of(options: Options, reference: Source, analysis: Source) -> Parts:
    """The parts of the columns. Raises TableError where the options and the tables don't fit."""
    if options.chunk is not None and options.by is not None:
        raise TableError("chunks are made by a number of rows or by a column: leave out one of chunk and by")
    if options.chunk is not None and options.chunk < 1:
        raise TableError(f"a chunk of {options.chunk} rows holds nothing: name 1 or more")
    _refuse_labels_elsewhere(options)
    output = options.probability or options.prediction
    for name in (options.prediction, options.probability, options.target):
        _require(name, reference, "reference")
    for name in (options.prediction, options.probability, options.by):
        _require(name, analysis, "analysis")
    if output is not None and options.target is None:
        raise TableError(f"quality is estimated from labels of the reference: name the target beside {output}")
    if options.target is not None and output is None:
        raise TableError(f"nothing predicts {options.target}: name the column of predictions or of probabilities")
    shared = [name for name in reference.names if name in set(analysis.names)]
    if not shared:
        raise TableError(
            f"the tables share no column: the reference has {_listed(reference.names)}, "
            f"the analysis has {_listed(analysis.names)}"
        )
    special = {options.prediction, options.probability, options.target, options.by}
    unread = special - {options.probability}  # The meaning of another column may depend on the score.
    return Parts(
        tuple(name for name in shared if name != options.by),
        tuple(name for name in shared if name not in unread and name != options.by),
        tuple(name for name in shared if name in special),
        options.target in shared,
        tuple(name for name in reference.names if name not in set(shared) | {options.target, options.by}),
        tuple(name for name in analysis.names if name not in set(shared) | {options.by}),
    )


def _refuse_labels_elsewhere(options: Options) -> None:
    """Raises TableError where the target plays a second part. Its quality would be perfect, or could not be had."""
    target = options.target
    if target is None:
        return
    if target in (options.prediction, options.probability):
        part = "prediction" if target == options.prediction else "probability"
        raise TableError(
            f"{target} is both the {part} and the target, and labels predict themselves without an error: "
            f"name the column of the model's {part} instead"
        )
    if target == options.by:
        raise TableError(
            f"chunks by the target {target} hold one label each, so that no quality can be estimated: "
            "name another column, or a number of rows"
        )


def _require(name: str | None, source: Source, what: str) -> None:
    if name is None or name in source.names:
        return
    near = get_close_matches(name, source.names, 1)
    hint = f"did you mean {near[0]}?" if near else f"it has {_listed(source.names)}"
    raise TableError(f"the {what} has no column {name}: {hint}")


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "no columns") + more
