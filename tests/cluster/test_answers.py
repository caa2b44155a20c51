"""The cluster answers what one archive with the samples of all sources answers, byte for byte."""

import os
import random
from pathlib import Path

import pytest

from tally.cluster.address import Address
from tests.api.cases import CASES, SAMPLES
from tests.clickhouse import ClickHouse
from tests.cluster.asking import Both, random_samples, random_target
from tests.integrations.django.golden.asked import graphite

SEEDS = range(40 if os.environ.get("SURVIVE") == "full" else 2)


@pytest.fixture
def both(tmp_path: Path, clickhouse: ClickHouse, address: Address) -> Both:
    """Make two sources without archives."""
    return Both(tmp_path, clickhouse, address)


def test_every_question_of_the_contract(both: Both) -> None:
    """The samples of the contract, half of them in each source."""
    both.create("daily", resolution=10, retention=0)
    for number, sample in enumerate(SAMPLES):
        both.record(number % 2, [sample])
    both.ship()
    left_out = ("/archives/", "/readyz", "/status", "/metrics", "/samples", "/backup")
    asked = [case.target for case in CASES if case.method == "GET" and not any(map(case.target.count, left_out))]
    asked += [each.target for each in graphite() if each.method == "GET" and not each.body]
    for target in asked:
        both.check(target)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_questions(both: Both, seed: int) -> None:
    """Sources with overlapping names and late samples: newer versions of cells."""
    chance = random.Random(seed)
    both.create("daily", resolution=10, retention=0, percentiles=chance.choice([0, 1, 4]))
    for _ in range(3):
        for source in range(2):
            both.record(source, random_samples(chance, 150))
        both.ship()
    for _ in range(60):
        both.check(random_target(chance))
