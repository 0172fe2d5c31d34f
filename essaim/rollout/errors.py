"""Why a rollout cannot go on: each is a sentence for the person who asked for it.

RolloutError
├── ConflictError        somebody else has changed the Service since it was read
└── RolloutRefusedError  what was asked for cannot be, as things stand
"""

from essaim.errors import EssaimError


class RolloutError(EssaimError):
    """The root."""


class ConflictError(RolloutError):
    """A `test` operation did not hold: nothing was changed. Read again, and decide again."""


class RolloutRefusedError(RolloutError):
    """There is another rollout, or none, or nothing to roll out."""
