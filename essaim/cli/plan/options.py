"""What `essaim plan` can be told."""

from pathlib import Path
from typing import Annotated

import typer

ARRIVING, HOUSE, ANSWER = "What comes", "The house", "The answer"

Run = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="The jobs of a recorded run.", rich_help_panel=ARRIVING)
]
Rate = Annotated[
    str, typer.Option("--rate", metavar="N/s", help="Jobs by chance: 5/s, 300/min.", rich_help_panel=ARRIVING)
]
Burst = Annotated[
    int, typer.Option("--burst", min=0, metavar="N", help="So many jobs at once.", rich_help_panel=ARRIVING)
]
Every = Annotated[
    str,
    typer.Option("--every", metavar="TIME", help="Then again.", show_default="once", rich_help_panel=ARRIVING),
]
Duration = Annotated[
    str, typer.Option("--duration", metavar="TIME", help="How long jobs come.", rich_help_panel=ARRIVING)
]
Tasks = Annotated[int, typer.Option("--tasks", min=1, metavar="N", help="In a job.", rich_help_panel=ARRIVING)]
Work = Annotated[
    str,
    typer.Option(
        "--work",
        metavar="TIME",
        help="What a task takes: 2s, exponential:2s, lognormal:2s,0.8.",
        rich_help_panel=ARRIVING,
    ),
]
ScaledObject = Annotated[
    Path | None,
    typer.Option(
        "--scaledobject", metavar="FILE", help="Rules to begin with.", show_default="ours", rich_help_panel=HOUSE
    ),
]
StartUp = Annotated[
    str,
    typer.Option(
        "--start-up",
        metavar="TIME",
        help="Of a worker, until its first task; written like --work.",
        show_default="2s, or as recorded",
        rich_help_panel=HOUSE,
    ),
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, metavar="N", help="Tasks at once in a worker.", rich_help_panel=HOUSE)
]
Local = Annotated[
    bool,
    typer.Option(
        "--local", help="One machine: the queue's depth is known at once, not after up to 5 s.", rich_help_panel=HOUSE
    ),
]
Tries = Annotated[
    list[str] | None,
    typer.Option(
        "--try",
        metavar="FIELD=A,B,…",
        help="Other numbers; several give every combination. Fields: pollingInterval, cooldownPeriod, "
        "initialCooldownPeriod, minReplicaCount, idleReplicaCount, maxReplicaCount, tasksPerWorker (what the formula "
        "divides by), scaleUpWindow, scaleDownWindow, target, activationTarget, formula.",
        rich_help_panel=ANSWER,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--p95",
        metavar="TIME",
        help="Recommend the cheapest that has 95 % of the results within this.",
        rich_help_panel=ANSWER,
    ),
]
Replays = Annotated[
    int, typer.Option("--replays", min=1, max=100, metavar="N", help="Of each candidate.", rich_help_panel=ANSWER)
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="A page with pictures.", rich_help_panel=ANSWER)
]
