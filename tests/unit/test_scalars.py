"""YAML says here what it says to Kubernetes: each result is what sigs.k8s.io/yaml v1.6.0 makes of the text."""

import pytest
import yaml

from essaim.autoscaler.scalars import load


@pytest.mark.parametrize(
    ("text", "result"),
    [
        *(
            (text, 10)
            for text in ("10", "1e1", "1E1", "1e+1", "1_0", "1__0", "+10", "10.", "012", "0o12", "0b1010", "0xA")
        ),
        *((text, 0.5) for text in (".5", "+.5", "0.5", "5e-1")),
        ("08", 8),
        ("-0x10", -16),
        ("-010", -8),
        ("9223372036854775808", 9223372036854775808),
        *((text, True) for text in ("y", "Y", "yes", "On", "TRUE", "true")),
        *((text, False) for text in ("n", "No", "off", "FALSE")),
        *((text, None) for text in ("~", "null", "NULL", "")),
        *((text, text) for text in ("1:30", "1:30.5", "_1", "0o9", "1e", "inf", "oN", "tRUE", "nULL", "=", "0x1p4")),
        *((text, text) for text in ("2020-01-01", "2020-99-99", "2020-01-01T10:00:00Z")),
        ("!!str 5", "5"),
        ('!!int "5"', 5),
        ("{a: 1, a: 2}", {"a": 2}),
    ],
)
def test_a_scalar_is_what_kubernetes_reads(text: str, result: object) -> None:
    read = load(f"it: {text}")["it"]
    assert read == result
    assert isinstance(read, bool) == isinstance(result, bool)


@pytest.mark.parametrize("text", ["!!bool x", "!!int x", "!!float x", "!!timestamp x", "!!python/name:os.system x"])
def test_a_tag_that_its_text_is_not_is_refused(text: str) -> None:
    with pytest.raises((yaml.YAMLError, ValueError)):
        load(f"it: {text}")
