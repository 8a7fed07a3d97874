"""A webhook, signed by the scheme of Standard Webhooks, so that libraries for it check the signature.

`webhook-id` is the delivery's key, the same at every try: a receiver that remembers it takes each announcement once.
`webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256

from homeostat.adapters.announce.message import Message
from homeostat.adapters.announce.web import post
from homeostat.config.announce import ChannelSettings

_MARK = "whsec_"


class Webhook:
    """See the module. Without a secret, nothing is signed."""

    def __init__(self, settings: ChannelSettings) -> None:
        self._settings = settings

    def send(self, message: Message, now_ns: int) -> None:
        """See `Sends`."""
        body, seconds = message.body, now_ns // 10**9
        headers = {"Webhook-Id": message.delivery.key, "Webhook-Timestamp": str(seconds)}
        if self._settings.secret:
            headers["Webhook-Signature"] = signature(self._settings.secret, message.delivery.key, seconds, body)
        headers["Idempotency-Key"] = message.delivery.key
        post(self._settings.url, body, headers, self._settings.timeout_s, f"the webhook {self._settings.name}")

    def close(self) -> None:
        """Nothing is open."""


def signature(secret: str, key: str, seconds: int, body: bytes) -> str:
    """The signature of a message.

    secret : `whsec_` and base64, or any text

    >>> signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    ...           b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    try:
        named = secret.startswith(_MARK)
        bare = base64.b64decode(secret.removeprefix(_MARK), validate=True) if named else secret.encode()
    except (binascii.Error, ValueError):
        bare = secret.encode()
    signed = hmac.new(bare, f"{key}.{seconds}.".encode() + body, sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"
