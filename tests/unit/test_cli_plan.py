"""`essaim plan`: what it says to people and to machines, draws, and refuses."""

import json
import re
import shlex
from collections.abc import Sequence
from html.parser import HTMLParser
from math import inf
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from essaim.autoscaler.policy import default_path, read
from essaim.cli.errors import CliError
from essaim.cli.main import app
from essaim.cli.plan.page import shares
from essaim.errors import EssaimError
from essaim.planning.candidates import candidates

OWN = read(default_path())
ROOT = Path(__file__).parents[2]
RUN = Path(__file__).parents[1] / "data" / "runs" / "waves-at-speed-1"


def plan(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["plan", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def document(*arguments: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(plan(*arguments, "--json", code=code)))


def test_a_plan_for_machines_has_all_that_one_for_people_has() -> None:
    told = document("--burst", "200", "--try", "maxReplicaCount=5,10", "--try", "pollingInterval=1,5", "--p95", "70s")
    assert told["about"].startswith("200 jobs at once, 2s of work each; workers start in 2s")
    assert told["p95_wanted"] == 70
    assert len(told["candidates"]) == 4
    chosen = told["candidates"][told["recommended"]]
    assert chosen["settings"]["maxReplicaCount"] == "10"
    assert chosen["p95_best"] <= chosen["p95"] <= 70
    assert told["reasons"][0].startswith("Take maxReplicaCount=10")


def test_a_plan_for_people_is_a_table_and_reasons() -> None:
    said = plan("--burst", "50", "--try", "maxReplicaCount=5,10", "--p95", "90s")
    assert re.search(r"^ +maxReplicaCount +p50 +p95 +p99 +workers +worker-seconds +idle *$", said, re.MULTILINE)
    assert re.search(r"^→ +5 .* [\d,]+ +\d+%$", said, re.MULTILINE)
    assert "Take maxReplicaCount=5" in said


def test_a_target_that_none_meets_is_a_failure_with_reasons() -> None:
    told = document("--burst", "200", "--p95", "20s", code=1)
    assert told["recommended"] is None
    assert told["reasons"][0].startswith("None has 95 % of the results within 20 s.")
    assert "minReplicaCount" in " ".join(told["reasons"])


def test_a_job_that_never_ends_is_said_to_take_for_ever() -> None:
    told = document("--burst", "5", "--try", "activationTarget=0,1000", "--p95", "1m", "--replays", "1")
    assert [it["p95"] is None for it in told["candidates"]] == [False, True]
    assert told["recommended"] == 0
    assert "activationTarget=1000 costs 100 % less, but takes for ever: no worker was awake" in told["reasons"][1]


def test_what_is_advised_helps() -> None:
    before = document("--burst", "200")["candidates"][0]
    advised = document("--burst", "200", "--try", "minReplicaCount=5", "--try", "idleReplicaCount=0")["candidates"][0]
    assert advised["p95"] < before["p95"]


def test_a_recorded_run_is_replayed_as_it_was_or_under_other_rules() -> None:
    told = document("--run", str(RUN), "--try", "maxReplicaCount=3,10", "--replays", "3")
    few, own = told["candidates"]
    assert told["about"].startswith("150 jobs as recorded")
    assert (few["workers"], own["workers"]) == (3, 10)
    assert few["p95"] > own["p95"] > 15


def test_the_page_shows_every_candidate_and_what_was_recorded(tmp_path: Path) -> None:
    plan("--run", str(RUN), "--try", "maxReplicaCount=3,10", "--p95", "1m", "--html", str(tmp_path / "plan.html"))
    html = (tmp_path / "plan.html").read_text(encoding="utf-8")
    text: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            text.append(data)

    Reader().feed(html)
    assert {"maxReplicaCount=3", "maxReplicaCount=10", "recorded", "Workers", "Queue", "Time to result", "Cost"} <= set(
        text
    )
    assert any(piece.startswith("Take maxReplicaCount=") for piece in text)
    assert text.count("recorded") == 4  # in the legend of each picture
    assert not re.search(r'(src|href)="|url\(|https?://', html.replace("http://www.w3.org/2000/svg", ""))


def test_the_commands_of_the_readme_give_an_answer(tmp_path: Path) -> None:
    commands = re.findall(r"^\$ essaim plan (.*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        words = [
            {".essaim/load/waves": str(RUN), "plan.html": str(tmp_path / "plan.html")}.get(word, word)
            for word in shlex.split(command)
        ]
        assert plan(*words, "--replays", "1").count("Take ") == 1
    assert (tmp_path / "plan.html").exists()


def test_the_help_names_every_field_that_can_be_tried() -> None:
    commands = typer.main.get_command(app)
    assert isinstance(commands, TyperGroup)
    (option,) = [it for it in commands.commands["plan"].params if it.name == "tries"]
    with pytest.raises(EssaimError) as refused:
        candidates(OWN, ["nothing=1"])
    fields = str(refused.value).partition("these are: ")[2].split(", ")
    assert len(fields) > 10
    assert all(field in option.help for field in fields)


def test_shares_are_of_all_jobs_and_thinned_where_nobody_sees_it() -> None:
    assert shares([4.0, 1.0, inf, 2.0]) == [(0.0, 0.0), (1.0, 25.0), (2.0, 50.0), (4.0, 75.0)]
    many = shares(float(at) for at in range(1, 100_001))
    assert len(many) < 1000
    assert many[-1] == (100_000.0, 100.0)
    assert all(percent == pytest.approx(seconds / 1000, abs=0.2) for seconds, percent in many if percent is not None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--rate, --burst or --run"),
        (["--run", str(RUN), "--burst", "5"], "either --run, or --rate and --burst"),
        (["--run", "/nowhere"], "not a recorded run"),
        (["--burst", "5", "--p95", "soon"], "write it like 90s"),
        (["--burst", "5", "--every", "0s"], "must be more than 0"),
        (["--rate", "1/d", "--replays", "1"], "no job arrives in that time"),
        (["--rate", "often"], "write it like 5/s"),
        (["--burst", "5", "--try", "replicas=5"], "these are: pollingInterval"),
        (["--burst", "5", "--scaledobject", "/nowhere"], "No such file"),
        (["--burst", "5", "--try", f"cooldownPeriod={','.join(map(str, range(201)))}"], "201 candidates"),
    ],
)
def test_what_cannot_be_planned_says_what_to_do(arguments: list[str], says: str) -> None:
    with pytest.raises(EssaimError, match=says):
        plan(*arguments)


@pytest.mark.parametrize("asked", [("--burst", "1000000000"), ("--rate", "1000/s", "--duration", "2d")])
def test_what_would_take_all_day_to_compute_is_refused(asked: Sequence[str]) -> None:
    with pytest.raises(CliError, match=r"^that makes (1,000,000,000|172,800,000) tasks, and 10,000,000 is the most"):
        plan(*asked)
