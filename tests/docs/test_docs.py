"""What there is stands in the documentation, and what stands there is."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import tally
from tally import errors
from tally.api.metrics import MEANINGS, METRICS, Metric
from tally.api.routes import ROUTES
from tally.cli import main
from tally.settings import SETTINGS, Setting
from tests.receiving import receiver

README = Path(__file__).parents[2] / "README.md"
DOCS = README.parent / "docs"
# Read and not imported: these tests do without Django.
CHECKS = Path(__file__).parents[2] / "tally" / "integrations" / "django" / "checks.py"


class Kind(NamedTuple):
    """One kind of thing that is documented: what there is, and how the page names it, as a pattern's first group."""

    noun: str
    actual: Callable[[], Iterable[str]]
    page: str
    pattern: str


def commands(command: click.Command, name: str) -> Iterator[str]:
    """Yield the full names of all commands that do something."""
    if not isinstance(command, click.Group):
        yield name
        return
    context = click.Context(command)
    for each in command.list_commands(context):
        found = command.get_command(context, each)
        assert found is not None
        yield from commands(found, f"{name} {each}")


def error_classes() -> Iterator[type[Exception]]:
    """Yield the errors of the tree, in their order."""
    for value in vars(errors).values():
        if inspect.isclass(value) and issubclass(value, Exception):
            yield value


KINDS = (
    Kind("setting", lambda: (setting.name for setting in SETTINGS), "settings.md", r"^\| `(TALLY_\w+)` \|"),
    Kind("route", lambda: (route.template for route in ROUTES), "http.md", r"^\| `(?:[A-Z]+ )?(/\S*)` \|"),
    Kind("command", lambda: commands(main, "tally"), "cli.md", r"^#{2,} `(tally [a-z -]+)`$"),
    Kind("error", lambda: (each.__name__ for each in error_classes()), "errors.md", r"^\| `(\w+)` \|"),
    Kind("metric", lambda: (metric.name for metric in METRICS), "metrics.md", r"^\| `(tally_\w+)` \|"),
    Kind("outcome", lambda: MEANINGS, "metrics.md", r"^\| `([a-z]+)` \|"),
    Kind("check", lambda: re.findall(r'id="(\S+)"', CHECKS.read_text("utf-8")), "django.md", r"^\| `(tally\.\w+)` \|"),
    Kind("function", lambda: tally.__all__, "client.md", r"^## `tally\.(\w+)\("),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
def test_the_page_is_complete_and_true(kind: Kind) -> None:
    """A page names each thing of its kind that there is, and none that there is not."""
    text = (DOCS / kind.page).read_text(encoding="utf-8")

    assert sorted(set(kind.actual())) == sorted(set(re.findall(kind.pattern, text, re.MULTILINE)))


def setting_row(setting: Setting) -> str:
    """Return a setting's line of the table."""
    default = f"`{setting.default}`" if setting.default else "empty"
    meaning = setting.meaning + (f"; 0: {setting.zero}" if setting.zero else "")
    return f"| `{setting.name}` | {default} | {setting.unit} | {meaning} | {setting.kind.right} |"


def error_row(error: type[Exception]) -> str:
    """Return an error's line of the table."""
    beside = [base.__name__ for base in error.__bases__ if base not in (errors.TallyError, Exception)]
    assert error.__doc__ is not None
    meaning = " ".join(error.__doc__.split()).removeprefix("Raised when ").removesuffix(".")
    return f"| `{error.__name__}` | {', '.join(f'`{name}`' for name in beside)} | {meaning} |"


def metric_row(metric: Metric) -> str:
    """Return a metric's line of the catalogue."""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    cells = (f"`{metric.name}`", metric.kind, labels, metric.meaning, metric.lost)
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (
            "metrics.md",
            [*map(metric_row, METRICS), *(f"| `{outcome}` | {meaning} |" for outcome, meaning in MEANINGS.items())],
        ),
        ("settings.md", [setting_row(setting) for setting in SETTINGS]),
        ("errors.md", [error_row(error) for error in error_classes()]),
    ],
)
def test_tables_say_what_the_code_says(page: str, expected: list[str]) -> None:
    """Defaults, bounds and meanings on a page are those of the table in the code, in its order."""
    rows = [line for line in (DOCS / page).read_text(encoding="utf-8").splitlines() if line.startswith("| `")]

    assert expected == rows


def test_links_lead_somewhere() -> None:
    """A link to another page or to one of its headings is not broken."""
    broken = []
    for page in (README, *sorted(DOCS.glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            there = page.parent / path if path else page
            if not there.is_file() or (anchor and anchor not in anchors(there)):
                broken.append(f"{page.name}: {target}")

    assert [] == broken


def test_the_readme_leads_to_every_page() -> None:
    """There is no page that nobody finds."""
    found = re.findall(r"\]\(docs/([\w-]+\.md)\)", README.read_text(encoding="utf-8"))

    assert [] == sorted({page.name for page in DOCS.glob("*.md")} - set(found))


def anchors(page: Path) -> set[str]:
    """Return the names by which a page's headings can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_client_s_examples_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The examples of client.md work in their order, and send what their comments say."""
    examples = re.findall(r"^```python\n(.*?)^```", (DOCS / "client.md").read_text(encoding="utf-8"), re.DOTALL | re.M)
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path))
    tally.configure(None)

    with receiver() as here:
        monkeypatch.setenv("TALLY_PORT", str(here.port))
        namespace: dict[str, object] = {}
        for example in examples:
            exec(re.sub(r"\b89\d\d\b", str(here.port), example), namespace)
        lines = here.lines(11)

    names = [line.split()[0].decode() for line in lines]
    assert ["orders", *["orders.total"] * 2, "orders", *["orders.total"] * 2] == names[:6]
    assert ["report.seconds", "mail.seconds", "billing.invoices", "billing.run.seconds", "shop.orders"] == names[6:]
