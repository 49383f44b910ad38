"""What training on counterfactuals buys and costs, on six tables of real people.

    SKCT_DATA=... python benchmarks/recourse.py [table ...] [--splits 3]

`skct.audit` of the plain network and of the default objective, with the same scaling
and early stopping: three random splits into training and test rows, and three
retrainings on bootstrap samples in each. One line per table and estimator; the columns
are those of `skct.audit`, means over the splits.
"""

import argparse
import os
from pathlib import Path

import pandas as pd
from sklearn.model_selection import StratifiedShuffleSplit

from skct import CounterfactualTrainingClassifier, audit

# File, label, label that the advice is to lead to, columns that cannot change, columns
# to leave out, and columns of codes that are categories.
TABLES = {
    "Adult": (
        "adult.parquet",
        "income",
        ">50K",
        ("age", "sex", "race", "native_country"),
        ("split", "fnlwgt", "education"),
        (),
    ),
    "HELOC": ("heloc.parquet", "RiskPerformance", "Good", (), (), ()),
    "German": (
        "german_credit.parquet",
        "class",
        None,
        ("age", "age_years", "personal_status_sex", "foreign_worker"),
        (),
        (),
    ),
    "GMSC": ("gmsc_balanced.parquet", "target", 1, ("age",), (), ()),
    "CH": ("california_housing_balanced.parquet", "target", 1, ("HouseAge",), (), ()),
    "Cred": (
        "credit_default_balanced.parquet",
        "target",
        1,
        ("AGE", "SEX"),
        (),
        ("SEX", "EDUCATION", "MARRIAGE"),
    ),
}
MOST_ROWS = 12_000
PLAIN = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}
SHOWN = [
    *("accuracy", "log_loss", "validity", "told", "judged", "gap", "survival"),
    *("cost", "n_changed", "distance", "cost_at_real", "distance_at_real"),
    *("n_changed_at_real", "protected_share", "seconds", "n_explained"),
]


def read(name: str) -> tuple[pd.DataFrame, pd.Series, object, dict]:
    """Table, labels, target and mutability."""
    file, label, target, frozen, dropped, codes = TABLES[name]
    table = pd.read_parquet(Path(os.environ["SKCT_DATA"]) / file)
    if len(table) > MOST_ROWS:
        table = table.sample(MOST_ROWS, random_state=0)
    table = table.drop(columns=[c for c in dropped if c in table])
    table = table.astype(dict.fromkeys(codes, str))
    y = table.pop(label)
    target = y.value_counts().index[0] if target is None else target
    return table, y, target, {c: "none" for c in frozen if c in table}


def compare(settings: dict[str, dict], description: str, splits: int) -> None:
    """Audit classifiers of several settings on each table that is asked for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("tables", nargs="*", default=[*TABLES], metavar="table")
    parser.add_argument("--splits", type=int, default=splits)
    options = parser.parse_args()
    lines = {}
    for name in options.tables:
        X, y, target, mutability = read(name)
        estimators = {
            key: CounterfactualTrainingClassifier(mutability=mutability, **setting)
            for key, setting in settings.items()
        }
        result = audit(
            estimators,
            X,
            y,
            target=target,
            cv=StratifiedShuffleSplit(options.splits, test_size=0.25, random_state=0),
        )
        means = result.summary().xs("mean", axis=1, level=1)
        for estimator, line in means.iterrows():
            lines[name, estimator] = line[SHOWN]
        print(pd.DataFrame(lines).T.round(3).to_string(), flush=True)


if __name__ == "__main__":
    compare({"plain": PLAIN, "default": {}}, __doc__.split("\n")[0], splits=3)
