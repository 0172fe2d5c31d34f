"""Commands for operators: workers, statistics, dead letters."""

from typing import Annotated, Any

import typer

from essaim.cli.options import DEFAULT_SERVER, Json, Server, Token, keep
from essaim.cli.output import document, table
from essaim.cli.running import with_client
from essaim.units import ago, plural

dead = typer.Typer(
    no_args_is_help=True,
    help="List and replay dead letters: messages that were parked because every attempt failed.",
    callback=keep,
)


def workers(server: Server = DEFAULT_SERVER, token: Token = "", as_json: Json = False) -> None:
    """List workers and the tasks they run.

    Example: essaim workers
    """
    found = with_client(server, token, lambda client: client.get("/v1/workers"))
    if as_json:
        return document(found)
    rows = [(it["id"], it["release"], ago(it["started"]), ", ".join(it["tasks"]) or "idle") for it in found["workers"]]
    table(("worker", "release", "since", "doing"), rows, empty="no workers: nothing to do")


def stats(server: Server = DEFAULT_SERVER, token: Token = "", as_json: Json = False) -> None:
    """Show the length of the queue, the number of workers, and the jobs by release and state.

    Example: essaim stats --json
    """
    found = with_client(server, token, lambda client: client.get("/v1/stats"))
    if as_json:
        return document(found)
    queue = found["queue"]
    rows: list[tuple[Any, ...]] = [("messages ready", queue["ready"]), ("messages in flight", queue["in_flight"])]
    rows.append(("workers", found["workers"]))
    for release, states in sorted(found["jobs"].items()):
        rows += [(f"jobs {state} ({release})", count) for state, count in sorted(states.items())]
    table(("what", "count"), rows, right=("count",))


@dead.command("ls")
def list_dead(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="At most this many.")] = 100,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """List dead letters, oldest first.

    Example: essaim dead ls
    """
    found = with_client(server, token, lambda client: client.get("/v1/dead-letters", limit=limit))
    if as_json:
        return document(found)
    rows = [(it["id"], _subject(it["event"]), ago(it["parked"]), it["reason"]) for it in found["dead_letters"]]
    table(("letter", "about", "age", "reason"), rows, empty="no dead letters")


@dead.command("replay")
def replay_dead(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Dead letters to replay; by default all.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Replay dead letters: their jobs run again. Succeeded tasks are kept.

    Example: essaim dead replay

    Example: essaim dead replay 17
    """
    wanted = {"ids": ids or None}
    found = with_client(server, token, lambda client: client.call("POST", "/v1/dead-letters/replay", json=wanted))
    document(found) if as_json else typer.echo(f"replayed {plural(found['replayed'], 'dead letter')}")


def _subject(event: dict[str, Any] | None) -> str:
    return f"{event.get('type', '?')} {event.get('subject', '')}" if event else "unreadable"
