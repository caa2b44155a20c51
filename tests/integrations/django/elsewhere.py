"""A site that includes tally under a path with a parameter."""

from django.urls import include, path

urlpatterns = [path("<slug:language>/metrics/", include("tally.urls"))]
