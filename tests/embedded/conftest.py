"""Makes the helper modules beside the tests importable."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def unhurried(monkeypatch):
    """Engines wait for their parts however busy the machine is, so that equal decisions are equal."""
    from homeostat.app import World
    from homeostat.embedded import assembly

    monkeypatch.setattr(assembly, "World", lambda *given, **named: World(*given, **{**named, "bounded": False}))
