"""The README's promises: its commands run, its example workload is put in and works from HTTP to result."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.conftest import BuildHouse, House, eventually

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SERVER = "http://127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


async def listening(house: House) -> str:
    found = await eventually(lambda: re.search(r"api\.listening address=(\S+)", house.logs()))
    return str(found.group(1))


async def test_the_curl_commands_run_as_they_stand(build_house: BuildHouse) -> None:
    house = build_house(None, api_port=0)
    house.start("api")
    house.start("worker")
    address = await listening(house)
    commands = [block for block in blocks("sh") if block.startswith("curl")]
    assert len(commands) == 2
    outputs = [
        subprocess.run(
            ["sh", "-ec", command.replace(SERVER, address)], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for command in commands
    ]
    assert '"state":"succeeded"' in outputs[0].replace(" ", "")
    answers = json.loads("[" + re.sub(r"}\s*{", "},{", outputs[0]) + "]")
    assert answers[-1]["result"]["counts"]["swarm"] > 0
    assert "succeeded" in outputs[1]


def test_the_search_commands_run_as_they_stand() -> None:
    (block,) = [block for block in blocks("sh") if block.startswith("essaim search")]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    plain, as_json = [
        subprocess.run(["sh", "-c", line], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
        for line in block.strip().splitlines()
    ]
    assert "swarm" in plain
    assert json.loads(as_json)["counts"]["essaim"] == len(re.findall(r"\bessaim\b", README))


def test_the_folders_are_those_of_the_contracts_from_the_top_down() -> None:
    (block,) = re.findall(r"^```\n(essaim/\n.*?)^```", README, re.MULTILINE | re.DOTALL)
    rooms = re.findall(r"^  (\w+)/ ", block, re.MULTILINE)
    programs = re.findall(r"^[\w/]+/(\w+)/ ", block, re.MULTILINE)
    contracts = (ROOT / ".importlinter").read_text()
    (roots,) = re.findall(r"^root_packages =\n((?: +\w+\n)+)", contracts, re.MULTILINE)
    assert sorted(["essaim", *programs]) == sorted(roots.split())
    (layers,) = re.findall(
        r"^containers = essaim\n.*?^layers =\n((?: +[^\n]+\n)+)", contracts, re.MULTILINE | re.DOTALL
    )
    assert rooms == [room for room in re.findall(r"\w+", layers) if (ROOT / "essaim" / room).is_dir()]


def test_every_command_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"`essaim ([a-z]+)", README))
    helped = subprocess.run(
        [Path(sys.executable).with_name("essaim"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert named
    assert not [name for name in named if not re.search(rf"\b{name}\b", helped)]


def test_every_target_that_the_readme_names_exists() -> None:
    named = re.findall(r"(?:`|\$ )make ([a-z.-]+)", README)
    assert {"demo", "test", "run", ".env"} <= set(named) <= targets()


def test_make_lists_every_target() -> None:
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make (\S+) +\S", listed, re.MULTILINE)) == targets()


def targets() -> set[str]:
    return set(re.findall(r"^([a-z.][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_link_into_the_repository_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


async def test_your_own_work_in_two_files_runs_from_http_to_result(build_house: BuildHouse, tmp_path: Path) -> None:
    payload, workload = blocks("python")
    (tmp_path / "checksums").mkdir()
    (tmp_path / "checksums" / "payload.py").write_text(payload)
    (tmp_path / "checksums" / "workload.py").write_text(workload)
    house = build_house("checksums", api_port=0)
    house.environment["PYTHONPATH"] = str(tmp_path)
    house.start("api")
    house.start("worker")
    house.start("worker")
    texts = {f"disks/{number}.bin": os.urandom(1000 + number) for number in range(8)}
    async with httpx.AsyncClient(base_url=await listening(house), timeout=60) as client:
        for name, content in texts.items():
            (await client.put(f"/v1/texts/{name}", content=content)).raise_for_status()
        answer = await client.post("/v1/jobs", json={"pattern": "disks/*"}, headers={"Prefer": "wait=50"})
        assert answer.status_code == 200, answer.text + house.logs()
        result = answer.json()["result"]
        schema = (await client.get("/openapi.json")).json()["components"]["schemas"]["Request"]
    assert result == {"sha256": {name: hashlib.sha256(content).hexdigest() for name, content in texts.items()}}
    assert list(schema["properties"]) == ["pattern"]
