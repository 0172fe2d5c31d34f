"""`essaim texts`: files that jobs read."""

import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CliError
from cli.files import STDIN, File, find
from cli.options import DEFAULT_SERVER, Json, Server, Token, keep
from cli.output import ago, document, note, plural, size, table
from cli.running import ask

if TYPE_CHECKING:
    from cli.client import Client, JsonObject

app = typer.Typer(no_args_is_help=True, help="Store, list, read and remove texts.", callback=keep)


@app.command()
def put(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Files, folders, or - for standard input.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Its name there; of several files, their folder.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Store files as texts, under their paths or under another name.

    Example: essaim texts put books/

    Example: essaim texts put notes.txt --name 2026/notes.txt
    """
    found, binary = find(files)
    if binary:
        note(f"left out {plural(binary, 'binary file')}; name them to store them")
    named = [(name_of(file, name, len(found)), file) for file in found]
    stored = ask(server, token, lambda client: _put(client, named))
    if as_json:
        return document({"texts": stored})
    for text in stored:
        typer.echo(f"{text['name']}  {size(text['size'])}")


@app.command()
def ls(
    pattern: Annotated[str, typer.Argument(help="A glob: * and ? cross no /, ** does.")] = "**",
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """List texts.

    Example: essaim texts ls 'books/**'
    """
    found = ask(server, token, lambda client: every(client, pattern))
    if as_json:
        return document({"texts": found})
    rows = [(text["name"], size(text["size"]), ago(text["modified"])) for text in found]
    table(("text", "size", "age"), rows, right=("size",), empty="no texts")


@app.command()
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names, or globs: quote them.")],
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Remove texts.

    Example: essaim texts rm 'books/**'
    """
    gone = ask(server, token, lambda client: _remove(client, names))
    document({"removed": gone}) if as_json else typer.echo(f"removed {plural(len(gone), 'text')}")


@app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    server: Server = DEFAULT_SERVER,
    token: Token = "",
) -> None:
    """Write a text to standard output, byte for byte.

    Example: essaim texts get books/moby-dick.txt > moby-dick.txt
    """
    ask(server, token, lambda client: _get(client, name))


def name_of(file: File, given: str | None, files: int) -> str:
    """What a file is called as a text: its path without what leads out of here, or as `given`."""
    if given is not None and files == 1:
        return given
    if file.name == STDIN:
        raise CliError("what shall the text from standard input be called? Say --name NAME")
    readable = file.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # a text's name is UTF-8
    parts = [part for part in PurePath(readable).parts if part not in ("/", "..", ".")]
    return "/".join([given.rstrip("/"), *parts] if given else parts)


async def every(client: "Client", pattern: str) -> list["JsonObject"]:
    """All texts that match."""
    found: list[JsonObject] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await client.get("/v1/texts", pattern=pattern, cursor=cursor, limit=1000)
        found += page["texts"]
        cursor = page["cursor"]
    return found


async def remove(client: "Client", names: list[str]) -> None:
    """Remove these, a few at once."""
    from cli.upload import each

    async def delete(name: str) -> None:
        await client.call("DELETE", client.text_path(name))

    await each(delete, names)


async def _remove(client: "Client", names: list[str]) -> list[str]:
    wanted: dict[str, None] = {}
    for name in names:
        matched = [text["name"] for text in await every(client, name)] if "*" in name or "?" in name else [name]
        if not matched:
            raise CliError(f"no text matches {name}")
        wanted.update(dict.fromkeys(matched))
    await remove(client, list(wanted))
    return list(wanted)


async def _put(client: "Client", named: list[tuple[str, File]]) -> list["JsonObject"]:
    from cli.progress import progress, sending
    from cli.upload import upload

    sizes = [file.size for _, file in named]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    with progress() as bars:
        return await upload(client, named, sending(bars, len(named), total))


async def _get(client: "Client", name: str) -> None:
    async with client.stream("GET", client.text_path(name)) as response:
        async for chunk in response.aiter_raw():
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
