"""The module that `MIDDLEWARE = ["tally.middleware.PageTimingMiddleware"]` loads."""

from tally.integrations.django.middleware import PageTimingMiddleware

__all__ = ["PageTimingMiddleware"]
