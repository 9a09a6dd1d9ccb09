"""Where the package's data and notebooks are: beside it in a checkout, inside it in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def data_dir() -> Path:
    """The folder of the bundled tables."""
    return _folder("data")


def notebooks_dir() -> Path:
    """The folder of the bundled notebooks."""
    return _folder("notebooks")


def checkout_dir() -> Path | None:
    """The root of the git checkout the package runs from, or None for an installed wheel."""
    root = _PACKAGE.parent
    return root if (root / ".git").exists() and (root / "pyproject.toml").exists() else None
