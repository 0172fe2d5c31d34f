"""`essaim rollout`: a new release takes over step by step, judged by how its jobs end, and goes back by itself."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from essaim.cli.options import Json, Token, release_name
from essaim.cli.rollout.target import Ingress, Local, Namespace, ServiceName, TargetOptions

STEPS = "1,5,25,50,100"
Steps = Annotated[str, typer.Option("--steps", metavar="PERCENT,…", help="Its share of the requests, step by step.")]
MinJobs = Annotated[
    int, typer.Option("--min-jobs", min=5, metavar="N", help="Jobs of it that must have ended before it goes on.")
]
Increase = Annotated[
    str, typer.Option("--max-failure-increase", metavar="PERCENT", help="How many more of all jobs may fail.")
]
Slowdown = Annotated[str, typer.Option("--max-slowdown", metavar="PERCENT", help="How much longer jobs may take.")]
Takeover = Annotated[bool, typer.Option("--takeover", help="Take it from whoever holds it, without waiting.")]


class RolloutGroup(TyperGroup):
    """`essaim rollout --release v2` is `essaim rollout start --release v2`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if known or not args else ["start", *args])


app = typer.Typer(
    cls=RolloutGroup,
    no_args_is_help=True,
    help="A new release takes over step by step, judged by how its jobs end, and goes back by itself.\n\n"
    "`essaim rollout --release v2` starts one.",
)


@app.command()
def start(
    release: Annotated[str, typer.Option("--release", metavar="NAME", help="The release that is to take over.")],
    image: Annotated[
        str | None,
        typer.Option(
            "--image", metavar="NAME", help="Make it, as the old one but with this image. Else it is waited for."
        ),
    ] = None,
    steps: Steps = STEPS,
    min_jobs: MinJobs = 50,
    max_failure_increase: Increase = "1%",
    max_slowdown: Slowdown = "20%",
    timeout: Annotated[
        str,
        typer.Option("--timeout", metavar="TIME", help="How long pods, the first job, any worker may be waited for."),
    ] = "15m",
    smoke: Annotated[
        Path | None,
        typer.Option(
            "--smoke", metavar="FILE", help="The request of its first job.", show_default="a job's that succeeded"
        ),
    ] = None,
    shadow: Annotated[
        int, typer.Option("--shadow", min=0, metavar="N", help="First run N finished jobs again on it, and compare.")
    ] = 0,
    requeue_failed: Annotated[
        bool, typer.Option("--requeue-failed", help="If it goes back: run the jobs it failed again on the old release.")
    ] = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="At the end remove the release without requests, once it has no more work.")
    ] = False,
    takeover: Takeover = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print the patches it would send, and change nothing.")] = False,
    local: Local = None,
    namespace: Namespace = "essaim",
    service: ServiceName = "essaim",
    ingress: Ingress = "",
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Start a rollout, or resume an interrupted one. This is the default subcommand.

    The new release gets a share of the requests, and once enough of its jobs have ended, they are compared with those of the
    old one: it gets more, or waits, or all requests go back. Exit code 0: it has taken over; 1: it went back.

    Example: essaim rollout start --release v2 --image registry.example.com/essaim@sha256:1f --requeue-failed

    Example: essaim rollout start --release v2 --steps 10,50,100 --min-jobs 20 --local .essaim
    """
    from essaim.cli.rollout import run
    from essaim.cli.rollout.options import StartOptions, seconds, share, shares
    from essaim.rollout.verdict import Rules

    rules = Rules(min_jobs, share(max_failure_increase), share(max_slowdown))
    waits, name = seconds(timeout), release_name(release)
    options = StartOptions(name, image, shares(steps), rules, waits, shadow, requeue_failed, retire)
    target = TargetOptions(namespace, service, ingress, token, local)
    run.start(target, options, smoke, takeover=takeover, plan=plan, as_json=as_json)


@app.command()
def status(
    local: Local = None,
    namespace: Namespace = "essaim",
    service: ServiceName = "essaim",
    as_json: Json = False,
) -> None:
    """Show how far it is, who holds it, and what has happened.

    Example: essaim rollout status
    """
    from essaim.cli.rollout import steering

    steering.show(TargetOptions(namespace, service, "", "", local), as_json=as_json)


@app.command()
def pause(local: Local = None, namespace: Namespace = "essaim", service: ServiceName = "essaim") -> None:
    """Take no step forward until `resume`. It still goes back when the new release turns out to be bad.

    Example: essaim rollout pause
    """
    from essaim.cli.rollout import steering

    steering.pause(TargetOptions(namespace, service, "", "", local))


@app.command()
def resume(
    takeover: Takeover = False,
    local: Local = None,
    namespace: Namespace = "essaim",
    service: ServiceName = "essaim",
    ingress: Ingress = "",
    token: Token = "",
    as_json: Json = False,
) -> None:
    """End the pause. If no other process runs the rollout, run it here.

    Example: essaim rollout resume --takeover
    """
    from essaim.cli.rollout import steering

    steering.resume(TargetOptions(namespace, service, ingress, token, local), takeover=takeover, as_json=as_json)


@app.command()
def abort(
    local: Local = None,
    namespace: Namespace = "essaim",
    service: ServiceName = "essaim",
    ingress: Ingress = "",
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Give all requests back to the old release, now.

    Example: essaim rollout abort
    """
    from essaim.cli.rollout import steering

    steering.decide(TargetOptions(namespace, service, ingress, token, local), "aborted", as_json=as_json)


@app.command()
def promote(
    local: Local = None,
    namespace: Namespace = "essaim",
    service: ServiceName = "essaim",
    ingress: Ingress = "",
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Give all requests to the new release, now, whatever its jobs say.

    Example: essaim rollout promote
    """
    from essaim.cli.rollout import steering

    steering.decide(TargetOptions(namespace, service, ingress, token, local), "promoted", as_json=as_json)


@app.command()
def odds(
    steps: Steps = STEPS,
    min_jobs: MinJobs = 50,
    max_failure_increase: Increase = "1%",
    max_slowdown: Slowdown = "20%",
    rollouts: Annotated[int, typer.Option("--rollouts", min=1, metavar="N", help="How many in all.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another one, other dice.")] = 1,
    as_json: Json = False,
) -> None:
    """Show how often such a rollout would take equal releases for bad ones, and bad ones for good: by simulation.

    Example: essaim rollout odds --min-jobs 200 --rollouts 2000
    """
    from essaim.cli.rollout.error_rates import show
    from essaim.cli.rollout.options import share, shares
    from essaim.rollout.verdict import Rules

    rules = Rules(min_jobs, share(max_failure_increase), share(max_slowdown))
    show(rules, shares(steps), rollouts, seed, as_json=as_json)
