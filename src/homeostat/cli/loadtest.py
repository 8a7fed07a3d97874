"""`homeostat loadtest`."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import SplitResult, urlsplit

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json

if TYPE_CHECKING:
    from homeostat.jobs.load_testing.figures import LoadFigures

_REQUESTS_MAX = 50_000_000


def loadtest(
    url: str,
    /,
    *,
    rate: Annotated[str, Parameter(help="Requests a second: 300, or 100..900 for a rate that rises in a line.")],
    seconds: Annotated[float, Parameter(help="How long requests are sent.")] = 10.0,
    method: str | None = None,
    body: Annotated[str | None, Parameter(help="The body of each request, or @FILE.")] = None,
    header: Annotated[tuple[str, ...], Parameter(help="A header, such as 'Authorization: Bearer KEY'.")] = (),
    connections: Annotated[int, Parameter(help="How many may be open at once.")] = 64,
    timeout: Annotated[float, Parameter(help="Seconds after which an answer is not waited for.")] = 10.0,
    out: Annotated[Path | None, Parameter(help="A folder for report.html and report.json.")] = None,
    remote: Annotated[bool, Parameter(help="Allow a service on another machine.", negative="")] = False,
    json: Json = False,
) -> None:
    """Send requests to an HTTP service at a fixed rate, whatever its answers do, and print how long they took.

    Each request is timed from the moment at which it was due, so a service that stalls is charged with all that it
    keeps waiting (no coordinated omission).

    Parameters
    ----------
    url
        http://127.0.0.1:8080/path
    method
        Absent: GET, or POST with --body.
    """
    import asyncio

    from homeostat.adapters.http.open_loop import Load, injected
    from homeostat.cli.progress import shown
    from homeostat.jobs.load_testing.figures import figures_of

    address = _address(url, remote)
    first, last = _rates(rate)
    for name, value in (("--seconds", seconds), ("--timeout", timeout)):
        if not 0 < value <= 86_400:
            raise CommandError(f"{name} {value:g}: give seconds above 0, a day at most")
    if not 1 <= connections <= 20_000:
        raise CommandError(f"--connections {connections}: give a number from 1 to 20000")
    load = Load(address, _request(address, method, body, header), first, last, seconds, connections, timeout)
    if load.count > _REQUESTS_MAX:
        raise CommandError(f"these are {load.count:,} requests, more than {_REQUESTS_MAX:,}: lower --rate or --seconds")
    with shown("loadtest") as progress:
        found = figures_of(url, load, asyncio.run(injected(load, lambda share: progress("loadtest", share))))
    if out is not None:
        _write(out, found)
    print(dumps(found.as_dict(), allow_nan=False)) if json else _print(found)
    if found.warning:
        print(f"homeostat: warning: {found.warning}", file=sys.stderr)


def _address(url: str, remote: bool) -> SplitResult:
    from homeostat.config.loopback import is_loopback

    try:
        address = urlsplit(url)
        port_is_right = address.port is None or address.port > 0
    except ValueError as error:
        raise CommandError(f"{url} is no address ({error}): give one such as http://127.0.0.1:8080/path") from error
    if address.scheme not in ("http", "https") or not address.hostname or not port_is_right:
        raise CommandError(f"{url} is no address of an HTTP service: give one such as http://127.0.0.1:8080/path")
    if address.username is not None or address.password is not None:
        raise CommandError("the address holds a password: give it as --header 'Authorization: Basic ...'")
    if not remote and not is_loopback(address.hostname):
        raise CommandError(f"{address.hostname} is another machine: add --remote if its owner agrees to the load")
    return address


def _rates(text: str) -> tuple[float, float]:
    first, _, last = text.partition("..")
    try:
        found = float(first), float(last or first)
    except ValueError:
        found = (0.0, 0.0)
    if not all(0 < one <= 1e6 for one in found):
        raise CommandError(f"--rate {text}: give requests a second, such as 300, or 100..900, up to 1000000")
    return found


def _request(address: SplitResult, method: str | None, body: str | None, headers: tuple[str, ...]) -> bytes:
    """The bytes of each request. Raises CommandError."""
    content = b"" if body is None else body.encode()
    if body is not None and body.startswith("@"):
        try:
            content = Path(body[1:]).read_bytes()
        except OSError as error:
            raise CommandError(f"--body {body}: the file can't be read ({error.strerror})") from error
    method = (method or ("GET" if body is None else "POST")).upper()
    if not method.isalpha() or method in ("HEAD", "CONNECT"):
        raise CommandError(f"--method {method}: give one whose answers have a body, such as GET or POST")
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address.netloc}", "User-Agent: homeostat-loadtest", "Accept: */*"]
    named = {name.strip().lower() for name, _, _ in (one.partition(":") for one in headers)}
    if body is not None and "content-type" not in named:
        lines.append("Content-Type: application/json")
    if body is not None or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(content)}")
    for one in headers:
        name, colon, _ = one.partition(":")
        if not colon or not name.strip() or "\r" in one or "\n" in one:
            raise CommandError("--header: write a name, a colon and a value, such as 'X-Api-Key: KEY'")
        lines.append(one)
    try:
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content
    except UnicodeEncodeError as error:
        raise CommandError("the address or a header has letters that HTTP can't carry: percent-encode them") from error


def _write(out: Path, found: LoadFigures) -> None:
    from homeostat.adapters.disk.files import replace_file
    from homeostat.jobs.load_testing.page import report_page

    try:
        out.mkdir(parents=True, exist_ok=True)
        replace_file(out / "report.json", [dumps(found.as_dict(), allow_nan=False, indent=1).encode(), b"\n"])
        replace_file(out / "report.html", [report_page(found).encode()])
    except OSError as error:
        raise CommandError(f"--out {out} can't be written ({error.strerror}): name another folder") from error


def _print(found: LoadFigures) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, markup=False, highlight=False)
    rate = found.sent / found.seconds if found.seconds else 0.0
    console.print(
        f"{found.sent:,} requests in {found.seconds:.1f} s ({rate:,.1f}/s): {found.ok:,} answered well, "
        f"{found.failed:,} failed"
    )
    table = Table("latency", "ms", title_justify="left")
    for name, value in found.latency_ms.items():
        table.add_row(name, f"{value:,.2f}")
    console.print(table)
    for why, count in found.failures.items():
        console.print(f"{count:,} times: {why}")
