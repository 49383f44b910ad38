"""The contract of the layout: what lies where, how large, and who imports whom.

docs/development.md explains it. Every complaint names file, line and remedy.
"""

import ast
import importlib
import inspect
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import skct

ROOT = Path(__file__).parent.parent
PACKAGE = Path(skct.__file__).parent
API = ROOT / "docs" / "api" / "index.md"
GUIDE = ROOT / "docs" / "development.md"

# A module imports from its own room and from lines below it. Rooms on a line do not
# know each other. Change it together with the picture in docs/development.md.
FLOORS = [
    ["auditing", "scoring", "testing"],
    ["classifier", "plotting", "callbacks", "distributed", "scores"],
    ["persistence", "robustness"],
    ["training", "explain"],
    ["solvers", "reports"],
    ["generators", "encoding", "attribution"],
    ["constraints", "preprocessing", "metrics", "datasets"],
    ["losses", "exceptions", "utils"],
]
HEIGHT = {room: -i for i, rooms in enumerate(FLOORS) for room in rooms}
HEIGHT |= {"__init__": 1}  # the roof
# Imported where they are used, never at the top: what `pip install skct` does not
# bring, and what `import skct` should not wait for.
OPTIONAL = {"art", "dask", "jinja2", "matplotlib", "multiprocess", "optuna", "polars"}
OPTIONAL |= {"pyarrow", "skrub"}
MAX_FILES, MAX_FOLDERS, MAX_LINES, MAX_CLASS = 14, 12, 500, 400


# Named tuples have no other names; torch and skorch have no public ones.
FOREIGN = {"_replace", "_asdict", "_fields"}
FOREIGN |= {f"_{kind}_hooks" for kind in ("forward", "forward_pre", "backward")}
FOREIGN |= {
    "_backward_pre_hooks",
    "_post_accumulate_grad_hooks",
    "_has_any_global_hook",
}
FOREIGN |= {"_optimizers", "_modules", "_criteria"}


class Import(NamedTuple):
    """One import: `target` is a module of the package, or a name from elsewhere."""

    module: str
    line: int
    target: str
    is_local: bool
    is_typing: bool = False  # under `if TYPE_CHECKING`, never run

    def __str__(self):
        return f"{self.module.replace('.', '/')}.py:{self.line}"


def sources(folder):
    """Source of each module of a package by its dotted name, `__init__` spelt out."""
    return {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts): path.read_text(
            encoding="utf-8"
        )
        for path in sorted(folder.rglob("*.py"))
    }


def imports(modules):
    """All imports in the sources of a package."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    for module, source in modules.items():
        tree = ast.parse(source)
        outer = [node for node in ast.walk(tree) if isinstance(node, functions)]
        local = {id(inner) for node in outer for inner in ast.walk(node)}
        typing = {id(inner) for node in ast.walk(tree) for inner in typing_only(node)}
        for node in ast.walk(tree):
            kind = id(node) in local, id(node) in typing
            for target in targets(node, module, modules):
                yield Import(module, node.lineno, target, *kind)


def typing_only(node):
    """Statements under ``if TYPE_CHECKING``."""
    test = getattr(node, "test", None)
    if isinstance(node, ast.If) and getattr(test, "id", "") == "TYPE_CHECKING":
        yield from (inner for line in node.body for inner in ast.walk(line))


def targets(node, module, modules):
    """What a statement of a module imports."""
    if isinstance(node, ast.Import):
        names = [(alias.name,) for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        above = module.split(".")[: -node.level] if node.level else []
        base = ".".join([*above, *filter(None, [node.module])])
        # `from .solvers import search` may mean a module, or a name in `__init__`.
        names = [(f"{base}.{alias.name}", base) for alias in node.names]
    else:
        return
    for given in names:
        known = (m for name in given for m in (name, f"{name}.__init__"))
        yield next((m for m in known if m in modules), given[-1])


def room(module):
    """Folder or file at the top of the package that a module belongs to."""
    return module.split(".")[1]


def imports_upward(modules):
    """Complaints about imports from the same floor or above."""
    for found in imports(modules):
        if found.target not in modules:
            continue
        here, there = room(found.module), room(found.target)
        for name in {here, there} - set(HEIGHT):
            yield (
                f"{found}: {name} has no floor. Give it one in FLOORS, and in the "
                "picture and the table of docs/development.md."
            )
        if here != there and HEIGHT.get(here, 0) <= HEIGHT.get(there, 0):
            yield (
                f"{found}: {here} imports {there}, which is not below it. Move what "
                "both need to a lower floor, or hand it over as an argument."
            )


def import_circles(modules):
    """A complaint about modules that import each other."""
    graph = {module: set() for module in modules}
    for found in imports(modules):
        if found.target in modules:
            graph[found.module].add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield (
            f"{' <- '.join(error.args[1])}: a circle. Import from the module that "
            "defines the name, not from __init__, or move the name."
        )


def misplaced_imports(modules):
    """Complaints about late imports of ours, and early ones of optional packages."""
    for found in imports(modules):
        package = found.target.split(".")[0]
        if found.is_local and package not in OPTIONAL:
            yield (
                f"{found}: imports {found.target} inside a function. Import it at the "
                "top; if that makes a circle, cut the circle."
            )
        if not (found.is_local or found.is_typing) and package in OPTIONAL:
            yield f"{found}: imports {package} at the top. Do so where it is used."


def private_reads(modules):
    """Complaints about underscore attributes of other people's objects.

    A module may use what it defines itself, and methods may use what is their own.
    """
    for module, source in modules.items():
        nodes = list(ast.walk(ast.parse(source)))
        own = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        for node in nodes:
            if not isinstance(node, ast.Attribute) or is_own(node.value):
                continue
            name = node.attr
            if name.startswith("_") and name not in own | FOREIGN and name[:2] != "__":
                yield (
                    f"{module.replace('.', '/')}.py:{node.lineno}: reads "
                    f"{ast.unparse(node)}. Give its class a public name for it, or ask "
                    "for what it is needed for."
                )


def is_own(node):
    """Whether an expression is self, cls or super()."""
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", "") == "super"
    return getattr(node, "id", "") in ("self", "cls")


def oversized(folder):
    """Complaints about folders, files and classes that are too large or too small."""
    inside = [path for path in folder.iterdir() if path.name != "__pycache__"]
    n_folders = sum(path.is_dir() for path in inside)
    if n_folders > MAX_FOLDERS or len(inside) - n_folders > MAX_FILES:
        yield (
            f"{folder.name}: {len(inside) - n_folders} files (at most {MAX_FILES}) and "
            f"{n_folders} folders (at most {MAX_FOLDERS}). Find a room for one."
        )
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder.parent)
        if path.is_dir() and path.name != "__pycache__":
            names = {inner.name for inner in path.iterdir()}
            if len(names - {"__init__.py", "__pycache__"}) < 2:
                yield f"{name}: a folder for one file. Make it a module, or split it."
        elif path.suffix == ".py":
            source = path.read_text(encoding="utf-8")
            yield from (f"{name}:{long}" for long in long_parts(source))


def long_parts(source):
    """Line of, and complaint about, a file or a class that is too long."""
    n_lines = len(source.splitlines())
    if n_lines > MAX_LINES:
        yield f"1: {n_lines} lines, at most {MAX_LINES}. Split it by concept."
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            n_lines = node.end_lineno - node.lineno + 1
            if n_lines > MAX_CLASS:
                yield (
                    f"{node.lineno}: class {node.name} has {n_lines} lines, at most "
                    f"{MAX_CLASS}. Give a part of it a class or functions of its own."
                )


def undocumented_paths(page):
    """Complaints about names in the API reference that do not import from there."""
    for number, line in enumerate(page.splitlines(), 1):
        path = re.fullmatch(r" {3}(skct\.[\w.]+)", line)
        if path is None:
            continue
        module, _, name = path[1].rpartition(".")
        try:
            value = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            value = error
        if isinstance(value, Exception) or inspect.ismodule(value):
            yield (
                f"docs/api/index.md:{number}: {path[1]} is {value!r}. Export it there, "
                "or say in CHANGELOG.md where it went and mend the page."
            )


CHECKS = [imports_upward, import_circles, misplaced_imports, private_reads]


@pytest.mark.parametrize("check", CHECKS)
def test_imports_keep_the_contract(check):
    modules = sources(PACKAGE)
    assert len(modules) > 40
    assert sum(found.target in modules for found in imports(modules)) > 100
    complaints = list(check(modules))
    assert not complaints, "\n".join(complaints)


def test_folders_files_and_classes_are_small():
    complaints = list(oversized(PACKAGE))
    assert not complaints, "\n".join(complaints)


def test_every_documented_name_imports_from_its_path():
    page = API.read_text(encoding="utf-8")
    assert page.count("\n   skct.") > 60
    complaints = list(undocumented_paths(page))
    assert not complaints, "\n".join(complaints)


INITS = {f"skct.{room}.__init__": "" for room in ("explain", "training", "utils")}
FILES = {f"skct.{name}": "" for name in ("__init__", "classifier", "losses", "scoring")}
MADE_UP = {**INITS, **FILES, "skct.utils.random": "", "skct.explain.explainer": ""}
FLOOR, CIRCLE, PLACE, PRIVATE = CHECKS


@pytest.mark.parametrize(
    ("check", "module", "source", "complaint"),
    [
        (FLOOR, "losses", "\nfrom .classifier import A", "py:2: losses imports classi"),
        (FLOOR, "training.net", "from ..explain import explainer", "imports explain"),
        (
            FLOOR,
            "training.net",
            "import skct.scoring",
            "net.py:1: training imports sco",
        ),
        (FLOOR, "utils.random", "from .. import A", "utils imports __init__"),
        (FLOOR, "utils.random", "def f():\n    from ..losses import a", "random.py:2:"),
        (FLOOR, "cellar", "from . import losses", "cellar has no floor"),
        (CIRCLE, "utils.__init__", "from .__init__ import a", "utils.__init__ <- skct"),
        (CIRCLE, "utils.random", "from . import random", "utils.random <- skct.utils"),
        (
            PLACE,
            "scoring",
            "def f():\n    from .losses import a",
            "imports skct.losses ",
        ),
        (PLACE, "scoring", "class A:\n    def f(self):\n        import re", "py:3: im"),
        (PLACE, "scoring", "from matplotlib import pyplot", "matplotlib at the top"),
        (PRIVATE, "scoring", "x = clf._reference", "scoring.py:1: reads clf._refer"),
        (PRIVATE, "scoring", "def f(a):\n    return a.b()._c", "reads a.b()._c"),
    ],
)
def test_the_contract_finds_what_breaks_it(check, module, source, complaint):
    complaints = list(check({**MADE_UP, f"skct.{module}": source}))
    assert any(complaint in found for found in complaints), complaints


def test_a_circle_of_two_is_found():
    there, back = "from .random import f", "from . import plotting"
    modules = {"skct.utils.plotting": there, "skct.utils.random": back}
    (complaint,) = import_circles({**MADE_UP, **modules})
    assert "skct.utils.plotting <- skct.utils.random" in complaint


@pytest.mark.parametrize("check", CHECKS)
def test_imports_that_keep_the_contract_pass(check):
    text = "import torch\nfrom ..utils.random import seeded\nfrom .. import losses\n"
    text += "from .explainer import A\ndef f():\n    import matplotlib.pyplot as plt\n"
    text += "if TYPE_CHECKING:\n    import jinja2\nclass B:\n    def _a(self):\n"
    text += "        return self._b, super()._c, self.d._a, (1,)._replace"
    assert not list(check({**MADE_UP, "skct.explain.evaluate": text}))


def test_what_is_too_large_or_too_small_is_found(tmp_path):
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "__init__.py").touch()
    (tmp_path / "alone" / "one.py").write_text("x = 1\n" * (MAX_LINES + 1))
    long = "class Long:\n" + "    x = 1\n" * MAX_CLASS
    (tmp_path / "long.py").write_text(f"x = 1\n{long}")
    for i in range(MAX_FILES):
        (tmp_path / f"file_{i}.py").touch()
    places = [complaint.split(" ")[0] for complaint in oversized(tmp_path)]
    inside = "", "/alone", "/alone/one.py:1", "/long.py:2"
    assert places == [f"{tmp_path.name}{place}:" for place in inside]


@pytest.mark.parametrize("path", ["skct.Nobody", "skct.nowhere.A", "skct.losses"])
def test_a_documented_name_that_does_not_import_is_found(path):
    (complaint,) = undocumented_paths(f"\n   skct.search\n   {path}\n")
    assert complaint.startswith(f"docs/api/index.md:3: {path} is ")


def rooms_in_the_guide():
    """Room, and where its tests are, of each row of the table of rooms."""
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(r"^\| `(\w+)/?` \|.*\| `(tests/[^`]*)` \|$", text, re.M)


def test_the_developer_guide_draws_these_floors():
    text = GUIDE.read_text(encoding="utf-8")
    (picture,) = re.findall(r"^```text\n(.*?)^```", text, re.S | re.M)
    lines = [re.findall(r"\w+", line) for line in picture.splitlines()]
    assert [set(line) for line in lines if line] == [set(rooms) for rooms in FLOORS]


def test_the_developer_guide_knows_every_room_and_its_tests():
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    rooms = dict(rooms_in_the_guide())
    assert set(rooms) == there - {"__init__", "__pycache__"}
    assert [path for path in rooms.values() if not (ROOT / path).exists()] == []


def test_one_version_of_ruff():
    """What pre-commit runs is what CI runs."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (hook,) = re.findall(r"ruff-pre-commit\n\s+rev: v([\d.]+)\n", hooks)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"ruff=={hook}" in pins


def test_workflows_run_the_steps_of_ci_on_the_versions_that_are_declared():
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    jobs = re.findall(r"\{step: (\w+), python: \"([\d.]+)\"\}", text)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    steps = set(re.findall(r"^(\w+)\(\) \{$", script, re.M))
    assert {step for step, _ in jobs} | {"docs"} <= steps
    declared = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    versions = re.findall(r"Python :: (3\.\d+)$", declared, re.M)
    assert [version for step, version in jobs if step == "newest"] == versions


def test_the_files_that_the_developer_guide_names_exist():
    text = GUIDE.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:skct|tests|examples|docs|\.\w+)/[\w/.-]+)`", text))
    assert len(named) > 40
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
