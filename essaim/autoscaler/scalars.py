"""YAML as Kubernetes reads it (sigs.k8s.io/yaml): 1e1 is a number and `y` a truth value, 1:30 and dates are texts.

PyYAML alone reads 1e1 as a text and 1:30 as 90.
"""

import re
from typing import Any, ClassVar

import yaml

_RESOLVED = {
    "bool": (r"y|Y|n|N|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    "int": (r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "merge": (r"<<", "<"),
}


class Loader(yaml.SafeLoader):
    """Reads what JSON can say, and nothing else."""

    bool_values: ClassVar[dict[str, bool]] = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def truth(self, node: yaml.ScalarNode) -> bool:
        if node.value.lower() not in self.bool_values:
            raise yaml.constructor.ConstructorError(None, None, f"{node.value!r} is no truth value", node.start_mark)
        return bool(self.bool_values[node.value.lower()])


Loader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _RESOLVED.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), list(_first))
Loader.yaml_constructors = {
    tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag is None or not tag.endswith("timestamp")
}
Loader.add_constructor("tag:yaml.org,2002:bool", Loader.truth)


def load(text: str) -> Any:
    """Raises `yaml.YAMLError`, `ValueError` or `RecursionError` for what is no YAML, or too deep."""
    return yaml.load(text, Loader)  # noqa: S506  # a SafeLoader
