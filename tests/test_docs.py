"""The code of the documentation runs as written, and its links lead somewhere."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import skct

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in DOCS.rglob("*.md")
    if "```python" in page.read_text() and not page.is_relative_to(DOCS / "_build")
)
LINK = re.compile(
    r"\]\(([^)\s]+)\)|^:link: (\S+)$|{download}`(?:[^`<]*<)?([^`<>]+)>?`", re.M
)


def blocks(page):
    """Fenced Python code of a page, in order."""
    text = (DOCS / page).read_text()
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.S | re.M)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore::skct.exceptions.ImputationWarning")
@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
@pytest.mark.filterwarnings("ignore::skct.exceptions.ConstraintWarning")
@pytest.mark.filterwarnings("ignore:.*experimental")
def test_the_code_of_a_page_runs_in_order(page, monkeypatch, tmp_path):
    """As written, but for few rows, epochs and trials."""
    if any("import optuna" in block for block in blocks(page)):
        pytest.importorskip("optuna")
    pd.read_csv(DOCS / "loans.csv").head(200).to_csv(
        tmp_path / "loans.csv", index=False
    )
    monkeypatch.chdir(tmp_path)
    for kind, name in (
        (skct.CounterfactualNet, "max_epochs"),
        (skct.REVISEGenerator, "n_epochs"),
    ):
        monkeypatch.setitem(kind.__init__.__kwdefaults__, name, 3)
    names = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page)):
        short = re.sub(r"\[([\d.]+), [\d.]+\]", r"[\1]", block)  # one value to try
        short = re.sub(r"n_trials=\d+", "n_trials=1", short).replace("(30)", "(10)")
        exec(compile(short, f"{page}, block {number}", "exec"), names)
    plt.close("all")


def files(path):
    """What a link may stand for: a file, or a page without its ending."""
    return [path, path.with_name(path.name + ".md")]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs"])
def test_relative_links_lead_to_files(name):
    path = ROOT / name
    pages = [path] if path.is_file() else sorted(path.rglob("*.md"))
    broken = []
    for page in pages:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for groups in LINK.findall(text):
            link = "".join(groups).split("#")[0]
            generated = link.startswith(("auto_examples/", "../auto_examples/"))
            if not link or generated or re.match(r"\w+:", link):
                continue
            if not any(file.exists() for file in files(page.parent / link)):
                broken.append(f"{page.name}: {link}")
    assert not broken


def test_every_public_name_has_a_page():
    """What a module offers in ``__all__`` is listed in the API reference."""
    listed = (DOCS / "api" / "index.md").read_text()
    modules = "metrics scoring attribution robustness plotting datasets testing "
    modules += "callbacks distributed exceptions"
    wanted = [f"skct.{name}" for name in skct.__all__ if name != "__version__"]
    for module in modules.split():
        names = __import__(f"skct.{module}", fromlist=["x"]).__all__
        wanted += [f"skct.{module}.{name}" for name in names]
    missing = [name for name in wanted if f"   {name}\n" not in listed]
    assert not missing
