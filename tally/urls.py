"""The module that `include("tally.urls")` loads."""

from tally.integrations.django.urls import urlpatterns

__all__ = ["urlpatterns"]
