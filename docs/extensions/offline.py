"""A MkDocs hook: the build fails where a page would fetch a script, a style, a font or an image from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\ssrc=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|<link\b(?=[^>]*rel=["']?(?:stylesheet|preconnect|preload|icon))[^>]*href=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|class=["']?mermaid\b"""  # Its script would be fetched when such a page is opened.
)
_OF_STYLES = re.compile(r"""(?:@import\s*|url\()\s*["']?(?:https?:)?//[^"')\s]*""")


def fetched(name: str, text: str) -> list[str]:
    """The addresses on other hosts that a page or a style sheet would fetch.

    >>> fetched("index.html", '<script src="https://example.org/a.js"></script><a href="https://example.org">b</a>')
    ['<script src="https://example.org/a.js']
    >>> fetched("main.css", "a { background: url(data:image/svg+xml,%3Csvg/%3E) }")
    []
    """
    return (_OF_STYLES if name.endswith(".css") else _FETCHED).findall(text)


def on_post_build(config: MkDocsConfig) -> None:
    """Called by MkDocs when all pages are written. Raises PluginError, naming each fault."""
    site = Path(config.site_dir)
    pages = [path for path in sorted(site.rglob("*")) if path.suffix in (".html", ".css")]
    faults = [f"{path.relative_to(site)}: {found}" for path in pages for found in fetched(path.name, path.read_text())]
    if faults:
        raise PluginError("the site would fetch from elsewhere:\n" + "\n".join(faults))
