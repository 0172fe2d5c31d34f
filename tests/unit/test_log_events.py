"""What is logged, what the table says of it, and what the documentation says are the same."""

import ast
from pathlib import Path

from essaim.telemetry.log_events import EVENTS, page

ROOT = Path(__file__).parents[2]
PACKAGES = ("essaim", "api", "worker")
NO_FIELDS = {"level", "error", "at"}
TABLE = {name: set(fields) for events in EVENTS.values() for name, (_, fields) in events.items()}


def calls() -> list[tuple[str, set[str], bool]]:
    """Each `log(...)` in the code: the event, the fields it names, and whether it passes on others."""
    found = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log":
                (event,) = (one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant))
                names = {keyword.arg for keyword in node.keywords if keyword.arg} - NO_FIELDS
                found.append((str(event), names, any(keyword.arg is None for keyword in node.keywords)))
    return found


def test_the_table_has_every_event_with_its_fields_and_no_other() -> None:
    found = calls()
    assert {event for event, *_ in found} == TABLE.keys() - {"span.ended"}
    for event, names, passes_on in found:
        assert names <= TABLE[event] if passes_on else names == TABLE[event], event


def test_the_documentation_is_the_table() -> None:
    """`python -c "from essaim.telemetry.log_events import page; print(page(), end='')" > docs/log-events.md` makes it again."""
    assert (ROOT / "docs" / "log-events.md").read_text() == page()
