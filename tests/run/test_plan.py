"""What a batch would run: combinations, checks of parameters, grid files, and what is wrong."""

import json

import pytest

from kzresearch.errors import KzresearchError, ParameterError, UnknownValueError
from kzresearch.notebooks import find_notebook, notebooks
from kzresearch.regions import region_codes
from kzresearch.run.batch import Block, plan, read_grid
from tests.run.made import made


def parameters(tasks):
    return [task.parameters for task in tasks]


def test_each_takes_all_combinations_of_named_values():
    tasks, without = plan(
        [
            Block(
                ["case_flow"],
                {"period": "2022-12"},
                {"region": ["KZ-75", "KZ"], "article": ["146", "362"]},
            )
        ]
    )
    assert without == 0
    assert [(one["region"], one["article"]) for one in parameters(tasks)] == [
        ("KZ-75", "146"),
        ("KZ-75", "362"),
        ("KZ", "146"),
        ("KZ", "362"),
    ]
    assert {one["compare"] for one in parameters(tasks)} == {"362,120,total"}
    assert len({task.run_id for task in tasks}) == 4


def test_each_without_values_takes_every_one_that_the_data_has_and_never_the_country():
    tasks, _ = plan([Block(["case_flow"], {}, {"region": "all"})])
    assert sorted(one["region"] for one in parameters(tasks)) == sorted(region_codes())
    tasks, _ = plan([Block(["case_flow"], {"region": "KZ"}, {"period": "all"})])
    assert [one["period"] for one in parameters(tasks)] == ["2021-02", "2022-12"]
    tasks, _ = plan([Block(["context"], {}, {"country": "all"})])
    assert len(tasks) == 12
    tasks, _ = plan([Block(["trends"], {}, {"unclear": "all"})])
    assert [one["unclear"] for one in parameters(tasks)] == [True, False]


def test_regions_are_those_of_the_period_and_combinations_that_are_not_there_are_left_out():
    # the press reported the country alone for 2021-02, so that it has no region
    tasks, without = plan([Block(["case_flow"], {}, {"region": "all", "period": "all"})])
    assert {one["period"] for one in parameters(tasks)} == {"2022-12"}
    assert len(tasks) == 20
    assert without == 0
    tasks, without = plan(
        [Block(["period_report"], {"region": "KZ"}, {"period": "all", "article": "all"})]
    )
    reported = [one["article"] for one in parameters(tasks) if one["period"] == "2021-02"]
    assert "146" in reported
    assert without > 0
    assert len(tasks) + without == 2 * len(find_notebook("case_flow").choices("article"))


def test_values_named_that_are_not_there_are_wrong_beside_every_value():
    with pytest.raises(UnknownValueError, match="unknown article '9999'"):
        plan([Block(["case_flow"], {"article": "9999"}, {"region": "all"})])
    with pytest.raises(UnknownValueError, match="compare: unknown article 'nonsense'"):
        plan([Block(["case_flow"], {"compare": "nonsense"}, {"region": "all"})])


def test_a_run_is_planned_once():
    block = Block(["case_flow"], {}, {"region": ["KZ-75", "KZ-75"]})
    assert len(plan([block, block])[0]) == 1


def test_every_fault_of_one_run_is_listed():
    given = {"region": "KZ-99", "article": "xx", "compare": "zzz", "period": "2020-01", "foo": "1"}
    with pytest.raises(ParameterError) as caught:
        plan([Block(["case_flow"], given)])
    lines = str(caught.value).split("\n  - ")[1:]
    words = ("parameter of case_flow: 'foo'", "article 'xx'", "period '2020-01'", "region 'KZ-99'")
    for expected in (*words, "compare: unknown article 'zzz'"):
        assert len([line for line in lines if expected in line]) == 1, expected
    assert len(lines) == len(given)


def test_notebooks_of_one_name_or_one_content(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    one, other = (made(tmp_path / name / "mine.ipynb", f"print('{name}')") for name in ("x", "y"))
    with pytest.raises(ParameterError, match="two notebooks have the name mine: rename one"):
        plan([Block([str(one), str(other)])])
    copy = tmp_path / "copy.ipynb"
    copy.write_text(one.read_text(encoding="utf-8"), encoding="utf-8")
    tasks, _ = plan([Block([str(one), str(copy)])])
    assert [task.notebook for task in tasks] == ["mine", "copy"]
    assert tasks[0].run_id == tasks[1].run_id


def test_everything_that_is_wrong_is_listed_and_nothing_run():
    blocks = [
        Block(["case_flow", "case_flw"], {"articl": "146"}, {"region": ["KZ-75", "KZ-99"]}),
        Block(["context"], {"year": "last", "country": "Kazakhstan"}),
        Block(["trends"], {}, {"compare": "all"}),
    ]
    with pytest.raises(ParameterError) as caught:
        plan(blocks)
    first, *lines = str(caught.value).split("\n")
    assert first == f"nothing was run; {len(lines)} things are wrong:"
    text = "\n".join(lines)
    for words in (
        "unknown parameter of case_flow: 'articl'; near matches: article",
        "unknown notebook 'case_flw'; near matches: case_flow",
        "parameter year is 'last', expected int",
        "unknown parameter of trends: 'compare'",
    ):
        assert text.count(words) == 1, words


@pytest.mark.parametrize(
    ("cell", "given", "sentence"),
    [
        ("n: int = 1  # cases", {"n": "1.5"}, "parameter n is '1.5', expected int: cases"),
        ("n: int = 1", {"n": True}, "parameter n is True, expected int"),
        ("x: float = 1.0", {"x": "nan"}, "parameter x is 'nan', expected float"),
        ("x: float = 1.0", {"x": "1e999"}, "parameter x is '1e999', expected float"),
        ("b: bool = True", {"b": "yes"}, "parameter b is 'yes', expected bool"),
        ("s: str = 'a'", {"s": 5}, "parameter s is 5, expected str"),
        ("s: str = 'a'", {"s": "\ud800"}, "expected str"),
        ("s: str = None  # a place", {}, "parameter s of x has no default: give it (a place)"),
        ("api_token: str = ''", {}, "api_token of x has the name of a secret"),
        ("password: str = ''", {"password": "a"}, "has the name of a secret"),
        ("s: list = [1]", {}, "parameter s has the default [1]: a parameter is a str, int"),
        ("s: str = open('x')", {}, "parameter s has the default open('x')"),
        ("s = None", {}, "parameter s has the default None: a parameter is a str, int"),
        ("s: str = 'a", {}, "the parameters cell is no Python: unterminated string literal"),
        ('"""', {}, "the parameters cell is no Python"),
        ("s: str = 'a#b'  # a sign", {"s": 5}, "parameter s is 5, expected str: a sign"),
        (None, {"n": "1"}, "x has no parameters, so none is named n"),
        ("n: int = 1", {"n": "9" * 5000}, "parameter n is '999"),
    ],
)
def test_parameters_are_typed_and_refused_in_a_sentence(tmp_path, cell, given, sentence):
    path = made(tmp_path / "x.ipynb", "print(1)", parameters=cell)
    with pytest.raises(KzresearchError) as caught:
        plan([Block([str(path)], given)])
    message = str(caught.value)
    assert sentence in message
    assert len(message) < 300
    assert "\n" not in message


def test_types_without_annotation_are_those_of_the_defaults(tmp_path):
    cell = "%pdb off\na = 1  # one\nb = 0.5\nc = 'x#y'\nd = False\ne: float = 2\nf = 1  # type: float a sixth"
    path = made(tmp_path / "x.ipynb", parameters=cell)
    found = {p.name: (p.type, p.default, p.help) for p in find_notebook(str(path)).parameters}
    assert found == {
        "a": ("int", 1, "one"),
        "b": ("float", 0.5, ""),
        "c": ("str", "x#y", ""),
        "d": ("bool", False, ""),
        "e": ("float", 2.0, ""),
        "f": ("float", 1.0, "a sixth"),
    }
    given = {"a": "7", "b": "1", "d": "true", "e": 3}
    ((task,), _) = plan([Block([str(path)], given)])
    assert task.parameters == {"a": 7, "b": 1.0, "c": "x#y", "d": True, "e": 3.0, "f": 1.0}
    types = [int, float, str, bool, float, float]
    assert [type(value) for value in task.parameters.values()] == types


@pytest.mark.parametrize("word", ["tokens_per_case", "author", "key_figures", "passage", "monkey"])
def test_words_that_only_begin_like_a_secret_are_none(tmp_path, word):
    path = made(tmp_path / "x.ipynb", parameters=f"{word}: int = 1")
    if word == "tokens_per_case":
        with pytest.raises(ParameterError):
            plan([Block([str(path)])])
    else:
        assert plan([Block([str(path)])])[0][0].parameters == {word: 1}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.ipynb", None, "cannot read the notebook x.ipynb: no such file or directory"),
        ("x.ipynb", "{}", "x.ipynb is no notebook of format 4"),
        ("x.ipynb", "PK\x03", "x.ipynb is no notebook of format 4"),
        (
            "x.ipynb",
            '{"cells": [{"cell_type": "code", "metadata": {}, "source": "\\ud800"}], "metadata": {}}',
            r"x.ipynb holds half of a character \('\\ud800'\), which no file can",
        ),
        ("a;b.ipynb", '{"cells": [], "metadata": {}}', "rename it"),
        ("..ipynb", '{"cells": [], "metadata": {}}', "rename it"),
    ],
)
def test_files_that_are_no_notebooks_are_refused(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ParameterError, match=sentence):
        plan([Block([str(tmp_path / name)])])


def test_a_grid_file_says_what_the_command_says(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(
        """
runs:
  - notebooks: [case_flow]
    parameters: {period: 2022-12}
    each:
      region: all
      article: [146, 362]
  - notebooks: [trends, data_quality]
  - notebooks: [trends]
    parameters: {unclear: false}
  - notebooks: [context]
    each: {year: [2019, 2020]}
""",
        encoding="utf-8",
    )
    tasks, _ = plan(read_grid(path))
    same, _ = plan(
        [
            Block(
                ["case_flow"], {"period": "2022-12"}, {"region": "all", "article": ["146", "362"]}
            ),
            Block(["trends", "data_quality"]),
            Block(["trends"], {"unclear": "false"}),
            Block(["context"], {}, {"year": ["2019", "2020"]}),
        ]
    )
    assert [task.run_id for task in tasks] == [task.run_id for task in same]
    assert len(tasks) == 40 + 2 + 1 + 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("runs: [", "is no YAML file (line 1)"),
        ("- a", "the file: "),
        ("runs: []", "runs: "),
        ("runs: [{notebooks: [case_flow], eech: {}}]", "'eech' was unexpected"),
        ("runs: [{notebooks: case_flow}]", "runs[0].notebooks: "),
        ("runs: [{notebooks: [case_flow], each: {region: every}}]", "runs[0].each.region"),
        ("runs: [{parameters: {}}]", "'notebooks' is a required property"),
        ("runs: [{notebooks: [\x00]}]", "is no YAML file"),
        (
            "runs:\n- notebooks: [case_flow]\n  each: {region: all, region: [KZ-75]}",
            "region is given twice (from line 3 on)",
        ),
    ],
)
def test_a_grid_file_that_is_wrong_is_refused_with_its_place(tmp_path, text, sentence):
    path = tmp_path / "grid.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError) as caught:
        plan(read_grid(path))
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


def test_values_of_a_grid_are_texts_and_no_octal_numbers(tmp_path):
    notebook = made(tmp_path / "x.ipynb", parameters="n: int = 1\ns: str = ''")
    path = tmp_path / "grid.yaml"
    path.write_text(
        f"runs: [{{notebooks: [{notebook}], parameters: {{n: 010, s: no}}}}]", encoding="utf-8"
    )
    ((task,), _) = plan(read_grid(path))
    assert task.parameters == {"n": 10, "s": "no"}


def test_run_id_depends_on_cells_parameters_and_environment_alone(tmp_path):
    path = made(tmp_path / "x.ipynb", "print(1)")
    (tmp_path / "other").mkdir()
    same = made(tmp_path / "other" / "x.ipynb", "print(1)")
    content = json.loads(same.read_text(encoding="utf-8"))
    content["metadata"]["authors"] = [{"name": "somebody"}]
    same.write_text(json.dumps(content), encoding="utf-8")
    other = made(tmp_path / "other" / "y.ipynb", "print(2)")
    ids = [plan([Block([str(p)])])[0][0].run_id for p in (path, same, other)]
    assert ids[0] == ids[1] != ids[2]
    assert plan([Block([str(path)], {"n": 2})])[0][0].run_id != ids[0]
    assert plan([Block([str(path)], {"n": "1"})])[0][0].run_id == ids[0]


def test_own_notebooks_and_those_of_users_are_checked_apart(tmp_path):
    path = made(
        tmp_path / "mine.ipynb", parameters="compare: str = 'anything'\narticle: str = '146'"
    )
    assert plan([Block([str(path)], {"compare": "whatever"})])[0]
    with pytest.raises(UnknownValueError, match="unknown article '9'"):
        plan([Block([str(path)], {"article": "9"})])


def test_every_parameter_of_the_project_has_a_default_and_a_help():
    for notebook in notebooks():
        for parameter in notebook.parameters:
            assert parameter.default is not None
            assert parameter.help, (notebook.name, parameter.name)
