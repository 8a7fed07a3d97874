"""The pages of a signed link: plain HTML without script, style or anything from elsewhere. All text is escaped."""

from __future__ import annotations

from html import escape

from homeostat.engine.links import Link
from homeostat.records.response_words import worded_plan, worded_ruling
from homeostat.records.responses import Response
from homeostat.records.times import time_text
from homeostat.serve.routes.words import ACTOR_CHARS_MAX, REASON_CHARS_MAX


def asking_page(link: Link, response: Response, app: str) -> bytes:
    """The plan in short, and the form of the answer."""
    plan, ruling = response.plan, response.ruling
    assert plan is not None and ruling is not None, "a plan waits"
    lines = [*worded_plan(plan), worded_ruling(ruling)]
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines)
    word = escape(str(link.answer))
    return _page(
        f"{app}: {link.answer} plan {link.plan}?",
        f"<p>Incident {escape(link.incident)}. Names and figures come from data.</p><ul>{listed}</ul>"
        f"<p>This link is good for one answer, until {escape(time_text(link.until_s * 10**9))}.</p>"
        '<form method="post">'
        f'<p><label>Your name <input name="actor" required maxlength="{ACTOR_CHARS_MAX}"></label></p>'
        f'<p><label>Reason <input name="reason" required maxlength="{REASON_CHARS_MAX}" size="60"></label></p>'
        f'<p><button type="submit">{word}</button></p></form>',
    )


def answered_page(link: Link, who: str) -> bytes:
    """The answer was taken."""
    answer = str(link.answer)
    return _page(f"Plan {link.plan}: {answer}", f"<p>{escape(who)} answered {escape(answer)}. It is on record.</p>")


def void_page(why: str, fix: str) -> bytes:
    """The link has no effect."""
    return _page("Nothing was answered", f"<p>{escape(why)}</p><p>{escape(fix)}</p>")


def _page(title: str, body: str) -> bytes:
    head = f'<meta charset="utf-8"><meta name="robots" content="noindex"><title>{escape(title)}</title>'
    page = f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>\n'
    return page.encode("utf-8", "replace")
