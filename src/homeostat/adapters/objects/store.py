"""Files in an object store (S3, GCS, Azure) or on a disk that several machines see, by pyarrow's file systems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from homeostat.errors import Unavailable

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_OPTIONS = ("region", "endpoint_override", "scheme")
_CONNECT_S, _REQUEST_S, _ATTEMPTS = 3, 10, 3  # An S3 that is away is noticed within some seconds.


class ObjectStore:
    """A folder there. Every method raises Unavailable where the store fails, which never says a password.

    where : the folder, for people
    """

    def __init__(self, url: str) -> None:
        """Nothing is connected yet.

        url : s3://bucket/folder, gs://bucket/folder, abfs://container/folder or file:///folder; for S3 with access key
            and secret before an @ (the environment's and the machine's otherwise), and `region`, `endpoint_override`
            and `scheme` behind `?`
        """
        parts = urlsplit(url)
        self._url, self._scheme = url, parts.scheme
        place = parts.path if parts.scheme == "file" else f"{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._root = unquote(place).rstrip("/")
        self.where = f"{parts.scheme}://{self._root}"
        self._files: FileSystem | None = None

    def write(self, path: str, content: bytes) -> None:
        """Write a file; one of this name is replaced."""
        with self._failing():
            files, whole = self._system(), f"{self._root}/{path}"
            if self._scheme == "file":
                files.create_dir(whole.rpartition("/")[0])
            with files.open_output_stream(whole) as stream:
                stream.write(content)

    def read(self, path: str) -> bytes | None:
        """A file's bytes; None where there is none."""
        with self._failing():
            try:
                with self._system().open_input_stream(f"{self._root}/{path}") as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

    def remove(self, folder: str) -> None:
        """Remove a folder and all in it, if it is there."""
        from pyarrow.fs import FileSelector

        with self._failing():
            files, whole = self._system(), f"{self._root}/{folder}"
            found = files.get_file_info(FileSelector(whole, allow_not_found=True, recursive=True))
            for info in found:
                if info.is_file:
                    files.delete_file(info.path)
            if self._scheme == "file" and found:
                files.delete_dir(whole)

    def _system(self) -> Any:
        if self._files is None:
            self._files = _s3(self._url) if self._scheme == "s3" else _other(self._url)
        return self._files

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors, and OSErrors.
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            for secret in _secrets(self._url):
                said = said.replace(secret, "***")
            raise Unavailable(f"{self.where} failed: {said[:300]}") from None


def _s3(url: str) -> FileSystem:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    known: dict[str, Any] = {
        name: options[name] for name in ("region", "endpoint_override", "scheme") if name in options
    }
    if parts.username:
        known |= {"access_key": unquote(parts.username), "secret_key": unquote(parts.password or "")}
    retries = AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS)
    return S3FileSystem(connect_timeout=_CONNECT_S, request_timeout=_REQUEST_S, retry_strategy=retries, **known)


def _other(url: str) -> Any:
    from pyarrow.fs import FileSystem

    return FileSystem.from_uri(url)[0]


def _secrets(url: str) -> list[str]:
    password = urlsplit(url).password
    return [] if not password else [password, unquote(password)]
