import pytest

from homeostat.adapters.memory.stream import MemoryBroker, MemoryStream
from homeostat.checks.streams import STREAM_CHECKS


class MemoryBench:
    def __init__(self, partitions):
        self.partitions, self.broker = partitions, MemoryBroker(partitions)

    def open(self, name):
        return MemoryStream(self.broker)

    def produce(self, messages, kind="events", partition=None):
        self.broker.produce(messages, kind, partition)

    def decisions(self):
        return list(self.broker.decisions)

    def dead_letters(self):
        return list(self.broker.dead_letters)


@pytest.mark.parametrize("partitions", [2, 3])
@pytest.mark.parametrize("check", STREAM_CHECKS, ids=lambda check: check.__name__)
def test_streams_in_memory_conform(check, partitions):
    check(MemoryBench(partitions))
