"""The archives in Django's admin: rows and files are brought together whenever a page of theirs is opened."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import actions
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import NoReverseMatch, reverse
from django.utils.formats import date_format, localize

from tally.errors import TallyError
from tally.integrations.django.forms import ArchiveForm
from tally.integrations.django.models import Archive, synchronise


@admin.action(permissions=["delete"], description="Delete selected archives with all that they hold")
def delete_selected(
    model_admin: "ArchiveAdmin", request: HttpRequest, chosen: QuerySet[Archive]
) -> HttpResponse | None:
    """Ask first, then delete one by one: each is gone with its file, or stays and the page says why."""
    if not request.POST.get("post"):
        return actions.delete_selected(model_admin, request, chosen)
    for archive in chosen:
        try:
            with transaction.atomic():
                model_admin.log_deletions(request, chosen.filter(pk=archive.pk))
                archive.delete()
        except TallyError as error:
            model_admin.message_user(request, str(error), messages.ERROR)
        else:
            model_admin.message_user(request, f"Archive {archive} was deleted.", messages.SUCCESS)
    return None


@admin.register(Archive)
class ArchiveAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The list with what each archive holds, the form, and the deletion that says what will be lost."""

    form = ArchiveForm
    fields = tuple(ArchiveForm.Meta.fields)
    actions = (delete_selected,)
    list_display = ("slug", "pattern", "resolution", "retention", "points", "size", "first", "last", "enabled")

    @admin.display(description="points", empty_value="cannot be read")
    def points(self, archive: Archive) -> int | None:
        """How many points it holds."""
        return archive.stored.points

    @admin.display(description="size")
    def size(self, archive: Archive) -> str | None:
        """How large its file is."""
        return None if archive.stored.bytes is None else filesizeformat(archive.stored.bytes)

    @admin.display(description="first bucket")
    def first(self, archive: Archive) -> str | None:
        """When its first bucket begins."""
        return _short(archive.stored.first)

    @admin.display(description="last bucket")
    def last(self, archive: Archive) -> str | None:
        """When its last bucket begins."""
        return _short(archive.stored.last)

    def view_on_site(self, obj: Archive) -> str | None:
        """Return where its dashboard is, None where tally's URLs are not included."""
        try:
            return reverse("tally:api", kwargs={"path": f"archive/{obj.slug}/"})
        except NoReverseMatch:
            return None

    def get_readonly_fields(self, request: HttpRequest, obj: Archive | None = None) -> list[str]:  # noqa: ARG002
        """Keep the slug of a file that is there."""
        return ["slug"] if obj else []

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the archives that there are, and say which cannot be read."""
        for error in synchronise():
            self.message_user(request, str(error), messages.WARNING)
        return super().changelist_view(request, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show an archive as its file is now."""
        synchronise()
        return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Archive, form: Any, change: bool) -> None:
        """Do nothing: the form has saved it."""

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Ask and delete; when the file cannot be deleted, nothing is, and the page says why."""
        synchronise()
        try:
            return super().delete_view(request, *args, **kwargs)
        except TallyError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:tally_archive_changelist", current_app=self.admin_site.name))

    def get_deleted_objects(
        self, objs: Sequence[Archive] | QuerySet[Archive], request: HttpRequest
    ) -> tuple[Any, Any, Any, Any]:
        """Return what Django wants to know before a deletion, with what will be lost in each archive."""
        _, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return [_loss(archive) for archive in objs], counts, lacking, protected


def _short(moment: datetime | None) -> str | None:
    return None if moment is None else date_format(moment, "SHORT_DATETIME_FORMAT")


def _loss(archive: Archive) -> str:
    stored = archive.stored
    if stored.points is None:
        return f"{archive}: a file that cannot be read"
    reach = f" from {localize(stored.first)} to {localize(stored.last)}" if stored.points else ""
    size = filesizeformat(stored.bytes or 0)
    return f"{archive}: {stored.points:,} points{reach}, {size}, in the file {archive.file.path}"
