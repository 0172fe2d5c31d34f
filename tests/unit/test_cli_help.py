"""Every command explains itself, with an example that it would take."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from essaim.cli.main import app


def commands(group: Any, path: str = "essaim") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_all_commands_are_there() -> None:
    expected = "demo up search submit jobs job watch logs cancel retry workers stats releases plan"
    grouped = ["texts put", "texts ls", "texts rm", "texts get", "dead ls", "dead replay"]
    assert set(COMMANDS) >= {f"essaim {name}" for name in [*expected.split(), *grouped]}


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_has_an_example_that_it_would_take(path: str) -> None:
    command = COMMANDS[path]
    examples = re.findall(r"^ *Example: (.+)$", command.help, re.MULTILINE)
    assert examples
    for example in examples:
        words = shlex.split(re.sub(r" [<>] .*", "", example))
        assert " ".join(words[: len(path.split())]) == path
        context = command.make_context(path, words[len(path.split()) :])
        assert context.args == []


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in COMMANDS
        if not path.startswith("essaim rollout ")  # which asks a cluster where the server is
        and path.removeprefix("essaim ") not in ("credentials", "demo", "logs", "plan", "report", "up", "texts get")
    ],
)
def test_what_asks_a_server_speaks_to_machines_too(path: str) -> None:
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert {"--json", "--server", "--token"} <= options
