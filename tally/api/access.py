"""Checks who may read and write: the host name, and the token, given as Bearer or as the password of HTTP Basic.

InfluxDB's clients give it as `Authorization: Token …`.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address

from tally.api.message import Request
from tally.api.problems import Problem
from tally.settings import ANY_HOST, Settings

# A Host header: an IPv6 address in brackets, an IPv4 address or a name; then an optional port.
_HOST = re.compile(r"(\[(?P<v6>[^\[\]]+)\]|(?P<name>[^\s:\[\]]+))(:\d*)?", re.ASCII)

CHALLENGE = (("WWW-Authenticate", 'Basic realm="tally"'), ("WWW-Authenticate", 'Bearer realm="tally"'))
# A browser shows this text when the user cancels the password prompt.
BROWSER = "; in a browser, reload the page and enter it as the password, with any user name"


def check_host(request: Request, settings: Settings) -> None:
    """Check the `Host` header, against DNS rebinding.

    A web page can make its own host name resolve to this machine, and the browser then lets it read the answers. Such a
    request names the page's host. IP addresses cannot be rebound. Any host passes if `TALLY_ALLOWED_HOSTS` is empty and
    `TALLY_READ_TOKEN` is set, because such a page does not know the token.

    :raises Problem: 421 if the host is not an IP address, `localhost` or in `TALLY_ALLOWED_HOSTS`.
    """
    header, allowed = request.headers.get("host"), settings.allowed_hosts
    if not header or ANY_HOST in allowed or (settings.read_token and not allowed):
        return
    host = _host(header)
    if isinstance(host, str) and host not in ("localhost", *allowed):
        advice = "add it to TALLY_ALLOWED_HOSTS, or use an IP address"
        raise Problem(HTTPStatus.MISDIRECTED_REQUEST, f"the host name {header!r:.100} is not allowed: {advice}")


def check_read(request: Request, settings: Settings) -> None:
    """Check the token of a request that reads.

    :raises Problem: 401 if `TALLY_READ_TOKEN` is set, and the request has neither a read token nor a write token.
    """
    token = _token(request)
    if settings.read_token and not _is_one_of(token, settings.read_token + settings.write_token):
        raise _unauthorized(token, "a read token or a write token", hint=BROWSER)


def check_write(request: Request, settings: Settings) -> None:
    """Check the token and the origin of a request that writes.

    :raises Problem: 403 if writing is disabled, the token is only a read token, or a browser sent the request for a
        page of another site; 401 if the token is missing or wrong.
    """
    if not settings.write_token:
        raise Problem(HTTPStatus.FORBIDDEN, "the API is read-only: set TALLY_WRITE_TOKEN to enable writing")
    token = _token(request)
    if not _is_one_of(token, settings.write_token):
        if _is_one_of(token, settings.read_token):
            raise Problem(HTTPStatus.FORBIDDEN, "a read token may not write: give a write token (TALLY_WRITE_TOKEN)")
        raise _unauthorized(token, "a write token")
    if _is_foreign(request):
        raise Problem(HTTPStatus.FORBIDDEN, "a page of another site may not write: send the request from this one")


def may_write(request: Request, settings: Settings) -> bool:
    """Return whether a request has a write token."""
    return _is_one_of(_token(request), settings.write_token)


def writing(request: Request, settings: Settings) -> str:
    """Return whether writing is `disabled`, `allowed` with the token of the request, or requires another `token`."""
    if not settings.write_token:
        return "disabled"
    return "allowed" if may_write(request, settings) else "token"


def _host(header: str) -> IPv4Address | IPv6Address | str:
    """Return the address or the lower-case name in a `Host` header, empty if it is malformed."""
    found = _HOST.fullmatch(header)
    if found is None:
        return ""
    try:
        return IPv6Address(found["v6"]) if found["v6"] else IPv4Address(found["name"])
    except ValueError:
        return (found["name"] or "").lower().removesuffix(".")


def _unauthorized(token: bytes, required: str, *, hint: str = "") -> Problem:
    wrong = "the token is wrong: " if token else ""
    text = f"{wrong}give {required}, as Authorization: Bearer or as the password of HTTP Basic{hint}"
    return Problem(HTTPStatus.UNAUTHORIZED, text, headers=CHALLENGE)


def _is_one_of(token: bytes, known: Iterable[str]) -> bool:
    # All tokens are compared, so that the time does not reveal which one matches.
    return sum(hmac.compare_digest(token, each.encode()) for each in known) > 0


def _token(request: Request) -> bytes:
    """Return the token of a request. It is empty if there is none; an empty token never matches."""
    scheme, _, rest = request.headers.get("authorization", "").strip().partition(" ")
    credentials = rest.strip().encode("latin-1", "replace")
    if scheme.lower() in ("bearer", "token"):
        return credentials
    return _password(credentials) if scheme.lower() == "basic" else b""


def _password(credentials: bytes) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _is_foreign(request: Request) -> bool:
    # A browser remembers the password of HTTP Basic, and sends it with requests from pages of other sites too.
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return False
    # A page without an origin sends "null".
    host = origin.partition("://")[2]
    return not host or host != request.headers.get("host")
