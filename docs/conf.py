"""Settings of the documentation's site, which `make docs` builds of the Markdown files beside this one."""

import sys
from pathlib import Path

import kzresearch

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "kzresearch"
author = "kzresearch contributors"
project_copyright = author
release = kzresearch.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton", "pages"]
exclude_patterns = ["_extensions"]
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj)", ".*")]  # types, `words` in docstrings: names are enough

myst_heading_anchors = 4  # headings have the addresses that GitHub gives them

smartquotes_action = "qe"  # quotes and dots; `--` begins an option
default_role = "py:obj"  # in docstrings `names` stand as in Markdown, and lead to what is so called
autodoc_typehints_format = "short"
autodoc_type_aliases = {"Filter": "Filter"}

html_theme = "pydata_sphinx_theme"
html_title = "kzresearch"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["find.js"]
html_copy_source = False
html_use_index = False
html_show_search_summary = False  # they are fetched, which a page opened from a file may not do
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}
html_context = {"default_mode": "auto"}
html_sidebars = {one: [] for one in ("index", "start", "method", "search")}  # nothing is below them

copybutton_prompt_text = ">>> |\\.\\.\\. |\\$ "
copybutton_prompt_is_regexp = True
