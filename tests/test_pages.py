"""The pages of the documentation can be found."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_page_is_linked_from_the_readme_or_the_architecture() -> None:
    docs = ROOT / "docs"
    linked = {docs / name for name in re.findall(r"\]\(([\w.-]+\.md)", (docs / "architecture.md").read_text("utf-8"))}
    linked |= {ROOT / name for name in re.findall(r"\]\(([\w./-]+\.md)", (ROOT / "README.md").read_text("utf-8"))}
    assert set(docs.glob("*.md")) - linked - {docs / "architecture.md"} == set()
    assert not [path for path in linked if not path.exists()]
