"""The `essaim` command. All its subcommands are on this screen; each is in the module of its name."""

import sys
from typing import Annotated, NoReturn

import typer

from essaim.cli import credentials, demo, operations, releases, report, search
from essaim.cli.jobs import commands as jobs
from essaim.cli.jobs import submit, texts
from essaim.cli.local import up
from essaim.cli.logs import command as logs
from essaim.cli.options import JsonBefore, ServerBefore, TokenBefore, keep
from essaim.cli.output import note, shown
from essaim.cli.plan import command as plan
from essaim.cli.rollout import commands as rollout
from essaim.cli.streams import prepare
from essaim.errors import EssaimError

app = typer.Typer(
    name="essaim",
    help="Long jobs over HTTP, on workers that come and go with the queue.\n\nStart with: essaim demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ON_THIS_MACHINE = "On this machine"
app.command(rich_help_panel=ON_THIS_MACHINE)(demo.demo)
app.command(rich_help_panel=ON_THIS_MACHINE)(up.up)
app.command(rich_help_panel=ON_THIS_MACHINE, cls=search.SearchCommand)(search.search)

JOBS = "Jobs (--server URL or ESSAIM_SERVER names the server)"
app.command(rich_help_panel=JOBS)(submit.submit)
app.command("jobs", rich_help_panel=JOBS)(jobs.jobs)
app.command("job", rich_help_panel=JOBS)(jobs.job)
app.command(rich_help_panel=JOBS)(jobs.watch)
app.command(rich_help_panel=JOBS)(logs.logs)
app.command(rich_help_panel=JOBS)(jobs.cancel)
app.command(rich_help_panel=JOBS)(jobs.retry)

OPERATIONS = "Operations"
app.add_typer(texts.app, name="texts", rich_help_panel=OPERATIONS)
app.add_typer(operations.dead, name="dead", rich_help_panel=OPERATIONS)
app.command(rich_help_panel=OPERATIONS)(operations.workers)
app.command(rich_help_panel=OPERATIONS)(operations.stats)
app.command(rich_help_panel=OPERATIONS)(releases.releases)
app.add_typer(rollout.app, name="rollout", rich_help_panel=OPERATIONS)
app.command(hidden=True)(credentials.credentials)  # for the Job of the local overlay

LOAD = "Capacity"
app.command(rich_help_panel=LOAD)(report.report)
app.command(rich_help_panel=LOAD)(plan.plan)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"essaim {metadata.version('essaim')}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    server: ServerBefore = "",
    token: TokenBefore = "",
    as_json: JsonBefore = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""
    keep(ctx, server, token, as_json)


def main() -> None:
    """Run the command line. Expected errors are printed as a sentence, never as a traceback."""
    prepare()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except EssaimError as error:
        _leave(str(error), getattr(error, "exit_code", 2))
    except OSError as error:
        _leave(f"{shown(str(error.filename))}: {error.strerror}" if error.filename else str(error), 2)


def _leave(sentence: str, code: int) -> NoReturn:
    note(f"essaim: {sentence}")
    sys.exit(code)
