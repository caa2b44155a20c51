"""Real samples, imported and sent by UDP: every answer of the matrix is what recomputation from them gives."""

import signal
from pathlib import Path

import pytest

from tally.engine import Catalog
from tally.engine.storing import sealing
from tests.cli.command import invoke
from tests.engine.forms import FORMS, check
from tests.engine.recompute import Asked, Recomputation
from tests.processes import started, wait_for
from tests.real.asking import RESOLUTIONS_S, Sample, parameters, questions, read

LINES = Path(__file__).parents[1] / "data" / "nab.lines"
COUNT = 2400


def catalog(directory: Path) -> Catalog:
    """Return a data directory with an archive of each resolution, which keep for ever."""
    made = Catalog(directory)
    for resolution in RESOLUTIONS_S:
        made.create(f"of_{resolution}", resolution=resolution, retention=0)
    return made


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Give the samples of the file."""
    found = read(LINES)
    assert (COUNT, 24) == (len(found), len({name for name, _, _ in found}))
    return found


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Give archives into which the file was imported, with every row sealed."""
    made = catalog(tmp_path_factory.mktemp("imported"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "SEAL_ROWS", 1)
        patch.setattr(sealing, "SEAL_BUCKETS", 1)
        result = invoke(made.directory, "import", str(LINES))
    assert (0, f"read {COUNT} lines, rejected 0") == (result.exit_code, result.stdout.splitlines()[0])
    return made


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Give archives of a collector to which the file was sent in several flushes."""
    made = catalog(tmp_path_factory.mktemp("sent"))
    with started(made.directory, "collect") as running:
        port = str(running.udp_port)
        result = invoke(made.directory, "send", "--file", str(LINES), "--rate", "4000", "--port", port)
        assert 0 == result.exit_code
        wait_for(lambda: COUNT == sum(made["of_300"].aggregate("count").values()), "all samples")
        assert 0 == running.end(signal.SIGTERM)
        assert "accepted 2400 lines, rejected 0; the kernel dropped 0 datagrams" in running.lines[-1]
    return made


@pytest.mark.parametrize(("resolution", "most"), [(300, 1), (86_400, 2)])
def test_every_answer_is_exact(
    imported: Catalog, sent: Catalog, samples: list[Sample], resolution: int, most: int
) -> None:
    """With and without each parameter, or two of them, or all, counts are the same and floats within 1e-12."""
    recomputation = Recomputation(samples, resolution)
    for number, asked in enumerate(questions(recomputation, parameters(samples, resolution), most)):
        expected = recomputation.rows(asked)
        for way, archives in enumerate((imported, sent)):
            check(archives[f"of_{resolution}"], asked, expected, FORMS[(number + way) % len(FORMS)])


@pytest.mark.parametrize("way", ["imported", "sent"])
def test_names(request: pytest.FixtureRequest, way: str, samples: list[Sample]) -> None:
    """The names are those of the file, and each pattern that is offered matches some."""
    for archive in request.getfixturevalue(way).archives():
        assert sorted({name for name, _, _ in samples}) == archive.names()
        assert ["*", "cloudwatch.*", "traffic.*"] == archive.patterns()
        assert all(archive.names(pattern) for pattern in archive.patterns())


@pytest.mark.parametrize("resolution", RESOLUTIONS_S)
def test_the_questions_are_worth_asking(samples: list[Sample], resolution: int) -> None:
    """Each parameter changes answers, and none empties many of them."""
    recomputation = Recomputation(samples, resolution)
    plain = {asked: recomputation.rows(asked) for asked in questions(recomputation, [], 0)}
    for choice in parameters(samples, resolution):
        answers = {
            asked: recomputation.rows(asked) for asked in questions(recomputation, [choice], 1) if asked.parameters
        }
        assert any(rows != plain[Asked(asked.kind, asked.aggregate, asked.by)] for asked, rows in answers.items()), (
            choice
        )
        assert sum(not rows for rows in answers.values()) < len(answers) / 10
