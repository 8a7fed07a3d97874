"""Folders for temporary files: one for each owner, and none of a killed owner stays."""

from __future__ import annotations

import os

from homeostat.adapters.disk import file_lock
from homeostat.adapters.process.scratch import Scratch


def test_a_folder_is_its_owners_until_it_ends_and_one_of_a_killed_owner_is_removed(tmp_path):
    first, killed = Scratch(tmp_path), Scratch(tmp_path)
    (killed.room("job") / "file").write_text("left")
    killed._lock.release()  # As the system does when a process is killed.
    second = Scratch(tmp_path)
    assert first.folder.is_dir() and second.folder.is_dir() and not killed.folder.exists()
    first.close()
    second.close()
    assert not list(tmp_path.iterdir())


def test_an_owner_that_begins_removes_no_folder_that_another_is_about_to_lock(tmp_path, monkeypatch):
    others, lock = [], file_lock.fcntl.flock

    def slowly(file, how):
        if not others:  # The file is there, and not locked as yet.
            others.append(None)
            others.append(Scratch(tmp_path))
        lock(file, how)

    monkeypatch.setattr(file_lock.fcntl, "flock", slowly)
    scratch = Scratch(tmp_path)
    assert scratch.room("job").is_dir() and others[1].room("job").is_dir()
    assert scratch.folder != others[1].folder


def test_a_folder_whose_owner_was_killed_before_it_was_locked_is_removed_after_an_hour(tmp_path):
    new, old = tmp_path / "homeostat-new-1", tmp_path / "homeostat-new-2"
    for folder in (new, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    Scratch(tmp_path).close()
    assert new.is_dir() and not old.exists()
