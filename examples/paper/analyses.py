"""What reviewers asked for, from the weights of one finished cell, without training.

Each part is a function of one `Trained` cell and returns plain numbers. All look at
the factuals and targets that the protocol draws, so that parts can be compared with
each other and with the cell's own results.
"""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from cells import WEIGHTS, Cell
from data import load
from protocol import (
    BOUND,
    ECCCO,
    MAX_ITER,
    N_ROWS,
    PLAUSIBLE,
    average,
    distances,
    divergence,
    draw_factuals,
    find,
    predict,
    recourse,
)

from skct import GenericGenerator, REVISEGenerator, datasets
from skct.attribution import faithfulness
from skct.metrics import burden, cost, median_length_scale
from skct.robustness import recourse_robustness

SURE = {"threshold": 0.5, "constrained": False}
N_NEIGHBOURS = 5
NOISE = 0.1  # standard deviation, in model input
GROUPS = ("sex", "race")


class Size(NamedTuple):
    """How much is computed."""

    n_rows: int = N_ROWS  # factuals
    n_epochs: int = 100  # of REVISE's autoencoder
    n_chains: int = 200  # of all classes together
    n_steps: int = 1000
    n_seeds: int = 2  # sets of chains
    n_draws: int = 50  # of noise


QUICK = Size(n_rows=100, n_epochs=2, n_chains=40, n_steps=50, n_draws=5)


class Trained:
    """A finished cell: its data, its module, and how much to compute of it.

    Parameters
    ----------
    cell : Cell
    folder : path-like
        Where its result and weights are.
    size : Size
    """

    def __init__(self, cell, folder, size=None):
        self.cell, self.folder, self.size = cell, Path(folder), size or Size()

    @cached_property
    def task(self):
        """Data of the cell."""
        return task_of(self.cell.data)

    @cached_property
    def module(self):
        """Module of the cell."""
        return self.cell.module(self.folder, self.task)

    def answers(self, **how):
        """Counterfactuals of ECCCo for the factuals of the protocol."""
        rng = np.random.default_rng(0)
        drawn = draw_factuals(self.module, self.task, self.size.n_rows, rng)
        return ask(self.module, self.task, *drawn, **how)


@lru_cache(maxsize=1)
def task_of(name):
    """Data that several cells in a row share."""
    return load(name)


class Answers(NamedTuple):
    """Counterfactuals of some test rows."""

    rows: np.ndarray
    target: np.ndarray
    values: np.ndarray  # the counterfactuals
    valid: np.ndarray
    weight: np.ndarray  # 0 if not valid; else every class of factuals counts alike

    def mean(self, scores):
        """Mean over valid counterfactuals; None if there are none."""
        return average(scores, self.weight)


def ask(module, task, rows, target, **how):
    """Counterfactuals of ECCCo for the given rows."""
    found = find(module, task, rows, target, ECCCO, **how)
    values, predicted = found.counterfactual.numpy(), predict(module, task.X_test[rows])
    valid = predict(module, values) == target
    weight = valid / np.bincount(predicted)[predicted]
    return Answers(rows, target, values, valid, weight)


# ---------------------------------------------------------------------------- the parts


def generic(trained):
    """Quality of the counterfactuals of Wachter et al. at test time."""
    return quality(trained, GenericGenerator(max_iter=MAX_ITER, lambda_cost=0.0))


def revise(trained):
    """Quality of the counterfactuals of REVISE, which learns from the training rows."""
    cell = trained.cell
    return quality(trained, learn(cell.data, cell.seed, trained.size.n_epochs))


@lru_cache(maxsize=1)
def learn(name, seed, n_epochs):
    """REVISE with its autoencoder: the models of one seed, one after another, share it.

    That saves most of the time on large tables, and it makes them comparable.
    """
    options = {"max_iter": MAX_ITER, "n_epochs": n_epochs, "random_state": seed}
    return REVISEGenerator(**options).fit(torch.as_tensor(task_of(name).X_train))


def quality(trained, generator):
    """Recourse as the protocol judges it, by one other generator."""
    size = {"generators": [generator], "n_rows": trained.size.n_rows}
    scores = recourse(trained.module, trained.task, **PLAUSIBLE, **size)
    del scores["by_weight"]
    return scores


def bound(trained):
    """Recourse with protected columns, of a model that trained without them."""
    size = {"n_rows": trained.size.n_rows}
    scores = recourse(trained.module, trained.task, **BOUND, **size)
    del scores["by_weight"]
    return scores


def plausibility(trained):
    """Distance from the nearest rows, and the MMD with a length-scale of its own.

    The length-scale is the median distance between test rows: one number per data set,
    or it would adapt to the counterfactuals of the model.
    """
    task, found = trained.task, trained.answers(**PLAUSIBLE)
    scale = median_length_scale([], task.X_test)
    near = distances(task, found.values, found.target, N_NEIGHBOURS)
    return {
        "nearest": found.mean(near),
        "mmd": divergence(task, found.values, found.target, scale),
        "length_scale": scale,
    }


def faith(trained):
    """Distance of valid counterfactuals from what the model takes for their target.

    Chains start anywhere in the domain, and at training rows. Where the two disagree,
    they have not come far enough to forget their start, and neither number stands for
    the model alone.
    """
    task, found = trained.task, trained.answers(**PLAUSIBLE)
    scores = {"validity": float(found.valid.mean())}
    for start, first in {"box": None, "rows": task.X_train}.items():
        found_at = [
            distance_from_samples(trained, found, first, seed)
            for seed in range(trained.size.n_seeds)
        ]
        scores[start] = found.mean(np.mean(found_at, axis=0))
    return scores


def distance_from_samples(trained, found, start, seed):
    """Faithfulness of each counterfactual with one set of chains."""
    n_classes = len(np.unique(trained.task.y_train))
    return faithfulness(
        trained.module,
        found.values,
        found.target,
        trained.task.constraints(),
        n_samples=trained.size.n_chains // n_classes,
        n_steps=trained.size.n_steps,
        start=start,
        random_state=seed,
    )


def noise(trained):
    """Share of valid counterfactuals that stay valid under noise."""
    found = trained.answers(**SURE)
    kept = recourse_robustness(
        trained.module,
        found.values,
        found.target,
        noise=NOISE,
        n_draws=trained.size.n_draws,
        random_state=0,
    )
    return {"kept": found.mean(kept)}


def retraining(trained, others):
    """Share of valid counterfactuals that are valid under the models of other seeds.

    Parameters
    ----------
    trained : Trained
    others : list of Cell

    Returns
    -------
    scores : dict
        "kept": mean over the other models.
    """
    found = trained.answers(**SURE)
    modules = [other.module(trained.folder, trained.task) for other in others]
    kept = [predict(module, found.values) == found.target for module in modules]
    return {"kept": found.mean(np.mean(kept, axis=0)), "n_models": len(others)}


def burdens(trained):
    """Cost of recourse to >50K, by sex and by race, for all who are predicted <=50K.

    Rows start as they are, not as the evaluation of the reference code mixes
    `education`. Those without a valid answer count at the worst cost of a valid one.
    """
    task = trained.task
    rows = np.flatnonzero(predict(trained.module, task.X_test) == 0)
    target = np.ones_like(rows)
    fixed = task._replace(mixed=(), one_hot=(*task.one_hot, *task.mixed))
    found = ask(trained.module, fixed, rows, target, **BOUND)
    price = cost(task.X_test[rows], found.values)
    people = adults().iloc[rows]
    scores = {}
    for name in GROUPS:
        scores |= by_group(name, price, found.valid, people[name].to_numpy())
    return scores


def by_group(name, price, valid, group):
    """Number, mean cost of valid answers, validity and burden of each group."""
    worst = price[valid].max() if valid.any() else 0.0
    filled = np.where(valid, price, worst)
    table = burden(price, valid, group).table
    table["burden"] = burden(filled, np.ones_like(valid), group).table["cost"]
    table = table.astype(object).where(table.notna(), None)  # JSON knows no NaN
    return {
        f"{name} {who} {column}": value
        for who, row in table.to_dict("index").items()
        for column, value in row.items()
    }


def adults():
    """Raw test rows of Adult."""
    table, _ = datasets.fetch_adult(subset="train", return_X_y=True)
    return table.iloc[int(0.8 * len(table)) :]


PARTS = {
    "generic": generic,
    "revise": revise,
    "plausibility": plausibility,
    "faith": faith,
    "noise": noise,
}


def parts_of(cell):
    """Parts that a cell has by itself, by name."""
    parts = PARTS | ({"burden": burdens} if cell.data == "Adult" else {})
    return parts | ({"bound": bound} if cell.model == "CT" else {})


def finished(folder, models, versions):
    """Cells of a folder that have a result and weights, sorted."""
    cells = []
    for file in Path(folder).glob(f"*{WEIGHTS}"):
        # Names of models may hold a "-", those of data sets and versions none.
        data, seed, rest = file.stem.split("-", 2)
        model, version = rest.rsplit("-", 1)
        cell = Cell(data, int(seed), model, version)
        known = model in models and version in (*versions, "any")
        if known and cell.path(folder).is_file():
            cells.append(cell)
    return sorted(cells)
