"""Why a rollout cannot go on: each is a sentence for the person who started it.

EssaimError
└── RolloutError
    ├── ConflictError        someone else has changed the Service since it was read
    └── RolloutRefusedError  not possible as things stand
"""

from essaim.errors import EssaimError


class RolloutError(EssaimError):
    """The rollout cannot go on."""


class ConflictError(RolloutError):
    """A `test` operation did not hold: nothing was changed. Read again, and decide again."""


class RolloutRefusedError(RolloutError):
    """There is another rollout, or none, or nothing to roll out."""
