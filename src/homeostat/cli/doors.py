"""Refusals and warnings about all that is open to other machines, or passes between them in plain text."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from homeostat.cli.failures import CommandError

if TYPE_CHECKING:
    from homeostat.config.servers import Servers


def refuse_metrics_to_others(host: str, allowed: bool) -> None:
    """Metrics are shown without TLS and without a key. Raises CommandError where nothing shows that this is meant."""
    from homeostat.config.loopback import is_loopback

    if not allowed and not is_loopback(host):
        raise CommandError(
            f"--metrics-host {host} is reached from other machines, and metrics are shown without TLS and without a "
            "key: say --plain-http where only those who may see them reach it, or leave --metrics-host away"
        )


def warn_of_plain_connections(servers: Servers, *, streams: bool = True) -> None:
    """One line, if there are any."""
    from homeostat.adapters.servers.encryption import plain_connections

    found = plain_connections(servers, streams=streams)
    if found:
        said = "; ".join(f"{one.what}: {one.seen}" for one in found)
        logging.getLogger("homeostat").warning("%s (homeostat doctor says how to encrypt it)", said)
