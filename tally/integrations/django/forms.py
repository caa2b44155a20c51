"""The admin's form of an archive. The engine validates every value, and saves the archive as the last validation."""

from typing import Any, ClassVar

from django import forms

from tally.engine import Definition
from tally.errors import ArchiveExists, InvalidDefinition, TallyError
from tally.integrations.django.models import Archive

LINE = forms.TextInput(attrs={"class": "vTextField"})


class ArchiveForm(forms.ModelForm):  # type: ignore[type-arg]
    """Creates or edits an archive, file and row, as the last step of its validation.

    Only the attempt shows whether the file can be written, and whether its buckets can be merged into a new resolution.
    So validation saves the archive, and reports failures as errors of the form. `save` has nothing left to do.
    """

    class Meta:
        model = Archive
        fields: ClassVar = [
            "slug",
            "name",
            "description",
            "pattern",
            "resolution",
            "retention",
            "enabled",
            "percentiles",
        ]
        widgets: ClassVar = {"name": LINE, "description": LINE, "pattern": LINE}
        help_texts: ClassVar = {
            "slug": "The name of the file without .db, and the name of the archive in URLs.",
            "name": "A name for people; by default the slug.",
            "description": "A description for people.",
            "pattern": "A glob: which metric names the archive stores. * is all names; requests.get.* is some of them.",
            "resolution": "Seconds in a bucket. You can change it to a multiple; then stored buckets are merged.",
            "retention": "Hours that buckets are kept; 0 keeps them forever.",
            "enabled": "Whether the archive stores new samples. It can be read either way.",
            "percentiles": "Accuracy of percentiles. You can change it to a coarser one, or to none.",
        }

    def clean(self) -> dict[str, Any]:
        """Validate each value by itself, so that every error is shown at its field."""
        values = dict(self.cleaned_data)
        for field, value in values.items():
            try:
                Definition.create(**({"slug": value} if field == "slug" else {"slug": "any", field: value}))
            except InvalidDefinition as error:
                self.add_error(field, str(error))
        return values

    def full_clean(self) -> None:
        """Validate the form, and save the archive if it is valid."""
        super().full_clean()
        if not self.is_bound or self.errors:
            return
        try:
            self.instance.save()
        except ArchiveExists as error:
            self.add_error("slug", str(error))
        except InvalidDefinition as error:
            # Each value is valid by itself. So buckets or bins cannot be merged into the new ones.
            self.add_error("percentiles" if str(error).startswith("percentiles") else "resolution", str(error))
        except TallyError as error:
            self.add_error(None, str(error))

    def save(self, commit: bool = True) -> Archive:  # noqa: ARG002
        """Return the archive, which validation has already saved."""
        archive: Archive = super().save(commit=False)
        return archive
