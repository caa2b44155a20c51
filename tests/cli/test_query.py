"""`tally query`: the contract's examples, as tables and as what the API answers."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.command import EXAMPLE, filled, invoke, on_terminal, run

INDEX0 = {"count": 2, "sum": 1.0, "avg": 0.5, "min": 0.25, "max": 0.75}
INDEX1 = {"count": 1, "sum": 0.5, "avg": 0.5, "min": 0.5, "max": 0.5}
ABOUT1 = {"count": 1, "sum": 1.5, "avg": 1.5, "min": 1.5, "max": 1.5}
BOTH1 = {"count": 2, "sum": 2.0, "avg": 1.0, "min": 0.5, "max": 1.5}

ANSWERS = [
    (
        ("--kind", "values"),
        {
            "requests.get.about": {"1700000010": ABOUT1},
            "requests.get.index": {"1700000000": INDEX0, "1700000010": INDEX1},
        },
    ),
    (
        ("avg", "--kind", "values", "--by", "name"),
        {
            "1700000000": {"requests.get.index": 0.5},
            "1700000010": {"requests.get.about": 1.5, "requests.get.index": 0.5},
        },
    ),
    ((), {"1700000000": INDEX0, "1700000010": BOTH1}),
    (("--kind", "aggregate", "--by", "time"), {"1700000000": INDEX0, "1700000010": BOTH1}),
    (("sum", "--by", "name"), {"requests.get.about": 1.5, "requests.get.index": 1.5}),
    (("count", "--q", "*.index"), {"1700000000": 2, "1700000010": 1}),
    (("count", "--q", "*.index", "--q", "*.about"), {"1700000000": 2, "1700000010": 2}),
    (("count", "--since", "1700000001"), {"1700000010": 2}),
    (("count", "--until", "2023-11-14T22:13:20Z"), {"1700000000": 2}),
    (("avg", "--low", "0.6"), {"1700000010": 1.0}),
    (("avg", "--high", "0.6"), {"1700000000": 0.5}),
    (("count", "--step", "20"), {"1700000000": 4}),
    (("count", "--moving", "20"), {"1700000000": 2, "1700000010": 4}),
    (("max", "--by", "name", "--limit", "1"), {"requests.get.about": 1.5}),
    (
        ("count", "--kind", "timedata", "--since", "1699999990", "--until", "1700000010"),
        [[1699999990, None], [1700000000, 2], [1700000010, 2]],
    ),
    (
        ("count", "--kind", "timedata", "--until", "1700000020", "--fill", "previous"),
        [[1700000000, 2], [1700000010, 2], [1700000020, 2]],
    ),
    (("--kind", "timedata"), [[1700000000, INDEX0], [1700000010, BOTH1]]),
    (("--kind", "names"), ["requests.get.about", "requests.get.index"]),
    (("--kind", "names", "--q", "*.index"), ["requests.get.index"]),
    (("--kind", "patterns"), ["*", "requests.*", "requests.get.*"]),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the contract's example, which no test here changes."""
    return filled(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(("arguments", "answer"), ANSWERS, ids=str)
def test_json_is_what_the_api_answers(directory: Path, arguments: tuple[str, ...], answer: object) -> None:
    """Every kind of query is answered as one line of JSON."""
    result = invoke(directory, "query", "daily", *arguments, "--format", "json")
    assert (0, "") == (result.exit_code, result.stderr)
    assert [answer] == [json.loads(line) for line in result.stdout.splitlines()]


def test_parquet_is_not_for_a_terminal(directory: Path) -> None:
    """On a terminal it is an error; in a pipe it is the file."""
    status, shown = on_terminal(directory, "query", "daily", "--format", "parquet")
    assert 2 == status
    assert "parquet is not for terminals: redirect it" in shown
    assert run(directory, "query", "daily", "--format", "parquet").stdout.startswith(b"PAR1")


def test_rows_and_csv_and_indented_json(directory: Path) -> None:
    """The other formats are those of the API."""
    rows = invoke(directory, "query", "daily", "count", "--by", "name", "--format", "rows").stdout
    assert [{"name": "requests.get.index", "count": 3}, {"name": "requests.get.about", "count": 1}] == json.loads(rows)
    table = run(directory, "query", "daily", "count", "--by", "name", "--format", "csv").stdout
    assert b"name,count\r\nrequests.get.index,3\r\nrequests.get.about,1\r\n" == table
    pretty = invoke(directory, "query", "daily", "count", "--format", "json", "--pretty").stdout
    assert '{\n  "1700000000": 2,\n  "1700000010": 2\n}\n' == pretty
    names = invoke(directory, "query", "daily", "--kind", "names", "--format", "json", "--pretty").stdout
    assert '[\n  "requests.get.about",\n  "requests.get.index"\n]\n' == names


@pytest.mark.parametrize(
    ("arguments", "table"),
    [
        (
            (),
            """\
time                  count  sum  avg   min   max
2023-11-14T22:13:20Z      2    1  0.5  0.25  0.75
2023-11-14T22:13:30Z      2    2    1   0.5   1.5
""",
        ),
        (
            ("avg", "--kind", "values"),
            """\
name                time                  avg
requests.get.about  2023-11-14T22:13:30Z  1.5
requests.get.index  2023-11-14T22:13:20Z  0.5
requests.get.index  2023-11-14T22:13:30Z  0.5
""",
        ),
        (
            ("avg", "--kind", "values", "--by", "name", "--q", "*.index"),
            """\
time                  name                avg
2023-11-14T22:13:20Z  requests.get.index  0.5
2023-11-14T22:13:30Z  requests.get.index  0.5
""",
        ),
        (
            ("max", "--by", "name"),
            """\
name                 max
requests.get.about   1.5
requests.get.index  0.75
""",
        ),
        (
            ("sum", "--kind", "timedata", "--until", "1700000020"),
            """\
time                  sum
2023-11-14T22:13:20Z    1
2023-11-14T22:13:30Z    2
2023-11-14T22:13:40Z    -
""",
        ),
        (("--q", "nothing"), "time  count  sum  avg  min  max\n"),
        (("--kind", "patterns"), "*\nrequests.*\nrequests.get.*\n"),
    ],
)
def test_a_table_is_for_people(directory: Path, arguments: tuple[str, ...], table: str) -> None:
    """Columns are aligned, in the order of the query, with readable times."""
    assert table == invoke(directory, "query", "daily", *arguments).stdout


def test_headings_have_the_unit(tmp_path: Path) -> None:
    """Where all names have one unit it stands in the headings, but for counts; a file that is not valid is left out."""
    data = filled(tmp_path / "data")
    (data / "units.toml").write_text('[daily]\n"requests.*" = "s"\n')
    asked = ("query", "daily", "--by", "name", "--q", "requests.get.*")
    assert invoke(data, *asked).stdout.splitlines()[0].split("  ")[-1] == "max (s)"
    assert "count  sum (s)" in invoke(data, *asked).stdout
    assert "(s)" not in invoke(data, *asked[:-2]).stdout
    assert "avg (s)" in invoke(data, "query", "auto", "avg", *asked[4:]).stdout
    assert "s)" not in invoke(data, *asked, "--format", "csv").stdout
    (data / "units.toml").write_text("requests")
    result = invoke(data, *asked)
    assert ("(s)" not in result.stdout, 0) == (True, result.exit_code)
    assert "wrong: " in invoke(data, "check").stdout
    assert "units.toml: is not valid" in invoke(data, "check").stdout


def test_auto_is_the_archive_that_fits(directory: Path, tmp_path: Path) -> None:
    """It answers all kinds of queries, and rounds `--step` up. A file of that name is asked by its path."""
    for arguments, fitted in (
        ((), ()),
        (("--step", "15"), ("--step", "20")),
        (("avg", "--by", "name", "--since", "1700000000"), ("avg", "--by", "name")),
        (("--kind", "names", "--q", "*.index"), ("--kind", "names", "--q", "*.index")),
        (("--kind", "patterns"), ("--kind", "patterns")),
    ):
        assert (
            invoke(directory, "query", "daily", *fitted).stdout == invoke(directory, "query", "auto", *arguments).stdout
        )
    shutil.copy(directory / "daily.db", tmp_path / "auto.db")
    assert 0 == invoke(tmp_path, "query", str(tmp_path / "auto.db")).exit_code
    none = invoke(tmp_path, "query", "auto")
    assert (2, "tally: there is no enabled archive that auto could answer from\n") == (none.exit_code, none.stderr)


@pytest.mark.parametrize("name", ["copy.db", "copy", "My Copy.db"])
def test_a_bare_file_can_be_asked(directory: Path, tmp_path: Path, name: str) -> None:
    """A copy of an archive can be queried at any path and under any name."""
    shutil.copy(directory / "daily.db", tmp_path / name)
    result = invoke(tmp_path / "none", "query", str(tmp_path / name), "count", "--format", "json")
    assert (0, '{"1700000000":2,"1700000010":2}\n') == (result.exit_code, result.stdout)


def test_what_ends_in_db_is_a_file(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that ends in .db is a file in the working directory. A slug is never a file."""
    shutil.copy(directory / "daily.db", tmp_path / "copy.db")
    monkeypatch.chdir(tmp_path)
    assert 0 == invoke(directory, "query", "copy.db").exit_code
    assert "tally: there is no file 'daily.db'\n" == invoke(directory, "query", "daily.db").stderr
    assert f"tally: there is no archive 'copy' in {directory}\n" == invoke(directory, "query", "copy").stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("median",), "aggregate 'median' is unknown: use one of count, sum, avg, min, max"),
        (
            ("--since", "yesterday"),
            "since 'yesterday' is not a time: use unix seconds, ISO 8601, now, or a relative time",
        ),
        (("--since", ""), "since '' is not a time"),
        (("--since", "table"), "since 'table' is not a time"),
        (("--q", ""), "q '' is not a glob"),
        (("--low", "1"), "parameter 'low' has no meaning here: it is for data with an aggregate"),
        (("--moving", "10", "--by", "name"), "parameter 'moving' has no meaning here"),
        (("--fill", "0"), "parameter 'fill' has no meaning here: it is for timedata"),
        (("--kind", "timedata", "--limit", "1"), "parameter 'limit' has no meaning here"),
        (("--kind", "timedata", "--by", "name"), "by 'name' has no meaning here: it is for values and aggregate"),
        (("--step", "15"), "step 15 is not a multiple of the archive's resolution, 10"),
        (("--kind", "names", "--since", "0"), "since has no meaning here: it is not for names"),
        (("avg", "--kind", "names"), "aggregate has no meaning here: it is not for names"),
        (("--kind", "patterns", "--q", "*"), "q has no meaning here: it is not for patterns"),
        (("--kind", "names", "--format", "csv"), "format 'csv' has no meaning here: names are a table or json"),
    ],
)
def test_a_bad_question_is_told_as_over_http(directory: Path, arguments: tuple[str, ...], told: str) -> None:
    """An invalid query is one line that names valid values."""
    result = invoke(directory, "query", "daily", *arguments)
    assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert result.stderr.startswith(f"tally: {told}")


def test_a_question_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    """The time limit of a query applies, and a partial answer is a failure."""
    lines = b"".join(b"name.%d 1 %d\n" % (number, number % 7) for number in range(20_000))
    data = filled(tmp_path, lines)
    result = invoke(data, "query", "daily", "--kind", "values", "--query-timeout", "0.000001")
    told = "tally: the question took too long: ask for less, or raise TALLY_QUERY_TIMEOUT\n"
    assert (2, told) == (result.exit_code, result.stderr)


def test_a_file_of_another_application_is_told(tmp_path: Path) -> None:
    """A file that is not an archive is an error of one line."""
    path = tmp_path / "other.db"
    path.write_bytes(EXAMPLE * 100)
    result = invoke(tmp_path, "query", str(path))
    assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert result.stderr.startswith(f"tally: {path}: is not a tally archive")


def test_names_that_look_alike_do_not_in_tables(tmp_path: Path) -> None:
    """Invisible characters are escaped in tables, and unchanged elsewhere."""
    lines = "a\u202eb 1 1700000000\na\u200bb 2 1700000000\nab 3 1700000000\n".encode()
    data = filled(tmp_path, lines, description="turned \u202e round")
    shown = ["a\\u200bb", "a\\u202eb", "ab"]
    table = invoke(data, "query", "daily", "sum", "--by", "name").stdout.splitlines()[1:]
    assert sorted(shown) == sorted(line.split()[0] for line in table)
    names = invoke(data, "query", "daily", "--kind", "names").stdout.splitlines()
    assert shown == sorted(names)
    assert "turned \\u202e round" in invoke(data, "archives", "show", "daily").stdout
    for arguments in (("sum", "--by", "name", "--format", "csv"), ("--kind", "names", "--format", "json")):
        assert "a\u202eb" in invoke(data, "query", "daily", *arguments).stdout
