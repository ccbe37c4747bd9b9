"""The `smiless` command: wiring only."""

from smiless_core.cli.running import main, run

__all__ = ["main", "run"]
