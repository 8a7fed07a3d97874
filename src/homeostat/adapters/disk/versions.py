"""Folders of versions: each holds the files of one bundle, and is there whole or not at all.

ROOT/.lock            held by the process that adds or removes one
ROOT/.deploying.lock  held while a version is deployed or marked as deleted, which takes no time
ROOT/VERSION/         the files of a bundle
ROOT/.partial-...     a folder that is being written, or removed
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.adapters.disk.files import FILE_MODE, FOLDER_MODE, opener, sync_folder
from homeostat.errors import DataFolderInUse, Unavailable

LOCK, DEPLOYING = ".lock", ".deploying.lock"
_PARTIAL = ".partial-"
_LOCK_S_MAX = 60.0  # A version of a gigabyte takes some seconds to write.
_POLL_S = 0.02
_NAME_DIGITS = 12  # As the version that a decision names.


@dataclass(frozen=True, slots=True)
class Content:
    """A checked bundle's files.

    digest : SHA-256 of its manifest, which holds that of each other file
    """

    files: Mapping[str, bytes]
    digest: bytes
    app: str

    @property
    def version(self) -> str:
        """Its name."""
        return self.digest.hex()[:_NAME_DIGITS]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))


def content_of(path: Path) -> Content:
    """The files of a bundle's folder, each read once. Raises BundleError for what is not whole."""
    from homeostat.models.bundle import read_files  # It takes NumPy along: not for a rollback, which reads no bundle.

    return content_of_files(read_files(path), str(path))


def content_of_files(files: Mapping[str, bytes], where: str) -> Content:
    """The same of files in memory.

    where : the bundle in words, for the sentence of an error
    """
    from homeostat.models.bundle import MANIFEST, bundle_of_files

    bundle = bundle_of_files(files, where=where)
    return Content(files, sha256(files[MANIFEST]).digest(), bundle.app)


def check_content(path: Path, digest: bytes) -> Path:
    """The folder, whose files must be those of a version. Raises BundleError."""
    from homeostat.models.bundle import BundleError

    if content_of(path).digest != digest:
        raise BundleError(f"{path} holds another version than {digest.hex()[:_NAME_DIGITS]}")
    return path


class VersionFolders:
    """The versions in one folder. Every method raises Unavailable where the disk fails."""

    def __init__(self, root: Path) -> None:
        """Nothing is read or written yet."""
        self.root = root

    def path(self, version: str) -> Path:
        """Where the files of a version are, or would be."""
        return self.root / version

    @contextmanager
    def changing(self) -> Iterator[None]:
        """One process at a time changes the folder; what one that was killed left half done is removed first."""
        with self._held(LOCK, "is changing"):
            with _failing(self.root):
                for entry in self.root.glob(f"{_PARTIAL}*"):
                    shutil.rmtree(entry)
            yield

    @contextmanager
    def deploying(self) -> Iterator[None]:
        """One process at a time deploys a version or marks one as deleted."""
        with self._held(DEPLOYING, "deploys or deletes a version in"):
            yield

    @contextmanager
    def _held(self, name: str, what: str) -> Iterator[None]:
        with _failing(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        lock = FileLock(self.root / name)
        _acquire(lock, f"another process {what} {self.root}")
        try:
            yield
        finally:
            lock.release()

    def keep(self, content: Content) -> None:
        """Write a version's files, unless they are there; to be called while `changing`."""
        target, partial = self.path(content.version), self._partial(content.version)
        with _failing(self.root):
            if self._holds(target, content.digest):
                return
            partial.mkdir(mode=FOLDER_MODE)
            for name, raw in content.files.items():
                with open(partial / name, "wb", opener=opener(FILE_MODE)) as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
            sync_folder(partial)
            self.remove(content.version)  # A damaged one.
            os.rename(partial, target)
            sync_folder(self.root)

    def remove(self, version: str) -> None:
        """Remove a version's files, if they are there; to be called while `changing`."""
        target, gone = self.path(version), self._partial(f"{version}-removed")
        with _failing(self.root):
            if target.exists():
                os.rename(target, gone)
                sync_folder(self.root)
                shutil.rmtree(gone)

    def prune(self, most: int) -> None:
        """Remove the versions that were touched longest ago, down to so many; to be called while `changing`."""
        with _failing(self.root):
            kept = [entry for entry in self.root.iterdir() if not entry.name.startswith(".")]
            kept.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        for entry in kept[most:]:
            self.remove(entry.name)

    def _partial(self, name: str) -> Path:
        return self.root / f"{_PARTIAL}{name}-{os.getpid()}"

    def _holds(self, path: Path, digest: bytes) -> bool:
        from homeostat.models.bundle import BundleError

        try:
            check_content(path, digest)
        except BundleError:
            return False
        return True


@contextmanager
def _failing(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{root} can't be changed: {os.strerror(error.errno or 0)}") from error


def _acquire(lock: FileLock, refusal: str) -> None:
    """Wait for a lock that others hold for seconds at most. Raises DataFolderInUse."""
    until = time.monotonic() + _LOCK_S_MAX
    while True:
        try:
            return lock.acquire(refusal)
        except DataFolderInUse:
            if time.monotonic() > until:
                raise
            time.sleep(_POLL_S)
