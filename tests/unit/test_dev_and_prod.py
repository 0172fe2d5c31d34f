"""docs/dev-and-prod.md shows every difference between what the two overlays build, and no other."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from essaim.jobs.settings import Settings
from tests.conftest import ROOT
from tests.unit.platform_builds import Object, build, copy, name_release, one

PAGE = ROOT / "docs" / "dev-and-prod.md"
BEGIN, END = "<!-- differences: compared with the builds by tests/unit/test_dev_and_prod.py -->", "<!-- end -->"
NOTHING = "–"
HASH = r"-[0-9a-z]{10}$"


def built(platform: Path, overlay: str) -> dict[str, Object]:
    """By kind and name, of a release with the same name. What kustomize adds to the name, for its content, is left out."""
    objects = build(name_release(platform / "overlays" / overlay, "some"))
    return {f"{it['kind']} `{re.sub(HASH, '', it['metadata']['name'])}`": it for it in objects}


def fields(value: Any, path: str = "") -> dict[str, Any]:
    """Its leaves by path; the items of a list by their name, where each has one."""
    match value:
        case dict() if value:
            return {key: leaf for name, it in value.items() for key, leaf in fields(it, f"{path}.{name}").items()}
        case [{"name": _}, *_]:
            return {key: leaf for it in value for key, leaf in fields(it, f"{path}[{it['name']}]").items()}
        case [dict(), *_]:
            return {key: leaf for n, it in enumerate(value) for key, leaf in fields(it, f"{path}[{n}]").items()}
        case _:
            return {path.removeprefix("."): value}


def lines(platform: Path) -> list[str]:
    """What the page says between its two marks."""
    local, production = built(platform, "local"), built(platform, "production")
    rows = []
    for name in sorted(local.keys() & production.keys()):
        here, there = fields(local[name]), fields(production[name])
        changed = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
        rows += [f"| {name} | `{key}` | {shown(here.get(key))} | {shown(there.get(key))} |" for key in changed]
    return [
        *(f"- only local: {name}" for name in sorted(local.keys() - production.keys())),
        *(f"- only in production: {name}" for name in sorted(production.keys() - local.keys())),
        "",
        "| object | field | local | production |",
        "|---|---|---|---|",
        *rows,
    ]


def shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return NOTHING if value is None else f"`{re.sub('0{64}', '…', text)}`"


def test_the_page_shows_every_difference(tmp_path: Path) -> None:
    wanted = "\n".join(lines(copy(tmp_path)))
    print(wanted)  # to be put into the page when this fails
    assert PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip() == wanted


def test_the_page_says_how_to_make_every_secret_of_production(tmp_path: Path) -> None:
    objects = build(copy(tmp_path) / "overlays" / "production")
    wanted = set(re.findall(r"secretRef:\n +name: ([\w-]+)", yaml.safe_dump_all(objects)))
    wanted |= {it["name"] for it in one(objects, "TriggerAuthentication")["spec"]["secretTargetRef"]}
    assert set(re.findall(r"create secret generic ([\w-]+)", PAGE.read_text())) == wanted


def test_the_page_names_settings_that_exist() -> None:
    names = set(re.findall(r"ESSAIM_[A-Z_]+", PAGE.read_text()))
    assert names
    assert names <= {f"ESSAIM_{name.upper()}" for name in Settings.model_fields}
