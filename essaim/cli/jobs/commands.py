"""Commands for existing jobs: list, show, follow, cancel, retry."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from essaim.cli.errors import JobUnsuccessfulError
from essaim.cli.options import DEFAULT_SERVER, Json, Server, Token
from essaim.cli.output import document, note, table
from essaim.cli.running import with_client
from essaim.jobs.model import State
from essaim.units import ago

if TYPE_CHECKING:
    from essaim.cli.client import Client, JsonObject

PAGE = 200  # the server's largest page
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]


def jobs(
    state: Annotated[
        list[State] | None, typer.Option("--state", help="Only jobs in this state; may be repeated.")
    ] = None,
    release: Annotated[str | None, typer.Option("--release", metavar="NAME", help="Only jobs of this release.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most this many.")] = 20,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """List jobs, newest first.

    Example: essaim jobs --state failed --limit 100
    """
    found = with_client(server, token, lambda client: _list(client, state or [], release, limit))
    if as_json:
        return document({"jobs": found})
    table(
        ("job", "state", "tasks", "done", "age", "problem"),
        [_row(job) for job in found],
        right=("tasks", "done"),
        empty="no jobs",
    )


def job(
    job_id: JobId,
    result: Annotated[bool, typer.Option("--result", help="Print the result as JSON.")] = False,
    tasks: Annotated[bool, typer.Option("--tasks", help="List the tasks.")] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Show one job.

    Example: essaim job 0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10 --result
    """
    if result:
        return document(with_client(server, token, lambda client: client.get(f"/v1/jobs/{job_id}/result")))
    if tasks:
        found = with_client(server, token, lambda client: all_tasks(client, job_id))
        return document({"tasks": found}) if as_json else _show_tasks(found)
    shown = with_client(server, token, lambda client: client.get(f"/v1/jobs/{job_id}"))
    return document(shown) if as_json else _show(shown)


def watch(job_id: JobId, server: Server = DEFAULT_SERVER, token: Token = "", as_json: Json = False) -> None:
    """Follow a job until it ends. Exit code 1 means it failed or was cancelled.

    Example: essaim watch 0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10
    """
    ended = with_client(server, token, lambda client: await_end(client, job_id))
    document(ended) if as_json else _show(ended)
    check_succeeded(ended)


def cancel(job_id: JobId, server: Server = DEFAULT_SERVER, token: Token = "", as_json: Json = False) -> None:
    """Cancel a job. A job that has ended does not change.

    Example: essaim cancel 0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10
    """
    shown = with_client(server, token, lambda client: client.call("DELETE", f"/v1/jobs/{job_id}"))
    document(shown) if as_json else typer.echo(f"{shown['id']} is {shown['state']}")


def retry(
    job_id: JobId,
    taken_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RELEASE",
            help="Take the job over from this release, even if it is still queued or running there.",
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Run a failed job again, in the release that answers. Succeeded tasks are kept, unless the job comes from another release
    or its texts have changed: then it starts over.

    Example: essaim retry 0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10

    Example: essaim retry 0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10 --from v2 --server http://127.0.0.1:8081
    """
    query = {} if taken_from is None else {"from": taken_from}
    shown = with_client(server, token, lambda client: client.call("POST", f"/v1/jobs/{job_id}/retry", params=query))
    again = f"is {shown['state']} in release {shown['release']}, run {shown['run']}"
    document(shown) if as_json else typer.echo(f"{shown['id']} {again}")


async def await_end(client: "Client", job_id: str) -> "JsonObject":
    """Wait until the job has ended; return it with its result. If interrupted, the job keeps running, and a note says so."""
    import asyncio

    from essaim.cli.jobs.progress import progress, until_ended

    try:
        with progress() as bars:
            await until_ended(client, job_id, bars)
    except asyncio.CancelledError:
        note(f"the job keeps running; `essaim watch {job_id}` follows it, `essaim cancel {job_id}` cancels it")
        raise
    ended: JsonObject = await client.get(f"/v1/jobs/{job_id}")
    if ended["state"] == "succeeded" and ended["result"] is None:  # too large to be included
        ended["result"] = await client.get(f"/v1/jobs/{job_id}/result")
    return ended


async def all_tasks(client: "Client", job_id: str) -> list["JsonObject"]:
    """Every task of the job."""
    return [task async for task in client.pages(f"/v1/jobs/{job_id}/tasks", "tasks", "after", limit=1000)]


def check_succeeded(ended: "JsonObject") -> None:
    """Raises `JobUnsuccessfulError` unless the job has succeeded."""
    if ended["state"] != "succeeded":
        problem = f": {ended['problem']['detail']}" if ended["problem"] else ""
        raise JobUnsuccessfulError(f"job {ended['id']} {_in_words(ended['state'])}{problem}")


async def _list(client: "Client", states: list[State], release: str | None, limit: int) -> list["JsonObject"]:
    found: list[JsonObject] = []
    async for job in client.pages("/v1/jobs", "jobs", state=list(states), release=release, limit=min(limit, PAGE)):
        found.append(job)
        if len(found) == limit:
            break
    return found


def _in_words(state: str) -> str:
    return "was cancelled" if state == "cancelled" else "has failed" if state == "failed" else f"is {state}"


def _row(shown: "JsonObject") -> tuple[Any, ...]:
    tasks = "–" if shown["tasks"] is None else f"{shown['tasks_ended']}/{shown['tasks']}"
    problem = shown["problem"]["detail"] if shown["problem"] else ""
    return shown["id"], shown["state"], tasks, f"{shown['progress']:.0%}", ago(shown["created"]), problem


def _show(shown: "JsonObject") -> None:
    tasks = "not known yet" if shown["tasks"] is None else f"{shown['tasks_ended']} of {shown['tasks']} ended"
    rows = [("id", shown["id"]), ("state", shown["state"]), ("progress", f"{shown['progress']:.0%}"), ("tasks", tasks)]
    rows += [("run", shown["run"]), ("release", shown["release"]), ("owner", shown["owner"])]
    rows += [(name, shown[name] or "–") for name in ("created", "retried", "started", "ended")]
    if shown["problem"]:
        rows.append(("problem", shown["problem"]["detail"]))
    table(("job", ""), rows)


def _show_tasks(tasks: list["JsonObject"]) -> None:
    rows = []
    for task in tasks:
        problem = task["problem"]["detail"] if task["problem"] else ""
        numbers = task["attempts"], task["failures"], f"{task['progress']:.0%}"
        rows.append((task["number"], task["state"], *numbers, task["worker"] or "–", problem))
    headers = ("task", "state", "attempts", "failures", "done", "worker", "problem")
    table(headers, rows, right=("task", "attempts", "failures", "done"), empty="no tasks yet")
