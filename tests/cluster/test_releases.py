"""Two releases side by side, each with its own queue and workers, until the old one is removed by its label."""

import json
import re
import shlex
from pathlib import Path

from tests.cluster.access import Cluster, kubectl
from tests.cluster.load import Load
from tests.cluster.place import write_overlay
from tests.cluster.timeline import Timeline
from tests.conftest import ROOT

REVISIONS = "/apis/serving.knative.dev/v1/namespaces/{}/revisions"
REMOVING = re.compile(r"^\$ kubectl -n essaim (delete \S+ -l \S+|exec .*delete_queue.*)$", re.M)
KINDS = "deployment,daemonset,replicaset,scaledobject,hpa,poddisruptionbudget,configmap,job,revision,service"


def split_traffic(cluster: Cluster, percent: dict[str, int]) -> None:
    """As whoever rolls out would: in percent, and each release by a tag that gives it an address of its own."""
    traffic = [{"revisionName": f"essaim-{name}", "percent": part, "tag": name} for name, part in percent.items()]
    patch = [{"op": "add", "path": "/spec/traffic", "value": traffic}]
    cluster.kubectl("patch", "ksvc/essaim", "--type=json", "-p", json.dumps(patch))
    cluster.kubectl("wait", "ksvc/essaim", "--for=condition=Ready", "--timeout=120s")


def states_by_release(cluster: Cluster, load: Load) -> dict[str, str]:
    with cluster.api(load.tag) as api:
        jobs = [api.get(f"/v1/jobs/{job}").json() for job in load.looks]
    return {job["release"]: job["state"] for job in jobs}


def test_two_releases_stand_side_by_side(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    kubectl("apply", "-k", str(write_overlay(tmp_path / "next", namespace, "next")))
    cluster.kubectl("wait", "ksvc/essaim", "--for=condition=Ready", "--timeout=240s")
    split_traffic(cluster, {"dev": 50, "next": 50})
    old, new = Load(cluster, "dev"), Load(cluster, "next")
    with Timeline(cluster, "dev").recording() as olds, Timeline(cluster, "next").recording() as news:
        for line in (olds, news):
            line.until(lambda it: it.workers == 0 and it.started == 0)
        new.submit(12, pause_seconds=5)
        news.until(lambda it: it.workers >= 2)
        assert olds.moments[-1].started == 0  # work for one release wakes nobody of the other
        assert states_by_release(cluster, new).keys() == {"next"}
        old.submit(2, pause_seconds=5)
        olds.until(lambda it: it.workers >= 1)
        assert set(new.until_ended().values()) == set(old.until_ended().values()) == {"succeeded"}
        assert states_by_release(cluster, old).keys() == {"dev"}

        split_traffic(cluster, {"next": 100})
        for command in REMOVING.findall((ROOT / "README.md").read_text()):
            print(cluster.kubectl(*shlex.split(command.replace("v1", "dev"))))
        assert [it["metadata"]["name"] for it in cluster.read(REVISIONS)["items"]] == ["essaim-next"]
        labelled = ("-l", "app.kubernetes.io/version=dev", "-o", "name")
        news.until(lambda _: not cluster.kubectl("get", KINDS, *labelled).strip())
        assert not cluster.read("/api/v1/namespaces/{}/configmaps/essaim-settings-dev")

        assert news.until(lambda it: it.ready is not None).ready == 0
        last = Load(cluster)
        last.submit(2, pause_seconds=1)
        assert set(last.until_ended().values()) == {"succeeded"}
        assert states_by_release(cluster, last).keys() == {"next"}
