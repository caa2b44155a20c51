"""A site without tally's URLs."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
