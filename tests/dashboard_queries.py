"""What the dashboards ask Loki, with Grafana's variables filled in."""

import json
from typing import Any

from tests.conftest import ROOT

FOLDER = ROOT / "platform" / "observability" / "grafana" / "dashboards"


def boards() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def queries(*names: str, job: str = "none", release: str = "v1", span: str = "1h") -> list[str]:
    """Those of these dashboards, or of all: of panels and of annotations."""
    found = []
    for name, board in boards().items():
        if not names or name in names:
            targets = [target for panel in board["panels"] for target in panel["targets"]]
            targets += board["annotations"].get("list", [])
            found += [target["expr"] for target in targets]
    return list(dict.fromkeys(_filled(query, job, release, span) for query in found))


def choices() -> list[str]:
    """Which streams tell of the releases that one can choose."""
    variables = [variable for board in boards().values() for variable in board["templating"].get("list", [])]
    return list({variable["query"]["stream"] for variable in variables if variable["type"] == "query"})


def panels(name: str, kind: str, job: str = "none", release: str = "v1", span: str = "1h") -> dict[str, list[str]]:
    """What the panels of one kind ask, by their title."""
    return {
        _filled(panel["title"], job, release, span): [
            _filled(target["expr"], job, release, span) for target in panel["targets"]
        ]
        for panel in boards()[name]["panels"]
        if panel["type"] == kind
    }


def _filled(text: str, job: str, release: str, span: str) -> str:
    values = {
        "$job": job,
        "$stable": release,
        "$canary": release,
        "$release": release,
        "$__auto": span,
        "$__range": span,
    }
    for variable, value in values.items():
        text = text.replace(variable, value)
    return text
