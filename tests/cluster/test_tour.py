"""docs/tour: what needs a cluster is run on it as it stands, and prints what its page says."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cluster.access import Cluster
from tests.cluster.place import OBSERVABILITY
from tests.tour import PAGES, steps, walk


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_commands_do_on_a_cluster_what_it_says(cluster: Cluster, page: Path, tmp_path: Path) -> None:
    there = [it for it in steps(page) if it.on_a_cluster and (OBSERVABILITY or "service/loki" not in it.commands)]
    if not there:
        pytest.skip("nothing of it wants a cluster")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    # The Service's name leads nowhere then: curl goes by that address.
    if ingress := os.environ.get("ESSAIM_TEST_INGRESS"):
        (tmp_path / ".curlrc").write_text(f'connect-to = "::{urlsplit(ingress).netloc}"\nnoproxy = "*"\n')
        environment |= {"CURL_HOME": str(tmp_path), "ESSAIM_INGRESS": ingress}
    here = {
        "-n essaim ": f"-n {cluster.namespace} ",
        "essaim rollout": f"essaim rollout --namespace {cluster.namespace}",
    }
    print(walk(there, environment, **here))
