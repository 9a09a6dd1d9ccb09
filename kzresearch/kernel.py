"""The kernel that `kzresearch lab` starts: ipykernel's own, in a process that imports this package first.

So no notebook waits two seconds at `import altair`, whether it imports this package or not: see the
package's `__init__`. Where Jupyter finds it: `JUPYTER_PATH`, see `kzresearch.lab`.
"""

if __name__ == "__main__":
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()
