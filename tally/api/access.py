"""Who may ask, read and write: by which host names, and with which tokens, as Bearer or password of HTTP Basic."""

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

# A Host header: an IPv6 address in brackets, or an IPv4 address or a name, and maybe a port.
_HOST = re.compile(r"(\[(?P<v6>[^\[\]]+)\]|(?P<name>[^\s:\[\]]+))(:\d*)?", re.ASCII)

CHALLENGE = (("WWW-Authenticate", 'Basic realm="tally"'), ("WWW-Authenticate", 'Bearer realm="tally"'))
# Who closes the question for a password sees nothing but the problem.
BROWSER = "; in a browser load the page again and give it as the password, with any user name"


def check_host(request: Request, settings: Settings) -> None:
    """Let a request pass whose `Host` is one by which this server may be asked.

    A web page can have its own host name resolve to this machine (DNS rebinding), and its browser then lets it read the
    answers. Such a request names the page's host. An address cannot be rebound, and every browser sends a host.

    :raises Problem: 421 when it is neither an IP address, `localhost` nor in `TALLY_ALLOWED_HOSTS`; where that is empty
        and `TALLY_READ_TOKEN` is set, which such a page does not know, every host passes.
    """
    header, allowed = request.headers.get("host"), settings.allowed_hosts
    if not header or ANY_HOST in allowed or (settings.read_token and not allowed):
        return
    host = _host(header)
    if isinstance(host, str) and host not in ("localhost", *allowed):
        advice = "add it to TALLY_ALLOWED_HOSTS, or use an IP address"
        raise Problem(HTTPStatus.MISDIRECTED_REQUEST, f"the host name {header!r:.100} is not allowed: {advice}")


def check_read(request: Request, settings: Settings) -> None:
    """Let a request pass that may read.

    :raises Problem: 401 when `TALLY_READ_TOKEN` is set and neither one of it nor a write token was given.
    """
    if settings.read_token and not _is_one_of(_token(request), settings.read_token + settings.write_token):
        raise _unauthorized("a read token or a write token", BROWSER)


def check_write(request: Request, settings: Settings) -> None:
    """Let a request pass that may write.

    :raises Problem: 403 when writing is not enabled, only a read token was given, or a browser sends the request for
        a page of another site; 401 when no token or a wrong one was given.
    """
    if not settings.write_token:
        raise Problem(HTTPStatus.FORBIDDEN, "the API is read-only: set TALLY_WRITE_TOKEN to enable writing")
    token = _token(request)
    if not _is_one_of(token, settings.write_token):
        if _is_one_of(token, settings.read_token):
            raise Problem(HTTPStatus.FORBIDDEN, "a read token may not write: give a write token (TALLY_WRITE_TOKEN)")
        raise _unauthorized("a write token")
    if _is_foreign(request):
        raise Problem(HTTPStatus.FORBIDDEN, "a page of another site may not write: send the request from this one")


def may_write(request: Request, settings: Settings) -> bool:
    """Return whether a request has a token to write."""
    return _is_one_of(_token(request), settings.write_token)


def writing(request: Request, settings: Settings) -> str:
    """Return whether writing is `disabled`, `allowed` to who sent the request, or needs a `token` of another kind."""
    if not settings.write_token:
        return "disabled"
    return "allowed" if may_write(request, settings) else "token"


def _host(header: str) -> IPv4Address | IPv6Address | str:
    """Return the address or the name in a `Host` header, the name in lower case; nothing where it is neither."""
    found = _HOST.fullmatch(header)
    if found is None:
        return ""
    try:
        return IPv6Address(found["v6"]) if found["v6"] else IPv4Address(found["name"])
    except ValueError:
        return (found["name"] or "").lower().removesuffix(".")


def _unauthorized(wanted: str, hint: str = "") -> Problem:
    text = f"give {wanted}, as Authorization: Bearer or as the password of HTTP Basic{hint}"
    return Problem(HTTPStatus.UNAUTHORIZED, text, headers=CHALLENGE)


def _is_one_of(token: bytes, known: Iterable[str]) -> bool:
    # Every token is compared, so that the time taken does not tell which of them is right.
    return sum(hmac.compare_digest(token, each.encode()) for each in known) > 0


def _token(request: Request) -> bytes:
    """Return the token that was given, or nothing, which is never a token."""
    scheme, _, rest = request.headers.get("authorization", "").strip().partition(" ")
    credentials = rest.strip().encode("latin-1", "replace")
    if scheme.lower() == "bearer":
        return credentials
    return _password(credentials) if scheme.lower() == "basic" else b""


def _password(credentials: bytes) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _is_foreign(request: Request) -> bool:
    # A browser keeps the password of HTTP Basic and would send it along for any page that posts here.
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return False
    # A page without an origin of its own sends "null", which is no host, nor is a missing one.
    host = origin.partition("://")[2]
    return not host or host != request.headers.get("host")
