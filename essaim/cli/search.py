"""`essaim search`: count words in files. The only module of the CLI that knows the workload."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from essaim.cli.errors import CliError, JobUnsuccessfulError
from essaim.cli.jobs.files import File, find
from essaim.cli.options import Json, Token, shared
from essaim.cli.output import document, note, printable, shown, table
from essaim.cli.running import run
from essaim.units import plural

if TYPE_CHECKING:
    from essaim.cli.client import Client, JsonObject

FILES = "essaim.files"
SPEED = 10.0  # of a private autoscaler
PLACES_SHOWN = 100


class SearchCommand(TyperCommand):
    """Everything after `--` is a file, even if it looks like an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[FILES] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", "WORD...", "--", "FILE..."]


def search(
    ctx: typer.Context,
    words: Annotated[
        list[str], typer.Argument(metavar="WORD", help="Words to count; files and folders follow after --.")
    ],
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="É matches é.")] = False,
    ignore_accents: Annotated[bool, typer.Option("--ignore-accents", help="e matches é.")] = False,
    substrings: Annotated[bool, typer.Option("--substrings", help="Also match inside words.")] = False,
    positions: Annotated[
        int, typer.Option("--positions", metavar="N", help="Show the first N places, for each word and file.")
    ] = 3,
    pause: Annotated[
        float, typer.Option("--pause", metavar="SECONDS", help="Let each task sleep this long, to simulate heavy work.")
    ] = 0.0,
    recursive: Annotated[bool, typer.Option("-r", hidden=True)] = False,
    server: Annotated[
        str,
        typer.Option(
            "--server",
            envvar="ESSAIM_SERVER",
            metavar="URL",
            help="Where Essaim answers; by default a private server on this machine.",
            callback=shared,
        ),
    ] = "",
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Count words in files, on workers that scale with the work. FILE may be a folder, or - for standard input.

    In folders, hidden and binary files are skipped. Exit code 0: found, 1: nothing found, 2: error, 141: the reader of the
    output closed it.

    Example: essaim search -i swarm bees -- notes.txt books/

    Example: essaim search --json liberté -- *.txt
    """
    files, binary = find(ctx.meta.get(FILES) or [])
    if not files:
        raise CliError("no files: write `essaim search WORD... -- FILE...`")
    if binary:
        note(f"skipped {plural(binary, 'binary file')}")
    options = {"ignore_case": ignore_case, "ignore_accents": ignore_accents, "whole_words": not substrings}
    request = _request({"words": words, **options, "positions": positions, "pause_seconds": pause})
    report = run(_search(request, files, server, token))
    document(report) if as_json else _show(report)
    raise typer.Exit(0 if any(report["counts"].values()) else 1)


def _request(fields: "JsonObject") -> "JsonObject":
    """The request, checked before anything is sent. Raises `CliError`."""
    from pydantic import ValidationError

    try:
        from essaim_words.payload import Request
    except ModuleNotFoundError as error:
        raise CliError("the word search is a package of its own: pip install essaim-words") from error
    try:
        request = Request.model_validate({**fields, "texts": ["**"]})
    except ValidationError as error:
        faults = [f"  {' '.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise CliError("\n".join(["invalid search:", *faults])) from error
    return request.model_dump(mode="json", exclude_unset=True)


async def _search(request: "JsonObject", files: list[File], server: str, token: str) -> "JsonObject":
    """The report, as `--json` prints it."""
    from essaim.cli.batch import Batch

    batch = Batch(files)
    async with _open_client(server, token, request["pause_seconds"]) as client:
        try:
            job = await batch.run(client, {**request, "texts": [batch.pattern]}, private=not server)
        except JobUnsuccessfulError as error:  # its exit code means "nothing found" here, as with grep
            raise CliError(str(error)) from error
        result = job["result"]
    for name, found in result["texts"].items():
        file, encoding = shown(batch.files[name].name), found["encoding"].upper()
        if encoding != "UTF-8":
            note(f"{file}: decoded from {encoding}")
        if found["invalid_bytes"]:
            note(f"{file}: {plural(found['invalid_bytes'], 'byte')} not {encoding}; searched all the same")
    texts = {batch.files[name].name: found["words"] for name, found in result["texts"].items()}
    return {
        "job": job["id"],
        "counts": result["counts"],
        "texts": {name: words for name, words in texts.items() if words},
    }


@asynccontextmanager
async def _open_client(server: str, token: str, pause: float) -> AsyncIterator["Client"]:
    """A client of the given server, or of a private one that is removed afterwards."""
    from essaim.cli.client import open_client

    if server:
        async with open_client(server, token) as client:
            yield client
        return
    from essaim.autoscaler.policy import load
    from essaim.cli.local.processes import open_local, private

    # There will be work, so the first worker starts at once. A search keeps a core busy: more workers than cores only
    # help if they mostly sleep.
    policy = replace(load(), min_replicas=1)
    if not pause:
        policy = replace(policy, max_replicas=min(policy.max_replicas, os.cpu_count() or 1))
    with tempfile.TemporaryDirectory(prefix="essaim-search-") as folder:
        async with (
            open_local(private(Path(folder)), policy, speed=SPEED) as local,
            open_client(local.server) as client,
        ):
            yield client


def _show(report: "JsonObject") -> None:
    places = [f"{shown(name)}:{where}" for name, words in report["texts"].items() for where in _places(words)]
    for place in places[:PLACES_SHOWN]:
        typer.echo(printable(place))
    if len(places) > PLACES_SHOWN:
        note(f"… and {plural(len(places) - PLACES_SHOWN, 'more place')}: --json has them all")
    if places:
        typer.echo()
    standing = [word for words in report["texts"].values() for word, found in words.items() if found["count"]]
    rows = [(word, f"{count:,}", standing.count(word)) for word, count in report["counts"].items()]
    table(("word", "count", "files"), rows, right=("count", "files"))


def _places(words: "JsonObject") -> list[str]:
    """The places in a file, in order, in the form that editors and terminals turn into links."""
    found = [(it["line"], it["column"], it["snippet"]) for matches in words.values() for it in matches["positions"]]
    return [f"{line}:{column}: {snippet}" for line, column, snippet in sorted(found)]
