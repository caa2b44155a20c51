"""How commands are found, and how what goes wrong is told."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from tally.cli import main
from tally.engine import Archive
from tests.cli.command import filled, invoke, run
from tests.processes import LIMIT_S, environment

HEAVY = ("anyio", "apsw", "starlette", "uvicorn", "tally.engine", "tally.collector", "tally.api")

WRONG = [
    ("unknown",),
    ("--unknown",),
    ("send",),
    ("send", "--unknown"),
    ("send", "name", "one"),
    ("send", "two words"),
    ("send", "name", "1", "surplus"),
    ("send", "name", "--port", "65536"),
    ("send", "name", "--rate", "0"),
    ("send", "name", "--file", "-"),
    ("send", "name", "--timestamp", "yesterday"),
    ("send", "name", "--timestamp", "2262-01-01"),
    ("send", "--file", "no-such-file"),
    ("import",),
    ("import", "no-such-file"),
    ("import", "-", "--archive", "nope"),
    ("archives", "unknown"),
    ("archives", "show", "nope"),
    ("archives", "show", "../daily"),
    ("archives", "create", "Daily"),
    ("archives", "create", "daily"),
    ("archives", "create", "other", "--resolution", "0"),
    ("archives", "create", "other", "--retention", "one"),
    ("archives", "create", "other", "--pattern", ""),
    ("archives", "edit", "daily"),
    ("archives", "edit", "daily", "--resolution", "15"),
    ("archives", "delete", "daily"),
    ("archives", "delete", "nope", "--yes"),
    ("query",),
    ("query", "nope"),
    ("query", "./nope.db"),
    ("query", "daily", "median"),
    ("query", "daily", "--kind", "unknown"),
    ("query", "daily", "--step", "15"),
    ("demo", "--seconds", "-1"),
    ("demo", "--history", "169"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an archive, which no test here may change."""
    return filled(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_what_the_user_did_wrong_is_one_line_and_status_2(directory: Path, arguments: tuple[str, ...]) -> None:
    """Any error in a command line is one line on stderr, with nothing on stdout and status 2."""
    result = invoke(directory, *arguments)
    assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert result.stderr.startswith("tally")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("send", "--unknown"), "tally send: no such option '--unknown'; see tally send --help"),
        (("query", "nope"), "tally: there is no archive 'nope' in {directory}"),
        (("archives", "show"), "tally archives show: missing argument 'SLUG'; see tally archives show --help"),
    ],
)
def test_a_real_process_tells_the_same(directory: Path, arguments: tuple[str, ...], line: str) -> None:
    """An error of `python -m tally` is one line that names the command, with status 2."""
    result = run(directory, *arguments)
    # Releases of click differ in quotes and colons.
    told = result.stderr.decode().replace("option: --unknown", "option '--unknown'")
    assert (2, b"", line.format(directory=directory) + "\n") == (result.returncode, result.stdout, told)


def test_a_malformed_setting_is_one_line_that_names_it(directory: Path) -> None:
    """A malformed environment variable stops a command with its name, its value and valid values."""
    result = run(directory, "query", "daily", TALLY_PORT="many")
    told = b"tally: TALLY_PORT='many' is not a port: use a whole number from 0 to 65535\n"
    assert (2, b"", told) == (result.returncode, result.stdout, result.stderr)


def test_what_the_machine_cannot_do_is_one_line_and_status_1(directory: Path) -> None:
    """A full disk under stdout is reported in one line, with the status of a failure."""
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "tally", "query", "daily"],
            stdout=full, stderr=subprocess.PIPE, env=environment(directory), timeout=LIMIT_S, check=False,
        )  # fmt: skip
    assert (1, b"tally: [Errno 28] No space left on device\n") == (result.returncode, result.stderr)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("archives", "--help"), ("send", "--help")], ids=" ".join)
def test_help_is_printed_on_stdout(directory: Path, arguments: tuple[str, ...]) -> None:
    """Help is printed on stdout with status 0, also without a command."""
    result = invoke(directory, *arguments)
    assert (0, "") == (result.exit_code, result.stderr)
    assert result.stdout.startswith("Usage: tally")


def test_help_lists_the_commands_with_their_own_first_line() -> None:
    """`tally --help` describes each command as the command does itself, without importing it."""
    context = click.Context(main)
    for name, entry in main.entries.items():
        command = main.get_command(context, name)
        assert command is not None
        assert entry.summary == str(command.help).split("\n")[0]


def test_help_and_version_import_no_more_than_they_need(tmp_path: Path) -> None:
    """Neither the engine nor the collector nor a web framework is imported before a command is run."""
    script = f"""
import sys
from tally.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(sorted(set({HEAVY}) & set(sys.modules)))
"""
    for argument in ("--help", "--version"):
        command = [sys.executable, "-c", script, argument]
        result = subprocess.run(command, capture_output=True, env=environment(tmp_path), timeout=LIMIT_S, check=True)
        assert b"[]" == result.stdout.splitlines()[-1]


def test_the_version_is_the_packages(directory: Path) -> None:
    """`tally --version` prints what `tally.__version__` has, and whether the native core is used."""
    import tally
    from tally import native

    assert f"tally {tally.__version__} ({native.describe()})\n" == invoke(directory, "--version").stdout


def test_an_interruption_is_quiet(directory: Path) -> None:
    """SIGINT ends a command with status 130 and no output."""
    with _piped(directory, "import", "-") as process:
        assert process.stdin is not None
        # More than a pipe holds: once it is written, the command has begun to read, and so can be interrupted.
        process.stdin.write(b"\n" * 200_000)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert (b"", b"") == process.communicate(timeout=LIMIT_S)
        assert 130 == process.returncode


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [(), ("--format", "json"), ("--format", "csv")], ids=" ".join)
def test_a_broken_pipe_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], unbuffered: str
) -> None:
    """A reader that goes away, such as `head`, ends the command without a word."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    lines = b"".join(b"some.name 1 %d\n" % second for second in range(0, 200_000, 10))
    with _piped(filled(tmp_path, lines), "query", "daily", *arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1)
        process.stdout.close()
        assert (b"", 1) == (process.stderr.read(), process.wait(LIMIT_S))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("serv",), "serve"), (("archives", "lst"), "list"), (("query", "daily", "--limti", "3"), "--limit")],
)
def test_a_slip_of_the_pen_is_told_what_may_be_meant(directory: Path, arguments: tuple[str, ...], named: str) -> None:
    """A misspelt command or option is reported with a similar one."""
    assert f". Did you mean '{named}'? See tally" in invoke(directory, *arguments).stderr


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (("--kind", "names"), "größe\n"),
        (("--kind", "names", "--format", "json"), '["größe"]\n'),
        (("count", "--by", "name"), "name   count\ngröße      1\n"),
        (("count", "--by", "name", "--format", "json"), '{"größe":1}\n'),
        (("count", "--by", "name", "--format", "csv"), "name,count\r\ngröße,1\r\n"),
    ],
)
def test_what_is_printed_is_utf_8_in_every_locale(tmp_path: Path, arguments: tuple[str, ...], printed: str) -> None:
    """Names are printed unchanged, even in an ASCII locale."""
    data = filled(tmp_path, "größe 1\n".encode())
    ascii_only: dict[str, object] = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = run(data, "query", "daily", *arguments, stdin=b"", **ascii_only)
    assert (0, printed, b"") == (result.returncode, result.stdout.decode(), result.stderr)


@pytest.mark.parametrize(
    ("redirections", "status", "printed", "told"),
    [
        (">&-", 0, "", ""),
        ("2>&-", 0, "read 1 line, rejected 0\n", ""),
        ("<&-", 2, "", "tally: Could not open file '-': stdin is closed\n"),
        (">&- 2>&- <&-", 2, "", ""),
    ],
)
def test_closed_streams_are_no_trouble(tmp_path: Path, redirections: str, status: int, printed: str, told: str) -> None:
    """Output to a closed stream is discarded, and a closed stdin is an error."""
    command = f"'{sys.executable}' -m tally import - {redirections}"
    result = subprocess.run(
        ["/bin/sh", "-c", command],
        input=b"a 1\n", capture_output=True, env=environment(filled(tmp_path, b"")), timeout=LIMIT_S, check=False,
    )  # fmt: skip
    shown = result.stdout.decode().partition("archive")[0]
    assert (status, printed, told) == (result.returncode, shown, result.stderr.decode())
    names = [] if status else ["a"]
    assert names == Archive(tmp_path / "daily.db").names()


@contextmanager
def _piped(directory: Path, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-m", "tally", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment(directory)) as process:
        try:
            yield process
        finally:
            process.kill()
