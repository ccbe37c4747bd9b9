"""``python -m smiless_core`` is the `smiless` command."""

from smiless_core.cli import main

main()
