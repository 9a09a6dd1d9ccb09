"""The engine in this process against papermill's own: the same notebook, cell by cell."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

RUN = """
import sys
import kzresearch  # keeps the slow uri parser out
import papermill
engine, source, target, parameters = sys.argv[1:]
if engine == "kzresearch":
    import kzresearch.run.engine
try:
    papermill.execute_notebook(
        source, target, eval(parameters), engine_name=engine, kernel_name="python3",
        progress_bar=False, coalesce_streams=True,
    )
except papermill.PapermillExecutionError as error:
    print("failed:", error.ename, error.exec_count)
"""
CELLS = [
    "number: int = 1  # a number",
    "import sys\nprint('a', number); print('b'); print('e', file=sys.stderr); print('c')",
    (
        "from IPython.display import HTML, Markdown, clear_output, display, update_display\n"
        "display(Markdown('**m**'), HTML('<b>h</b>')); 5"
    ),
    "handle = display('first', display_id='d'); print('after')",
    "update_display('second', display_id='d')",
    "print('gone'); clear_output(); print('kept')",
    "print('gone'); clear_output(wait=True); display('kept')",
    "print('stays'); clear_output(wait=True)",
    # a kernel's thread reads what is below Python in its own time: it is given some
    "import os, time\nos.system('echo shell'); os.write(1, b'raw\\n'); time.sleep(0.5)",
    "os.write(2, b'below\\n'); time.sleep(0.5)",
    "import ctypes\nctypes.CDLL(None).dprintf(1, b'from C\\n'); time.sleep(0.5)",
    "import subprocess\nsubprocess.run(['echo', 'process']); time.sleep(0.5)",
    "!echo bang",
    "%%bash\necho magic; echo oops >&2",
    "%%capture caught\nprint('captured')",
    "caught.stdout",
    "import asyncio\nawait asyncio.sleep(0.01)\n'awaited'",
    "async def later():\n    return 7\nawait later()",
    "import warnings\nwarnings.warn('careful')",
    (
        "display({'text/plain': 'p', 'application/vnd.x+json': {'a': [1, (2, None)]}}, raw=True,"
        " metadata={'m': 1})"
    ),
    (
        "class A:\n    def _repr_mimebundle_(self, **_):\n"
        "        return {'text/plain': 'A', 'text/html': '<b>A</b>'}, {'text/html': {'isolated': True}}\n"
        "A()"
    ),
    "import pickle\npickle.loads(pickle.dumps(A())).__class__.__module__",
    "for step in range(3): print('\\r', step, end='')",
    "__name__, type(get_ipython()).__name__, sys.stdout.isatty(), sys.stdout.encoding",
    "try:\n    input('?')\nexcept Exception as error:\n    print(type(error).__name__)",
    "_, sorted(Out)[:3], In[1], number",
    "",
    "raise ValueError('allowed')",
    "def fails():\n    raise ValueError('bad')\nprint('before'); fails()",
    "print('never')",
]


def execute(engine: str, source: Path, target: Path, parameters: dict) -> tuple[dict, str]:
    words = [sys.executable, "-c", RUN, engine, str(source), str(target), repr(parameters)]
    # where it sees pytest, a kernel does not catch what is written below Python
    known = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(words, cwd=target.parent, env=known, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(target.read_text(encoding="utf-8")), done.stdout


def told_apart(value):
    """The value without what differs from process to process: times, process numbers."""
    text = json.dumps(value, sort_keys=True)
    return json.loads(re.sub(r"ipykernel_\d+", "ipykernel", text))


def compared(notebook: dict) -> list:
    return [
        {
            "source": cell["source"],
            "count": cell.get("execution_count"),
            "outputs": told_apart(cell.get("outputs", [])),
            "metadata": sorted(cell["metadata"]),
            "execution": sorted(cell["metadata"].get("execution", {})),
            "states": {
                key: cell["metadata"].get("papermill", {}).get(key)
                for key in ("status", "exception")
            },
            "tags": cell["metadata"].get("tags"),
        }
        for cell in notebook["cells"]
    ]


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    """A notebook with everything that a kernel can put out, and an error near its end."""
    cells = [nbformat.v4.new_code_cell(text, id=f"c{at}") for at, text in enumerate(CELLS)]
    cells[0]["metadata"]["tags"] = ["parameters"]
    cells[-3]["metadata"]["tags"] = ["raises-exception"]
    cells.insert(1, nbformat.v4.new_markdown_cell("# Words", id="words"))
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3 (ipykernel)"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    path = tmp_path_factory.mktemp("features") / "features.ipynb"
    nbformat.write(notebook, path)
    return path


def test_both_engines_put_out_the_same(features, tmp_path):
    fast, fast_said = execute("kzresearch", features, tmp_path / "fast.ipynb", {"number": 7})
    stock, stock_said = execute("nbclient", features, tmp_path / "stock.ipynb", {"number": 7})
    assert "failed: ValueError" in fast_said
    assert fast_said == stock_said.splitlines(keepends=True)[-1]  # a kernel echoes what is below
    for one, other in zip(compared(fast), compared(stock), strict=True):
        assert one == other
    assert fast["metadata"]["language_info"] == stock["metadata"]["language_info"]
    assert fast["metadata"]["papermill"]["exception"] is True
    texts = json.dumps([cell.get("outputs") for cell in fast["cells"]])
    for words in ("a 7", "raw", "below", "from C", "process", "magic", "'awaited'", "careful"):
        assert words in texts, words
    assert "never" not in texts


def test_error_of_a_cell_ends_the_run_as_papermill_does(tmp_path, features):
    fast, said = execute("kzresearch", features, tmp_path / "fast.ipynb", {})
    assert said == "failed: ValueError 28\n"
    banner = fast["cells"][0]["source"]
    assert "An Exception was encountered at" in "".join(banner)
    states = [cell["metadata"].get("papermill", {}).get("status") for cell in fast["cells"]]
    assert states.count("failed") == 1
    assert states[-1] == "pending"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("stream", {"text": 5}),
        ("display_data", {"data": {"text/plain": 1}, "metadata": {}}),
        ("display_data", {"data": {"application/x+json": {"a": [1]}}, "metadata": {}}),
        ("execute_result", {"data": {"text/plain": "1"}, "metadata": {}, "execution_count": "1"}),
        ("error", {"ename": "E", "evalue": "v", "traceback": ["a", 1]}),
        ("error", {"ename": "E", "evalue": "v", "traceback": ["a"]}),
    ],
)
def test_outputs_are_refused_and_taken_in_the_words_of_nbformat(kind, content):
    from kzresearch.run.engine import _Validator

    def verdict(kind_of) -> str | None:
        node = nbformat.from_dict({"output_type": kind, "name": "stdout", **content})
        if kind != "stream":
            del node["name"]
        validator = nbformat.validator.get_validator(4, 5)
        before = type(validator)
        validator.__class__ = kind_of
        try:
            nbformat.validate(node, ref=ref, version=4)
        except nbformat.ValidationError as error:
            return str(error)
        finally:
            validator.__class__ = before
        return None

    for ref in (kind, "stream", "code_cell"):
        assert verdict(_Validator) == verdict(_Validator.__base__), ref
