"""`python -m cli` is `essaim`."""

from essaim.cli.main import main

if __name__ == "__main__":
    main()
