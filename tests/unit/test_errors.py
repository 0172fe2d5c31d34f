"""Each errors module draws its classes as a tree; the drawings are true and complete."""

import importlib
import pkgutil
import re
import sys
from collections import defaultdict

import pytest

import essaim
import essaim_api
import essaim_worker
from essaim.errors import EssaimError

BRANCH = re.compile(r"^(?P<indent>(?:│   |    )*)[├└]── (?P<name>\w+)", re.MULTILINE)
EXECUTABLE = ".__main__"


def test_each_module_draws_the_errors_it_defines() -> None:
    defined = errors_by_module()
    assert {"essaim.errors", "essaim_api.errors", "essaim.cli.errors"} <= defined.keys()
    for module, errors in defined.items():
        assert not lines_missing(module, errors), module


def test_the_drawings_show_nothing_else() -> None:
    true = {(error.__bases__[0].__name__, error.__name__) for errors in errors_by_module().values() for error in errors}
    for module in errors_by_module():
        assert drawn(module) <= true, module


@pytest.mark.parametrize(
    ("drawing", "edges"),
    [
        ("R\n├── A\n│   └── B  says\n└── C", {("R", "A"), ("A", "B"), ("R", "C")}),
        ("R\n└── A\n    ├── B\n    └── C", {("R", "A"), ("A", "B"), ("A", "C")}),
        ("no tree at all", set()),
    ],
)
def test_a_drawing_is_read_as_its_branches_say(drawing: str, edges: set[tuple[str, str]]) -> None:
    assert parse(drawing, root="R") == edges


def errors_by_module() -> dict[str, list[type[EssaimError]]]:
    """Every error of the product, without those that a module keeps for itself."""
    for package in (essaim, essaim_api, essaim_worker):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(EXECUTABLE):
                importlib.import_module(module.name)
    found = defaultdict(list)
    pending = [EssaimError]
    while pending:
        below = pending.pop().__subclasses__()
        pending += below
        for error in below:
            if error.__module__.startswith("essaim") and not error.__name__.startswith("_"):
                found[error.__module__].append(error)
    return found


def lines_missing(module: str, errors: list[type[EssaimError]]) -> set[tuple[str, str]]:
    """A single error needs no drawing."""
    if len(errors) == 1:
        return set()
    return {(error.__bases__[0].__name__, error.__name__) for error in errors} - drawn(module)


def drawn(module: str) -> set[tuple[str, str]]:
    return parse(sys.modules[module].__doc__ or "", root=EssaimError.__name__)


def parse(drawing: str, root: str) -> set[tuple[str, str]]:
    """Pairs of a class and one below it."""
    path, edges = [root], set()
    for branch in BRANCH.finditer(drawing):
        depth = len(branch["indent"]) // 4 + 1
        path = [*path[:depth], branch["name"]]
        edges.add((path[depth - 1], branch["name"]))
    return edges
