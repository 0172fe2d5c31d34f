"""`python -m cli` is `essaim`."""

from cli.main import main

if __name__ == "__main__":
    main()
