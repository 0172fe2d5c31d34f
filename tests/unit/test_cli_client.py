"""What a client makes of what a server says: problem details as sentences, event streams as events."""

from collections.abc import AsyncIterator

import httpx
import pytest

from essaim.cli.client import open_client, refusal
from essaim.cli.errors import AbsentError, CliError
from essaim.cli.jobs.follow import ServerEvent, events

STREAM = (
    "retry: 1000\n\n"
    ": still here\n\n"
    "event: state\nid: a1\ndata: one\n\n"
    "id: a2\r\ndata: two\r\ndata:  halves\u2028here\r\n\r\n"
    "event: lost\ndata: unfinished\n"
)


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_a_stream_is_the_same_however_it_is_cut(size: int) -> None:
    async def chunks() -> AsyncIterator[str]:
        for start in range(0, len(STREAM), size):
            yield STREAM[start : start + size]

    assert [event async for event in events(chunks())] == [
        ServerEvent("a1", "state", "one", 1.0),
        ServerEvent("a2", "message", "two\n halves\u2028here", 1.0),
    ]


def test_a_problem_is_a_sentence_and_its_fields() -> None:
    problem = {
        "title": "The request does not fit",
        "detail": "the request does not fit",
        "errors": [{"detail": "Field required", "pointer": "#/words"}, {"detail": "too small", "parameter": "limit"}],
    }
    error = refusal("http://here", httpx.Response(422, json=problem))
    assert str(error) == "the request does not fit\n  /words: Field required\n  limit: too small"
    assert error.status == 422


def test_a_problem_says_what_to_do() -> None:
    busy = refusal("http://here", httpx.Response(503, json={"title": "Busy"}, headers={"retry-after": "1"}))
    assert str(busy) == "Busy\n  try again in 1 second"
    assert "--token" in str(refusal("http://here", httpx.Response(401, json={"title": "A valid token is required"})))


def test_what_is_not_there_is_an_error_of_its_own() -> None:
    assert isinstance(refusal("http://here", httpx.Response(404, json={"title": "Not found"})), AbsentError)


@pytest.mark.parametrize("answer", [{"text": "<html>"}, {"json": ["title"]}, {"json": {}}, {"content": b"\xff"}])
def test_a_stranger_is_asked_who_it_is(answer: dict[str, object]) -> None:
    response = httpx.Response(502, **answer)  # type: ignore[arg-type]  # each is a keyword of its own
    assert str(refusal("http://here", response)) == "http://here answers 502 Bad Gateway: is it Essaim?"


@pytest.mark.parametrize("server", ["ftp://here", "http://", "://", "http://[::1", "http://here:99999"])
async def test_what_is_no_address_is_refused(server: str) -> None:
    with pytest.raises(CliError, match="not a server's address"):
        async with open_client(server):
            raise AssertionError("that should not open")


async def test_an_address_may_leave_the_scheme_away() -> None:
    async with open_client("127.0.0.1:8080/") as client:
        assert client.server == "http://127.0.0.1:8080"
