"""LogQL without a Loki: Grafana's grammar says whether a query parses, and here is computed which log records it takes.

Stream selectors, line and label filters, `regexp`, `unwrap` and groupings are understood; all else is an error. What is
done with the numbers afterwards is not computed: that takes a Loki.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conftest import ROOT
from tests.servers import absent

FOLDER = ROOT / "tests" / "lezer"
FAULT = "⚠"
Labels = dict[str, str]


@dataclass(frozen=True)
class Node:
    name: str
    text: str
    children: tuple["Node", ...]

    def all(self, *names: str) -> Iterator["Node"]:
        """Those below with such a name, not looking into them."""
        for child in self.children:
            if child.name in names:
                yield child
            else:
                yield from child.all(*names)

    def __getitem__(self, name: str) -> "Node":
        return next(self.all(name))


@dataclass(frozen=True)
class Line:
    """As Loki keeps it: index labels and structured metadata together."""

    labels: Labels
    text: str


def parse(queries: Sequence[str]) -> list[Node]:
    if not shutil.which("node") or not (FOLDER / "node_modules").exists():
        absent("to parse LogQL: `make logql`, which needs Node.js")
    done = subprocess.run(["node", "parse.mjs"], input=json.dumps(queries), capture_output=True, text=True, cwd=FOLDER)
    assert done.returncode == 0, done.stderr
    return [_node(tree) for tree in json.loads(done.stdout)]


def _node(tree: list[Any]) -> Node:
    name, text, children = tree
    return Node(name, text, tuple(_node(child) for child in children))


def faults(query: Node) -> list[str]:
    return [node.text for node in query.all(FAULT)]


def stored(record: dict[str, Any]) -> Line:
    """A record that tests/integration/otlp_receiver.py has taken, by the rules of Loki's OTLP endpoint."""
    labels = {**record["resource"], **record["attributes"], "severity_text": record["severity"]}
    labels |= {"trace_id": record["trace"], "span_id": record["span"]}
    plain = {re.sub(r"\W", "_", name): str(value) for name, value in labels.items() if value != ""}
    return Line(plain, record["body"])


def missing(query: Node, lines: Sequence[Line]) -> list[str]:
    """Which parts of it find nothing in these lines: a selection, a number to unwrap, a label to group by."""
    return list(_missing(query, lines, ()))


def _missing(node: Node, lines: Sequence[Line], groups: tuple[str, ...]) -> Iterator[str]:
    if node.name in {"RangeAggregationExpr", "VectorAggregationExpr"}:
        named = [it for child in node.children if child.name == "Grouping" for it in child.all("Identifier")]
        groups = (*groups, *(it.text for it in named))
    if node.name not in {"LogExpr", "LogRangeExpr"}:
        for child in node.children:
            yield from _missing(child, lines, groups)
        return
    found = list(taken(node, lines))
    if not found:
        yield node.text
    for label in groups:
        if not any(label in line.labels for line in found):
            yield f"by {label}: {node.text}"
    for unwrapped in node.all("UnwrapExpr"):
        label = unwrapped["Identifier"].text
        if not any(re.fullmatch(r"[\d.e+-]+", line.labels.get(label, "")) for line in found):
            yield f"unwrap {label}: {node.text}"


def taken(node: Node, lines: Sequence[Line]) -> Iterator[Line]:
    stages = list(node.all("PipelineStage"))
    for line in lines:
        if not all(_matches(matcher, line.labels) for matcher in node["Selector"].all("Matcher")):
            continue
        passed: Line | None = line
        for stage in stages:
            passed = passed and _staged(stage, passed)
        if passed:
            yield passed


def _staged(stage: Node, line: Line) -> Line | None:
    (kind,) = (child for child in stage.children if child.name != "Pipe")
    if kind.name == "LabelFilter":
        return line if _holds(kind, line.labels) else None
    if kind.name == "LabelParser" and next(kind.all("Regexp"), None):
        found = re.search(_string(kind["String"]), line.text)
        return Line({**line.labels, **(found.groupdict() if found else {})}, line.text)
    raise NotImplementedError(stage.text)


def _holds(filtering: Node, labels: Labels) -> bool:
    parts = [_holds(child, labels) for child in filtering.children if child.name == "LabelFilter"]
    if any(child.name == "Or" for child in filtering.children):
        return any(parts)
    return all(parts) if parts else _matches(filtering["Matcher"], labels)


def _matches(matcher: Node, labels: Labels) -> bool:
    name, operator, value = (child for child in matcher.children)
    given, wanted = labels.get(name.text, ""), _string(value)
    match operator.text:
        case "=":
            return given == wanted
        case "!=":
            return given != wanted
        case "=~":
            return re.fullmatch(wanted, given) is not None
    raise NotImplementedError(matcher.text)


def _string(node: Node) -> str:
    return str(json.loads(node.text))
