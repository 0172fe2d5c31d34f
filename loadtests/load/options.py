"""What the load generator is told, as options of locust's own command line."""

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import dataclass
from pathlib import Path

from loadtests.load.shapes import SHAPES, Shape

TEXT = "{text}"
REQUEST = '{"texts": ["{text}"], "words": ["swarm", "bee", "wasp"], "pause_seconds": 1}'
CANCEL, POLL = 0.05, 0.5
PATIENCE = 300.0


@dataclass(frozen=True)
class LoadPlan:
    """How a run is to go. `request` is JSON in which `{text}` stands for the name of the text a visitor has uploaded.

    No more visitors come once `until` is there; what `shape` and `jobs` say is then the most.
    """

    shape: Shape
    jobs: int
    span: float
    request: str
    cancel: float
    poll: float
    patience: float
    until: Path | None = None

    def enough(self) -> bool:
        return self.until is not None and self.until.exists()


def plan_of(options: Namespace) -> LoadPlan:
    """What the options say, with the shape's own numbers for those that they do not."""
    shape = SHAPES[options.shape]
    return LoadPlan(
        shape,
        shape.jobs if options.jobs is None else options.jobs,
        shape.span if options.span is None else options.span,
        options.request,
        options.cancel,
        options.poll,
        options.patience,
        options.until,
    )


def add_options(parser: ArgumentParser) -> None:
    says = "; ".join(f"{name}: {shape.says}" for name, shape in SHAPES.items())
    parser.add_argument("--shape", choices=list(SHAPES), default="waves", help=f"when jobs come. {says}")
    parser.add_argument("--jobs", type=_some, metavar="N", help="how many; by default, as the shape has it")
    parser.add_argument("--span", type=float, metavar="SECONDS", help="from the first to the last; by default likewise")
    parser.add_argument(
        "--request",
        type=_request,
        default=REQUEST,
        metavar="JSON|FILE",
        help=f"what is submitted; {TEXT} in it is a text that the visitor has uploaded",
    )
    parser.add_argument("--cancel", type=float, default=CANCEL, metavar="SHARE", help="of jobs that are cancelled")
    parser.add_argument("--poll", type=float, default=POLL, metavar="SHARE", help="of visitors that ask, not listen")
    parser.add_argument("--until", type=Path, metavar="FILE", help="no more visitors come once there is such a file")
    parser.add_argument("--patience", type=float, default=PATIENCE, metavar="SECONDS", help="after the last has come")


def _request(given: str) -> str:
    try:
        text = given if given.lstrip().startswith(("{", "[")) else Path(given).read_text(encoding="utf-8")
        json.loads(text)
    except OSError as error:
        raise ArgumentTypeError(f"{given}: {error.strerror}") from error
    except ValueError as error:
        raise ArgumentTypeError(f"{given} is not JSON: {error}") from error
    return text


def _some(given: str) -> int:
    if not given.isdecimal() or not int(given):
        raise ArgumentTypeError(f"{given!r} is no number of jobs: 1 or more")
    return int(given)
