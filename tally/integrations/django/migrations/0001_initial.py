"""Creates the table of archives."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates the table of archives."""

    initial = True
    operations: ClassVar = [
        migrations.CreateModel(
            name="Archive",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.CharField(max_length=64, unique=True)),
                ("name", models.TextField(blank=True)),
                ("description", models.TextField(blank=True)),
                ("pattern", models.TextField(default="*")),
                ("resolution", models.IntegerField(default=5)),
                ("retention", models.IntegerField(default=24)),
                ("enabled", models.BooleanField(default=True)),
            ],
            options={"ordering": ("slug",)},
        ),
    ]
