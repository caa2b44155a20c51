"""What `include("tally.urls")` finds."""

from tally.integrations.django.urls import urlpatterns

__all__ = ["urlpatterns"]
