"""Why nothing can be planned from what was given.

EssaimError
└── PlanningError       an option makes no sense, or leaves nothing to simulate
    └── RecordingError  the folder is not a recorded run, or nothing happened in that run
"""

from essaim.errors import EssaimError


class PlanningError(EssaimError):
    """An option makes no sense, or leaves nothing to simulate."""


class RecordingError(PlanningError):
    """The folder is not a recorded run, or nothing happened in that run."""
