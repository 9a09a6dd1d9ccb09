"""Runs notebooks: one or many, here or on a cluster.

What is imported with these modules is light: the processes of a batch start, and import what runs
need, while this one imports what the plan needs.
"""

import re

FORMATS = ("html", "pdf")
"""What can be made of an executed notebook, beside it and its record, which are always left."""
DEFAULT_FORMATS = ("html",)
"""What is made of it where nothing is said."""
RUN_FILE = re.compile(r"(.+-[0-9a-f]{12})\.(ipynb|json|html|pdf)")
"""The name of a file of a run: what the names of its files begin with, and the ending."""
