"""No token, no secret and no text content in anything that a run writes: consoles, log files, and all that leaves over OTLP."""

import re
from pathlib import Path

import httpx
import pytest

from tests.conftest import BuildHouse, House, eventually
from tests.integration.otlp_receiver import receiving

TOKEN, WRONG_TOKEN, SIGNING, HOOK = "token-qqqq-1", "token-qqqq-2", "signing-qqqq-0123456789abcdef", "hook-qqqq"
PASSWORD = "pass-qqqq"
TEXT, STORED, REFUSED = "xylophone", "zyzzyva", "quokka"
SECRETS = (TOKEN, WRONG_TOKEN, SIGNING, HOOK, PASSWORD, TEXT, STORED, REFUSED)
BRISK = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100"}


def written(house: House) -> str:
    """Consoles, and the log lines kept as JSON."""
    return house.logs() + "\n".join(path.read_text() for path in (house.folder / "lines").glob("*.jsonl"))


async def everything(http: httpx.AsyncClient) -> list[int]:
    """Good and bad requests, with something in each that nobody may find: their statuses."""
    call = "/v1/jobs?callback=" + "https%3A%2F%2F127.0.0.1%3A9%2F" + HOOK + "%3Fkey%3D" + HOOK
    request = {"text": f"{TEXT} of bees", "words": ["bees"]}
    answers = [
        await http.post(call, json=request, headers={"prefer": "wait=30"}),
        await http.put(f"/v1/texts/stored.txt?token={HOOK}", content=f"{STORED} {STORED}".encode()),
        await http.post("/v1/jobs", json={"texts": ["stored.txt"], "words": ["of"]}, headers={"prefer": "wait=30"}),
        await http.post("/v1/jobs", json={"texts": ["absent.txt"], "words": ["of"]}, headers={"prefer": "wait=30"}),
        await http.post("/v1/jobs", json={"text": REFUSED, "words": [{REFUSED: REFUSED}]}),
        await http.post(
            "/v1/jobs", content=f'{{"text": "{REFUSED}'.encode(), headers={"content-type": "application/json"}
        ),
        await http.get("/v1/jobs", headers={"authorization": f"Bearer {WRONG_TOKEN}"}),
    ]
    return [answer.status_code for answer in answers]


async def test_a_whole_run_says_nothing_that_it_was_told_in_confidence(build_house: BuildHouse) -> None:
    house = build_house(None, api_port=0, log_level="DEBUG")
    private = {"ESSAIM_CALLBACK_HOSTS": "127.0.0.1", "ESSAIM_CALLBACK_PRIVATE_ADDRESSES": "true"}
    house.environment.update({**private, "ESSAIM_API_TOKENS": f"ada:{TOKEN}", "ESSAIM_CALLBACK_SECRET": SIGNING})
    house.environment.update({**BRISK, "ESSAIM_LOG_DIR": str(house.folder / "lines")})
    with receiving() as (endpoint, collected):
        house.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        house.start("api")
        house.start()
        found = await eventually(lambda: re.search(r"api\.listening address=(\S+)", house.logs()))
        authorized = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=found[1], trust_env=False, timeout=60, headers=authorized) as http:
            assert await everything(http) == [200, 201, 200, 200, 422, 400, 401]
        await eventually(lambda: collected.events("callback.delayed") and "job.failed" in house.logs())
        for process in house.processes:
            process.terminate()
            assert process.wait(60) == 0
    sent = "\n".join(collected.raw)
    assert "job.failed" in sent
    assert '"job.failed"' in written(house)
    assert [secret for secret in SECRETS if secret in written(house)] == []
    assert [secret for secret in SECRETS if secret in sent] == []


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("queue_url", f"amqp://essaim:{PASSWORD}@127.0.0.1:9/"),
        ("store_url", f"mongodb://essaim:{PASSWORD}@127.0.0.1:9/essaim"),
        ("queue_url", f"amqp//essaim:{PASSWORD}@127.0.0.1:9/"),
        ("texts_url", "s3://bucket/folder"),
    ],
    ids=["no broker", "no database", "a mistyped broker", "no S3"],
)
def test_a_password_in_a_url_is_in_no_complaint(
    build_house: BuildHouse, tmp_path: Path, setting: str, url: str
) -> None:
    house = build_house(None, **{setting: url, "start_seconds": 2, "log_level": "DEBUG"})
    keys = {"AWS_ACCESS_KEY_ID": "essaim", "AWS_SECRET_ACCESS_KEY": PASSWORD, "AWS_REGION": "us-east-1"}
    keys["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    for module in ("api", "worker"):
        assert house.start(module, ESSAIM_API_PORT="0", **keys).wait(90) == 2
    assert "essaim worker: " in house.logs()
    assert PASSWORD not in house.logs()
