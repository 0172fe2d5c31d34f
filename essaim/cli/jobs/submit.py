"""`essaim submit`: submit any request to the server's workload."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from essaim.cli.errors import CliError
from essaim.cli.jobs.commands import await_end, check_succeeded
from essaim.cli.jobs.files import standard_input
from essaim.cli.options import DEFAULT_SERVER, Json, Server, Token
from essaim.cli.output import document, note, shown
from essaim.cli.running import with_client

if TYPE_CHECKING:
    from essaim.cli.client import Client, JsonObject


def submit(
    request: Annotated[
        str, typer.Argument(metavar="FILE|-|JSON", help="The request: a file, - for standard input, or JSON.")
    ] = "-",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job ends and print its result.")] = False,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="KEY", help="Idempotency-Key: repeated submissions with the same key are one job."
        ),
    ] = None,
    callback: Annotated[
        str | None, typer.Option("--callback", metavar="URL", help="URL to call when the job has ended.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Submit a job, given as JSON. Prints its id, or its result with --wait.

    Exit code 1 means the job failed; only with --wait.

    Example: essaim submit request.json --wait

    Example: essaim submit --key monday < request.json
    """
    body = read_request(request)
    job = with_client(server, token, lambda client: _submit(client, body, key, callback, wait))
    if not wait:
        note(f"submitted; follow it with `essaim watch {job['id']}`")
        return document(job) if as_json else typer.echo(job["id"])
    if as_json:
        document(job)
    elif job["state"] == "succeeded":
        document(job["result"])
    check_succeeded(job)


async def _submit(client: "Client", body: object, key: str | None, callback: str | None, wait: bool) -> "JsonObject":
    job = await client.submit(body, key, callback)
    return await await_end(client, str(job["id"])) if wait else job


def read_request(given: str) -> Any:
    """The JSON in the argument, or in the file it names. Raises `CliError`."""
    if given.lstrip().startswith(("{", "[")):
        source, text = "the request", given
    elif given == "-":
        if standard_input().isatty():
            raise CliError("no request: give it as JSON, as a file, or on standard input")
        source, text = "standard input", _read("-")
    else:
        source, text = shown(given), _read(given)
    try:
        return json.loads(text)
    except ValueError as error:
        raise CliError(f"{source} is not JSON: {error}") from error


def _read(name: str) -> str:
    try:
        return standard_input().read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"{shown(name)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CliError(f"{shown(name)} is not UTF-8: {error}") from error
