"""Sphinx: ``python -m sphinx -W --keep-going -b html docs docs/_build/html``."""

import inspect
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("MPLBACKEND", "Agg")

# So that the links of an example can be made where plot_gallery=0 leaves it unrun.
from sklearn.base import TransformerMixin  # noqa: E402
from sklearn.experimental import enable_halving_search_cv  # noqa: E402, F401
from skorch import NeuralNetClassifier  # noqa: E402
from skorch.callbacks import Callback  # noqa: E402

import skct  # noqa: E402

project = "skct"
author = "the skct developers"
project_copyright = author
release = version = skct.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "auto_examples/**/*.ipynb", "auto_examples/**/*.py"]
templates_path = ["_templates"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = True
nitpick_ignore = [("py:class", "sklearn.utils.Bunch")]  # needs the network

# Pages are Markdown. Their headings can be linked to: `limits.md#causality`.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Every public name gets a page of its own from its docstring.
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
# What makes the build fail: a parameter that is missing, unknown or out of order, and
# sections that numpydoc does not know. Left out: rules of taste (SS05, RT01, ...).
numpydoc_validation_checks = {
    "GL02",
    "GL05",
    "GL06",
    "GL07",
    "PR01",
    "PR02",
    "PR03",
    "PR05",
    "PR06",
    "PR10",
    "RT04",
    "RT05",
    "SS01",
    "SS04",
    "YD01",
}
# Values that are read, not built, list what they hold under Attributes; the last one
# has the parameters of its base class.
numpydoc_validation_exclude = {
    rf"\.{name}$"
    for name in (
        "CounterfactualExplanation",
        "CounterfactualScorer",
        "SingleScorer",
        "SearchState",
        "Pairs",
        "Searched",
        "Outputs",
        "LossTerms",
        "DistributedCounterfactualNet",
    )
}

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "ignore_pattern": r"/paper/|__init__\.py",
    "backreferences_dir": "api/generated/backreferences",
    "doc_module": ("skct",),
    "reference_url": {"skct": None},
    "download_all_examples": False,
    "within_subsection_order": "FileNameSortKey",
    "show_memory": False,
    "write_computation_times": False,  # that page loads scripts from elsewhere
    "show_signature": False,
    "abort_on_example_error": True,
    "plot_gallery": True,
}

# The prompt and the output of a console session are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "skct"
html_static_path = ["_static"]
html_css_files = ["skct.css"]
html_show_sourcelink = False
toc_object_entries_show_parents = "hide"
# Pages without neighbours need no navigation among them.
ALONE = ["index", "getting_started", "faq", "comparison", "changelog"]
ALONE += ["paper", "performance", "reliability", "generators"]
ALONE += ["development"]
html_sidebars = {name: [] for name in ALONE}
html_theme_options = {
    "logo": {"text": "skct"},
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 5,
}


# Methods that one of these defines are documented there, whoever overrides them.
PROTOCOLS = {
    NeuralNetClassifier: {"fit", "partial_fit"},  # with the exception of these
    Callback: set(),
    TransformerMixin: {"fit", "transform"},
    skct.BaseGenerator: set(),
    skct.Objective: set(),
}


def skip_overrides(app, what, name, obj, skip, options):
    """Leave out what other libraries define or generate, and overrides."""
    text = (inspect.getdoc(obj) or "").strip()
    is_field = text.startswith("Alias for field number")
    is_routing = name.startswith("set_") and name.endswith("_request")
    left_out = is_field or is_routing or is_foreign(obj) or is_override(obj, name)
    return True if left_out else None


def is_foreign(member):
    """Whether a method or property is inherited from another library."""
    function = getattr(member, "fget", member)
    module = getattr(function, "__module__", None) or ""
    is_code = inspect.isroutine(function) or isinstance(member, property)
    return is_code and not module.startswith("skct")


def is_override(method, name):
    """Whether a method is one of a protocol, defined in a class that follows it."""
    if not inspect.isfunction(method):
        return False
    module = sys.modules.get(method.__module__)  # a named tuple's has none
    owner = getattr(module, method.__qualname__.split(".")[0], None)
    return inspect.isclass(owner) and any(
        issubclass(owner, base) and owner is not base and hasattr(base, name)
        for base, shown in PROTOCOLS.items()
        if name not in shown
    )


def escape_stars(app, what, name, obj, options, lines):
    """Shapes such as (n, *features) are no emphasis."""
    lines[:] = [
        re.sub(r"(?<!`)(?<!\\)\*(?=(features|input_shape)\b)", r"\*", s) for s in lines
    ]


def setup(app):
    """Register what autodoc calls."""
    app.connect("autodoc-skip-member", skip_overrides)
    app.connect("autodoc-process-docstring", escape_stars, priority=900)
