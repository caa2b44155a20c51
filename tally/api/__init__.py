"""The HTTP API. `uvicorn tally.api:app` serves it; `create_app` returns an app to mount in another.

Importing this package does not import Starlette or read the environment; using either of the two does.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tally.errors import InvalidSetting
from tally.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    app: Starlette

__all__ = ["app", "create_app"]


def create_app(
    settings: Settings | None = None, *, own: Callable[[], Mapping[str, dict[str, Any]]] = dict
) -> "Starlette":
    """Return an app that can be mounted under any path. `settings` default to those of the environment.

    `own` returns the current status of the collectors in this process. Other collectors are read from their files.

    :raises InvalidSetting: when a setting in the environment is malformed.
    """
    from tally.api.asgi import build

    return build(Settings.load() if settings is None else settings, own=own)


@functools.cache
def _app() -> "Starlette":
    try:
        return create_app()
    except InvalidSetting as error:
        # For any other exception, a server that imports the app prints a traceback.
        raise SystemExit(f"tally: {error}") from None


def __getattr__(name: str) -> Any:
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
