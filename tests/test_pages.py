"""The pages of the documentation can be found, and their links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Where links into a page may lead: its headings, lower case, each space a hyphen, other signs left out."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def named_in(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from named_in(part)


def test_every_page_is_linked_from_the_readme_or_the_architecture_or_the_first_page() -> None:
    linked = {ROOT / name for name in re.findall(r"\]\(([\w./-]+\.md)", (ROOT / "README.md").read_text("utf-8"))}
    for page in (DOCS / "architecture.md", DOCS / "index.md"):
        linked |= {DOCS / name for name in re.findall(r"\]\(([\w.-]+\.md)", page.read_text("utf-8"))}
    assert set(DOCS.glob("*.md")) - linked - {DOCS / "architecture.md", DOCS / "index.md"} == set()


def test_the_site_shows_every_page() -> None:
    shown = set(named_in(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))
    assert shown == {str(page.relative_to(DOCS)) for page in PAGES if DOCS in page.parents} - {
        f"adr/{page.name}" for page in (DOCS / "adr").iterdir() if page.name != "README.md"
    }


def test_every_decision_is_in_the_list_of_decisions() -> None:
    listed = re.findall(r"^- \[(.*)\]\((.*)\)$", (DOCS / "adr" / "README.md").read_text("utf-8"), re.MULTILINE)
    pages = [page for page in sorted((DOCS / "adr").iterdir()) if page.name != "README.md"]
    assert sorted(listed) == sorted((page.read_text("utf-8").split("\n")[0][2:], page.name) for page in pages)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading_that_are_there(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not link.startswith(("http:", "https:")) and (
            not target.is_file() or (anchor and anchor not in anchors(target))
        ):
            broken.append(link)
    assert broken == []
