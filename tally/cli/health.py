"""`tally health`: whether a running `tally serve` is ready, for those who watch over it."""

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
    "TALLY_HTTP_HOST": "address where it answers HTTP",
    "TALLY_HTTP_PORT": "TCP port where it answers HTTP",
}


@click.command(cls=Documented)
@click.option("--json", "as_json", is_flag=True, help="print JSON instead of a table")
@with_settings(**LISTENING)
@click.pass_context
def health(context: click.Context, /, *, settings: Settings, as_json: bool) -> None:
    """Ask a running tally whether it is ready.

    It is when archives can be read and written, every collector flushes, and there is space. It is asked for /readyz
    over HTTP, on this machine where --http-host stands for all of its addresses, with the first of TALLY_READ_TOKEN or
    else of TALLY_WRITE_TOKEN. Archives are not read through for it: see `tally check`.

    Examples:
      tally health
      tally health --http-port 8901 > /dev/null || echo 'not ready'

    Exit status:
      0  it is ready, or degraded: what is wrong does not keep it from its work
      1  it is not, or does not answer within 10 seconds

    Output:
      stdout  a table of what each check found, or with --json what /readyz answers
      stderr  why it has no answer
    """
    address = f"http://{settings.http_host}:{settings.http_port}/"
    try:
        told = ask(settings)
    except (OSError, HTTPException, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        click.echo(f"tally: nothing that is tally answers on {address}: {reason}", err=True)
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


def ask(settings: Settings) -> Mapping[str, Any]:
    """Return what `/readyz` answers: whether tally is ready, or a problem.

    :raises OSError, HTTPException, ValueError: when nothing answers, or something else.
    """
    connection = HTTPConnection(reachable(settings.http_host), settings.http_port, timeout=TIMEOUT_S)
    try:
        tokens = (*settings.read_token, *settings.write_token)
        connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {tokens[0]}"} if tokens else {})
        told = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if not isinstance(told, dict):
        raise ValueError("its answer is not that of /readyz")
    return told


def reachable(host: str) -> str:
    """Return the address at which what listens on `host` is reached from this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
