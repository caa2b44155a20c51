"""Adds the accuracy of percentiles to archives."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the accuracy of percentiles to archives."""

    dependencies: ClassVar = [("tally", "0001_initial")]
    operations: ClassVar = [
        migrations.AddField(
            model_name="archive",
            name="percentiles",
            field=models.IntegerField(choices=[(0, "none"), (1, "1 %"), (2, "2 %"), (4, "4 %"), (8, "8 %")], default=0),
        ),
    ]
