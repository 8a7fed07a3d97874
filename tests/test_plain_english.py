"""Docstrings, comments, messages and pages keep to plain English: no sentence without its subject, no old word."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "benchmarks", "trials", "docs")
CODE = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "news.d").glob("*.md")])

_BEGINS = re.compile(r"(?:\A|(?<=\n\n)|(?<=[.!?])\s+)(?:\*\*)?(?:What|Whatever|Whoever|Who)\b")
_OLD = re.compile(r"\b(?:told|said|reckon\w*|anew|lest|in vain)\b", re.IGNORECASE)
_LOOK = re.compile(rf"\b(?:What|Whatever|Whoever|Who)\b|(?i:{_OLD.pattern})")
_NAMES = re.compile(r"``.*?``|`[^`]*`|^\w+(?:, \w+)* :", re.MULTILINE | re.DOTALL)  # Words of code, not of English.
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def faults(text: str) -> list[str]:
    """The first words of sentences that lack a subject, and the words that few learners of English know.

    >>> faults("What it does. It is told anew.")
    ['What', 'told', 'anew']
    >>> faults("It does what it did; `told` is a name.")
    []
    """
    bare = _NAMES.sub("`", text)
    return [found.group().strip() for pattern in (_BEGINS, _OLD) for found in pattern.finditer(bare)]


def docstrings(tree: ast.Module) -> Iterator[tuple[ast.Constant, str]]:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)) is not None:
            statement = node.body[0]
            assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            yield statement.value, text


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Texts of several words that are no docstrings, by line; bytes and names are none."""
    documents = {id(constant) for constant, _ in docstrings(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            if " " in node.value.strip():
                yield node.lineno, node.value


def comments(text: str) -> Iterator[tuple[int, str]]:
    if "#" not in text:
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def written(path: Path) -> Iterator[tuple[int, str]]:
    """The English of a Python file, by line: of tests no messages, since they hold what others write."""
    text = path.read_text("utf-8")
    if not _LOOK.search(text):
        return  # Most files: parsing all of them takes ten times as long.
    tree = ast.parse(text)
    yield from ((constant.lineno, document) for constant, document in docstrings(tree))
    yield from comments(text)
    if ROOT / "src" in path.parents:
        yield from messages(tree)


def sentences(page: Path) -> Iterator[str]:
    """The paragraphs, list items and cells of a page; headings and code are none."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|>]|\d+\.) )", text):
        if not block.lstrip().startswith("#"):
            yield from (re.sub(r"\A(?:[-*>]|\d+\.) ", "", part.strip()) for part in re.split(r"\s\|\s|^\||\|$", block))


@pytest.mark.parametrize(
    "text", ["Whoever asks gets it.", "It ends. What is left stays.", "**Who wins.** Rules.", "in\nvain"]
)
def test_a_sentence_that_is_hard_to_read_is_found(text: str) -> None:
    assert faults(re.sub(r"\s+", " ", text)) != []


@pytest.mark.long  # It reads some 900 files.
@pytest.mark.parametrize("folder", FOLDERS)
def test_code_is_explained_in_plain_english(folder: str) -> None:
    hard = [
        f"{path.relative_to(ROOT)}:{line}: {', '.join(found)}"
        for path in CODE
        if ROOT / folder in path.parents and path != Path(__file__)
        for line, text in written(path)
        if (found := faults(text))
    ]
    assert hard == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_in_plain_english(page: Path) -> None:
    assert [(found, text[:80]) for text in sentences(page) if (found := faults(text))] == []
