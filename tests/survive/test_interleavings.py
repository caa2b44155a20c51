"""Survive: one Idempotency-Key, several bodies at once, and crashes between any two steps of any of them.

Each body is posted by a thread of its own that rests before and after each step that reads or writes a file. Which one
goes on, and which one is never heard of again, is for Hypothesis to choose, so that what fails is found again.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog
from tally.engine.storing.ledger import Ledger
from tests.api.asking import Got, ask, service
from tests.api.cases import bearer
from tests.processes import LIMIT_S
from tests.survive.scale import FULL, scaled

NOW = 1_700_000_000
ARCHIVES = {"all": "*", "even": "*[02468]", "none": "other"}
STEPS = ((Ledger, "find"), (Ledger, "decide"), (Ledger, "complete"), (Archive, "receipt"), (Archive, "merge"))
MEMORY = Path("/dev/shm")


class Crash(BaseException):
    """A process that is not there any more."""


class Post(NamedTuple):
    """A body under a key."""

    key: int
    body: int

    @property
    def name(self) -> str:
        """The name of its one sample."""
        return f"key{self.key}.body{self.body}"


class Course:
    """Threads of which one runs at a time, from one step to the next."""

    def __init__(self, directory: Path, choices: Iterator[int], crashes: set[int]) -> None:
        self.answers: dict[int, Got] = {}
        self._directory = directory
        self._choices = choices
        self._crashes = crashes
        self._steps = 0
        self._turns: dict[int, threading.Semaphore] = {}
        self._rests = threading.Semaphore(0)
        self._here = threading.local()

    def run(self, posts: list[Post]) -> None:
        """Post all at once, until each is answered or crashed."""
        self._turns = {number: threading.Semaphore(0) for number in range(len(posts))}
        threads = [threading.Thread(target=self._post, args=each, daemon=True) for each in enumerate(posts)]
        for thread in threads:
            thread.start()
        while self._turns:
            numbers = sorted(self._turns)
            self._turns[numbers[next(self._choices, 0) % len(numbers)]].release()
            assert self._rests.acquire(timeout=LIMIT_S), "a step does not end"
        for thread in threads:
            thread.join(LIMIT_S)

    def rest(self) -> None:
        """Let others go on, until it is this one's turn again, or crash."""
        number = getattr(self._here, "number", None)
        if number is None:
            return
        self._rests.release()
        assert self._turns[number].acquire(timeout=LIMIT_S)
        self._steps += 1
        if self._steps in self._crashes:
            raise Crash

    def _post(self, number: int, post: Post) -> None:
        assert self._turns[number].acquire(timeout=LIMIT_S)
        self._here.number = number
        try:
            self.answers[number] = send(self._directory, post)
        except Crash:
            pass
        finally:
            del self._turns[number]
            self._rests.release()


def send(directory: Path, post: Post, now: int = NOW) -> Got:
    """Post a body, as a process of its own would."""
    asked = service(directory, now=now, write_token="w")
    headers = {**bearer("w"), "Idempotency-Key": f"key-{post.key}"}
    return ask(asked, "/samples/", method="POST", headers=headers, body=f"{post.name} 1\n".encode())


@contextmanager
def resting(course: Course) -> Iterator[None]:
    """Let each step rest before and after it."""

    def wrapped(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            course.rest()
            result = step(*arguments, **named)
            course.rest()
            return result

        return run

    with ExitStack() as stack:
        for owner, name in STEPS:
            stack.enter_context(patch.object(owner, name, wrapped(getattr(owner, name))))
        yield


def check(directory: Path, posts: list[Post], answers: dict[int, Got]) -> None:
    """Fail unless of each key one body is stored, by all archives that want it, and everybody is told the truth."""
    for key in {post.key for post in posts}:
        won = {post for number, post in enumerate(posts) if post.key == key and answers[number].status == 200}
        lost = {post for number, post in enumerate(posts) if post.key == key and answers[number].status == 422}
        assert 1 == len(won)
        assert {post for post in posts if post.key == key} - won == lost
        reports = [answers[number].json for number, post in enumerate(posts) if post in won]
        assert reports == reports[:1] * len(reports)
        (winner,) = won
        for slug in ARCHIVES:
            expected = {winner.name: 1} if slug == "all" or (slug == "even" and winner.body % 2 == 0) else {}
            assert expected == Catalog(directory)[slug].aggregate("count", by="name", q=f"key{key}.*")


@settings(max_examples=scaled(60, 3000), deadline=None)
@given(
    posts=st.lists(st.builds(Post, st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=5),
    choices=st.lists(st.integers(0, 4), max_size=120),
    crashes=st.sets(st.integers(1, 60), max_size=4),
)
def test_one_body_wins_everywhere(posts: list[Post], choices: list[int], crashes: set[int]) -> None:
    """Whatever runs when, and wherever processes die, a retry completes the body that won, and refuses the others."""
    memory = MEMORY if MEMORY.is_dir() and not FULL else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        directory = Path(name)
        for slug, pattern in ARCHIVES.items():
            Catalog(directory).create(slug, pattern=pattern)
        course = Course(directory, iter(choices), crashes)
        with resting(course):
            course.run(posts)
        assert {200, 422} >= {got.status for got in course.answers.values()}
        Catalog(directory).create("later")
        answers = course.answers | {
            number: send(directory, post, NOW + 60) for number, post in enumerate(posts) if number not in course.answers
        }
        check(directory, posts, answers)
