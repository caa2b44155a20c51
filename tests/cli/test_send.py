"""`tally send`, against a real socket."""

import gzip
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import EXAMPLE, invoke, on_terminal, run
from tests.processes import LIMIT_S, environment, started


class _Sink:
    """A socket that stands for a collector."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.port = str(sock.getsockname()[1])

    def lines(self, count: int) -> bytes:
        """Return the next so many lines, one an LF."""
        received = b""
        while received.count(b"\n") < count:
            received += self.sock.recv(65_536) + b"\n"
        self.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.sock.recv(1)
        self.sock.settimeout(LIMIT_S)
        return received


@pytest.fixture
def sink() -> Iterator[_Sink]:
    """A socket on a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        made.bind(("127.0.0.1", 0))
        made.settimeout(LIMIT_S)
        yield _Sink(made)


@pytest.mark.parametrize(
    ("arguments", "sample"),
    [
        (("name",), ("name", 1)),
        (("name", "0.25"), ("name", 0.25)),
        (("name", "-5"), ("name", -5)),
        (("name", "-.5e1", "--timestamp", "1700000001"), ("name", -5, 1700000001)),
        (("--timestamp", "1700000001.9", "name"), ("name", 1, 1700000001)),
        (("name", "1", "--timestamp", "-1"), ("name", 1)),
        (("name", "1", "--timestamp", "2023-11-14T22:13:21Z"), ("name", 1, 1700000001)),
        (("name", "--prefix", "my."), ("my.name", 1)),
        (("--", "-name", "2"), ("-name", 2)),
    ],
)
def test_one_sample_is_one_line(
    tmp_path: Path, sink: _Sink, arguments: tuple[str, ...], sample: tuple[str | float, ...]
) -> None:
    """A sample is sent as it was given, negative numbers and names after -- included."""
    result = invoke(tmp_path, "send", "--port", sink.port, *arguments)
    assert (0, "") == (result.exit_code, result.stderr)
    assert f"sent 1 line in 1 datagram to 127.0.0.1:{sink.port}\n" == result.stdout
    name, *numbers = sink.lines(1).decode().split()
    assert sample == (name, *map(float, numbers))


def test_a_relative_timestamp_counts_from_now(tmp_path: Path, sink: _Sink) -> None:
    """A timestamp may be a date or a relative time."""
    before = int(time.time())
    invoke(tmp_path, "send", "--port", sink.port, "name", "--timestamp", "-1h")
    assert before - 3600 <= int(sink.lines(1).split()[2]) <= time.time() - 3600


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("two words",), "tally: name 'two words' is not valid: use 1 to 255 bytes without white space or control"),
        (("n" * 255, "--prefix", "p"), "tally: name 'pnnn"),
        (
            ("a:1|c",),
            "tally: name 'a:1|c' is not valid: use 1 to 255 bytes without white space or control characters, and",
        ),
        (("name", "nan"), "tally: value 'nan' is not valid: use a number, at most 1e+100 in magnitude"),
        (("name", "1_0"), "tally: value '1_0' is not valid: use a number"),
        (("name", "1.1e100"), "tally: value 1.1e+100 is not valid: use a number"),
        (("name", "--timestamp", "-2"), "tally: timestamp '-2' is not a time: use unix seconds"),
        (
            ("name", "--timestamp", "2199-01-01"),
            "tally: timestamp '2199-01-01' is not valid: the timestamp is further in the future than",
        ),
        (("name", "--file", "/dev/null"), "tally send: give either a NAME or --file"),
        (("-", "1"), "tally: cannot send to"),
    ],
)
def test_a_bad_sample_is_not_sent(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    """An invalid sample is an error that names valid values."""
    result = invoke(tmp_path, "send", "--port", "1", *arguments)
    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith(told)


def test_a_timestamp_may_be_ahead_as_far_as_the_setting_says(tmp_path: Path, sink: _Sink) -> None:
    """TALLY_MAX_FUTURE also applies to the sender, and its option takes precedence."""
    later = str(int(time.time()) + 100)
    arguments = ("send", "--port", sink.port, "name", "--timestamp", later)
    assert 2 == invoke(tmp_path, *arguments, TALLY_MAX_FUTURE=10).exit_code
    assert 0 == invoke(tmp_path, *arguments, "--max-future", "200", TALLY_MAX_FUTURE=10).exit_code


def test_a_file_arrives_as_it_is(tmp_path: Path, sink: _Sink) -> None:
    """The lines of a file arrive in order, many in one datagram."""
    path = tmp_path / "many.lines"
    path.write_bytes(
        b"".join(b"requests.get.index 0.%d %d\n" % (number, 1700000000 + number) for number in range(5000))
    )
    result = invoke(tmp_path, "send", "--port", sink.port, "--file", str(path), "--rate", "1000000")
    assert path.read_bytes() == sink.lines(5000)
    sent, read = result.stdout.splitlines()
    assert "read 5000 lines, rejected 0" == read
    assert sent.startswith("sent 5000 lines in ")
    assert int(sent.split()[4]) <= 5000 * len(b"requests.get.index 0.4999 1700000000\n") // 1432 + 5


@pytest.mark.parametrize("arguments", [("-",), ("--file", "-")], ids=" ".join)
def test_stdin_is_sent_and_bad_lines_are_told(tmp_path: Path, sink: _Sink, arguments: tuple[str, ...]) -> None:
    """Valid lines are sent. Invalid ones are reported with number and reason, and set the exit status."""
    lines = b"a 1\nb x\n\n" + b"c 1".ljust(1433) + b"\nd 1"
    result = run(tmp_path, "send", "--port", sink.port, *arguments, stdin=lines)
    assert b"a 1\nd 1\n" == sink.lines(2)
    assert 2 == result.returncode
    assert ["-:2: value:", "-:4: length:"] == [
        " ".join(line.split()[:2]) for line in result.stderr.decode().splitlines()
    ]
    assert b"read 4 lines, rejected 2 (length 1, value 1)" == result.stdout.splitlines()[1]


def test_lines_of_statsd_are_sent_unchanged(tmp_path: Path, sink: _Sink) -> None:
    """Lines are sent unchanged. Lines without a measurement are counted and skipped."""
    lines = b"a:1|c|@0.5|#b:c\nq:+3|g\nm;b=1;a=2 1\nu:x|s|c:ci-1|T1700000000\n"
    result = run(tmp_path, "send", "--port", sink.port, "-", stdin=b"\xef\xbb\xbf" + lines + b"b nan\n")
    assert lines == sink.lines(4)
    assert (0, b"") == (result.returncode, result.stderr)
    assert b"read 5 lines, rejected 0, empty 1" == result.stdout.splitlines()[1]


def test_several_files_and_a_prefix(tmp_path: Path, sink: _Sink) -> None:
    """Files are sent one after the other, with the prefix before every name."""
    (tmp_path / "one").write_bytes(b"a 1")
    (tmp_path / "two").write_bytes(b" b 2\n")
    files = ("--file", str(tmp_path / "one"), "--file", str(tmp_path / "two"))
    assert 0 == invoke(tmp_path, "send", "--port", sink.port, *files, TALLY_PREFIX="my.").exit_code
    assert b"my.a 1\nmy.b 2\n" == sink.lines(2)


def test_lines_are_sent_as_they_come(tmp_path: Path, sink: _Sink) -> None:
    """A line is sent immediately, while the pipe stays open."""
    command = [sys.executable, "-m", "tally", "send", "--port", sink.port, "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment(tmp_path)) as process:
        assert process.stdin is not None
        for line in (b"a 1\n", b"b 2\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert line == sink.lines(1)
        process.stdin.close()
        assert 0 == process.wait(LIMIT_S)


def test_nobody_listening_is_an_error(tmp_path: Path, sink: _Sink) -> None:
    """If the kernel reports an unused port, so does the command."""
    sink.sock.close()
    result = run(tmp_path, "send", "--port", sink.port, "name")
    told = f"tally: cannot send to 127.0.0.1:{sink.port}: nothing listens there (after 1 line)\n"
    assert (2, "", told) == (result.returncode, result.stdout.decode(), result.stderr.decode())


def test_progress_is_shown_on_a_terminal(tmp_path: Path, sink: _Sink) -> None:
    """The progress is shown on a terminal, and removed at the end."""
    path = tmp_path / "many.lines"
    path.write_bytes(b"some.name 1\n" * 40_000)
    status, shown = on_terminal(tmp_path, "send", "--port", sink.port, "--file", str(path), "--rate", "80000")
    assert 0 == status
    assert "%  " in shown
    assert shown.replace("\r\n", "\n").rsplit("\x1b[K", 1)[1].startswith("sent 40000 lines in ")


def test_a_collector_takes_everything_at_the_default_rate(tmp_path: Path) -> None:
    """At the default rate, a collector on the same machine stores every line."""
    path = tmp_path / "many.lines"
    path.write_bytes(b"".join(b"name.%d 1\n" % (number % 50) for number in range(10_000)) + EXAMPLE)
    data = tmp_path / "data"
    invoke(data, "archives", "create", "daily", "--retention", "0")
    with started(data, "collect") as running:
        assert 0 == run(data, "send", "--file", str(path), TALLY_PORT=running.udp_port).returncode
        assert 0 == running.end(15)
    counts = invoke(data, "query", "daily", "count", "--by", "name", "--format", "csv").stdout.splitlines()[1:]
    assert 10_004 == sum(int(line.split(",")[1]) for line in counts)


def test_a_compressed_file_is_sent_and_one_that_is_no_text_is_not(tmp_path: Path, sink: _Sink) -> None:
    """A gzipped file is sent. If one of several files is not text, nothing is sent."""
    (tmp_path / "lines").write_bytes(gzip.compress(b"a 1\nb 2\n"))
    (tmp_path / "zip").write_bytes(b"PK\x03\x04" + bytes(100))
    both = ("--file", str(tmp_path / "lines"), "--file", str(tmp_path / "zip"))
    result = invoke(tmp_path, "send", "--port", sink.port, *both)
    assert (2, f"tally: {tmp_path / 'zip'}: looks like a zip file: unpack it first\n") == (
        result.exit_code, result.stderr
    )  # fmt: skip
    assert 0 == invoke(tmp_path, "send", "--port", sink.port, "--file", str(tmp_path / "lines")).exit_code
    assert b"a 1\nb 2\n" == sink.lines(2)
