"""E-mail, by SMTP. The connection is encrypted where the server can, and always where a password is sent."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from homeostat.adapters.announce.message import Message, Refused
from homeostat.config.announce import ChannelSettings
from homeostat.config.loopback import is_loopback
from homeostat.errors import Unavailable

_PORTS = {"smtp": 587, "smtps": 465}


class Email:
    """See the module. A connection is made for each letter."""

    def __init__(self, settings: ChannelSettings) -> None:
        self._settings = settings
        parts = urlsplit(settings.url)
        self._scheme, self._host = parts.scheme, parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._user = settings.username or unquote(parts.username or "")
        self._password = settings.password or unquote(parts.password or "")

    def send(self, message: Message, now_ns: int) -> None:
        """See `Sends`."""
        where = f"the mail server {self._host}:{self._port} of {self._settings.name}"
        try:
            with self._connected() as server:
                refused = server.send_message(self._letter(message))
        except smtplib.SMTPAuthenticationError as error:
            raise Refused(f"{where} does not accept name and password ({error.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            kind = Unavailable if any(code < 500 for code in codes) else Refused
            raise kind(f"{where} refuses all of the addresses in `to` ({min(codes)})") from None
        except smtplib.SMTPResponseException as error:
            said = bytes(error.smtp_error).decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else ""
            kind = Unavailable if error.smtp_code < 500 else Refused
            raise kind(f"{where} answers {error.smtp_code} {said}".strip()) from None
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable(f"{where} can't be reached: {error}") from None
        if refused:
            raise Refused(f"{where} sent it to some, and refuses {', '.join(sorted(refused))}")

    def close(self) -> None:
        """Nothing is open."""

    def _connected(self) -> smtplib.SMTP:
        timeout = self._settings.timeout_s
        server: smtplib.SMTP
        if self._scheme == "smtps":
            server = smtplib.SMTP_SSL(self._host, self._port, timeout=timeout, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=timeout)
        try:
            server.ehlo()
            if self._scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            elif self._scheme == "smtp" and self._user and not is_loopback(self._host):
                raise Refused("a password is sent over an encrypted connection only: use smtps://")
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = message.subject[:200]
        letter["From"], letter["To"] = self._settings.channel.sender, ", ".join(self._settings.channel.to)
        letter["Message-ID"] = (
            f"<{message.delivery.key}@homeostat>"  # The same at each try, so that clients show it once.
        )
        letter["References"] = f"<{message.incident.id}@homeostat>"  # Letters on one incident are one thread.
        letter["Auto-Submitted"] = "auto-generated"
        links = "".join(f"\nLook at it, and {answer}: {url}" for answer, url in message.links.items())
        letter.set_content(f"{message.text}\n{links}\n" if links else message.text + "\n")
        return letter
