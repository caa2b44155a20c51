"""Every command of the documentation is run, page by page as a reader would, but for the few that are listed here."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.cli.command import EXAMPLE
from tests.docs.pages import FENCE, Block, blocks, pages
from tests.docs.story import ROOT, SERVER, Story, story
from tests.engine.history import test_tally1_file, test_whisper_file

# Commands that change the machine they run on, or need one that is not here; what they name is looked at below.
NOT_RUN = {
    "pip install .": "the tests run in an environment in which tally is installed so",
    'pip install "nox[uv]" && nox': "it is what runs the tests",
    "pip install '../..[django]' gunicorn": "as is Django",
    "python manage.py migrate && python manage.py createsuperuser": "it asks; tests/integrations/django runs both",
    "cp examples/systemd/tally* /etc/systemd/system/": "test_systemd has systemd look at the units, and hand over",
    "systemctl enable --now tally.socket tally-http.socket tally.service": "as above",
    "systemctl restart tally.service": "as above",
    "sysctl -w net.core.rmem_max=33554432": "it is a setting of the whole machine",
    "docker compose -f examples/docker/compose.yaml up --build --wait": "there is no Docker; see test_docker",
    "docker build -f examples/docker/Dockerfile -t tally .": "as above",
    "docker run -d --name tally -p 8900:8900/udp -p 127.0.0.1:8900:8900 -v tally:/data tally": "as above",
    "docker exec tally tally archives list": "as above",
    "python3 -m venv --upgrade-deps .venv && .venv/bin/pip install -e . --group dev": "it needs a package index",
    ".venv/bin/python -m pytest tests/lines": "a run of all tests includes these",
    ".venv/bin/ruff format && .venv/bin/ruff check && .venv/bin/mypy": "nox runs the same",
    ".venv/bin/python -m pytest tests/tidy tests/docs/test_docs.py": "as above",
    "nox -s twins": "it takes half an hour; tests/engine/storing/test_native_rollup.py and test_digits compare less",
    "pip install cibuildwheel && cibuildwheel --platform linux": "there is no Docker; see tests/browser/test_build.py",
}
# Blocks that a test of the page runs by itself.
ELSEWHERE = {
    ("docs/client.md", "python"): "test_docs.py",
    ("docs/django.md", "python"): "here, before the page's commands",
    ("docs/exact.md", "python"): "test_python.py",
    ("docs/file-format.md", "console"): "test_file_format.py",
    ("docs/integrations.md", "python"): "test_integrations.py",
    ("docs/python.md", "python"): "test_python.py",
}
INSTALLATION = "pip install . && "
TOKEN = "for-tests"
PAGES = {name: found for name, text in pages().items() if (found := blocks(text))}


def have_samples(told: Story) -> None:
    """Put the file there that the page on the command line tells of."""
    (told.directory / "samples.lines").write_bytes(EXAMPLE)


def have_a_token(told: Story) -> None:
    """Let the page's server and clients know a token to write."""
    told.environment["TOKEN"] = TOKEN


def serve_an_archive(told: Story) -> None:
    """Serve one archive that keeps everything for ever, and that may be written over HTTP."""
    have_a_token(told)
    Catalog(told.directory / "tally-data").create("daily", resolution=10, retention=0)
    told.succeed(f"TALLY_WRITE_TOKEN={TOKEN} tally serve")


def serve_nothing(told: Story) -> None:
    """Serve a directory in which somebody has deleted the archives that it began with."""
    serve_an_archive(told)
    Catalog(told.directory / "tally-data").delete("daily")


def have_a_socket_directory(told: Story) -> None:
    """Make what the page calls /run/tally."""
    (told.directory / "run").mkdir()


def serve_samples(told: Story) -> None:
    """Serve an archive that has some."""
    have_samples(told)
    serve_an_archive(told)
    told.succeed("tally import samples.lines")


def have_whisper_files(told: Story) -> None:
    """Put a tree there that carbon has written."""
    values = {1_700_000_000 + 60 * n: value for n, value in enumerate((0.25, 0.75, 0.5, 1.0))}
    test_whisper_file.write(told.directory / "whisper/requests/get/index.wsp", values, rings=[(60, 1440)])


def have_an_old_archive(told: Story) -> None:
    """Put an archive there that tally 1.0 has written."""
    (told.directory / "old").mkdir()
    at = 1_400_000_000
    samples = [("requests.get.index", 0.25, at), ("requests.get.index", 0.75, at), ("requests.get.index", 0.5, at + 10)]
    test_tally1_file.write(told.directory / "old/daily.db", [*samples, ("requests.get.about", 1.5, at + 10)])


def have_a_site(told: Story) -> None:
    """Start a Django project and change it as the page says."""
    told.succeed("django-admin startproject mysite .")
    [given] = [block.text for block in PAGES["docs/django.md"] if block.language == "python"]
    given = given.replace("[..., ", "[*{}, ").replace(", ...]", ", *{}]")
    filled = "\n".join(line.replace("{}", line.partition(" = ")[0]) for line in given.splitlines())
    settings, _, urls = filled.partition("# urls.py\n")
    append(told, "mysite/settings.py", f"{settings}TALLY_PORT = 8900\n")
    append(told, "mysite/urls.py", f"from django.urls import include\n{urls}\n")


def have_a_cluster(told: Story) -> None:
    """Start a ClickHouse server beside an archive with samples."""
    told.have_a_cluster()
    told.succeed("tally archives create daily --resolution 10 && printf 'a 1\\nb 2\\n' | tally import -")


def have_the_shop(told: Story) -> None:
    """Copy the example site."""
    shutil.copytree(ROOT / "examples" / "django_site", told.directory, dirs_exist_ok=True)
    append(told, "shop/settings.py", "TALLY_PORT = 8900\n")
    told.environment["GUNICORN_CMD_ARGS"] = told.here("--bind 127.0.0.1:8901")


def append(told: Story, path: str, text: str) -> None:
    """Add lines to a file."""
    with (told.directory / path).open("a", encoding="utf-8") as file:
        file.write(told.here(f"\n{text}"))


BEFORE: dict[str, Callable[[Story], None]] = {
    "docs/backup.md": serve_an_archive,
    "docs/cli.md: Collect and send": have_samples,
    "docs/cli.md: Keep and ask": have_samples,
    "docs/cli.md: Replicate": have_a_cluster,
    "docs/cluster.md": have_a_cluster,
    "docs/collecting.md": have_a_socket_directory,
    "docs/django.md": have_a_site,
    "docs/events.md": serve_an_archive,
    "docs/history.md": have_samples,
    "docs/http.md": serve_nothing,
    "docs/influxdb.md": serve_an_archive,
    "docs/machines.md": have_a_token,
    "docs/moving-from-graphite.md": have_whisper_files,
    "docs/moving-from-tally-1.md": have_an_old_archive,
    "docs/notebooks.md": serve_samples,
    "docs/protocols.md": serve_an_archive,
    "docs/statsd.md": serve_an_archive,
    "examples/django_site/README.md": have_the_shop,
}


def tell(told: Story, block: Block) -> None:
    """Run a block, and hold what it prints against what stands there."""
    if block.language == "console":
        for command, expected in block.examples:
            told.check(command, expected)
    elif block.language == "cron":
        for line in block.text.splitlines():
            told.succeed(line.split(maxsplit=6)[-1].replace(r"\%", "%"))
    elif block.language == "python":
        told.succeed(f"{shlex.quote(sys.executable)} -c {shlex.quote(block.text)}")
    elif block.output:
        told.check(block.text.removeprefix(INSTALLATION).rstrip("\n"), block.output)
    else:
        told.succeed(block.text.rstrip("\n"))


def is_run(page: str, block: Block) -> bool:
    """Return whether a block is run here; of one that is not, no command is."""
    listed = [line in NOT_RUN for line in block.text.splitlines()]
    assert all(listed) == any(listed), block.text
    return not all(listed) and (page, block.language) not in ELSEWHERE


@pytest.mark.parametrize("page", PAGES)
def test_every_command_does_what_the_page_says(page: str, tmp_path: Path) -> None:
    """All commands of a page, in their order and in a directory of their own, work and print what stands below them."""
    with story(tmp_path) as told:
        if page in BEFORE:
            BEFORE[page](told)
        for block in PAGES[page]:
            if is_run(page, block):
                tell(told, block)


def test_the_lists_are_of_what_there_is() -> None:
    """No page or command is excused that does not stand in the documentation."""
    lines = {line for found in PAGES.values() for block in found for line in block.text.splitlines()}
    kinds = {(page, block.language) for page, found in PAGES.items() for block in found}

    assert [] == sorted(NOT_RUN.keys() - lines)
    assert [] == sorted(ELSEWHERE.keys() - kinds)
    assert [] == sorted(BEFORE.keys() - PAGES.keys())


def test_what_is_not_run_names_what_there_is() -> None:
    """The files and units in commands that are not run are in the repository."""
    words = [word for command in NOT_RUN for word in shlex.split(command)]
    files = [word for word in words if word.startswith("examples/")]
    units = [f"examples/systemd/{word}" for word in words if re.search(r"\.(socket|service)$", word)]

    assert len(files) >= 3
    assert len(units) >= 3
    assert [] == [path for path in files + units if not list(ROOT.glob(path))]


def test_commands_are_told_as_such() -> None:
    """No block without a language holds a command, but for how one of tally's is called in general."""
    for name, text in pages().items():
        assert not re.search(r"^```\n(\$ |tally |pip |curl |python )", text, re.MULTILINE), name
        indented = re.findall(r"^    ((?:tally|curl|pip|docker) .*)$", FENCE.sub("", text), re.MULTILINE)
        assert [] == [line for line in indented if "[" not in line], name


def test_a_server_is_known_by_how_it_begins() -> None:
    """Settings may stand before it."""
    assert SERVER.match("TALLY_HOST=a TALLY_PORT=1 tally serve --allow b")
    assert SERVER.match("tally collect")
    assert not SERVER.match("tally send serve")
