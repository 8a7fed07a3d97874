"""Opens the jobs of a folder, or of the PostgreSQL that a file or the environment names."""

from __future__ import annotations

from pathlib import Path

from homeostat.errors import HomeostatError
from homeostat.ports.jobs import Jobs


class NoJobs(HomeostatError):
    """It is not clear where jobs are kept, or no job was ever submitted there; the text says which."""

    why = "jobs are kept in a data folder, or in the PostgreSQL of an app's journal"
    remedy = "Name the place with --data or --config, and submit a job there first"


def opened(data: Path | None, config: Path | None, make: bool = False) -> Jobs:
    """The store of jobs.

    make : whether a folder without jobs is to get a file for them
    Raises NoJobs, Unavailable, MissingExtra.
    """
    if data is None:
        return _shared(config)
    from homeostat.adapters.disk.sqlite.jobs import FILE, SqliteJobs

    if config is not None:
        raise NoJobs("are the jobs in --data or on the servers of --config? Give one of them")
    if not make and not (data / FILE).is_file():
        raise NoJobs(f"{data} has no {FILE}: no job was ever submitted there")
    return SqliteJobs(data)


def _shared(config: Path | None) -> Jobs:
    from homeostat.adapters.opening import jobs_opener
    from homeostat.adapters.process.environment import servers_of

    journal = servers_of(config).journal
    if journal is None:
        raise NoJobs("where are the jobs kept? Give --data FOLDER, or --config FILE with `servers.journal`")
    return jobs_opener(journal)(journal)
