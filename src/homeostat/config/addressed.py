"""Places with an address and secrets, which may stand in the environment: channels of incidents, and targets.

`HOMEOSTAT_ANNOUNCE__DESK__SECRET` is the secret of the channel `desk`. There an address wins over that of the file,
and secrets stand nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from homeostat.config.backends import STREAMS

WEB = ("http", "https")
STREAM = tuple(STREAMS)
_TEXT_MAX = 500


def variables_of(prefix: str, name: str) -> str:
    """How the variables of a place begin.

    >>> variables_of("HOMEOSTAT_ANNOUNCE__", "desk")
    'HOMEOSTAT_ANNOUNCE__DESK__'
    """
    return f"{prefix}{name.upper()}__"


def given_by(environ: Mapping[str, str], variables: str, names: Iterable[str], url: str | None) -> dict[str, str]:
    """The values of these names, "" for each that is missing; the file's address where the environment has none.

    >>> given_by({"HOMEOSTAT_ANNOUNCE__DESK__SECRET": "s"}, "HOMEOSTAT_ANNOUNCE__DESK__", ("url", "secret"), "smtp://x")
    {'url': 'smtp://x', 'secret': 's'}
    """
    given = {one: environ.get(f"{variables}{one.upper()}", "") for one in names}
    return {**given, "url": given["url"] or url or ""}


def address_fault(url: str, what: str, schemes: Sequence[str], variables: str) -> str | None:
    """Why an address is of no use to a place; None where it is.

    what : the place in a sentence, such as "a webhook"

    >>> address_fault("ftp://x", "a webhook", ("http", "https"), "HOMEOSTAT_ANNOUNCE__DESK__")
    'the address of a webhook begins with http:// or https:// and a host'
    """
    if not url:
        return f"{what} needs an address: give `url`, or {variables}URL in the environment"
    try:
        parts = urlsplit(url)
        scheme, _ = parts.scheme, parts.port
    except ValueError as error:
        return f"its address can't be read: {error}"
    if scheme not in schemes or not parts.netloc:
        return f"the address of {what} begins with {' or '.join(f'{one}://' for one in schemes)} and a host"
    return None


def without_secrets(text: str, *secrets: str) -> str:
    """A text, such as an error's, without what nobody should read in a log; at most 500 characters.

    >>> without_secrets("no answer from http://x/key", "http://x/key", "")
    'no answer from ***'
    """
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return text[:_TEXT_MAX]
