"""Small notebooks that the tests make, and what of an executed notebook is the same each time."""

import json
import re
from pathlib import Path

import nbformat

NUMBER = "n: int = 1  # a number"
RECORDS = (
    "import kzresearch as kz\nfrom kzresearch.figures import Figure\nprint('working on', n)",
    "kz.record(double=Figure(2.0 * n, 'things'), nothing=Figure(None, 'things'))",
)


def made(path: Path, *cells: str, parameters: str | None = NUMBER, kernel: str = "python3") -> Path:
    """A notebook file: a title, the cell of parameters, and code."""
    first = nbformat.v4.new_markdown_cell(f"# The {path.stem}\n\nWhat *is* it?", id="title")
    code = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(cells)]
    if parameters is not None:
        given = nbformat.v4.new_code_cell(parameters, id="parameters")
        given["metadata"]["tags"] = ["parameters"]
        code.insert(0, given)
    spec = {"name": kernel, "language": "python", "display_name": "Python 3 (ipykernel)"}
    notebook = nbformat.v4.new_notebook(cells=[first, *code], metadata={"kernelspec": spec})
    nbformat.write(notebook, path)
    return path


def lasting(notebook: dict) -> dict:
    """An executed notebook without times and engine: what two runs with one id have in common."""
    text = json.dumps(notebook)
    text = re.sub(r'"(start_time|end_time|started|ended)": "[^"]*"', r'"\1": ""', text)
    text = re.sub(r'"duration": [0-9.e-]+', '"duration": 0', text)
    text = re.sub(r'"iopub\.[^"]*": "[^"]*"|"shell\.[^"]*": "[^"]*"', '"time": ""', text)
    content = json.loads(text)
    content["metadata"]["kzresearch"].pop("engine")
    return content
