"""Small servers on this machine that take announcements: one for HTTP, one for SMTP."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Inbox:
    """The requests that came, and the answers that are given: one after the other, the last one for ever."""

    def __init__(self, answers: list[int]) -> None:
        self.answers, self.taken = answers, list[tuple[str, dict[str, str], bytes]]()
        self.url = ""

    def answer(self) -> int:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def http_inbox(*answers: int) -> Iterator[Inbox]:
    """A server that keeps what is posted to it."""
    inbox = Inbox(list(answers) or [200])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.taken.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            code = inbox.answer()
            self.send_response(code)
            if code in (301, 302, 307):
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"no such secret" if code >= 400 else b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.url = f"http://127.0.0.1:{server.server_address[1]}"
    with _running(server):
        yield inbox


class Post:
    """The letters that came: from, to and text; and the codes with which recipients are answered."""

    def __init__(self, code: int) -> None:
        self.code, self.letters, self.url = code, list[tuple[str, list[str], str]](), ""
        self.logins: list[str] = []


@contextmanager
def smtp_inbox(code: int = 250, login: str = "") -> Iterator[Post]:
    """A server that takes letters, unencrypted.

    code : of the answer to each recipient; login : the base64 of AUTH PLAIN that it asks for, if any
    """
    post = Post(code)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 ready")
            sender, to = "", list[str]()
            while line := self.rfile.readline().decode().strip():
                word = line.split()[0].upper()
                if word == "EHLO":
                    self.say("250-here\r\n250 AUTH PLAIN" if login else "250 here")
                elif word == "AUTH":
                    post.logins.append(line.split()[2])
                    self.say("235 ok" if line.split()[2] == login else "535 no")
                elif word == "MAIL":
                    sender = line
                    self.say("250 ok")
                elif word == "RCPT":
                    to.append(line)
                    self.say(f"{post.code} {'ok' if post.code < 400 else 'no'}")
                elif word == "DATA":
                    self.say("354 go on")
                    text = []
                    while (part := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                        text.append(part)
                    post.letters.append((sender, to, "\n".join(text)))
                    self.say("250 taken")
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    post.url = f"smtp://127.0.0.1:{server.server_address[1]}"
    with _running(server):
        yield post


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
