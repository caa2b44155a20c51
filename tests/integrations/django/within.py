"""A site that includes tally through another app's URLs."""

from django.urls import include, path

urlpatterns = [path("inner/", include(([path("_tally/", include("tally.urls"))], "inner")))]
