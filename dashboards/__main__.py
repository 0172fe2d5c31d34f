"""`python -m dashboards`: write what Grafana reads, `platform/observability/grafana/dashboards/*.json`."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import canary, job, overview, scaling

FOLDER = Path(__file__).parents[1] / "platform" / "observability" / "grafana" / "dashboards"
DASHBOARDS = {"canary": canary, "job": job, "overview": overview, "scaling": scaling}


def files() -> dict[Path, str]:
    """What each of them shall hold."""
    encoder = JSONEncoder(sort_keys=True, indent=1, ensure_ascii=False)
    return {FOLDER / f"{name}.json": f"{encoder.encode(it.build())}\n" for name, it in DASHBOARDS.items()}


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content)
