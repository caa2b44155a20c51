"""What `MIDDLEWARE = ["tally.middleware.PageTimingMiddleware"]` finds."""

from tally.integrations.django.middleware import PageTimingMiddleware

__all__ = ["PageTimingMiddleware"]
