"""Options that several commands share, so that they read and behave alike. They may stand before the command, too."""

from typing import Annotated, Any

import typer

from essaim.cli.errors import CliError

DEFAULT_SERVER = "http://127.0.0.1:8080"
BEFORE = "essaim.before"  # in a context's `meta`: what stood before the command


ServerBefore = Annotated[str, typer.Option("--server", metavar="URL", help="As after the command.")]
TokenBefore = Annotated[str, typer.Option("--token", metavar="TOKEN", help="As after the command.")]
JsonBefore = Annotated[bool, typer.Option("--json", help="As after the command.")]


def keep(ctx: typer.Context, server: ServerBefore = "", token: TokenBefore = "", as_json: JsonBefore = False) -> None:
    """Keep what stands before a command for it. Raises `CliError` for what it does not take."""
    here = {name: value for name, value in (("server", server), ("token", token), ("as_json", as_json)) if value}
    given = ctx.meta[BEFORE] = {**ctx.meta.get(BEFORE, {}), **here}
    group: Any = ctx.command
    for name in given:
        if not _takes(group.commands[ctx.invoked_subcommand], name):
            path = ["essaim", *([] if ctx.parent is None else [str(ctx.info_name)]), str(ctx.invoked_subcommand)]
            raise CliError(f"`{' '.join(path)}` takes no --{name.removeprefix('as_')}")


def _takes(command: Any, name: str) -> bool:
    commands = getattr(command, "commands", {})
    return any(param.name == name for param in command.params) or any(_takes(it, name) for it in commands.values())


def shared(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """What stands after the command counts, then what stands before it, then the environment."""
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
    typer.Option("--json", help="One JSON document on standard output, and nothing else there.", callback=shared),
]
