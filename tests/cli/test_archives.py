"""`tally archives`, against real files."""

import json
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tests.cli.command import filled, invoke, on_terminal, run

DAILY = {
    "slug": "daily",
    "name": "Every day",
    "description": "what happened",
    "pattern": "requests.*",
    "resolution": 10,
    "retention": 48,
    "enabled": False,
    "percentiles": 2,
    "first": None,
    "last": None,
}


def _json(result_stdout: str) -> dict[str, object]:
    """Return a printed archive without its bytes, which depend on SQLite's release."""
    printed: dict[str, object] = json.loads(result_stdout)
    size = printed.pop("bytes")
    assert isinstance(size, int)
    assert size > 0
    return printed


def test_every_property_can_be_given(tmp_path: Path) -> None:
    """`create` has an option for each property, and prints the created archive."""
    options = (
        "--name", "Every day", "--description", "what happened", "--pattern", "requests.*", "--resolution", "10",
        "--retention", "48", "--disabled", "--percentiles", "2",
    )  # fmt: skip
    assert DAILY == _json(invoke(tmp_path / "new", "archives", "create", "daily", *options, "--json").stdout)
    assert DAILY == _json(invoke(tmp_path / "new", "archives", "show", "daily", "--json").stdout)


def test_what_is_not_given_takes_its_default(tmp_path: Path) -> None:
    """Only the slug is required, and the table shows the defaults with their units."""
    lines = invoke(tmp_path, "archives", "create", "plain").stdout.splitlines()
    assert [
        "property     value",
        "slug         plain",
        "name         plain",
        "description",
        "pattern      *",
        "resolution   5 s",
        "retention    24 h",
        "enabled      yes",
        "percentiles  no",
        "first        -",
        "last         -",
    ] == lines[:-1]
    assert lines[-1].startswith("bytes        ")


def test_edit_changes_what_is_given(tmp_path: Path) -> None:
    """Other properties do not change, a coarser resolution merges buckets, and both flags of `enabled` work."""
    data = filled(tmp_path)
    result = invoke(data, "archives", "edit", "daily", "--resolution", "20", "--disabled", "--json")
    assert (20, 0, False) == tuple(_json(result.stdout)[key] for key in ("resolution", "retention", "enabled"))
    assert {1700000000: 4} == Archive(data / "daily.db").aggregate("count")
    assert "enabled      yes" in invoke(data, "archives", "edit", "daily", "--enabled").stdout
    assert "description  new" in invoke(data, "archives", "edit", "daily", "--description", "new").stdout
    assert "description\n" in invoke(data, "archives", "edit", "daily", "--description", "").stdout


def test_the_list_has_every_file(tmp_path: Path) -> None:
    """Archives are listed by slug with their content, and a file that is not an archive with the reason."""
    filled(tmp_path, retention=0)
    invoke(tmp_path, "archives", "create", "b", "--retention", "1")
    (tmp_path / "c.db").write_bytes(b"not a database" * 100)
    (tmp_path / "Not-a-slug.db").write_bytes(b"")
    header, *rows = [line.split() for line in invoke(tmp_path, "archives", "list").stdout.splitlines()]
    assert ["slug", "resolution", "retention", "pattern", "enabled", "first", "last", "bytes", "name"] == header
    assert ["b", "5", "s", "1", "h", "*", "yes", "-", "-"] == rows[0][:-2]
    seen = ["daily", "10", "s", "for", "ever", "*", "yes", "2023-11-14T22:13:20Z", "2023-11-14T22:13:30Z"]
    assert seen == rows[2][:-2]
    assert ["c", "-", "-", "-", "-", "-", "-", "-"] == rows[1][:8]
    assert "is not a tally archive" in " ".join(rows[1])
    assert 3 == len(rows)
    listed = json.loads(invoke(tmp_path, "archives", "list", "--json").stdout)
    assert ["b", "c", "daily"] == [each["slug"] for each in listed]
    assert (1700000000, 1700000010) == (listed[2]["first"], listed[2]["last"])
    assert {"slug", "error"} == listed[1].keys()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_archives_alone_lists(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Without a command, with options or none, the archives are listed, as `git branch` lists branches."""
    data = filled(tmp_path)
    listed = invoke(data, "archives", *options)
    assert (0, True) == (listed.exit_code, "daily" in listed.stdout)
    assert invoke(data, "archives", "list", *options).stdout == listed.stdout


def test_an_empty_directory_has_an_empty_list(tmp_path: Path) -> None:
    """A missing directory has no archives, and is not created."""
    assert "[]\n" == invoke(tmp_path / "none", "archives", "list", "--json").stdout
    assert not (tmp_path / "none").exists()


def test_delete_needs_no_terminal_with_yes(tmp_path: Path) -> None:
    """With --yes, the file is deleted without a question."""
    data = filled(tmp_path)
    result = run(data, "archives", "delete", "daily", "--yes")
    assert (0, f"deleted {data / 'daily.db'}\n", b"") == (result.returncode, result.stdout.decode(), result.stderr)
    assert [] == Catalog(data).slugs()


def test_delete_without_terminal_and_without_yes_is_refused(tmp_path: Path) -> None:
    """Without a terminal and --yes, nothing is deleted."""
    data = filled(tmp_path)
    result = run(data, "archives", "delete", "daily", stdin=b"y\n")
    told = b"tally archives delete: there is no terminal to ask on: give --yes to delete; see "
    assert (2, b"", told) == (result.returncode, result.stdout, result.stderr[: len(told)])
    assert ["daily"] == Catalog(data).slugs()


@pytest.mark.parametrize(
    ("typed", "status", "left"),
    [("y\n", 0, []), ("n\n", 1, ["daily"]), ("\n", 1, ["daily"]), ("\x03", 130, ["daily"]), ("\x04", 130, ["daily"])],
    ids=["yes", "no", "enter", "ctrl-c", "ctrl-d"],
)
def test_delete_asks_on_a_terminal(tmp_path: Path, typed: str, status: int, left: list[str]) -> None:
    """The question says what would be lost, and only a yes deletes."""
    data = filled(tmp_path)

    def answer(shown: str) -> str:
        # A signal that comes just before the command waits for input is only seen with the next one.
        return typed if shown.endswith(("to 2023-11-14T22:13:30Z? [y/N]: ", "^C")) else ""

    ended, shown = on_terminal(data, "archives", "delete", "daily", answer=answer)
    assert f"Delete {data / 'daily.db'}, which holds " in shown
    assert (status, left) == (ended, Catalog(data).slugs())


def test_a_file_that_is_no_archive_is_not_deleted(tmp_path: Path) -> None:
    """Files of other applications are not deleted."""
    other = tmp_path / "other.db"
    other.write_bytes(b"precious" * 100)
    result = invoke(tmp_path, "archives", "delete", "other", "--yes")
    assert 2 == result.exit_code
    assert b"precious" * 100 == other.read_bytes()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A data directory below a file is an error of one line."""
    (tmp_path / "file").write_bytes(b"")
    result = invoke(tmp_path / "file" / "data", "archives", "create", "daily")
    assert (2, 1) == (result.exit_code, result.stderr.count("\n"))
    assert "cannot be created" in result.stderr


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    """Without archives, a hint is printed, and nothing is created."""
    result = invoke(tmp_path / "nowhere", "archives")
    assert 0 == result.exit_code
    assert f"{tmp_path / 'nowhere'} does not exist" in result.stderr
    assert not (tmp_path / "nowhere").exists()


def test_an_archive_is_filled_from_another(tmp_path: Path) -> None:
    """With --from it has that one's data; with --dry-run it is only told how much that is."""
    data = filled(tmp_path)
    arguments = ("archives", "create", "minutes", "--from", "daily", "--resolution", "60")
    dry = invoke(data, *arguments, "--dry-run")
    assert (0, "would create minutes with 2 cells of 2 names, 4 samples\n") == (dry.exit_code, dry.stdout)
    told = invoke(data, *arguments, "--dry-run", "--json").stdout
    assert {"names": 2, "cells": 2, "samples": 4} == json.loads(told)
    assert "minutes" not in Catalog(data)
    made = _json(invoke(data, *arguments, "--json").stdout)
    assert (60, 0, 1699999980) == (made["resolution"], made["retention"], made["first"])
    assert {1699999980: 4} == Catalog(data)["minutes"].aggregate("count")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--dry-run",), "--dry-run has no meaning without --from"),
        (("--from", "nope"), "there is no archive 'nope' in"),
        (("--from", "daily", "--resolution", "15"), "resolution 15 is not a multiple of 10"),
        (("--from", "daily", "--pattern", ""), "pattern '' matches nothing"),
    ],
)
def test_an_archive_that_cannot_be_filled(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    """What is wrong is told in one line, and the status is 2."""
    result = invoke(filled(tmp_path), "archives", "create", "new", *options)
    assert (2, True, 1) == (result.exit_code, says in result.stderr, len(result.stderr.splitlines()))
