"""Manual pages that are made of the help."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tally.cli import manpages
from tally.cli.manual import Documented
from tests.cli.test_manual import commands
from tests.processes import LIMIT_S

GROFF = shutil.which("groff")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with all pages."""
    made = tmp_path_factory.mktemp("made") / "man1"
    command = [sys.executable, "-m", "tally.cli.manpages", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert (f"wrote {len(commands())} pages to {made}\n", "") == (done.stdout, done.stderr)
    return made


def test_every_command_has_a_page(directory: Path) -> None:
    """Each page has the name that `man` looks for."""
    expected = {"-".join(["tally", *name.split()]) + ".1" for name, _ in commands()}
    assert expected == {path.name for path in directory.iterdir()}


@pytest.mark.skipif(GROFF is None, reason="there is no groff")
def test_pages_are_laid_out_without_a_warning(directory: Path) -> None:
    """groff formats the pages without warnings, and shows examples as they are typed."""
    assert GROFF is not None
    pages = sorted(directory.iterdir())
    command = [GROFF, "-man", "-Tascii", "-ww", "-P-c", "-P-b", "-P-o", "-P-u", *map(str, pages)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert "tally query daily avg --by name --q 'requests.*' --since -1h\n" in done.stdout


def test_pages_refer_to_pages(directory: Path) -> None:
    """SEE ALSO only names commands with pages."""
    pages = {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}
    named = [found for page in pages.values() for found in re.findall(r"([\w\\-]+)\(1\)", page)]
    assert "tally\\-archives\\-create" in named
    assert {f"{name.replace(chr(92), '')}.1" for name in named} <= pages.keys()
    assert "`tally" not in "".join(page.partition(".SH SEE ALSO")[2] for page in pages.values())


def test_a_page() -> None:
    """A page has the text of the help as roff."""
    text = "Do it.\n\nAt ^ or ~,\nnow.\n\nFiles:\n  it-all.db  .\\a's\n\nExamples:\n  tally it"
    [(name, page)] = manpages.pages(Documented("it", help=text))
    assert "it.1" == name
    head, _, body = page.partition("\n")
    assert head.startswith('.TH "IT" 1 "" "tally ')
    assert body.splitlines() == [
        ".SH NAME", "it \\- Do it.", ".SH SYNOPSIS", ".B it", "[OPTIONS]",
        ".SH DESCRIPTION", ".PP", "Do it.", ".PP", "At \\(ha or \\(ti, now.",
        ".SH FILES", ".TP", ".B it\\-all.db", "\\&.\\ea\\(aqs",
        ".SH OPTIONS", ".TP", ".B \\-\\-help", "show this text and exit",
        ".SH EXAMPLES", ".PP", ".nf", "tally it", ".fi",
        ".SH EXIT STATUS",
        ".TP", ".B 0", "done",
        ".TP", ".B 1", "the output cannot be written: the disk is full, or the reader closed it",
        ".TP", ".B 2", "an argument is wrong or cannot be used: stderr has one line with the reason",
        ".TP", ".B 130", "interrupted, as by Ctrl\\-C",
    ]  # fmt: skip
