"""The commands around a rollout, against what stands for a cluster's API server."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from essaim.rollout.model import Phase, Plan, advance_rollout, begin_rollout, desired_traffic, dump, load
from essaim.rollout.record import ANNOTATION
from tests.api_server import ApiServer
from tests.integration.essaim_command import Said, essaim
from tests.integration.otlp_receiver import receiving
from tests.knative_service import StandInService

SERVICE = "/apis/serving.knative.dev/v1/namespaces/essaim/services/essaim"
LONG_AGO = datetime.now(UTC) - timedelta(days=1)
Command = Callable[..., Said]


@pytest.fixture
def service(kubernetes: ApiServer) -> dict[str, Any]:
    """What the API server has of it now."""
    kubernetes.objects[SERVICE] = StandInService({"v1": "http://127.0.0.1:9", "v2": "http://127.0.0.1:9"}).content
    return kubernetes.objects


@pytest.fixture
def command(kubernetes: ApiServer, service: dict[str, Any]) -> Command:
    config = str(kubernetes.kubeconfig({"token": kubernetes.token}))
    return lambda *arguments: essaim("rollout", *arguments, KUBECONFIG=config)


def going_on(service: dict[str, Any], phase: Phase, held: bool) -> None:
    plan = Plan("v1", "v2", "v2", steps=(10, 100))
    begun = begin_rollout(plan, "one", "ann@desk:1", datetime.now(UTC) if held else LONG_AGO)
    while begun.phase is not phase:
        begun = advance_rollout(begun, datetime.now(UTC), "well")
    service[SERVICE]["metadata"]["annotations"] = {ANNOTATION: dump(begun)}
    service[SERVICE]["spec"]["traffic"] = desired_traffic(service[SERVICE], begun)


def state(service: dict[str, Any]) -> Any:
    return load(service[SERVICE]["metadata"]["annotations"][ANNOTATION])


def test_a_plan_is_its_patches_and_changes_nothing(command: Command, kubernetes: ApiServer) -> None:
    said = command("--release", "v2", "--steps", "5,100", "--plan", "--json")
    assert said.code == 0, said.err
    patches = json.loads(said.out)
    traffic = [
        [(it["revisionName"], it["percent"]) for it in change["value"]]
        for patch in patches
        for change in patch["operations"]
        if change["path"] == "/spec/traffic" and change["op"] == "add"
    ]
    both = [("essaim-v1", 100), ("essaim-v2", 0)], [("essaim-v1", 95), ("essaim-v2", 5)]
    assert traffic == [[("essaim-v1", 100)], *both, [("essaim-v2", 100)], [("essaim-v1", 100)]]
    assert {request.method for request in kubernetes.seen} == {"GET"}
    assert command("--release", "v2", "--plan").out.count("\n# ") == 7  # pinned; 0, 1, 5, 25, 50, 100 %; back


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--release", "V2"), "not a release name"),
        (("--release", "v2", "--steps", "50,5"), "steps rise"),
        (("--release", "v2", "--steps", "half"), "no steps"),
        (("--release", "v2", "--max-slowdown", "much"), "no share"),
        (("--release", "v2", "--timeout", "soon"), "no time"),
        (("--release", "v2", "--smoke", __file__), "holds no JSON"),
        (("--release", "v2", "--namespace", "other"), "there is no services"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(command: Command, options: tuple[str, ...], sentence: str) -> None:
    said = command(*options)
    assert said.code == 2
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_a_release_that_has_all_requests_is_pinned(command: Command, service: dict[str, Any]) -> None:
    assert "keeps them" in command("--release", "v1").err
    assert service[SERVICE]["spec"]["traffic"] == [{"revisionName": "essaim-v1", "percent": 100}]
    assert "already" in command("--release", "v1").err


def test_without_a_rollout_there_is_nothing_to_steer(command: Command) -> None:
    assert "no rollout" in command("status").err
    assert json.loads(command("status", "--json").out) is None
    for verb in ("pause", "resume", "abort", "promote"):
        said = command(verb)
        assert (said.code, said.err) == (2, "essaim: there is no rollout\n")


def test_another_person_sees_pauses_resumes_and_aborts_it(command: Command, service: dict[str, Any]) -> None:
    going_on(service, Phase.STEPPING, held=True)
    assert "ann@desk:1 carries it on" in command("status").err
    assert command("pause").code == 0
    assert state(service).paused
    assert "paused, 10 %" in command("status").err
    assert command("resume").code == 0
    assert not state(service).paused
    assert "can be taken up in" in command("resume").err  # not paused, and not killed for long enough
    assert "is rolling out v2 now" in command("--release", "v2").err
    assert "is being rolled out" in command("--release", "v3").err
    assert "ann@desk:1 carries it on, and cleans up" in command("abort").err
    assert state(service).phase is Phase.ABORTED
    assert service[SERVICE]["spec"]["traffic"] == [{"revisionName": "essaim-v1", "percent": 100}]


def test_a_release_is_promoted_by_hand_once_it_has_done_a_job(command: Command, service: dict[str, Any]) -> None:
    going_on(service, Phase.SMOKE, held=True)
    assert "has not ended a job yet" in command("promote").err
    going_on(service, Phase.STEPPING, held=True)
    assert command("promote").code == 0
    assert service[SERVICE]["spec"]["traffic"] == [{"revisionName": "essaim-v2", "percent": 100}]


def test_what_happens_is_logged_over_otlp(kubernetes: ApiServer, service: dict[str, Any]) -> None:
    """And abandoned, it is cleaned up by whoever aborts it."""
    going_on(service, Phase.STEPPING, held=False)
    config = str(kubernetes.kubeconfig({"token": kubernetes.token}))
    with receiving() as (endpoint, collected):
        for verb, code in (("pause", 0), ("abort", 1)):
            said = essaim("rollout", verb, KUBECONFIG=config, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
            assert said.code == code, said.err
    lines = sorted(collected.logs, key=lambda line: line["time"])
    assert [line["attributes"]["event"] for line in lines] == ["rollout.paused", "rollout.aborted", "rollout.taken_up"]
    assert {line["resource"]["service.name"] for line in lines} == {"essaim-rollout"}
    assert {(line["attributes"]["old"], line["attributes"]["new"]) for line in lines} == {("v1", "v2")}
    assert state(service).done
