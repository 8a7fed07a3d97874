"""Opens a store of metrics for reading, by its kind and version."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from homeostat.adapters.http.asking import Asking
from homeostat.adapters.metrics.history import History
from homeostat.config.stores import Store

PREFIX = "HOMEOSTAT_COLLECT__"


def open_history(
    store: Store, measurements: Sequence[str], queries: Sequence[str], environ: Mapping[str, str]
) -> History:
    """The store's past; nothing is connected yet.

    measurements : those that are read; for InfluxDB all when empty
    queries : PromQL, of Prometheus alone
    environ : may hold a token, or a user and a password
    """
    token, user = environ.get(f"{PREFIX}TOKEN", ""), environ.get(f"{PREFIX}USERNAME", "")
    headers: dict[str, str] = {}
    if token:
        headers["Authorization"] = f"{'Token' if store.version == 2 else 'Bearer'} {token}"
    elif user:
        pair = base64.b64encode(f"{user}:{environ.get(f'{PREFIX}PASSWORD', '')}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    name = "Prometheus" if store.kind == "prometheus" else f"InfluxDB {store.version}.x"
    asking = Asking(store.host, store.port, store.tls, name, headers)
    if store.kind == "prometheus":
        from homeostat.adapters.prometheus.reading import PrometheusApi

        return PrometheusApi(asking, measurements, queries, f"/{store.place}" if store.place else "")
    if store.version == 1:
        from homeostat.adapters.influx.influxql import InfluxQl

        return InfluxQl(asking, store.place, measurements)
    if store.version == 2:
        from homeostat.adapters.influx.flux import Flux

        return Flux(asking, store.place, store.org, measurements)
    from homeostat.adapters.influx.sql import Sql

    return Sql(asking, store.place, measurements)
