"""
Through a Pipeline: mixed types, missing values, raw units
==========================================================

Real tables have numbers with gaps, words, and words with an order, and most teams have
a Pipeline for them. The classifier goes to its end like any other; the explainer goes
around the whole, and speaks the columns in front of it.
"""

# %%
# A made-up table of loan applicants: numbers with gaps, two columns of words and one of
# ordered words. Nothing in it is scaled.

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from skct import CounterfactualExplainer, CounterfactualTrainingClassifier

LEVELS = ["school", "bachelor", "master"]


def make_applicants(n=600, seed=0):
    rng = np.random.default_rng(seed)
    level = rng.integers(0, 3, n)
    table = pd.DataFrame(
        {
            "age": rng.integers(20, 70, n),
            "income": (rng.gamma(4, 8, n) + 6 * level).round(1),
            "savings": rng.gamma(2, 6, n).round(1),
            "job": rng.choice(["clerk", "cook", "nurse", "driver"], n),
            "housing": rng.choice(["rent", "own"], n, p=[0.65, 0.35]),
            "education": pd.Categorical.from_codes(level, LEVELS, ordered=True),
        }
    )
    score = 0.08 * (table["income"] - 40) + 0.1 * (table["savings"] - 12)
    score += 0.7 * (table["housing"] == "own") + 0.4 * (table["job"] == "nurse")
    granted = score + 0.02 * (table["age"] - 45) + rng.normal(0, 0.5, n) > 0
    table.loc[rng.random(n) < 0.1, "savings"] = np.nan
    table.loc[rng.random(n) < 0.05, "job"] = None
    return table, np.where(granted, "granted", "denied")


X, y = make_applicants()
print(X.head().to_string())
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)

# %%
# An ordinary ColumnTransformer. ``set_output(transform="pandas")`` lets the names pass
# through it, so that the classifier, too, knows columns by their raw names.

encode = ColumnTransformer(
    [
        (
            "numbers",
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            ["age", "income", "savings"],
        ),
        (
            "words",
            make_pipeline(
                SimpleImputer(strategy="most_frequent"),
                OneHotEncoder(sparse_output=False),
            ),
            ["job", "housing"],
        ),
        ("order", OrdinalEncoder(categories=[LEVELS]), ["education"]),
    ]
)
clf = CounterfactualTrainingClassifier(mutability={"age": "none"}, random_state=0)
clf.set_params(net__lr=0.01, net__batch_size=64, net__max_epochs=40)
pipe = Pipeline([("encode", encode), ("ct", clf)]).set_output(transform="pandas")
pipe.fit(X_train, y_train)
print(f"accuracy {pipe.score(X_test, y_test):.2f}")

# %%
# The explainer takes the fitted Pipeline and the raw table. Here the constraints are in
# raw columns: nobody grows younger or loses a degree, and nobody moves into a house of
# her own for a loan. ``feature_weights`` says that income is harder to change than
# savings.

explainer = CounterfactualExplainer(
    pipe,
    mutability={"age": "none", "housing": "none", "education": "increase"},
    feature_weights={"income": 2.0},
)
denied = X_test[pipe.predict(X_test) == "denied"]
answer = explainer.explain(denied, target="granted")
print(answer[:6])
print(answer.summary().round(2).to_string())

# %%
# Answers have the columns, the types and the units of the table that was asked about. A
# missing value stays missing unless the answer moves it.

new = answer.counterfactual
print((new.dtypes == denied.dtypes).all(), new["education"].dtype.ordered)
print(denied.isna().sum().sum(), "cells were missing,", new.isna().sum().sum(), "are")
kept = ["age", "housing"]
print("age and housing as before:", new[kept].equals(denied[kept]))
up = new["education"].cat.codes >= denied["education"].cat.codes
print("nobody loses a degree:", up.all())

# %%
# The advice to twelve applicants at a glance. Red cells ask for more, blue ones for
# less, grey ones for another category; the number is the new value.

display = answer[:12].plot()
_ = display.ax_.set_ylabel("Applicant")
