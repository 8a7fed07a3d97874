"""Stores whose callers are ended, or find them away, at a call of a number."""

from __future__ import annotations

from typing import Any


class Broken:
    """A store that is away at its n-th call, before or after it was done."""

    left = 1 << 30

    def __init__(self, inner: Any, names: tuple[str, ...], error: type[BaseException]) -> None:
        self._inner, self._names, self._error = inner, names, error

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def call(*given: Any, **more: Any) -> Any:
            self._step()
            result = found(*given, **more)
            self._step()
            return result

        return call

    def _step(self) -> None:
        Broken.left -= 1
        if Broken.left == -1:
            raise self._error("the store is away")


class Killed(BaseException):
    """The process ends here."""


WRITES = ("write", "append")
