import pytest
from kafka_bench import KafkaBench

from homeostat.checks.streams import STREAM_CHECKS


@pytest.fixture
def bench(kafka):
    made = KafkaBench(kafka)
    yield made
    made.close()


@pytest.mark.parametrize("check", STREAM_CHECKS, ids=lambda check: check.__name__)
def test_streams_on_kafka_conform(check, bench):
    check(bench)
