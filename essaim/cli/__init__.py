"""The `essaim` command: `essaim.cli.main` has all of it on one screen."""

import sys

# httpx imports its own command line with Rich, Pygments and click, which takes longer than the rest of it; if that
# import fails, it does without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None disables the import
