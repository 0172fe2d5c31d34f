"""Whatever goes wrong is a problem (RFC 9457), and says no more than it should."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from essaim.errors import UnavailableError
from essaim.jobs.backends import Backends
from tests.integration.conftest import Serving, Site

Eventually = Callable[..., Awaitable[Any]]
NOBODY = "00000000-0000-4000-8000-000000000000"


class BrokenStore:
    """Raises the same error whatever it is asked for."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: object, **__: object) -> None:
            raise self._error

        return fail


def broken(error: Exception) -> Callable[[Backends], Backends]:
    store: Any = BrokenStore(error)
    return lambda backends: replace(backends, store=store)


@pytest.mark.parametrize(
    "path", ["/static/", "/v1", "/v1/", "/v1/jobs/", "/v2/jobs", "/livez/", "/v1/jobs/x/y/z", "/%C3%A9"]
)
async def test_what_is_not_there_is_a_problem(site: Site, path: str) -> None:
    answer = await site.http.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == path


async def test_a_method_that_does_not_fit_is_told_which_do(site: Site) -> None:
    for method, path, allowed in (
        ("PATCH", "/v1/jobs", {"GET", "HEAD", "POST"}),
        ("PUT", f"/v1/jobs/{NOBODY}", {"GET", "HEAD", "DELETE"}),
        ("POST", "/v1/texts/a", {"GET", "HEAD", "PUT", "DELETE"}),
        ("GET", f"/v1/jobs/{NOBODY}/retry", {"POST"}),
        ("HEAD", f"/v1/jobs/{NOBODY}/events", {"GET"}),
    ):
        answer = await site.http.request(method, path)
        assert answer.status_code == 405, (method, path)
        assert set(answer.headers["allow"].split(", ")) == allowed
        assert answer.headers["content-type"] == "application/problem+json"


async def test_an_error_of_ours_is_logged_and_not_told(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(change=broken(ZeroDivisionError("the password is swordfish"))) as site:
        answer = await site.http.get(f"/v1/jobs/{NOBODY}")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "swordfish" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    [record] = [record for record in caplog.records if record.msg == "http.failed"]
    assert "swordfish" in str(record.exc_info)


async def test_a_backend_that_is_away_is_named(serving: Serving) -> None:
    async with serving(change=broken(UnavailableError("connection refused"))) as site:
        ready = await site.http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["detail"] == "the job store does not answer: connection refused"
        listed = await site.http.get("/v1/jobs")
        assert (listed.status_code, listed.headers["retry-after"]) == (503, "1")
        assert (await site.http.get("/livez")).status_code == 200


async def test_a_ready_api_says_so(site: Site) -> None:
    for path in ("/livez", "/readyz"):
        answer = await site.http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic YW5uOnNlY3JldA==", "Bearer \xff"])
async def test_who_has_no_token_is_not_let_in(serving: Serving, header: str | None) -> None:
    async with serving(api_tokens="ann:secret") as site:
        headers = {} if header is None else {b"authorization": header.encode("latin-1")}
        document = (await site.http.get("/openapi.json", headers=headers)).json()
        for path, operations in document["paths"].items():
            for method in operations:
                status = (await site.http.request(method, path.replace("{id}", NOBODY), headers=headers)).status_code
                assert status == (401 if path.startswith("/v1/") else 200), (method, path)
        refused = await site.http.get("/v1/jobs", headers=headers)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert refused.headers["content-type"] == "application/problem+json"


async def test_who_has_a_token_is_let_in_under_its_name(serving: Serving) -> None:
    async with serving(api_tokens="ann:secret,ben:geheim") as site:
        site.http.headers["authorization"] = "bearer geheim"
        job_id = await site.submit()
        assert (await site.job(job_id)).owner == "ben"


async def test_a_request_keeps_its_id(site: Site) -> None:
    answer = await site.http.get("/v1/jobs", headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    missing = await site.http.get("/nothing", headers={"x-request-id": "abc-2"})
    assert missing.headers["x-request-id"] == "abc-2"
    for hostile in (b"a b", b"x" * 200, b"\xff", b""):
        answer = await site.http.get("/livez", headers={b"x-request-id": hostile})
        assert len(answer.headers["x-request-id"]) == 32


async def test_each_request_is_a_line_in_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "essaim")
    await site.http.get("/v1/nothing%0Aforged?x=1", headers={"x-request-id": "abc"})
    [fields] = [record.fields for record in caplog.records if record.msg == "http.answered"]  # type: ignore[attr-defined]
    assert fields.pop("seconds")
    assert fields == {"request": "abc", "method": "GET", "path": "/v1/nothing%0Aforged", "status": 400}


async def test_more_requests_than_allowed_are_sent_away(serving: Serving) -> None:
    async with serving(max_open_requests=1) as site:
        job_id = await site.submit()
        async with site.http.stream("GET", f"/v1/jobs/{job_id}/events"):
            refused = await site.http.get("/v1/jobs")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["type"] == "urn:problem-type:essaim:busy"
            assert (await site.http.get("/readyz")).status_code == 200
        while (await site.http.get("/v1/jobs")).status_code == 503:  # until the stream's end has been noticed
            await asyncio.sleep(0.01)


async def test_a_text_that_breaks_off_is_cut_and_no_clean_end(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """The client can tell that it does not have it all."""
    async with serving() as site:
        await site.http.put("/v1/texts/big", content=b"x" * 40_000_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /v1/texts/big HTTP/1.1\r\nHost: x\r\n\r\n")
        got = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 40000000" in got
        await site.http.put("/v1/texts/big", content=b"other")
        async with asyncio.timeout(30):
            assert len(await reader.read()) < 40_000_000
        writer.close()
    assert "http.failed" not in caplog.messages
