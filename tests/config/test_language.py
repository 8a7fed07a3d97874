"""Language models in the app file: what may be declared, and what is refused in a sentence, without the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from homeostat.config.faults import AppFileError
from homeostat.config.language import LanguageModelSpec, read_models

DOCS = Path(__file__).parents[2] / "docs" / "language-models.md"


def models(**specs: dict[str, Any]) -> Any:
    declared = {name: LanguageModelSpec(**{"model": "m", **spec}) for name, spec in specs.items()}
    return read_models(declared, {"THE_KEY": "s3cret"})


def test_the_example_of_the_page_holds() -> None:
    text = DOCS.read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    declared = yaml.safe_load(text)["maintain"]["models"]
    near, far = read_models({n: LanguageModelSpec(**one) for n, one in declared.items()}, {"MODELS_KEY": "k"})
    assert near.address == "http://127.0.0.1:11434/v1" and near.spec.roles == ("coordinator", "strategist")
    assert far.key == "k" and far.spec.budget.money == 5.0 and far.timeout_s == 20.0


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ({}, "where does it answer"),
        ({"address": "ftp://127.0.0.1"}, "http:// or https://"),
        ({"address": "http://127.0.0.1:99999"}, "can't be read"),
        ({"address": "https://ann:pw@127.0.0.1/v1"}, "key_from"),
        ({"address": "https://models.example.org/v1"}, "anywhere: true"),
        ({"address": "http://models.example.org/v1", "anywhere": True}, "https://"),
        ({"kind": "gemini"}, "another machine"),
        ({"kind": "agent"}, "may send masked facts elsewhere"),
        ({"kind": "agent", "anywhere": True, "key_from": "NO_KEY"}, "NO_KEY"),
        ({"kind": "ollama", "key_from": "NO_KEY"}, "NO_KEY"),
    ],
    ids=str,
)
def test_what_can_not_be_is_named(spec: dict[str, Any], hint: str) -> None:
    with pytest.raises(AppFileError, match=hint) as refused:
        models(near=spec)
    assert "s3cret" not in str(refused.value) and "pw" not in str(refused.value)


def test_a_role_asks_one_model() -> None:
    with pytest.raises(AppFileError, match="asks near already"):
        models(near={"kind": "ollama"}, far={"kind": "ollama", "roles": ("strategist",)})
    both = models(near={"kind": "ollama", "roles": ("coordinator",)}, far={"kind": "ollama", "roles": ("strategist",)})
    assert [one.name for one in both] == ["near", "far"]


def test_a_key_is_in_no_text() -> None:
    one = models(near={"kind": "ollama", "key_from": "THE_KEY"})[0]
    assert one.key == "s3cret" and "s3cret" not in f"{one} {one!r}"
