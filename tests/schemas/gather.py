"""Makes schemas.json: JSON Schemas of the kinds that platform/ uses, taken from the released sources of those who define them.

    go mod download k8s.io/kubernetes@v1.34.4 github.com/kedacore/keda/v2@v2.21.0 knative.dev/serving@v0.42.2
    python tests/schemas/gather.py

They are strict: a field that is not in the schema is an error, as with `kubectl apply --validate=strict`.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]
KUBERNETES = {
    "ConfigMap", "DaemonSet", "Deployment", "Job", "Namespace", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget",
    "Role", "RoleBinding", "Secret", "Service", "ServiceAccount", "StatefulSet", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}  # fmt: skip
CRDS = {
    "github.com/kedacore/keda/v2@v2.21.0": ["config/crd/bases/keda.sh_scaledobjects.yaml",
                                            "config/crd/bases/keda.sh_triggerauthentications.yaml"],
    "knative.dev/serving@v0.42.2": ["config/core/300-resources/service.yaml"],
}  # fmt: skip
KEPT = {"$ref", "type", "properties", "items", "required", "enum", "pattern", "minimum", "maximum", "minItems", "maxItems",
        "minLength", "maxLength", "additionalProperties"}  # fmt: skip


def main() -> None:
    swagger = json.loads((_module("k8s.io/kubernetes@v1.34.4") / "api/openapi-spec/swagger.json").read_text())
    kinds, definitions = _kubernetes(swagger["definitions"])
    for module, files in CRDS.items():
        for file in files:
            crd = yaml.safe_load((_module(module) / file).read_text())["spec"]
            for version in (version for version in crd["versions"] if version["served"]):
                name = f"{crd['group']}/{version['name']}/{crd['names']['kind']}"
                schema = _strict(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {
                    "$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
                }
                definitions[name] = schema
                kinds[name] = name
    target = Path(__file__).with_name("schemas.json")
    target.write_text(json.dumps({"kinds": kinds, "definitions": definitions}, indent=0, sort_keys=True) + "\n")


def _module(name: str) -> Path:
    done = subprocess.run(["go", "mod", "download", "-json", name], capture_output=True, text=True, check=True)
    return Path(json.loads(done.stdout)["Dir"])


def _kubernetes(every: dict[str, Schema]) -> tuple[dict[str, str], dict[str, Schema]]:
    kinds: dict[str, str] = {}
    for name, schema in every.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            if kind["kind"] in KUBERNETES and kind["version"] == "v1":
                kinds["/".join(filter(None, (kind["group"], kind["version"], kind["kind"])))] = name
    found: dict[str, Schema] = {}
    todo = list(kinds.values())
    while todo:
        if (name := todo.pop()) not in found:
            found[name] = _strict(every[name])
            todo += [ref.rpartition("/")[2] for ref in _references(found[name])]
    # Written as a number or as text.
    found["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    found["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {"type": ["string", "integer"]}
    return kinds, found


def _references(schema: Any) -> list[str]:
    match schema:
        case dict():
            return [value for key, value in schema.items() if key == "$ref"] + [
                ref for value in schema.values() for ref in _references(value)
            ]
        case list():
            return [ref for value in schema for ref in _references(value)]
    return []


def _strict(schema: Schema) -> Schema:
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    kept = {key: value for key, value in schema.items() if key in KEPT}
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = _strict(kept[key])
    if "properties" in kept:
        kept["properties"] = {name: _strict(value) for name, value in kept["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept.setdefault("additionalProperties", False)
    return kept


if __name__ == "__main__":
    main()
