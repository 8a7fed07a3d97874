"""Which tests the inner loop runs: those that need no server, no process of their own, and no seconds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

# Fixtures that start servers; `cluster` is one of Ray, whose processes take seconds to come up.
SERVERS = frozenset(
    {
        "redis",
        "redis_cluster",
        "postgres",
        "kafka",
        "s3",
        "database",
        "own_server",
        "real_servers",
        "cluster",
        "influx",
        "prometheus_store",
        "alertmanager",
    }
)


def is_quick(fixtures: Iterable[str], marks: Collection[str]) -> bool:
    """Whether a test belongs to the inner loop.

    >>> is_quick(["tmp_path"], {})
    True
    >>> is_quick(["redis"], {})
    False
    >>> is_quick([], {"peers"})
    False
    """
    return {"long", "peers", "weekly"}.isdisjoint(marks) and SERVERS.isdisjoint(fixtures)


def whole_file_is_long(text: str) -> bool:
    """Whether the mark of a test file leaves none of its tests to the inner loop.

    >>> whole_file_is_long("import pytest\\npytestmark = pytest.mark.long  # Seconds.")
    True
    >>> whole_file_is_long("@pytest.mark.long\\ndef test_one(): ...")
    False
    """
    return re.search(r"^pytestmark = .*\bpytest\.mark\.long\b", text, re.MULTILINE) is not None


def has_examples(text: str) -> bool:
    """Whether the text of a module has an example that runs as a test.

    >>> has_examples("def one():\\n    >" + ">> one()")
    True
    >>> has_examples("def one():\\n    return 1")
    False
    """
    return re.search(r"^\s*>>> ", text, re.MULTILINE) is not None
