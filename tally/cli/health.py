"""`tally health`: checks whether a running `tally serve` is ready, for supervisors and monitoring."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import Any

import click

from tally.cli.group import FAILED
from tally.cli.manual import Documented
from tally.cli.options import with_settings
from tally.cli.table import echo_table
from tally.settings import Settings

TIMEOUT_S = 10.0
HEADER = ("check", "ok", "detail")
LISTENING = {
    "TALLY_HTTP_HOST": "address of its HTTP server",
    "TALLY_HTTP_PORT": "TCP port of its HTTP server",
}


@click.command(cls=Documented)
@click.option("--json", "as_json", is_flag=True, help="print JSON instead of a table")
@with_settings(**LISTENING)
@click.pass_context
def health(context: click.Context, /, *, settings: Settings, as_json: bool) -> None:
    """Check whether a running server is ready.

    A server is ready when archives can be read and written, every collector flushes, and there is disk space. This
    command requests /readyz over HTTP, with the first token of TALLY_READ_TOKEN or else of TALLY_WRITE_TOKEN. If
    --http-host means all addresses, it connects to this machine. To verify the content of archives, use `tally check`.

    Examples:
      tally health
      tally health --http-port 8901 > /dev/null || echo 'not ready'

    Exit status:
      0  ready, or degraded but working
      1  not ready, or no answer within 10 seconds

    Output:
      stdout  a table of all checks, or with --json the answer of /readyz
      stderr  why there is no answer
    """
    address = f"http://{settings.http_host}:{settings.http_port}/"
    try:
        told = fetch_readiness(settings)
    except (OSError, HTTPException, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        click.echo(f"tally: no tally server answers on {address}: {reason}", err=True)
        context.exit(FAILED)
    if "checks" not in told:
        click.echo(f"tally: {address} answers: {told.get('detail', told)!s:.500}", err=True)
        context.exit(FAILED)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        checks = told["checks"].items()
        echo_table(HEADER, [(name, "yes" if check["ok"] else "no", check["detail"]) for name, check in checks])
    context.exit(FAILED if told["status"] == "not ready" else 0)


def fetch_readiness(settings: Settings) -> Mapping[str, Any]:
    """Return the answer of `/readyz`, or a problem.

    :raises OSError, HTTPException, ValueError: when there is no answer, or it is not from tally.
    """
    connection = HTTPConnection(find_local_address(settings.http_host), settings.http_port, timeout=TIMEOUT_S)
    try:
        tokens = (*settings.read_token, *settings.write_token)
        connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {tokens[0]}"} if tokens else {})
        told = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if not isinstance(told, dict):
        raise ValueError("its answer is not that of /readyz")
    return told


def find_local_address(host: str) -> str:
    """Return the address on which a server that listens on `host` can be reached from this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
