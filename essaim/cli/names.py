"""Names that are part of others: of hosts, revisions and Deployments."""

import re

from essaim.cli.errors import CliError

RELEASE = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


def release_name(name: str) -> str:
    """The name, if requests can be moved to a release that is called so. Raises `CliError` otherwise."""
    if not RELEASE.fullmatch(name):
        raise CliError(f"{name!r} is no name of a release: lower case letters, digits and dashes, 20 at most")
    return name
