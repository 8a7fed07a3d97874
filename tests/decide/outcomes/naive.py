"""The outcome joiner as one would write it first: lists, sorted each time."""

from dataclasses import dataclass
from math import isnan, nan


@dataclass
class Remembered:
    id: int
    time: int
    label: float
    action: int
    risk: float
    arrival: int
    handed: float = nan


class NaiveJoiner:
    def __init__(self, delay, horizon, unknown_negative, censoring, maturity=None):
        self.maturity = maturity
        self.delay, self.horizon, self.unknown_negative, self.censoring = delay, horizon, unknown_negative, censoring
        self.kept, self.waiting = {}, []
        self.arrivals = self.unknown = self.given_up = self.repeated = 0

    def remember(self, id, time, label, action, risk):
        self.arrivals += 1
        if id in self.kept:
            self.repeated += 1
            return
        one = self.kept[id] = Remembered(id, time, label, action, risk, self.arrivals)
        if not isnan(label):
            self.waiting.append((time + self.delay, 0, self.arrivals, "along", one, label))
        elif self.unknown_negative and self.maturity is not None and self.maturity < self.horizon:
            self.waiting.append((time + self.maturity, 3, self.arrivals, "silence", one, nan))
        end = time + self.horizon if isnan(label) else time + max(self.horizon, self.delay)
        self.waiting.append((end, 2, self.arrivals, "horizon", one, nan))

    def deliver(self, id, known, label):
        self.arrivals += 1
        if id in self.kept:
            ripe = self.kept[id].time + (self.maturity or 0)
            self.waiting.append((max(known, ripe), 1, self.arrivals, "delivered", self.kept[id], label))
        else:
            self.unknown += 1

    def due(self, until):
        handed = []

        def tell(one, label, censored):
            one.handed = -1.0 if censored else label
            handed.append((one.id, one.time, label, int(censored)))

        while self.waiting:
            self.waiting.sort(key=lambda entry: entry[:3])
            if self.waiting[0][0] > until:
                break
            _, _, _, kind, one, label = self.waiting.pop(0)
            if kind == "delivered":
                if self.kept.get(one.id) is not one:
                    self.unknown += 1
                elif label != one.handed:
                    tell(one, label, False)
                continue
            if isnan(one.handed):
                if one.action in self.censoring:
                    if kind != "silence":
                        tell(one, one.risk, True)
                elif kind == "along":
                    tell(one, label, False)
                elif self.unknown_negative:
                    tell(one, 0.0, False)
                else:
                    self.given_up += 1
            if kind == "horizon":
                del self.kept[one.id]
        return handed
