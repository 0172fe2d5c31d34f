"""The options of `essaim plan`."""

from pathlib import Path
from typing import Annotated

import typer

LOAD, DEPLOYMENT, OUTPUT = "Load", "Deployment", "Candidates and output"

Run = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="Replay the jobs of a recorded run.", rich_help_panel=LOAD)
]
Rate = Annotated[
    str, typer.Option("--rate", metavar="N/s", help="Jobs at random times: 5/s, 300/min.", rich_help_panel=LOAD)
]
Burst = Annotated[int, typer.Option("--burst", min=0, metavar="N", help="N jobs at once.", rich_help_panel=LOAD)]
Every = Annotated[
    str,
    typer.Option(
        "--every", metavar="TIME", help="Repeat the burst this often.", show_default="once", rich_help_panel=LOAD
    ),
]
Duration = Annotated[
    str, typer.Option("--duration", metavar="TIME", help="How long jobs arrive.", rich_help_panel=LOAD)
]
Tasks = Annotated[int, typer.Option("--tasks", min=1, metavar="N", help="Tasks in each job.", rich_help_panel=LOAD)]
Work = Annotated[
    str,
    typer.Option(
        "--work",
        metavar="TIME",
        help="Duration of a task: 2s, exponential:2s, lognormal:2s,0.8.",
        rich_help_panel=LOAD,
    ),
]
ScaledObject = Annotated[
    Path | None,
    typer.Option(
        "--scaledobject",
        metavar="FILE",
        help="ScaledObject to start from.",
        show_default="ours",
        rich_help_panel=DEPLOYMENT,
    ),
]
StartUp = Annotated[
    str,
    typer.Option(
        "--start-up",
        metavar="TIME",
        help="Time from the start of a worker to its first task; written like --work.",
        show_default="2s, or as recorded",
        rich_help_panel=DEPLOYMENT,
    ),
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency", min=1, metavar="N", help="Tasks that a worker runs at once.", rich_help_panel=DEPLOYMENT
    ),
]
Local = Annotated[
    bool,
    typer.Option(
        "--local",
        help="Simulate one machine, where the length of the queue is known at once and not up to 5 s late.",
        rich_help_panel=DEPLOYMENT,
    ),
]
Tries = Annotated[
    list[str] | None,
    typer.Option(
        "--try",
        metavar="FIELD=A,B,…",
        help="Values to try; several --try give every combination. Fields: pollingInterval, cooldownPeriod, "
        "initialCooldownPeriod, minReplicaCount, idleReplicaCount, maxReplicaCount, tasksPerWorker (what the formula "
        "divides by), scaleUpWindow, scaleDownWindow, target, activationTarget, formula.",
        rich_help_panel=OUTPUT,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--p95",
        metavar="TIME",
        help="Recommend the cheapest candidate with 95 % of the results within this time.",
        rich_help_panel=OUTPUT,
    ),
]
Replays = Annotated[
    int,
    typer.Option(
        "--replays",
        min=1,
        max=100,
        metavar="N",
        help="Number of simulations of each candidate.",
        rich_help_panel=OUTPUT,
    ),
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts.", rich_help_panel=OUTPUT)
]
