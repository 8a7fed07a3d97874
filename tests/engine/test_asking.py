"""A plan that waits for a person is announced once on each channel, with a link where the owner has declared them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from email import message_from_string
from pathlib import Path

import pytest
from tests.support.listeners import http_inbox, smtp_inbox
from tests.support.made_plans import HOUR_NS
from tests.support.waiting import ID, waiting

from homeostat.adapters.announce.message import Message
from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.checks.incidents import incident
from homeostat.config.announce import Channel, read_channels
from homeostat.config.faults import AppFileError
from homeostat.config.links import PREFIX, LinkSettings, read_links
from homeostat.engine.announcing import Announcer, Asking
from homeostat.engine.links import BELOW, Links
from homeostat.records.deliveries import DeliveryState, News
from homeostat.records.incidents import Phase
from homeostat.records.plans import Plan
from homeostat.records.responses import Answer, Approval

NOW = 1_700_000_000 * 10**9
LINKS = Links(LinkSettings("https://risk.example.com", "s" * 32))


class Clock:
    now = NOW

    def now_ns(self) -> int:
        return self.now


class Desk:
    """The stores of a folder in which a plan waits."""

    def __init__(self, folder: Path) -> None:
        self.plan = waiting(folder, NOW)
        self.incidents, self.plans = SqliteIncidents(folder), SqlitePlans(folder)

    def announcer(self, kind: str, url: str, links: Links | None = LINKS, **more: object) -> Announcer:
        made = read_channels({"desk": Channel(kind=kind, url=url, **more)}, {})  # type: ignore[arg-type]
        return Announcer(self.incidents, made, Clock(), asking=Asking(self.plans, 24 * HOUR_NS, links))

    def kept(self) -> list[tuple[News, DeliveryState]]:
        return [(one.news, one.state) for one in self.incidents.deliveries()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    with closing(found.incidents), closing(found.plans):
        yield found


def linked(url: str, plan: Plan, answer: Answer) -> bool:
    """Whether it is a link of this plan and answer, until the time to answer is over."""
    link = LINKS.read(url.removeprefix(f"https://risk.example.com{BELOW}"))
    assert link is not None
    assert link.until_s == (NOW - HOUR_NS + 24 * HOUR_NS) // 10**9
    return (link.incident, link.plan, link.answer, link.channel) == (ID, plan.hash, answer, "desk")


def test_a_webhook_gets_the_plan_with_its_links_once(desk: Desk) -> None:
    with http_inbox() as inbox:
        for _ in range(2):  # The second one is another process.
            with closing(desk.announcer("webhook", inbox.url)) as announcer:
                announcer.step()
                announcer.step()
    bodies = [json.loads(body) for _, _, body in inbox.taken]
    assert [one["type"] for one in bodies] == ["incident.opened", "incident.asks"]
    asks = bodies[1]
    assert asks["plan"]["hash"] == desk.plan.hash and asks["gate"]["ruling"] == "escalate" and asks["until"]
    assert all(linked(asks["links"][answer], desk.plan, answer) for answer in Answer)
    assert "a plan waits for an answer" in asks["subject"] and "links" not in bodies[0]


def test_a_letter_and_a_chat_have_the_plan_in_short_and_both_links(desk: Desk) -> None:
    with smtp_inbox() as post, closing(desk.announcer("email", post.url, to=["ann@example.com"])) as announcer:
        assert announcer.step().sent == 2
    letter = message_from_string(post.letters[1][2]).get_payload(decode=True)
    text = letter.decode() if isinstance(letter, bytes) else ""
    urls = [line.rpartition(" ")[2] for line in text.splitlines() if "Look at it" in line]
    assert [linked(url, desk.plan, answer) for url, answer in zip(urls, Answer, strict=True)] == [True, True]
    assert "step 1: threshold at app" in text and "the gate rules escalate" in text


def test_a_chat_has_links_that_name_their_answer(desk: Desk) -> None:
    with http_inbox() as inbox, closing(desk.announcer("slack", inbox.url)) as announcer:
        announcer.step()
    last = json.loads(inbox.taken[1][2])["blocks"][-1]["text"]["text"]
    approve, reject = (piece.split("|")[0] for piece in last.split("<")[1:])
    assert linked(approve, desk.plan, Answer.APPROVE) and linked(reject, desk.plan, Answer.REJECT)
    assert "|approve>" in last and "|reject>" in last


class Kept:
    """A channel that keeps what it is to send."""

    def __init__(self) -> None:
        self.sent = list[Message]()

    def send(self, message: Message, now_ns: int) -> None:
        self.sent.append(message)

    def close(self) -> None:
        pass


def bus_and_pager(desk: Desk, kept: Kept) -> Announcer:
    made = read_channels({"bus": Channel(kind="stream", url="kafka://127.0.0.1:1/x"),
                          "pager": Channel(kind="alertmanager", url="http://127.0.0.1:1")}, {})  # fmt: skip
    asking = Asking(desk.plans, HOUR_NS, LINKS)
    return Announcer(desk.incidents, made, Clock(), opens=lambda _: kept, asking=asking)


def test_a_stream_that_many_read_gets_no_links_and_an_alert_asks_nothing(desk: Desk) -> None:
    kept = Kept()
    bus_and_pager(desk, kept).step()
    asks = [one for one in kept.sent if one.delivery.news is News.ASKS]
    assert [one.delivery.channel for one in asks] == ["bus"] and not asks[0].links and "links" not in asks[0].data
    assert asks[0].data["plan"]["hash"] == desk.plan.hash


def test_each_move_of_an_answer_goes_to_streams_once(desk: Desk) -> None:
    """Plans, rulings, receipts and verdicts, also of a response that ends while nobody looks."""
    kept = Kept()
    announcer = bus_and_pager(desk, kept)
    announcer.step()
    bus_and_pager(desk, kept).step()  # Another process.
    last = desk.plans.get(ID)
    for phase in (Phase.ACTING, Phase.VERIFYING, Phase.CLOSED):
        last = last.to(phase, NOW, f"it is {phase}")
        desk.plans.write(last)
        if phase != Phase.VERIFYING:
            announcer.step()
            announcer.step()
    moves = [one for one in kept.sent if one.delivery.news is News.ANSWERED]
    assert {one.delivery.channel for one in moves} == {"bus"}
    assert [one.data["response"]["phase"] for one in moves] == ["ruled", "acting", "closed"]
    assert all(one.data["type"] == "incident.answered" and one.data["plan"]["hash"] == desk.plan.hash for one in moves)
    assert [line["text"] for line in moves[-1].data["response"]["lines"]][-3:] == [
        "it is acting", "it is verifying", "it is closed",
    ]  # fmt: skip
    json.loads(moves[-1].body)


def test_without_a_secret_the_plan_is_announced_without_links(desk: Desk) -> None:
    with http_inbox() as inbox, closing(desk.announcer("webhook", inbox.url, None)) as announcer:
        announcer.step()
    assert "links" not in json.loads(inbox.taken[1][2]) and b"/v1/answers/" not in inbox.taken[1][2]


def test_a_plan_that_does_not_wait_is_not_announced(desk: Desk) -> None:
    with http_inbox() as inbox:
        desk.incidents.write([], [replace(incident(ID, 2), silenced_until_ns=NOW + HOUR_NS)])
        with closing(desk.announcer("webhook", inbox.url)) as announcer:
            announcer.step()
            assert News.ASKS not in [news for news, _ in desk.kept()]
            desk.incidents.write([], [incident(ID, 3)])
            yes = Approval(desk.plan.hash, Answer.APPROVE, "ann", "it is right", NOW)
            at = desk.plans.get(ID)
            desk.plans.write(at.to(Phase.RULED, NOW, "ann answers", approval=yes))
            announcer.step()
            assert News.ASKS not in [news for news, _ in desk.kept()]


def test_an_announcement_that_comes_too_late_is_given_up(desk: Desk) -> None:
    with closing(desk.announcer("webhook", "http://127.0.0.1:9")) as away, suppress(OSError):
        away.step()
    assert (News.ASKS, DeliveryState.WAITING) in desk.kept()
    at = desk.plans.get(ID)
    desk.plans.write(at.to(Phase.OPEN, NOW, "it is looked at again", plan=None, ruling=None))
    with http_inbox() as inbox:
        late = desk.announcer("webhook", inbox.url)
        Clock.now = NOW + HOUR_NS
        try:
            late.step()
        finally:
            Clock.now = NOW
            late.close()
    assert (News.ASKS, DeliveryState.FAILED) in desk.kept()
    assert [json.loads(body)["type"] for _, _, body in inbox.taken] == ["incident.opened"]


@pytest.mark.parametrize(
    ("secret", "url", "said"),
    [
        ("s" * 31, "https://a.example", "32 characters"),
        ("s" * 32, "", "links need both"),
        ("", "https://a.example", "links need both"),
        ("s" * 32, "http://a.example", "begins with https"),
        ("s" * 32, "ftp://a.example", "is like https"),
        ("s" * 32, "https://a.example/?x=1", "is like https"),
        ("s" * 32, "https://[", "can't be read"),
    ],
)
def test_settings_of_links_that_can_t_be_are_refused_without_the_secret(secret: str, url: str, said: str) -> None:
    with pytest.raises(AppFileError, match=said) as refused:
        read_links({f"{PREFIX}SECRET": secret, f"{PREFIX}URL": url})
    assert not secret or secret not in str(refused.value)
    made = read_links({f"{PREFIX}SECRET": "s" * 32, f"{PREFIX}URL": "http://127.0.0.1:8080"})
    assert made is not None and "sss" not in repr(made)
