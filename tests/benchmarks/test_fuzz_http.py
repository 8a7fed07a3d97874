"""The short form of fuzzing the wire: some thousand hostile requests to a server."""

from __future__ import annotations

import pytest
from benchmarks.fuzz_http import run


@pytest.mark.long
def test_a_server_is_well_after_hostile_requests() -> None:
    answered = run(2000, seed=1)
    assert answered[200] and answered[400] and answered[422]
