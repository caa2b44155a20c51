"""A graphite-web in a process of its own, run by a Python that has it: `python graphite_web.py DIRECTORY`.

The directory has `series.json`: for each metric its points, `[unix seconds, value]`, 10 s apart.
"""

import inspect
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

STEP_S, KEPT_S = 10, 86_400
SETTINGS = """
SECRET_KEY = "none"
GRAPHITE_ROOT = CONF_DIR = STORAGE_DIR = LOG_DIR = {root!r}
WHISPER_DIR = {whisper!r}
STANDARD_DIRS = [WHISPER_DIR]
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["*"]
CARBONLINK_HOSTS = []
TAGDB = None
USE_WORKER_POOL = False
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
CACHES = {{"default": {{"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}}}
"""


class Quiet(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def store(root: Path) -> None:
    """Write the metrics into whisper files."""
    whisper = import_module("whisper")
    for metric, points in json.loads((root / "series.json").read_text()).items():
        path = root.joinpath("whisper", *metric.split(".")).with_suffix(".wsp")
        path.parent.mkdir(parents=True, exist_ok=True)
        whisper.create(str(path), [(STEP_S, KEPT_S // STEP_S)], xFilesFactor=0)
        whisper.update_many(str(path), points)


def set_up(root: Path) -> None:
    """Write the settings, and let Django find them."""
    (root / "settings_of_graphite.py").write_text(SETTINGS.format(root=str(root), whisper=str(root / "whisper")))
    sys.path.insert(0, str(root))
    os.environ.update(GRAPHITE_SETTINGS_MODULE="settings_of_graphite", DJANGO_SETTINGS_MODULE="graphite.settings")
    # It asks for what newer Pythons do not have.
    vars(inspect).setdefault("getargspec", lambda function: inspect.getfullargspec(function)[:4])
    vars(inspect).setdefault("formatargspec", lambda *_: "()")


def serve(root: Path) -> None:
    """Serve on a free port until the process ends."""
    set_up(root)
    application = import_module("django.core.wsgi").get_wsgi_application()
    import_module("django.core.management").call_command("migrate", run_syncdb=True, verbosity=0)
    server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
    sys.stderr.write(f"dashboard and API on http://127.0.0.1:{server.server_port}/\n")
    sys.stderr.flush()
    server.serve_forever()


if __name__ == "__main__":
    store(Path(sys.argv[1]))
    serve(Path(sys.argv[1]))
