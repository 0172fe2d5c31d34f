"""A callback that comes with a job: which are taken, and how they are refused."""

import json

import pytest

from tests.integration.conftest import Serving, Site
from tests.integration.submissions import EVENT, REQUEST

CALLBACKS = {"callback_hosts": "hooks.example.com", "callback_secret": "x" * 24}


async def test_a_callback_is_taken_and_shown(serving: Serving) -> None:
    async with serving(**CALLBACKS) as site:
        url = "https://hooks.example.com/done?for=7&x=%C3%A9"
        response = await site.http.post("/v1/jobs", params={"callback": url}, json=REQUEST)
        assert (response.status_code, response.json()["callback"]) == (202, url)
        assert (await site.http.get(response.headers["location"])).json()["callback"] == url
        assert (await site.job(response.json()["id"])).callback == url
        event = {**EVENT, "data": REQUEST}
        headers = {"content-type": "application/cloudevents+json"}
        again = await site.http.post("/v1/jobs", params={"callback": url}, content=json.dumps(event), headers=headers)
        assert again.json()["callback"] == url


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://evil.example/", "callback"),
        ("http://hooks.example.com/", "callback"),
        ("https://ann@hooks.example.com/", "callback"),
        ("https://hooks.example.com/#x", "callback"),
        ("https://127.0.0.1/", "callback"),
        ("ftp://hooks.example.com/", "invalid"),
        ("https://hooks.example.com/" + "x" * 2000, "invalid"),
        ("", "invalid"),
    ],
)
async def test_a_callback_that_may_not_be_called_is_refused(serving: Serving, url: str, kind: str) -> None:
    async with serving(**CALLBACKS) as site:
        response = await site.http.post("/v1/jobs", params={"callback": url}, json=REQUEST)
        assert response.status_code == 422
        assert response.json()["type"] == f"urn:problem-type:essaim:{kind}"
        assert not await site.jobs()


async def test_without_hosts_no_callbacks_are_taken(site: Site) -> None:
    response = await site.http.post("/v1/jobs", params={"callback": "https://hooks.example.com/"}, json=REQUEST)
    assert response.status_code == 422
    assert "no callbacks are taken" in response.json()["detail"]


async def test_the_same_key_with_another_callback_is_a_conflict(serving: Serving) -> None:
    async with serving(**CALLBACKS) as site:
        for number, status in ((1, 202), (1, 202), (2, 422)):
            params = {"callback": f"https://hooks.example.com/{number}"}
            headers = {"idempotency-key": "k"}
            response = await site.http.post("/v1/jobs", params=params, json=REQUEST, headers=headers)
            assert response.status_code == status
