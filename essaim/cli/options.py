"""Options that several commands share. They may also stand before the command."""

import re
from typing import Annotated, Any

import typer

from essaim.cli.errors import CliError

DEFAULT_SERVER = "http://127.0.0.1:8080"
RELEASE = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")  # part of the names of hosts, revisions and Deployments
BEFORE = "essaim.before"  # key in a context's `meta`: the options before the command


ServerBefore = Annotated[str, typer.Option("--server", metavar="URL", help="Where Essaim answers.")]
TokenBefore = Annotated[
    str, typer.Option("--token", metavar="TOKEN", help="API token; needed only if the server requires one.")
]
JsonBefore = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def keep(ctx: typer.Context, server: ServerBefore = "", token: TokenBefore = "", as_json: JsonBefore = False) -> None:
    """Pass options before a command on to it. Raises `CliError` for one that it does not take."""
    now = {name: value for name, value in (("server", server), ("token", token), ("as_json", as_json)) if value}
    given = ctx.meta[BEFORE] = {**ctx.meta.get(BEFORE, {}), **now}
    group: Any = ctx.command
    for name in given:
        if not _takes(group.commands[ctx.invoked_subcommand], name):
            path = ["essaim", *([] if ctx.parent is None else [str(ctx.info_name)]), str(ctx.invoked_subcommand)]
            raise CliError(f"`{' '.join(path)}` takes no --{name.removeprefix('as_')}")


def _takes(command: Any, name: str) -> bool:
    commands = getattr(command, "commands", {})
    return any(param.name == name for param in command.params) or any(_takes(it, name) for it in commands.values())


def shared(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """An option after the command wins over one before it, and that over the environment."""
    name = param.name or ""
    source = ctx.get_parameter_source(name)
    if source is not None and source.name == "COMMANDLINE":
        return value
    return ctx.meta.get(BEFORE, {}).get(name, value)


Server = Annotated[
    str, typer.Option("--server", envvar="ESSAIM_SERVER", metavar="URL", help="Where Essaim answers.", callback=shared)
]
Token = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="ESSAIM_TOKEN",
        metavar="TOKEN",
        help="API token; needed only if the server requires one.",
        callback=shared,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document instead of text.", callback=shared),
]
Speed = Annotated[
    float,
    typer.Option(
        "--speed", min=0.1, max=100, metavar="X", help="Speed of the autoscaler's clock; 5 scales five times as fast."
    ),
]
Live = Annotated[
    bool, typer.Option("--live/--no-live", help="Live view in a terminal; otherwise a line for each change.")
]


def release_name(name: str) -> str:
    """The name, if it is valid for a release. Raises `CliError`."""
    if not RELEASE.fullmatch(name):
        raise CliError(f"{name!r} is not a release name: use lower case letters, digits and dashes, 20 at most")
    return name
