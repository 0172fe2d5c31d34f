"""Options that several commands share, so that they read and behave alike."""

from typing import Annotated

import typer

DEFAULT_SERVER = "http://127.0.0.1:8080"

Server = Annotated[str, typer.Option("--server", envvar="ESSAIM_SERVER", metavar="URL", help="Where Essaim answers.")]
Token = Annotated[
    str, typer.Option("--token", envvar="ESSAIM_TOKEN", metavar="TOKEN", help="Who asks, where it wants to know.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and nothing else there.")]
