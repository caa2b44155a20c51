"""The form of an archive. The engine judges every value, and in the end by doing it: what is valid has been saved."""

from typing import Any, ClassVar

from django import forms

from tally.engine import Definition
from tally.errors import ArchiveExists, InvalidDefinition, TallyError
from tally.integrations.django.models import Archive

LINE = forms.TextInput(attrs={"class": "vTextField"})


class ArchiveForm(forms.ModelForm):  # type: ignore[type-arg]
    """Creates or changes an archive, file and row, as the last step of its validation.

    Whether a file can be written, and whether what is stored can be merged into a new resolution, shows only when it is
    done; so the saving belongs to what can go wrong with a form, and `save` has nothing left to do.
    """

    class Meta:
        model = Archive
        fields: ClassVar = ["slug", "name", "description", "pattern", "resolution", "retention", "enabled"]
        widgets: ClassVar = {"name": LINE, "description": LINE, "pattern": LINE}
        help_texts: ClassVar = {
            "slug": "The file's name without .db, and the archive's name in URLs.",
            "name": "For people; the slug if left empty.",
            "description": "For people.",
            "pattern": "Which metric names it keeps, as a glob: * for all, requests.get.* for a part of them.",
            "resolution": "Seconds in a bucket. It may change to a multiple, and then what is stored is merged.",
            "retention": "Hours that buckets are kept; 0 keeps them for ever.",
            "enabled": "Whether it takes new samples. It can be read either way.",
        }

    def clean(self) -> dict[str, Any]:
        """Have the engine judge each value by itself, so that every error stands at its field."""
        values = dict(self.cleaned_data)
        for field, value in values.items():
            try:
                Definition.create(**({"slug": value} if field == "slug" else {"slug": "any", field: value}))
            except InvalidDefinition as error:
                self.add_error(field, str(error))
        return values

    def full_clean(self) -> None:
        """Validate all and save, if nothing is wrong until then."""
        super().full_clean()
        if not self.is_bound or self.errors:
            return
        try:
            self.instance.save()
        except ArchiveExists as error:
            self.add_error("slug", str(error))
        except InvalidDefinition as error:
            # Each value is valid by itself by now: what is left is that buckets cannot be merged into such ones.
            self.add_error("resolution", str(error))
        except TallyError as error:
            self.add_error(None, str(error))

    def save(self, commit: bool = True) -> Archive:  # noqa: ARG002
        """Return the archive that is saved already."""
        archive: Archive = super().save(commit=False)
        return archive
