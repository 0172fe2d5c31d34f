"""`essaim texts`: files that jobs read."""

import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from essaim.cli.errors import CliError
from essaim.cli.jobs.files import STDIN, File, find
from essaim.cli.options import DEFAULT_SERVER, Json, Server, Token, keep
from essaim.cli.output import document, note, shown, table
from essaim.cli.running import with_client
from essaim.units import ago, plural, size

if TYPE_CHECKING:
    from essaim.cli.client import Client, JsonObject

app = typer.Typer(no_args_is_help=True, help="Store, list, read and remove texts.", callback=keep)


@app.command()
def put(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Files, folders, or - for standard input.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Name on the server; for several files, the folder to put them in.",
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Store files as texts. Their paths become their names; --name changes that as a target does for cp -r.

    Example: essaim texts put books/

    Example: essaim texts put notes.txt --name 2026/notes.txt

    Example: essaim texts put books/ --name library
    """
    found, binary = find(files)
    if binary:
        note(f"skipped {plural(binary, 'binary file')}; name them to store them")
    named = [(name_of(file, name, len(files) == 1), file) for file in found]
    first: dict[str, File] = {}
    for stored_as, file in named:
        if (other := first.setdefault(stored_as, file)) is not file:
            raise CliError(f"{shown(other.name)} and {shown(file.name)} would both be stored as {shown(stored_as)}")
    stored = with_client(server, token, lambda client: _put(client, named))
    if as_json:
        return document({"texts": stored})
    for text in stored:
        typer.echo(f"{shown(text['name'])}  {size(text['size'])}")


@app.command()
def ls(
    pattern: Annotated[str, typer.Argument(help="Glob: * and ? do not match /, ** does.")] = "**",
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """List texts.

    Example: essaim texts ls 'books/**'
    """
    found = with_client(server, token, lambda client: every(client, pattern))
    if as_json:
        return document({"texts": found})
    rows = [(text["name"], size(text["size"]), ago(text["modified"])) for text in found]
    table(("text", "size", "age"), rows, right=("size",), empty="no texts")


@app.command()
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names or quoted globs.")],
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Remove texts.

    Example: essaim texts rm 'books/**'
    """
    gone = with_client(server, token, lambda client: _remove(client, names))
    document({"removed": gone}) if as_json else typer.echo(f"removed {plural(len(gone), 'text')}")


@app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the text.")],
    server: Server = DEFAULT_SERVER,
    token: Token = "",
) -> None:
    """Write a text to standard output, byte for byte.

    Example: essaim texts get books/moby-dick.txt > moby-dick.txt
    """
    with_client(server, token, lambda client: _get(client, name))


def name_of(file: File, given: str | None, alone: bool) -> str:
    """The name of a file's text: its path without leading `/` and `..`, or under the `given` name.

    As with `cp -r`, the given name replaces that of the file or folder if it is `alone` on the command line; otherwise, or if
    it ends with a slash, it is the folder for files and folders. A folder that is alone never keeps its name.
    """
    if file.name == STDIN and (given is None or not alone or given.endswith("/")):
        raise CliError("standard input has no name: store it by itself, with --name NAME")
    if given is not None and alone and file.folder is None and not given.endswith("/"):
        return given
    path = PurePath(file.name)
    if given is not None:
        path = PurePath(given, path.relative_to(_kept(file, alone)))
    readable = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # a text's name is UTF-8
    return "/".join(part for part in PurePath(readable).parts if part not in ("/", "..", "."))


def _kept(file: File, alone: bool) -> PurePath:
    """The beginning of a file's path that is not part of its text's name."""
    if file.folder is None:
        return PurePath(file.name).parent
    folder = PurePath(file.folder)
    return folder if alone or folder.name == ".." else folder.parent


async def every(client: "Client", pattern: str) -> list["JsonObject"]:
    """All texts that match."""
    return [text async for text in client.pages("/v1/texts", "texts", pattern=pattern, limit=1000)]


async def remove(client: "Client", names: list[str]) -> None:
    """Remove these texts, a few at a time."""
    from essaim.cli.jobs.upload import each

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
    from essaim.cli.jobs.progress import progress, sending
    from essaim.cli.jobs.upload import upload

    with progress() as bars:
        return await upload(client, named, sending(bars, [file for _, file in named]))


async def _get(client: "Client", name: str) -> None:
    async with client.stream("GET", client.text_path(name)) as response:
        async for chunk in response.aiter_raw():
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
