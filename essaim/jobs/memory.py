"""Reference cycles: Python looks for them in all it holds, again and again, unless told what will stay."""

import gc

YOUNG = 10_000  # objects more than were freed, before the young ones are looked at; Python's own 700 are one request


def settle() -> None:
    """Call this once, at the end of the start: what is there now is never looked at again, and the rest less often.

    A sixth of the CPU time of a small job went into that.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)
