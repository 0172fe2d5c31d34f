"""The commands that ask a server: what they print for people and for machines, and what they say when it goes wrong."""

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.v1.event import CloudEvent

from essaim.jobs.backends import open_backends
from essaim.jobs.events import TASK_READY, VERSION
from essaim.jobs.settings import load_settings
from tests.integration.essaim_command import Said, essaim, house, running, wait_until

SWARM = '{"text": "The swarm hums.\\nA swarm of bees.", "words": ["swarm", "wasp"]}'
HOPELESS = '{"texts": ["absent.txt"], "words": ["swarm"]}'
NOBODY = "0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def url(data: Path) -> Iterator[str]:
    with house(data, "--no-live") as (_, url):
        yield url


def said_json(said: Said) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_a_request_is_submitted_and_its_result_printed(url: str) -> None:
    said = essaim("submit", SWARM, "--wait", ESSAIM_SERVER=url)
    assert said_json(said)["counts"] == {"swarm": 2, "wasp": 0}


@pytest.mark.parametrize("how", ["file", "standard input"])
def test_a_request_may_come_from_elsewhere(url: str, tmp_path: Path, how: str) -> None:
    (tmp_path / "request.json").write_text(SWARM)
    argument = str(tmp_path / "request.json") if how == "file" else "-"
    said = essaim("submit", argument, "--wait", "--json", stdin=SWARM if argument == "-" else "", ESSAIM_SERVER=url)
    job = said_json(said)
    assert job["state"] == "succeeded"
    assert job["result"]["counts"]["swarm"] == 2


def test_the_same_key_is_the_same_job(url: str) -> None:
    first = essaim("submit", SWARM, "--key", "once", ESSAIM_SERVER=url)
    again = essaim("submit", SWARM, "--key", "once", ESSAIM_SERVER=url)
    assert first.code == again.code == 0
    assert first.out == again.out
    other = essaim("submit", HOPELESS, "--key", "once", ESSAIM_SERVER=url)
    assert other.code == 2
    assert "Idempotency-Key" in other.err


def test_a_callback_goes_along(url: str) -> None:
    said = essaim("submit", SWARM, "--callback", "https://hooks.example.com/", ESSAIM_SERVER=url)
    assert said.code == 2
    assert "no callbacks are taken" in said.err


def test_a_job_can_be_looked_at_from_all_sides(url: str) -> None:
    job_id = essaim("submit", SWARM, ESSAIM_SERVER=url).out.strip()
    watched = essaim("watch", job_id, ESSAIM_SERVER=url)
    assert watched.code == 0
    assert "succeeded" in watched.out
    assert said_json(essaim("watch", job_id, "--json", ESSAIM_SERVER=url))["id"] == job_id
    assert said_json(essaim("job", job_id, "--result", ESSAIM_SERVER=url))["counts"]["swarm"] == 2
    assert said_json(essaim("job", job_id, "--json", ESSAIM_SERVER=url))["request"]["words"] == ["swarm", "wasp"]
    tasks = said_json(essaim("job", job_id, "--tasks", "--json", ESSAIM_SERVER=url))["tasks"]
    assert [task["state"] for task in tasks] == ["succeeded"]
    assert "attempts" in essaim("job", job_id, "--tasks", ESSAIM_SERVER=url).out
    listed = said_json(essaim("jobs", "--state", "succeeded", "--limit", "1000", "--json", ESSAIM_SERVER=url))
    assert job_id in [job["id"] for job in listed["jobs"]]
    assert said_json(essaim("stats", "--json", ESSAIM_SERVER=url))["jobs"]["dev"]["succeeded"] >= 1
    assert "workers" in said_json(essaim("workers", "--json", ESSAIM_SERVER=url))
    (release,) = said_json(essaim("releases", "--json", ESSAIM_SERVER=url))["releases"]
    assert (release["release"], release["removable"]) == ("dev", False)
    assert "can be removed" in essaim("releases", ESSAIM_SERVER=url).out


def test_a_job_that_fails_is_exit_code_1_and_its_problem(url: str) -> None:
    said = essaim("submit", HOPELESS, "--wait", ESSAIM_SERVER=url)
    assert said.code == 1
    assert "has failed" in said.err
    assert "absent.txt" in said.err
    assert said.out == ""
    failed = said_json(essaim("jobs", "--state", "failed", "--json", ESSAIM_SERVER=url))["jobs"][0]
    assert essaim("watch", failed["id"], ESSAIM_SERVER=url).code == 1
    retried = said_json(essaim("retry", failed["id"], "--json", ESSAIM_SERVER=url))
    assert retried["run"] == 2


def test_a_cancelled_job_cannot_be_retried(url: str) -> None:
    job_id = essaim("submit", SWARM[:-1] + ', "pause_seconds": 600}', ESSAIM_SERVER=url).out.strip()
    assert "is cancelled" in essaim("cancel", job_id, ESSAIM_SERVER=url).out
    said = essaim("retry", job_id, ESSAIM_SERVER=url)
    assert said.code == 2
    assert "only a failed job can be retried" in said.err
    assert essaim("watch", job_id, ESSAIM_SERVER=url).code == 1


def test_who_stops_waiting_is_told_that_the_job_goes_on(url: str) -> None:
    request = SWARM[:-1] + ', "pause_seconds": 300}'
    with running("submit", request, "--wait", "--key", "left alone", ESSAIM_SERVER=url) as process:
        wait_until(lambda: "running" in essaim("jobs", "--limit", "1", ESSAIM_SERVER=url).out, "a running job")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the job keeps running" in err
    job_id = essaim("submit", request, "--key", "left alone", ESSAIM_SERVER=url).out.strip()
    assert f"essaim watch {job_id}" in err
    assert "is cancelled" in essaim("cancel", job_id, ESSAIM_SERVER=url).out  # it was still there to be cancelled


def test_texts_go_in_and_come_out_byte_for_byte(url: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "one.txt").write_bytes(b"one")
    (tmp_path / "books" / ".hidden").write_bytes(b"not me")
    (tmp_path / "raw").write_bytes(content)
    put = essaim("texts", "put", "books", "raw", "--name", "shelf", "--json", cwd=tmp_path, ESSAIM_SERVER=url)
    assert [text["name"] for text in said_json(put)["texts"]] == ["shelf/books/one.txt", "shelf/raw"]
    got = essaim("texts", "get", "shelf/books/one.txt", ESSAIM_SERVER=url)
    assert got.out == "one"
    assert said_json(essaim("texts", "ls", "shelf/*", "--json", ESSAIM_SERVER=url))["texts"][0]["size"] == len(content)
    assert essaim("texts", "rm", "shelf/**", ESSAIM_SERVER=url).out == "removed 2 texts\n"
    assert said_json(essaim("texts", "ls", "shelf/**", "--json", ESSAIM_SERVER=url)) == {"texts": []}


def test_a_search_on_a_server_leaves_no_text_behind(url: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Liberté, liberté")
    options = ("--ignore-case", "--ignore-accents", "--json")
    said = essaim("search", "liberte", *options, "--", "a.txt", cwd=tmp_path, ESSAIM_SERVER=url)
    report = said_json(said)
    assert set(report) == {"job", "counts", "texts"}
    assert report["counts"] == {"liberte": 2}
    assert report["texts"]["a.txt"]["liberte"]["positions"][1]["column"] == 10
    assert said_json(essaim("texts", "ls", "--json", ESSAIM_SERVER=url)) == {"texts": []}


def test_a_search_that_is_left_on_a_server_goes_on_there(url: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a swarm")
    with running("search", "swarm", "--pause", "600", "--", "a.txt", cwd=tmp_path, ESSAIM_SERVER=url) as process:
        wait_until(lambda: "running" in essaim("jobs", "--limit", "1", ESSAIM_SERVER=url).out, "a running job")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    (job_id,) = re.findall("essaim watch ([0-9a-f-]+)", err)
    (texts,) = re.findall("essaim texts rm '(.+)'", err)
    assert "is cancelled" in essaim("cancel", job_id, ESSAIM_SERVER=url).out
    assert essaim("texts", "rm", texts, ESSAIM_SERVER=url).out == "removed 1 text\n"


def test_a_dead_letter_is_listed_and_replayed(url: str, data: Path) -> None:
    async def publish_a_riddle() -> None:
        attributes = {"id": "riddle", "type": TASK_READY, "source": "/test", "datacontenttype": "application/json"}
        event = CloudEvent({**attributes, "subject": NOBODY}, {"version": VERSION + 1, "job_id": NOBODY, "number": 0})
        async with open_backends(load_settings(data_dir=data)) as backends:
            await backends.queue.publish([event])

    asyncio.run(publish_a_riddle())
    wait_until(lambda: said_json(essaim("dead", "ls", "--json", ESSAIM_SERVER=url))["dead_letters"], "a dead letter")
    listed = essaim("dead", "ls", ESSAIM_SERVER=url)
    assert "newer than this software" in listed.out
    assert NOBODY in listed.out
    unknown = essaim("dead", "replay", "nope", ESSAIM_SERVER=url)
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err == "essaim: no dead letter has the id 'nope', so none was replayed\n"
    assert essaim("dead", "replay", ESSAIM_SERVER=url).out == "replayed 1 dead letter\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--server", "URL", "jobs", "--json"],
        ["--json", "--server", "URL", "jobs"],
        ["--server", "URL", "--json", "dead", "ls"],
        ["--json", "dead", "--server", "URL", "ls"],
        ["--server", "http://127.0.0.1:9", "texts", "--server", "URL", "ls", "--json"],
        ["--json", "--server", "http://127.0.0.1:9", "stats", "--server", "URL"],
        ["--server", "URL", "--token", "any", "--json", "texts", "ls"],
        ["--server", "URL", "--json", "search", "swarm", "--", __file__],
    ],
)
def test_shared_options_may_stand_before_the_command(url: str, arguments: list[str]) -> None:
    said = essaim(*(url if it == "URL" else it for it in arguments), ESSAIM_SERVER="http://127.0.0.1:9")
    assert said_json(said)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--server", "http://127.0.0.1:9", "up"], "`essaim up` takes no --server"),
        (["--json", "texts", "get", "a"], "`essaim texts get` takes no --json"),
        (["texts", "--json", "get", "a"], "`essaim texts get` takes no --json"),
    ],
)
def test_an_option_before_a_command_that_does_not_take_it_is_refused(arguments: list[str], sentence: str) -> None:
    said = essaim(*arguments)
    assert (said.code, said.out, said.err) == (2, "", f"essaim: {sentence}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["job", NOBODY], f"there is no job {NOBODY}"),
        (["job", "riddle"], "no job has this id"),
        (["texts", "get", "absent"], "there is no text 'absent'"),
        (["texts", "rm", "absent/*"], "no text matches absent/*"),
        (["texts", "put", "/nonexistent"], "/nonexistent: No such file or directory"),
        (["texts", "put", "-"], "store it by itself, with --name NAME"),
        (["submit", '{"words": ['], "the request is not JSON"),
        (["submit", "/nonexistent"], "/nonexistent: No such file or directory"),
        (["submit", '{"text": "a", "words": [1]}'], "  /words/0: Input should be a valid string"),
        (["jobs", "--release", "NOT!"], "  release: "),
        (["jobs", "--server", "ftp://here"], "write --server http://host:port"),
        (["jobs", "--server", "http://127.0.0.1:9"], "start it with `essaim up`"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(url: str, arguments: list[str], sentence: str) -> None:
    said = essaim(*arguments, ESSAIM_SERVER=url)
    assert said.code == 2
    assert said.err.startswith("essaim: ")
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
