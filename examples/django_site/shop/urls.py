"""The shop's pages, and tally under `_tally/`, its admin included."""

from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from shop import views

urlpatterns = [
    path("", views.index),
    path("books/<int:number>/", views.book, name="book"),
    path("books/<int:number>/order/", views.order, name="order"),
    path("search/", views.search),
    path("books.csv", views.export),
    path("_tally/", include("tally.urls")),
    *staticfiles_urlpatterns(),
]
