"""The `essaim` command: `essaim.cli.main` has all of it on one screen."""

import sys

# httpx loads a command line of its own, with Rich, Pygments and click, which takes longer than all the rest of it; it
# does without where that cannot be imported.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is how an import is switched off
