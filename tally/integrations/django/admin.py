"""The archives and the events in Django's admin. Each page updates the rows from the files before it is shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import actions
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.formats import date_format, localize

from tally.engine import Catalog
from tally.errors import TallyError
from tally.integrations.django.forms import ArchiveForm
from tally.integrations.django.models import Archive, synchronise, to_local_time
from tally.integrations.django.settings import current

EVENTS_SHOWN = 200


@admin.action(permissions=["delete"], description="Delete selected archives with all their data")
def delete_selected(
    model_admin: "ArchiveAdmin", request: HttpRequest, chosen: QuerySet[Archive]
) -> HttpResponse | None:
    """Ask for confirmation, then delete the archives one by one, and report each success and failure."""
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
    """Lists archives with their content, edits them, and deletes them after a confirmation that shows the loss."""

    form = ArchiveForm
    fields = tuple(ArchiveForm.Meta.fields)
    actions = (delete_selected,)
    list_display = ("slug", "pattern", "resolution", "retention", "points", "size", "first", "last", "enabled")

    @admin.display(description="points", empty_value="cannot be read")
    def points(self, archive: Archive) -> int | None:
        """The number of points."""
        return archive.stored.points

    @admin.display(description="size")
    def size(self, archive: Archive) -> str | None:
        """The size of the file."""
        return None if archive.stored.bytes is None else filesizeformat(archive.stored.bytes)

    @admin.display(description="first bucket")
    def first(self, archive: Archive) -> str | None:
        """The time of the first bucket."""
        return _format_time(archive.stored.first)

    @admin.display(description="last bucket")
    def last(self, archive: Archive) -> str | None:
        """The time of the last bucket."""
        return _format_time(archive.stored.last)

    def view_on_site(self, obj: Archive) -> str | None:
        """Return the URL of the archive's dashboard, None if tally's URLs are not included."""
        try:
            return reverse("tally:api", kwargs={"path": f"archive/{obj.slug}/"})
        except NoReverseMatch:
            return None

    def get_urls(self) -> list[URLPattern]:
        """Add the list of events, which have no model."""
        events = path("events/", self.admin_site.admin_view(self.events_view), name="tally_archive_events")
        return [events, *super().get_urls()]

    def events_view(self, request: HttpRequest) -> HttpResponse:
        """List the newest events, for users who may view archives.

        :raises PermissionDenied: for other users.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = []
        try:
            found = Catalog(current().data_dir).events.find()[-EVENTS_SHOWN:]
        except TallyError as error:
            self.message_user(request, str(error), messages.WARNING)
        listed = [
            {**event.to_dict(), "since": to_local_time(event.since), "until": to_local_time(event.until)}
            for event in reversed(found)
        ]
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Events", "events": listed}
        return TemplateResponse(request, "admin/tally/archive/events.html", context)

    def get_readonly_fields(self, request: HttpRequest, obj: Archive | None = None) -> list[str]:  # noqa: ARG002
        """Make the slug of an existing archive read-only."""
        return ["slug"] if obj else []

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show all archives, with a warning for each that cannot be read."""
        for error in synchronise():
            self.message_user(request, str(error), messages.WARNING)
        return super().changelist_view(request, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show an archive as it is in its file."""
        synchronise()
        return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Archive, form: Any, change: bool) -> None:
        """Do nothing: the form has saved the archive."""

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Delete an archive after confirmation. If its file cannot be deleted, show the error and delete nothing."""
        synchronise()
        try:
            return super().delete_view(request, *args, **kwargs)
        except TallyError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:tally_archive_changelist", current_app=self.admin_site.name))

    def get_deleted_objects(
        self, objs: Sequence[Archive] | QuerySet[Archive], request: HttpRequest
    ) -> tuple[Any, Any, Any, Any]:
        """Return Django's details for the confirmation page, with a description of each archive's data."""
        _, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return [_describe(archive) for archive in objs], counts, lacking, protected


def _format_time(time: datetime | None) -> str | None:
    return None if time is None else date_format(time, "SHORT_DATETIME_FORMAT")


def _describe(archive: Archive) -> str:
    stored = archive.stored
    if stored.points is None:
        return f"{archive}: a file that cannot be read"
    reach = f" from {localize(stored.first)} to {localize(stored.last)}" if stored.points else ""
    size = filesizeformat(stored.bytes or 0)
    return f"{archive}: {stored.points:,} points{reach}, {size}, in the file {archive.file.path}"
