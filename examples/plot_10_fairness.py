"""
Fairness: who bears the burden of recourse, and what protection cannot do
=========================================================================

Two people are told "no". One has a short way to a "yes", the other a long one, and on
average that depends on the group they belong to. This example measures the burden, and
shows limits that the paper names: declaring a column immutable does not make a model
fair, a column that is left out has proxies, and whoever decides what counts as mutable
moves the burden.
"""

# %%
# Made-up applicants of two groups. Group B has earned less and has less schooling.
# Where people live tells their group in nine cases of ten, and past decisions, the
# labels, were harsher on the south of the town. They never looked at the group.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skct import CounterfactualExplainer, CounterfactualTrainingClassifier
from skct.attribution import integrated_gradients
from skct.exceptions import SearchWarning
from skct.metrics import burden

rng = np.random.default_rng(0)
n = 700
is_b = rng.random(n) < 0.5
south = np.where(rng.random(n) < 0.9, is_b, ~is_b)
income = rng.normal(50, 12, n) - 6 * is_b
schooling = rng.normal(14, 2, n) - 1.5 * is_b
score = (income - 47) / 12 + 0.7 * (schooling - 13) / 2 - 1.2 * south + 0.5
X = pd.DataFrame(
    {
        "group": np.where(is_b, "B", "A"),
        "district": np.where(south, "south", "north"),
        "income": income.round(1),
        "schooling": schooling.round(1),
    }
)
y = np.where(score + rng.normal(0, 0.6, n) > 0, "granted", "denied")
print(pd.crosstab(X["group"], y, normalize="index").round(2).to_string())

# %%
# Three models, with three seeds each: a plain one, a plain one that never sees the
# group, and counterfactual training that knows that nobody can change her group or her
# district.

PLAIN = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}
FIXED = {"group": "none", "district": "none"}
settings = {
    "plain": (X, PLAIN),
    "plain, group left out": (X.drop(columns="group"), PLAIN),
    "CT, group and district immutable": (X, {"mutability": FIXED}),
}


def train(seed, table, params):
    clf = CounterfactualTrainingClassifier(random_state=seed, **params)
    clf.set_params(net__lr=0.01, net__batch_size=64, net__max_epochs=15)
    return clf.fit(table, y)


models = {
    name: [train(seed, *setting) for seed in range(3)]
    for name, setting in settings.items()
}

# %%
# What the models listen to: the share of the attributions (integrated gradients) that
# falls on each column, in per cent, averaged over seeds.


def listens_to(clf):
    space = clf.feature_space_
    encoded = space.encode(X[space.feature_names])
    codes = np.searchsorted(clf.classes_, y)
    size = np.abs(integrated_gradients(clf.module_, encoded, codes)).mean(0)
    owners = pd.Series(100 * size / size.sum()).groupby(np.asarray(space.owner)).sum()
    return owners.astype(float).set_axis(space.feature_names)


shares = pd.DataFrame(
    {
        name: pd.concat([listens_to(clf) for clf in fitted], axis=1).mean(axis=1)
        for name, fitted in models.items()
    }
).reindex(X.columns)
print(shares.round(1).fillna(0).to_string())

# %%
# The burden: the mean cost of an answer in each group, in interquartile ranges (IQRs)
# summed over columns. ``validity`` is the share of denied people who have an answer at
# all; read both together. Group and district stay as they are in all answers, whatever
# the model was trained with. The last line asks the plain model again, and declares
# that income cannot change either, so that only schooling is left.


def burdens(clf, mutability):
    table = X[clf.feature_space_.feature_names]
    denied = clf.predict(table) == "denied"
    mutability = {k: v for k, v in mutability.items() if k in table}
    explainer = CounterfactualExplainer(clf, mutability=mutability)
    with warnings.catch_warnings():  # it counts rows without an answer: see validity
        warnings.simplefilter("ignore", SearchWarning)
        answer = explainer.explain(table[denied], target="granted")
    result = burden(answer.cost, answer.valid, X["group"][denied]).table
    result["denied"] = result["n"] / X["group"].value_counts()
    return result[["denied", "cost", "validity"]]


def averaged(fitted, mutability=FIXED):
    tables = pd.concat([burdens(clf, mutability) for clf in fitted])
    return tables.groupby(level=0).mean()


result = {name: averaged(fitted) for name, fitted in models.items()}
only_school = FIXED | {"income": "none"}
result["plain, only schooling mutable"] = averaged(models["plain"], only_school)
result = pd.concat(result, names=["model", "group"])
print(result.round(2).to_string())

# %%
# What is seen: denied people of group B have about twice as far to go as those of group
# A. A model that never sees the group burdens them no less, since the district stands
# in for it. Counterfactual training with both columns immutable changes the burden as
# little: it listens less to the district, and more to the group, which the plain model
# hardly used. So ``mutability`` says what advice may ask for; it does not make a model
# blind or fair. And where only schooling counts as mutable, the way becomes longer for
# both groups, and a part of group B has no way at all. Who declares what is mutable
# decides about the burden.

figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
colours = ["#D55E00", "#E69F00", "#0072B2", "#56B4E9"]
shares.T.plot.barh(stacked=True, ax=left, color=colours)
left.set(xlabel="Share of the attributions (%)", ylabel="", xlim=(0, 100))
left.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
cost = result["cost"].unstack().loc[result.index.unique("model")]
cost.plot.barh(ax=right, color=["0.65", "#009E73"])
right.set(xlabel="Mean cost of recourse (IQRs)", ylabel="")
right.legend(
    ["group A", "group B"],
    ncols=2,
    loc="lower center",
    bbox_to_anchor=(0.5, 1),
    frameon=False,
)
for ax in (left, right):
    ax.invert_yaxis()
