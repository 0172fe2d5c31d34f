"""The `essaim` command, also `python -m essaim.cli`. What it needs comes with the extra `server`."""

import sys


def main() -> None:
    try:
        from essaim.cli.main import main as command
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("essaim"):
            raise
        sys.exit(f"essaim: the command needs {error.name}, which comes with: pip install 'essaim[server]'")
    command()


if __name__ == "__main__":
    main()
