"""What the dashboards ask Loki, with Grafana's variables filled in."""

import json
from typing import Any

from tests.conftest import ROOT

FOLDER = ROOT / "platform" / "observability" / "grafana" / "dashboards"


def boards() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def queries(*names: str, job: str = "none", release: str = "v1", span: str = "1h") -> list[str]:
    """Those of these dashboards, or of all: of panels and of annotations."""
    values = {
        "$job": job,
        "$stable": release,
        "$canary": release,
        "$release": release,
        "$__auto": span,
        "$__range": span,
    }
    found = []
    for name, board in boards().items():
        if not names or name in names:
            targets = [target for panel in board["panels"] for target in panel["targets"]]
            targets += board["annotations"].get("list", [])
            found += [target["expr"] for target in targets]
    for variable, value in values.items():
        found = [query.replace(variable, value) for query in found]
    return list(dict.fromkeys(found))
