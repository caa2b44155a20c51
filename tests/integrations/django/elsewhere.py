"""A site that has tally in another place, whose path is not always the same."""

from django.urls import include, path

urlpatterns = [path("<slug:language>/metrics/", include("tally.urls"))]
