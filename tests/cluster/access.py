"""How tests reach the cluster that KUBECONFIG names: kubectl for what a person would do, its proxy for what is asked often."""

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx

Object = dict[str, Any]


def kubectl(*arguments: str, given: str | None = None, check: bool = True) -> str:
    """What it prints. Raises AssertionError with what it complains about."""
    done = subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


@contextmanager
def _forwarding(*arguments: str) -> Iterator[str]:
    """A kubectl that listens on a port of its own choice, for as long as it is needed: that address."""
    with subprocess.Popen(
        ["kubectl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found, f"kubectl {' '.join(arguments)} does not listen"
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.kill()


class Cluster:
    """One namespace of the cluster, asked over one connection."""

    def __init__(self, namespace: str, proxy: str, patience: float = 30) -> None:
        """`patience`: how long a read may take, in seconds."""
        self.namespace = namespace
        self.proxy = proxy
        self._http = httpx.Client(base_url=proxy, timeout=patience)

    def close(self) -> None:
        self._http.close()

    def read(self, path: str) -> Object:
        """`path` with `{}` for the namespace; {} if there is none."""
        answer = self._http.get(path.format(self.namespace))
        if answer.status_code == 404:
            return {}
        answer.raise_for_status()
        return answer.json()

    def watch(self, path: str) -> Iterator[Object]:
        with self._http.stream("GET", path.format(self.namespace), params={"watch": "true"}, timeout=None) as answer:
            for line in answer.iter_lines():
                yield json.loads(line)

    def secret(self, name: str) -> dict[str, str]:
        data = self.read(f"/api/v1/namespaces/{{}}/secrets/{name}").get("data", {})
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def kubectl(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        return kubectl("--namespace", self.namespace, *arguments, given=given, check=check)

    @contextmanager
    def forward(self, service: str, port: int) -> Iterator[str]:
        to = (f"service/{service}", f":{port}", "--pod-running-timeout=1s")
        with _forwarding("--namespace", self.namespace, "port-forward", *to) as address:
            yield address

    def api(self, tag: str = "") -> httpx.Client:
        """HTTP as a client outside the cluster speaks it, through the ingress; to the revision with that tag."""
        status = self.read("/apis/serving.knative.dev/v1/namespaces/{}/services/essaim")["status"]
        tagged = {it["tag"]: it["url"] for it in status["traffic"] if "tag" in it}
        url = tagged[tag] if tag else status["url"]
        ingress = os.environ.get("ESSAIM_TEST_INGRESS", url)
        return httpx.Client(base_url=ingress, headers={"Host": httpx.URL(url).host}, timeout=120)


@contextmanager
def open_cluster(namespace: str) -> Iterator[Cluster]:
    with _forwarding("proxy", "--port=0") as address, closing(Cluster(namespace, address)) as cluster:
        yield cluster
