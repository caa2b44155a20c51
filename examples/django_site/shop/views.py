"""The pages: each request is timed by the middleware, and `order` and `search` send what only they know."""

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

import tally

BOOKS = ("Middlemarch", "Walden", "Candide", "Emma", "Ulysses")


def index(request: HttpRequest) -> HttpResponse:
    """Show all books, and where samples of them are kept."""
    archives = [archive.slug for archive in tally.archives()]
    return render(request, "shop/index.html", {"books": enumerate(BOOKS, 1), "archives": archives})


def book(request: HttpRequest, number: int) -> HttpResponse:
    """Show one book."""
    return render(request, "shop/book.html", {"number": number, "title": _title(number)})


@require_POST
def order(_: HttpRequest, number: int) -> HttpResponse:
    """Count an order."""
    title = _title(number)
    tally.tally(f"orders.{title.lower()}")
    return redirect("book", number=number)


async def search(request: HttpRequest) -> HttpResponse:
    """Find books by a part of their titles, and time how long that takes by itself."""
    with tally.timer("search.seconds"):
        found = [title for title in BOOKS if request.GET.get("q", "").lower() in title.lower()]
    return HttpResponse("\n".join(found), content_type="text/plain")


def export(_: HttpRequest) -> StreamingHttpResponse:
    """Stream all books; its time is that of the whole stream."""
    lines = (f"{number},{title}\n" for number, title in enumerate(BOOKS, 1))
    return StreamingHttpResponse(lines, content_type="text/csv")


def _title(number: int) -> str:
    if not 1 <= number <= len(BOOKS):
        raise Http404(f"there is no book {number}")
    return BOOKS[number - 1]
