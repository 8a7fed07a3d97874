"""The next process on a machine takes over the entries that a process left which died without the feature store."""

from __future__ import annotations

from types import SimpleNamespace

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.engine.shared.connecting import own_folder
from homeostat.engine.shared.rejoining import Behind, adopt_behind


def test_each_process_has_a_folder_of_its_own_and_a_restart_finds_it(tmp_path):
    first, lock = own_folder(tmp_path)
    second, other = own_folder(tmp_path)
    assert first != second
    lock.release()
    again, lock = own_folder(tmp_path)
    assert again == first
    lock.release()
    other.release()


def test_only_what_dead_processes_left_is_taken_over(tmp_path):
    for name, since in (("0", 70), ("1", 40), ("2", 10)):
        (tmp_path / name).mkdir()
        Behind(tmp_path / name, SimpleNamespace(through=since)).begin()
    alive = FileLock(tmp_path / "2" / "lock")
    alive.acquire("")
    adopt_behind(tmp_path, tmp_path / "0")
    assert Behind(tmp_path / "0", None).since == 40
    assert Behind(tmp_path / "1", None).since is None
    assert Behind(tmp_path / "2", None).since == 10
    alive.release()


def test_where_nothing_is_behind_nothing_is_noted(tmp_path):
    folder, lock = own_folder(tmp_path)
    adopt_behind(tmp_path, folder)
    behind = Behind(folder, SimpleNamespace(through=None))
    assert behind.since is None
    behind.begin()
    assert behind.since == 0
    behind.end()
    assert behind.since is None
    lock.release()
