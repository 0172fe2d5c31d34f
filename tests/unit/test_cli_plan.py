"""`essaim plan`: what it recommends meets the target, costs least, and is given with reasons that are true."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from math import inf
from pathlib import Path
from random import Random
from typing import Any

import pytest
import typer.main
from rich.console import Console
from typer.core import TyperGroup
from typer.testing import CliRunner

from cli.advice import advice
from cli.errors import CliError
from cli.main import app
from cli.plan_page import shares
from cli.plan_screen import curves
from jobs.errors import EssaimError
from scaling.arrivals import Load, Pattern
from scaling.candidates import candidates
from scaling.durations import distribution
from scaling.outcome import Cause, quantile
from scaling.planning import Assessment, Place, assess, choose, indifferent, shortest
from scaling.policy import default_path, read

OWN = read(default_path())
ROOT = Path(__file__).parents[2]
RUN = Path(__file__).parents[1] / "data" / "runs" / "waves-at-speed-1"
PLACE = Place("", lambda random: 2.0)
BURST = Pattern(600, burst=200).load(distribution("2s"), "2s of work each")


def assessed(load: Load, *tries: str, place: Place = PLACE) -> list[Assessment]:
    return [assess(candidate, place, load, 3) for candidate in candidates(OWN, tries)]


def plan(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["plan", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def document(*arguments: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(plan(*arguments, "--json", code=code)))


def test_the_cheapest_that_meets_the_target_is_recommended() -> None:
    found = assessed(BURST, "maxReplicaCount=2,5,10,20")
    chosen = choose(found, 65.0)
    assert chosen is not None
    assert chosen.worst.p95 <= 65
    assert all(it.worst.p95 > 65 for it in found if it.worker_seconds < chosen.worker_seconds)
    assert choose(found, 1.0) is None


def test_the_target_holds_in_the_worst_replay() -> None:
    (one,) = assessed(BURST)
    assert one.best_p95 < one.worst.p95  # where the HPA's clock stands makes that much
    assert choose([one], (one.best_p95 + one.worst.p95) / 2) is None
    took = sorted(ended - arrived for arrived, ended in zip(one.forecast.arrived, one.forecast.ended, strict=True))
    assert quantile(took, 0.95) == one.worst.p95


def test_of_those_that_cost_the_same_the_quickest_is_taken() -> None:
    slow, quick, dear = assessed(BURST, "maxReplicaCount=5,10,20")
    quick = replace(quick, outcomes=[replace(it, worker_seconds=slow.worker_seconds * 1.005) for it in quick.outcomes])
    assert choose([slow, quick, dear], 500) is quick
    assert "as cheap as any of the 3 that do, within 1 %" in advice([slow, quick, dear], BURST, 500)[0]
    alike = replace(
        slow,
        outcomes=[replace(it, p95=it.p95 * 0.995, worker_seconds=it.worker_seconds * 1.005) for it in slow.outcomes],
    )
    assert choose([alike, slow], 500) is slow


@pytest.mark.parametrize("tries", ["tasksPerWorker=1,5", "tasksPerWorker=5,1"])
def test_what_makes_no_difference_stays_as_it_is(tries: str) -> None:
    found = assessed(BURST, "maxReplicaCount=5,10", tries)
    assert indifferent(found) == ["tasksPerWorker"]
    chosen = choose(found, 65.0)
    assert chosen is not None
    assert dict(chosen.candidate.settings) == {"maxReplicaCount": "10", "tasksPerWorker": "5"}


def test_fields_that_make_no_difference_are_named() -> None:
    assert indifferent(assessed(BURST, "maxReplicaCount=5,10", "activationTarget=0,0.1")) == ["activationTarget"]
    assert indifferent(assessed(BURST, "maxReplicaCount=5")) == []


def test_no_setting_betters_the_work_itself() -> None:
    coming = Pattern(600, rate=1).load(distribution("exponential:4s"), "")
    (one,) = assessed(coming)
    assert shortest(coming) <= one.worst.p95
    sentences = advice([one], coming, 1.0)
    assert any(sentence.startswith("None can: the work alone takes") for sentence in sentences)


@pytest.mark.parametrize(
    ("load", "tries", "cause"),
    [
        (BURST, "maxReplicaCount=1", Cause.FULL),
        (BURST, "maxReplicaCount=100", Cause.GROWING),
        (Pattern(3600, burst=1, every=600).load(distribution("2s"), ""), "pollingInterval=60", Cause.ASLEEP),
    ],
)
def test_what_tasks_wait_for_is_told_apart(load: Load, tries: str, cause: Cause) -> None:
    (one,) = assessed(load, tries)
    assert max(Cause, key=one.waited) is cause
    assert one.waited(cause) > 0.5
    assert sum(one.waited(each) for each in Cause) == pytest.approx(1)
    assert any(cause in sentence for sentence in advice([one], load, None))


def test_waiting_for_workers_to_start_is_told_apart_too() -> None:
    (one,) = assessed(BURST, "pollingInterval=1", place=Place("", lambda random: 300.0))
    assert max(Cause, key=one.waited) is Cause.STARTING


def test_nothing_is_advised_that_was_tried_in_vain() -> None:
    found = assessed(BURST, "tasksPerWorker=1,2")
    assert indifferent(found) == ["tasksPerWorker"]
    said = " ".join(advice(found, BURST, 3.0))
    assert "minReplicaCount=5" in said
    assert "lower tasksPerWorker" not in said


def test_start_up_times_vary_as_they_are_given_but_not_from_one_plan_to_the_next() -> None:
    place = Place("", distribution("lognormal:4s"))
    first, second = (assess(candidates(OWN, [])[0], place, BURST, 2) for _ in range(2))
    assert first.outcomes == second.outcomes
    assert first.outcomes != assess(candidates(OWN, [])[0], Place("", lambda _: 4.0), BURST, 2).outcomes
    assert place.start_up(Random(1)) != place.start_up(Random(2))


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


@pytest.mark.parametrize("width", [40, 80, 200])
def test_curves_fit_the_terminal_and_share_their_scales(width: int) -> None:
    few, many = assessed(BURST, "maxReplicaCount=5,10")
    shown = StringIO()
    Console(width=width, file=shown).print(curves([few, many], width))
    lines = shown.getvalue().splitlines()
    assert all(len(line) <= max(width, 44) for line in lines)
    assert [line.strip() for line in lines if line.startswith("max")] == ["maxReplicaCount=5", "maxReplicaCount=10"]
    low, high = (line for line in lines if line.startswith("workers, up to"))
    assert ("█" in high, "█" in low, "▄" in low) == (True, False, True)


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


@pytest.mark.parametrize(
    ("load", "tries", "why"),
    [
        (BURST, "cooldownPeriod=120", "when all is done, they stay for the cooldownPeriod of 120 s"),
        (BURST, "minReplicaCount=7", "when all is done, 7 of them stay"),
        (Pattern(1200, rate=5).load(distribution("lognormal:2s,1.5"), ""), "maxReplicaCount=40", "in the last 60 s"),
    ],
)
def test_idle_time_is_explained(load: Load, tries: str, why: str) -> None:
    (sentence,) = [it for it in advice(assessed(load, tries), load, 1e6) if "idle time" in it]
    assert why in sentence


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
        (["--run", "/nowhere"], "no recorded run"),
        (["--burst", "5", "--p95", "soon"], "write it like 90s"),
        (["--burst", "5", "--every", "0s"], "over 0"),
        (["--rate", "1/d", "--replays", "1"], "no job comes in that time"),
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
    with pytest.raises(CliError, match=r"^(1,000,000,000|172,800,000) tasks would come, and 10,000,000 are the most"):
        plan(*asked)
