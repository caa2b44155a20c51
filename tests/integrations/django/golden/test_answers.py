"""Every answer is the recorded one: from the Starlette app, the same app mounted, and Django by WSGI and ASGI.

The records in `answers/` are text: each request, followed by its answer. VOLATILE says what is left out, since it
differs from run to run. Where the stacks answer differently, each answer has the names of its stacks. To record all
answers again, run these tests with RECORD=1 in the environment, and read the difference before you commit it.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import AsyncClient, Client
from starlette.applications import Starlette
from starlette.routing import Mount

from tally.api import create_app
from tests.api.asking import settings
from tests.api.cases import fill
from tests.integrations.django.conftest import Site
from tests.integrations.django.golden.asked import GROUPS, TOKENS, Asked

ANSWERS = Path(__file__).parent / "answers"
PREFIX = "/_tally"
HOST = "testserver"
WRITE = {"read_token": "reader", "write_token": "writer"}
# Headers of the frameworks' own, and of the moment.
OTHERS = {"date", "server", "x-frame-options", "referrer-policy-of-django", "cross-origin-opener-policy"}
VOLATILE = (
    (re.compile(r'^(")[0-9a-f]+(?="$)'), r"\1…"),
    (re.compile(r'("bytes": ?)\d+'), r"\1…"),
    (re.compile("Unprocessable (Entity|Content)"), "Unprocessable …"),
    (re.compile(r"\d+(?:\.\d+)? [KMGT]?i?B (?=free)|\d+ bytes are free"), "… "),
)
LENGTH = re.compile(r"content-length: .*")
# Bodies that are files of the dashboard, or documents that other tests are about.
LONG = 4000

Answer = tuple[int, Mapping[str, str], bytes]
Stack = Callable[[list[Asked], Path, dict[str, str]], list[Answer]]


async def _ask_app(app: Any, prefix: str, asked: list[Asked]) -> list[Answer]:
    answers: list[Answer] = []
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://{HOST}", headers={"Accept-Encoding": ""}
    ) as http:
        for each in asked:
            response = await http.request(
                each.method, prefix + each.target, content=each.body, headers=dict(each.headers)
            )
            answers.append((response.status_code, response.headers, response.content))
    return answers


def starlette(asked: list[Asked], directory: Path, tokens: dict[str, str]) -> list[Answer]:
    """Ask the app."""
    return asyncio.run(_ask_app(create_app(_settings(directory, tokens)), "", asked))


def mounted(asked: list[Asked], directory: Path, tokens: dict[str, str]) -> list[Answer]:
    """Ask the app under a path of a larger one."""
    app = Starlette(routes=[Mount(PREFIX, create_app(_settings(directory, tokens)))])
    return asyncio.run(_ask_app(app, PREFIX, asked))


def _settings(directory: Path, tokens: dict[str, str]) -> Any:
    return settings(directory, **tokens)


def django_wsgi(asked: list[Asked], _directory: Path, _tokens: dict[str, str]) -> list[Answer]:
    """Ask Django as a WSGI server does."""
    answers: list[Answer] = []
    for each in asked:
        kind, sent = _sent(each)
        response = Client().generic(each.method, PREFIX + each.target, each.body, kind, headers=sent)
        content = response.getvalue() if response.streaming else response.content
        answers.append((response.status_code, response.headers, content))
    return answers


def django_asgi(asked: list[Asked], _directory: Path, _tokens: dict[str, str]) -> list[Answer]:
    """Ask Django as an ASGI server does."""

    async def ask() -> list[Answer]:
        answers = []
        for each in asked:
            kind, sent = _sent(each)
            response: Any = await AsyncClient().generic(
                each.method, PREFIX + each.target, each.body, kind, headers=sent
            )
            if response.streaming:
                parts = [part async for part in response] if response.is_async else list(response)
                content = b"".join(parts)
            else:
                content = response.content
            answers.append((response.status_code, response.headers, content))
        return answers

    return asyncio.run(ask())


def _sent(asked: Asked) -> tuple[str, dict[str, str]]:
    headers = dict(asked.headers)
    return headers.pop("Content-Type", ""), headers


STACKS: dict[str, Stack] = {
    "starlette": starlette, "mounted": mounted, "django wsgi": django_wsgi, "django asgi": django_asgi,
}  # fmt: skip


def written(answer: Answer) -> str:
    """Return an answer as it is recorded: its length too, where the body is recorded whole and as it came."""
    status, headers, body = answer
    text = shown(body)
    content = stable(text)
    told = sorted(f"{name.lower()}: {stable(value)}" for name, value in headers.items() if name.lower() not in OTHERS)
    if content != text or int(headers.get("content-length", 0)) > LONG:
        told = [LENGTH.sub("content-length: …", each) for each in told]
    return "\n".join([str(status), *told, "", content]).rstrip() + "\n"


def stable(text: str) -> str:
    """Return a text without what differs from run to run and from stack to stack."""
    text = text.replace(PREFIX, "")
    for expression, replacement in VOLATILE:
        text = expression.sub(replacement, text)
    return text


def shown(body: bytes) -> str:
    """Return a body as text; a long one by its beginning."""
    text = body.decode("utf-8", "backslashreplace").replace("\r\n", "\\r\\n\n")
    return text if len(text) <= LONG else f"{text[:200]}…"


def recorded(asked: list[Asked], answers: dict[str, list[Answer]]) -> str:
    """Return the record of a group: what each request is answered, and by which stacks where they differ."""
    entries = []
    for number, each in enumerate(asked):
        stacks: dict[str, list[str]] = {}
        for stack, found in answers.items():
            stacks.setdefault(written(found[number]), []).append(stack)
        texts = [text if len(stacks) == 1 else f"[{', '.join(names)}] {text}" for text, names in stacks.items()]
        entries.append(f"=== {each}\n\n{chr(10).join(texts)}")
    return "\n".join(entries)


@pytest.mark.parametrize("group", GROUPS)
def test_every_answer_is_the_recorded_one(group: str, tmp_path: Path, site: Site) -> None:
    """Status, headers and body are what they were, whichever framework serves them."""
    asked = list(GROUPS[group]())
    tokens = WRITE if group in TOKENS else {}
    answers = {}
    for name, stack in STACKS.items():
        directory = tmp_path / "archives"
        fill_anew(directory)
        site.set(
            TALLY_DATA_DIR=directory,
            TALLY_PORT=8900,
            **{f"TALLY_{key.upper()}": token for key, token in tokens.items()},
        )
        answers[name] = stack(asked, directory, tokens)
    record = ANSWERS / f"{group}.txt"
    found = recorded(asked, answers)
    if os.environ.get("RECORD"):
        record.write_text(found, encoding="utf-8")
    assert record.read_text(encoding="utf-8") == found


def fill_anew(directory: Path) -> None:
    """Make the directory of the cases, as if it had never been asked."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    fill(directory)
