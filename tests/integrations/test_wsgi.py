"""The WSGI middleware in a Flask app."""

import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from flask import Blueprint, Flask, Response, send_file
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response as WerkzeugResponse

import tally
from tally.engine import Catalog
from tally.errors import InvalidSetting
from tally.integrations import sender, wsgi
from tally.integrations.wsgi import TimingMiddleware
from tests.integrations.doubles import Clock, Unexpected
from tests.receiving import Receiver

ENVIRON = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/a"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the middleware's clock by one that the test controls."""
    clock = Clock()
    monkeypatch.setattr(wsgi, "perf_counter", clock)
    return clock


def flask() -> Flask:
    """Return a Flask app with pages of all kinds."""
    app = Flask(__name__, static_folder=str(Path(__file__).parent), static_url_path="/static")
    pages = Blueprint("pages", __name__, url_prefix="/blog/<lang>")

    @app.get("/")
    def index() -> str:
        return "fine"

    @app.route("/articles/<int:pk>/", methods=["GET", "POST"])
    def article(pk: int) -> str:
        return str(pk)

    @pages.get("/<path:rest>")
    def post(lang: str, rest: str) -> str:
        return lang + rest

    @app.get("/broken")
    def broken() -> str:
        raise Unexpected

    @app.get("/stream")
    def stream() -> Response:
        return Response(iter(["a", "b", "c"]))

    @app.get("/file")
    def file() -> Response:
        return send_file(io.BytesIO(b"abc"), mimetype="text/plain")

    app.register_blueprint(pages)
    return app


def timed(app: Any = None, **options: Any) -> Client:
    """Return a client of the Flask app, or of another app, with the middleware."""
    return Client(TimingMiddleware(app or flask().wsgi_app, **options))


def names(collector: Receiver, count: int = 1) -> list[str]:
    """Return the names of the next samples."""
    return [line.split()[0].decode() for line in collector.lines(count)]


@pytest.mark.parametrize(
    ("method", "target", "by_path", "by_route"),
    [
        ("GET", "/", "requests.get", "requests.get"),
        ("POST", "/articles/7/", "requests.post.articles.7", "requests.post.articles.<int:pk>"),
        ("GET", "/articles/7/?page=2", "requests.get.articles.7", "requests.get.articles.<int:pk>"),
        ("GET", "/articles/7", "requests.get.articles.7", "requests.get.<unmatched>"),
        ("GET", "/blog/en/a/b", "requests.get.blog.en.a.b", "requests.get.blog.<lang>.<path:rest>"),
        ("GET", "/stream", "requests.get.stream", "requests.get.stream"),
        ("GET", "/file", "requests.get.file", "requests.get.file"),
        ("HEAD", "/", "requests.head", "requests.head"),
        ("GET", "/static/test_wsgi.py", "requests.get.static.test_wsgi.py", "requests.get.static.<path:filename>"),
        ("GET", "/broken", "requests.get.broken", "requests.get.broken"),
        ("POST", "/a%20b/%C3%A9", "requests.post.404", "requests.post.404"),
    ],
)
def test_each_request_is_sent_once(method: str, target: str, by_path: str, by_route: str, collector: Receiver) -> None:
    """Pages, streams, files, errors, redirects and 404s are sent once under their names."""
    for options, expected in (({}, by_route), ({"names": "path"}, by_path)):
        response = timed(**options).open(target, method=method)
        response.get_data()
        response.close()
        assert [expected] == names(collector)
        assert collector.nothing()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", "requests;method=get;route=/;status=200"),
        ("/articles/7/", "requests;method=get;route=articles/<int:pk>;status=200"),
        ("/broken", "requests;method=get;route=broken;status=500"),
        ("/articles/7", "requests;method=get;route=<unmatched>;status=308"),
        ("/nowhere", "requests;method=get;route=<unmatched>;status=404"),
    ],
)
def test_requests_are_sent_with_tags(target: str, expected: str, collector: Receiver) -> None:
    """With names="tags", method, route and status are tags."""
    timed(names="tags").get(target).close()
    assert [expected] == names(collector)


def test_a_mounted_app(collector: Receiver) -> None:
    """A route includes the path of the mount, but not the server's script name."""
    for way, expected in (
        ("route", "requests.get.shop.articles.<int:pk>"),
        ("path", "requests.get.up.shop.articles.7"),
    ):
        client = timed(DispatcherMiddleware(flask().wsgi_app, {"/shop": flask().wsgi_app}), names=way)
        client.get("/shop/articles/7/", base_url="http://tally.test/up").close()
        assert [expected] == names(collector)


def test_other_apps_are_named_by_path(collector: Receiver) -> None:
    """The requests of other apps are named by path, and a list as a body stays a list."""

    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return body

    body = [b"fine"]
    assert body is TimingMiddleware(app)({**ENVIRON, "PATH_INFO": "/articles/7/"}, lambda *_: None)  # type: ignore[arg-type]
    assert ["requests.get.articles.7"] == names(collector)


def test_werkzeug_apps_are_named_by_path(collector: Receiver) -> None:
    """Requests of Werkzeug look like Flask's, but have no rule."""

    @WerkzeugRequest.application
    def app(_: WerkzeugRequest) -> WerkzeugResponse:
        return WerkzeugResponse("fine")

    timed(app).get("/articles/7/").close()
    assert ["requests.get.articles.7"] == names(collector)


def test_an_unhandled_exception_of_flask_is_counted(collector: Receiver) -> None:
    """The route of such a request is lost, and its path must not become a metric."""
    app = flask()
    app.testing = True
    with pytest.raises(Unexpected):
        timed(app.wsgi_app).get("/broken")
    assert ["requests.get.<unmatched>"] == names(collector)


def test_a_stream_is_timed_to_its_end(clock: Clock, collector: Receiver) -> None:
    """The sample is sent when the response is closed, not while it is read."""
    app = Flask(__name__)

    def parts() -> Iterator[bytes]:
        for part in (b"a", b"b"):
            clock.seconds += 2
            yield part

    app.add_url_rule("/a", view_func=lambda: Response(parts()))
    response = timed(app.wsgi_app).get("/a", buffered=False)
    assert b"ab" == b"".join(response.iter_encoded())
    clock.seconds += 0.5
    assert collector.nothing()
    response.close()
    response.close()
    assert b"requests.get.a 4.5" == collector.datagram()
    assert collector.nothing()


@pytest.mark.parametrize("error", [Unexpected, SystemExit])
def test_a_request_that_raised_is_counted(error: type[BaseException], collector: Receiver) -> None:
    """An exception passes through the middleware, and its request is sent."""

    def app(*_: Any) -> Any:
        raise error

    with pytest.raises(error):
        TimingMiddleware(app)(dict(ENVIRON), lambda *_: None)  # type: ignore[arg-type]
    assert ["requests.get.a"] == names(collector)


def test_a_request_is_counted_if_close_fails(collector: Receiver) -> None:
    """The sample is sent even if the app's `close` raises, and the exception passes through."""

    class Failing:
        def __iter__(self) -> Iterator[bytes]:
            return iter(())

        def close(self) -> None:
            raise Unexpected

    body = TimingMiddleware(lambda *_: Failing())(dict(ENVIRON), lambda *_: None)  # type: ignore[arg-type]
    with pytest.raises(Unexpected):
        body.close()  # type: ignore[attr-defined]
    assert ["requests.get.a"] == names(collector)


@pytest.mark.parametrize("wrapper", [FileWrapper, lambda file: FileWrapper(file), None])
def test_a_file_stays_a_file(wrapper: Callable[[Any], Any] | None, collector: Receiver) -> None:
    """The server still gets its own file wrapper, and the file is timed until it is closed."""
    with tempfile.TemporaryFile() as file:
        sent = (wrapper or FileWrapper)(file)
        environ = {**ENVIRON, "wsgi.file_wrapper": wrapper} if wrapper else dict(ENVIRON)
        body = TimingMiddleware(lambda *_: sent)(environ, lambda *_: None)  # type: ignore[arg-type]
        assert (body is sent) == isinstance(wrapper, type)
        assert collector.nothing()
        body.close()  # type: ignore[attr-defined]
        assert file.closed
    assert ["requests.get.a"] == names(collector)


def test_a_prefix_shortens_names(monkeypatch: pytest.MonkeyPatch, collector: Receiver) -> None:
    """With TALLY_PREFIX, a long name is truncated so that both fit into the limit."""
    monkeypatch.setenv("TALLY_PREFIX", "p" * 200)
    tally.configure(None)
    timed(names="path").get("/articles/" + "7" * 300 + "/").close()
    assert ["p" * 200 + "requests.get.articles." + "7" * 33] == names(collector)


def test_errors_do_not_affect_requests(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An error with the sample is logged, and the response is sent."""

    def fail(*_: Any) -> None:
        raise OSError("no way out")

    monkeypatch.setattr(sender, "tally", fail)
    with timed().get("/") as response:
        assert b"fine" == response.get_data()
    assert [("tally.wsgi", "page timings are lost: no way out")] == [(r.name, r.getMessage()) for r in caplog.records]


@pytest.mark.parametrize(("variable", "options"), [("http", {}), ("8900", {"names": "view"})])
def test_malformed_settings_stop_the_start(
    variable: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A malformed setting raises InvalidSetting when the app is created."""
    monkeypatch.setenv("TALLY_PORT", variable)
    with pytest.raises(InvalidSetting):
        timed(**options)


def test_without_a_server_requests_go_into_the_archives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With an empty TALLY_HOST, each request is written to the archives before it ends."""
    monkeypatch.setenv("TALLY_HOST", "")
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path))
    tally.configure(None)
    daily = Catalog(tmp_path).create("daily")
    timed().get("/articles/7/").close()
    assert ["requests.get.articles.<int:pk>"] == daily.names()
    tally.configure(None)
