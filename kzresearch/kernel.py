"""The kernel that `kzresearch lab` starts: ipykernel's own, in a process that imports this package first.

So no notebook waits two seconds at `import altair`, whether it imports this package or not: see the
package's `__init__`. Where Jupyter finds it: `JUPYTER_PATH`, see `kzresearch.lab`.
"""

import sys
from pathlib import Path
from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Show frames with their captions: when this package was imported there was no shell yet."""
    from kzresearch.meanings import show_captions

    show_captions(shell)


if __name__ == "__main__":
    # As ipykernel does: a file there may have a library's name. IPython adds the folder again.
    if sys.path[0] == str(Path.cwd()):
        del sys.path[0]
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance(extra_extensions=["kzresearch.kernel"])
