"""Announces the changes of incidents: plans deliveries from the store's changes, and sends those that are due.

A change's deliveries are planned in one transaction with the place up to which changes are seen to, and each attempt is
on record before it begins. So a crash loses no announcement. It may send one twice, under the same key: receivers that
honour keys take it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from homeostat.adapters.announce.message import Asks, Message, Sends
from homeostat.adapters.announce.opening import open_channel
from homeostat.config.announce import ChannelSettings
from homeostat.config.servers import KafkaSettings
from homeostat.engine.links import Link, Links
from homeostat.errors import HomeostatError, Unavailable
from homeostat.ports import Clock
from homeostat.ports.incidents import IncidentChange, Incidents, UnknownIncident
from homeostat.ports.plans import NoResponse, Plans
from homeostat.records.deliveries import RANK, Delivery, DeliveryState, News, delivery_key, news_of
from homeostat.records.incidents import Incident, Phase, Severity
from homeostat.records.response_shown import shown_response
from homeostat.records.responses import Answer, Response

LINKED = frozenset({"webhook", "slack", "email"})  # A stream is read by many: none of its messages lets them approve.
_FIRST_NS, _LONGEST_NS = 5 * 10**9, 3600 * 10**9
_MOVES_MAX = 1000
_LEASE_NS = 60 * 10**9  # Beyond the longest time that a try may take.


@dataclass(frozen=True, slots=True)
class Announced:
    """One round: how many deliveries were planned, sent, put off, and given up."""

    planned: int = 0
    sent: int = 0
    later: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Asking:
    """The plans that wait for people.

    answer_ns : a person has so long to answer, from the ruling on
    links : signs links to answer with; None where there are none
    """

    plans: Plans
    answer_ns: int
    links: Links | None = None


class Announcer:
    """See the module. One thread uses it; several processes may, since each delivery is claimed.

    channels : by name, in the app's order
    opens : opens one of them
    asking : plans that wait are announced as well; None where there are none
    """

    def __init__(
        self, store: Incidents, channels: Sequence[ChannelSettings], clock: Clock, *, currency: str = "",
        kafka: KafkaSettings | None = None, opens: Callable[[ChannelSettings], Sends] | None = None,
        asking: Asking | None = None,
    ) -> None:  # fmt: skip
        self._store, self._clock, self._currency = store, clock, currency
        self._settings: Mapping[str, ChannelSettings] = {one.name: one for one in channels}
        self._opens = opens or (lambda one: open_channel(one, kafka))
        self._open: dict[str, Sends] = {}
        self._asking, self._asked = asking, set[str]()
        self._moved: dict[str, int] = {}  # The revisions of responses that are planned.
        self._under_way: set[str] | None = None  # The incidents of those; None before the first look.

    def step(self, open_only: bool = False) -> Announced:
        """Plan what is new, and send what is due. Raises Unavailable where the store fails, never for a channel.

        open_only : nobody hears of new changes of incidents that are closed by now: they were found in an old record
        """
        planned = self._plan(open_only) + self._plan_asks() + self._plan_moves(open_only)
        counts = dict.fromkeys(DeliveryState, 0)
        lease = max([_LEASE_NS, *(2 * one.channel.timeout for one in self._settings.values())])
        while claimed := self._store.claim(self._clock.now_ns(), lease, 1):  # One at a time, within its lease.
            done = self._deliver(claimed[0])
            if self._store.report(done):
                counts[done.state] += 1
        return Announced(
            planned, counts[DeliveryState.SENT], counts[DeliveryState.WAITING], counts[DeliveryState.FAILED]
        )

    def close(self) -> None:
        """Let go of the channels' servers."""
        for channel in self._open.values():
            with suppress(HomeostatError):
                channel.close()
        self._open.clear()

    def _plan(self, open_only: bool) -> int:
        """Store the deliveries of all changes that were not seen to."""
        count = 0
        while changes := self._store.changes(self._store.planned(), 200):
            wanted = [one for one in changes if not (open_only and self._is_closed(one.incident.id))]
            made = [delivery for change in wanted for delivery in self._deliveries(change)]
            self._store.plan(made, changes[-1].number)
            count += len(made)
        return count

    def _plan_asks(self) -> int:
        """Store the deliveries of plans that wait for an answer; a key that is stored already stores nothing again."""
        if self._asking is None:
            return 0
        count, ruled = 0, self._asking.plans.list([Phase.RULED])
        self._asked &= {one.plan.hash for one in ruled if one.plan is not None}
        for response in ruled:
            plan = response.plan
            if plan is None or not plan.acting or not response.waits or response.wished or plan.hash in self._asked:
                continue
            with suppress(UnknownIncident):
                incident, now_ns = self._store.get(response.incident), self._clock.now_ns()
                if incident.phase == Phase.CLOSED or incident.silenced_until_ns > now_ns:
                    continue
                made = [
                    Delivery(f"{incident.id}-{plan.hash}-{name}", name, incident.id, incident.revision, News.ASKS,
                             now_ns, next_ns=now_ns)
                    for name in self._heard(incident)
                    if self._settings[name].channel.kind != "alertmanager"  # An alert asks nothing.
                ]  # fmt: skip
                self._store.plan(made, 0)
                count += len(made)
            self._asked.add(plan.hash)
        return count

    def _plan_moves(self, open_only: bool) -> int:
        """Store the deliveries of responses that have moved on, for streams alone: people hear of what they can do.

        A response that moves faster than this is looked at is sent as it is by then, with all its lines.
        """
        streams = [name for name, one in self._settings.items() if one.channel.kind == "stream"]
        if self._asking is None or not streams:
            return 0
        count = 0
        for response in self._responses(self._asking.plans):
            if self._moved.get(response.incident) == response.revision:
                continue
            if not (open_only and response.phase == Phase.CLOSED):
                with suppress(UnknownIncident):
                    incident, now_ns = self._store.get(response.incident), self._clock.now_ns()
                    made = [
                        Delivery(f"{incident.id}-answer-{response.revision}-{name}", name, incident.id,
                                 incident.revision, News.ANSWERED, now_ns, next_ns=now_ns)
                        for name in self._heard(incident) if name in streams
                    ]  # fmt: skip
                    self._store.plan(made, 0)
                    count += len(made)
            self._moved[response.incident] = response.revision
        return count

    def _responses(self, plans: Plans) -> list[Response]:
        """Those that are under way or just ended, the oldest first; at the first look all that there are."""
        if self._under_way is None:
            found = list(plans.list((), _MOVES_MAX))
        else:
            found = list(plans.list([phase for phase in Phase if phase != Phase.CLOSED], _MOVES_MAX))
            for ended in self._under_way - {one.incident for one in found}:
                with suppress(NoResponse):
                    found.append(plans.get(ended))
        self._under_way = {one.incident for one in found if one.phase != Phase.CLOSED}
        return found[::-1]

    def _is_closed(self, id: str) -> bool:
        try:
            return self._store.get(id).phase == Phase.CLOSED
        except UnknownIncident:
            return True

    def _deliveries(self, change: IncidentChange) -> list[Delivery]:
        incident, now_ns = change.incident, self._clock.now_ns()
        news = news_of(self._before(incident), incident)
        if news is None:
            return []
        return [
            Delivery(delivery_key(incident, name), name, incident.id, incident.revision, news, now_ns, next_ns=now_ns)
            for name in self._heard(incident)
        ]

    def _heard(self, incident: Incident) -> list[str]:
        """The channels that hear of an incident as bad as this one was at its worst."""
        worst = max((one.severity for one in self._revisions(incident)), key=lambda one: RANK[one])
        return [
            name
            for name, settings in self._settings.items()
            if RANK[worst] >= RANK[Severity(settings.channel.severity)]
        ]

    def _before(self, incident: Incident) -> Incident | None:
        found = [one for one in self._revisions(incident) if one.revision == incident.revision - 1]
        return found[0] if found else None

    def _revisions(self, incident: Incident) -> list[Incident]:
        """The incident's revisions up to this one."""
        try:
            history = [change.incident for change in self._store.history(incident.id)]
        except UnknownIncident:  # It was closed and deleted meanwhile.
            history = []
        return [one for one in history if one.revision < incident.revision] + [incident]

    def _deliver(self, delivery: Delivery) -> Delivery:
        """One try; the delivery as it stands then."""
        settings = self._settings.get(delivery.channel)
        if settings is None:
            return self._over(delivery, DeliveryState.FAILED, "the channel is no longer declared")
        try:
            message = self._message(delivery, settings)
        except (UnknownIncident, NoResponse) as error:
            return self._over(delivery, DeliveryState.FAILED, str(error))
        if delivery.news == News.ASKS and message.asks is None:
            return self._over(delivery, DeliveryState.FAILED, "the plan does not wait for an answer any more")
        try:
            if delivery.channel not in self._open:
                self._open[delivery.channel] = self._opens(settings)
            self._open[delivery.channel].send(message, self._clock.now_ns())
        except (HomeostatError, ValueError) as error:  # A missing extra, or an address that can't work, too.
            text = settings.without_secrets(str(error))
            if delivery.attempts >= settings.channel.tries or not isinstance(error, Unavailable):
                return self._over(delivery, DeliveryState.FAILED, text)
            return replace(delivery, next_ns=self._clock.now_ns() + _pause_ns(delivery), error=text)
        return self._over(delivery, DeliveryState.SENT, "")

    def _over(self, delivery: Delivery, state: DeliveryState, error: str) -> Delivery:
        return replace(delivery, state=state, ended_ns=self._clock.now_ns(), error=error)

    def _message(self, delivery: Delivery, settings: ChannelSettings) -> Message:
        """The announcement. Raises UnknownIncident, NoResponse where the incident was deleted meanwhile."""
        history = {change.incident.revision: change.incident for change in self._store.history(delivery.incident)}
        incident = history.get(delivery.revision) or self._store.get(delivery.incident)
        earlier = [one for revision, one in history.items() if revision < incident.revision]
        signals = self._store.signals_of(incident.signals)
        asks = self._asks(delivery, settings) if delivery.news == News.ASKS else None
        answer = None
        if delivery.news == News.ANSWERED and self._asking is not None:
            answer = shown_response(self._asking.plans.get(delivery.incident), self._asking.answer_ns)
        return Message(delivery, incident, signals, earlier, self._currency, asks, answer)

    def _asks(self, delivery: Delivery, settings: ChannelSettings) -> Asks | None:
        """The plan that a delivery is about; None where it does not wait any more. Raises NoResponse."""
        if self._asking is None:
            return None
        response = self._asking.plans.get(delivery.incident)
        plan, ruling = response.plan, response.ruling
        if plan is None or ruling is None or not response.waits or f"-{plan.hash}-" not in delivery.key:
            return None
        until_ns, links = ruling.at_ns + self._asking.answer_ns, self._asking.links
        if links is None or settings.channel.kind not in LINKED:
            return Asks(plan, ruling, until_ns, {})
        made = {
            str(answer): links.address(Link(delivery.incident, plan.hash, answer, until_ns // 10**9, delivery.channel))
            for answer in Answer
        }
        return Asks(plan, ruling, until_ns, made)


def _pause_ns(delivery: Delivery) -> int:
    """The pause before the next try: it doubles up to an hour, and differs by key, so that not all come at once.

    >>> from homeostat.records.deliveries import News
    >>> one = Delivery("k", "desk", "i", 1, News.OPENED, 0, attempts=3)
    >>> 10 * 10**9 <= _pause_ns(one) <= 20 * 10**9
    True
    """
    longest = min(_LONGEST_NS, _FIRST_NS << min(delivery.attempts - 1, 20))
    part = sum(delivery.key.encode()) * 7919 % 1000
    return longest // 2 + longest * part // 2000
