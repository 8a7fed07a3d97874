"""The app of `test_changes`, two versions of it, and engines on its folder, for the tests beside it."""

from tests.engine.test_changes import app, folder, opened, versions

__all__ = ["app", "folder", "opened", "versions"]
