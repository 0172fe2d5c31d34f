"""Makes keda.json: what KEDA's own parser makes of a rabbitmq trigger's metadata, for tests of ours.

    go mod download github.com/kedacore/keda/v2@v2.21.0
    python tests/schemas/keda.py

The cases are made from the struct tags of KEDA's rabbitMQMetadata: each parameter of a type with the texts that its
type's parser may or may not take. keda.go is compiled together with that struct and its Validate, cut unchanged from
KEDA's source, since importing KEDA's scalers would compile the SDK of every cloud.
"""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from gather import _module

KEDA = "github.com/kedacore/keda/v2@v2.21.0"
FIELD = re.compile(r'^\t\w+\s+(\S+) `keda:"name=(\w+),\s*order=triggerMetadata', re.MULTILINE)
IMPORTS = ("fmt", "net/url", "slices", "time", "github.com/kedacore/keda/v2/pkg/scalers/authentication")
NUMBERS = [
    "0",
    "-0",
    "1",
    "+1",
    "-1",
    "01",
    ".5",
    "1.",
    "1.5",
    "1e1",
    "1E400",
    "1_000",
    "0x10",
    "1,5",
    " 5 ",
    "\t5",
    "inf",
    "NaN",
    "null",
    "true",
    '"5"',
    "",
    " ",
    "[]",
    "\u0665",
    "5\u00a0",
    "5 m",
    "100m",
]
TEXTS = {
    "bool": [
        "1",
        "t",
        "T",
        "TRUE",
        "true",
        "True",
        "0",
        "f",
        "F",
        "FALSE",
        "false",
        "False",
        "yes",
        "no",
        "on",
        "tRUE",
        " true",
        "true\n",
        "\u00a0true",
        "",
        " ",
        "null",
        "2",
    ],
    "float64": NUMBERS,
    "int64": NUMBERS,
    "time.Duration": [
        "0",
        "5",
        "-5",
        "1s",
        "1.5h",
        "-1s",
        "1m30s",
        ".5s",
        "1 s",
        "1_000",
        "+5",
        "5us",
        "5\u00b5s",
        "",
        "1d",
        "s",
    ],
    "string": [
        "",
        " ",
        "auto",
        "http",
        "amqp",
        " http ",
        "HTTP",
        "https",
        "QueueLength",
        " QueueLength",
        "queuelength",
        "Unknown",
        "MessageRate",
        "sum",
        "avg",
        "max",
        "median",
        "http://h",
        "amqps://h",
        "AMQP://h",
        "kafka://h",
        "://",
        "h:1",
        "%zz://",
    ],
}
HTTP = {"queueName": "jobs", "host": "http://h", "mode": "QueueLength", "value": "5"}
AMQP = HTTP | {"host": "amqp://h"}
TOGETHER = [
    {},
    {"queueName": "jobs"},
    {"host": "http://h"},
    {"queueName": "jobs", "host": "http://h"},
    {"queueName": "jobs", "hostFromEnv": "H"},
    *(
        {"queueName": "jobs", "host": "http://h"} | more
        for more in (
            {"value": "5"},
            {"mode": "QueueLength"},
            {"value": "0"},
            {"queueLength": "7"},
            {"queueLength": "7", "value": "5"},
            {"queueLength": "7", "mode": "QueueLength"},
            {"queueLength": "0", "value": "5"},
            {"queueLength": "0"},
            {"mode": "Unknown"},
            {"mode": "Unknown", "value": "5"},
            {"queueLength": "-7"},
            {"authModes": "basic"},
            {"authModes": "hope"},
            {"authModes": "basic,oauth"},
            {"protocol": "amqp", "excludeUnacknowledged": "1"},
            {"no-such": "x"},
            {"Value": "5"},
            {"value": "x", "excludeUnacknowledged": "yes"},
        )
    ),
]


def main() -> None:
    keda = _module(KEDA)
    source = (keda / "pkg/scalers/rabbitmq_scaler.go").read_text()
    constants = source[source.index("const (\n\trabbitQueueLength") : source.index("type rabbitMQScaler struct")]
    metadata = source[source.index("type rabbitMQMetadata struct") : source.index("type queueInfo struct")]
    fields = FIELD.findall(metadata)
    cases = [
        *TOGETHER,
        *(base | {name: text} for kind, name in fields for text in TEXTS[kind] for base in (HTTP, AMQP)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder)
        imports = "".join(f'\t"{it}"\n' for it in IMPORTS)
        (module / "metadata.go").write_text(f"package main\n\nimport (\n{imports})\n\n{constants}{metadata}")
        shutil.copyfile(Path(__file__).with_name("keda.go"), module / "main.go")
        needs = re.sub(r"^module .*", "module cases", (keda / "go.mod").read_text(), count=1, flags=re.MULTILINE)
        (module / "go.mod").write_text(f"{needs}\nrequire {KEDA.replace('@', ' ')}\n")
        shutil.copyfile(keda / "go.sum", module / "go.sum")
        done = subprocess.run(
            ["go", "run", "-mod=mod", "."], cwd=module, check=True, text=True,
            input="".join(json.dumps(case) + "\n" for case in cases), stdout=subprocess.PIPE,
        )  # fmt: skip
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    for verdict in verdicts:
        if "error" in verdict:  # what follows is the stack of a panic, with the paths of this machine
            verdict["error"] = verdict["error"].partition("\ngoroutine ")[0]
    table = [{"metadata": case, "verdict": verdict} for case, verdict in zip(cases, verdicts, strict=True)]
    lines = ",\n".join(json.dumps(row) for row in table)
    Path(__file__).with_name("keda.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
