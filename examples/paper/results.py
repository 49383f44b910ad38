"""Reading the files of the cells as tidy tables, and comparing models over seeds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from data import MORE, NAMES
from reference import VERSIONS
from scipy.stats import ttest_rel

ANALYSES = "analyses"  # folder of what analyse.py writes, within that of the results
LABELS = {"ip": "IP", "mmd_5.0": "IP*", "mmd_0.5": "IP* (0.5)", "cost": "cost"}


class Results:
    """All finished cells of a folder.

    Parameters
    ----------
    folder : path-like
        What `reproduce.py --out` was given.

    Attributes
    ----------
    folder : Path
    cells : list of dict
    runs : DataFrame
        One row per cell: data, seed, model, version, and the scores by name, such as
        "free ip", "bound cost" or, from the analyses, "revise ip".
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        files = sorted(self.folder.glob("*.json"))
        self.cells = [json.loads(file.read_text()) for file in files]
        if not self.cells:
            raise FileNotFoundError(
                f"There is no result in {folder}; run reproduce.py --out {folder}."
            )
        parts = [analysed(self.folder / ANALYSES / file.name) for file in files]
        rows = [flat(c | p) for c, p in zip(self.cells, parts, strict=True)]
        self.runs = pd.DataFrame(rows)

    @property
    def versions(self):
        """Versions that have results."""
        return [v for v in VERSIONS if v in set(self.runs["version"])] or VERSIONS[-1:]

    @property
    def data(self):
        """Names of the data sets that have results, in the paper's order."""
        return [n for n in (*NAMES, *MORE) if n in set(self.runs["data"])]

    def values(self, data, model, version, score):
        """Values of a score by seed; models without versions count in both."""
        runs = self.runs
        if score not in runs:
            return pd.Series(dtype=float)
        mine = runs["data"].eq(data) & runs["model"].eq(model)
        mine &= runs["version"].isin((version, "any"))
        return runs[mine].set_index("seed")[score].dropna().astype(float).sort_index()

    def pair(self, data, model, version, score):
        """Values of a model and of BL with the same seeds, as two columns."""
        ours = self.values(data, model, version, score)
        base = self.values(data, "BL", version, score)
        return pd.concat({"ours": ours, "base": base}, axis=1, join="inner")

    def reduction(self, data, model, version, score):
        """Reduction against BL in %, seed by seed; larger is better.

        There is none from a value of (nearly) 0, as that of a kernel far too narrow.
        """
        pair = self.pair(data, model, version, score)
        pair = pair[pair["base"] > 1e-6]
        return 100 * (1 - pair["ours"] / pair["base"])

    def p_value(self, data, model, version, score):
        """Two-sided paired t-test of model against BL over seeds; None below three.

        Not Wilcoxon's: with five seeds its smallest possible p is 1 / 16.
        """
        pair = self.pair(data, model, version, score)
        if (
            len(self.reduction(data, model, version, score)) < 3
            or np.ptp(pair["ours"] - pair["base"]) == 0
        ):
            return None
        return float(ttest_rel(pair["ours"], pair["base"]).pvalue)


def analysed(path):
    """Scores that analyse.py wrote about a cell; none if it has not seen it."""
    return json.loads(path.read_text())["parts"] if path.is_file() else {}


def flat(cell):
    """One line for a cell; nested scores get two words, lists are left out."""
    row = {}
    for key, value in cell.items():
        parts = value.items() if isinstance(value, dict) else [(None, value)]
        for name, number in parts:
            if isinstance(number, (int, float, str)) or number is None:
                row[key if name is None else f"{key} {name}"] = number
    mature = cell["history"].get("mature")
    row["mature first"] = mature[0] if mature else None
    row["mature last"] = mature[-1] if mature else None
    for attack in ("fgsm", "pgd"):
        if "robust" in cell:
            row[f"{attack} 0.1"] = cell["robust"][attack][-1]
    return row


def robust_scores(results, version):
    """Tidy table for the display of Fig. 5."""
    parts = []
    for cell in results.cells:
        if "robust" not in cell or cell["version"] not in (version, "any"):
            continue
        for attack in ("fgsm", "pgd"):
            robust = cell["robust"]
            part = {"epsilon": robust["epsilons"], "accuracy": robust[attack]}
            who = {"data": cell["data"], "model": cell["model"], "attack": attack}
            parts.append(pd.DataFrame(part).assign(**who))
    return pd.concat(parts, ignore_index=True) if parts else None
