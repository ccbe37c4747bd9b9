"""``python -m smiless_core`` is the `smiless` command."""

from smiless_core.cli import main

if __name__ == "__main__":
    main()
