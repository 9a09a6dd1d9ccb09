"""Runs notebooks."""

from kzresearch.run.single import Run, run, write_whole

__all__ = ["Run", "run", "write_whole"]
