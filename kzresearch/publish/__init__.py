"""What a reader gets of an executed notebook."""

from pathlib import Path

TEMPLATES = Path(__file__).with_name("template")
