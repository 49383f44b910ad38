"""Evaluation of one trained model, after the reference code.

The reference code draws 100 times 25 to 250 factuals with replacement and calls the
spread over these draws its uncertainty. Here every cell is evaluated once, on up to
1,000 test rows, equally many of every predicted class (the reference code draws the
class of the factual uniformly); the spread that the report gives is that between
training seeds.
"""

from copy import copy

import numpy as np
import torch

from skct import ECCCoGenerator, search
from skct.attribution import integrated_gradients, sensitivity
from skct.metrics import cost, implausibility, mmd
from skct.robustness import robust_accuracy

ENERGY_WEIGHTS = (0.1, 0.5, 1.0, 5.0, 10.0)
MAX_ITER = 50
N_ROWS = 1000  # factuals, and rows of a class that the MMD compares with
EPSILONS = tuple(np.linspace(0.0, 0.1, 10).round(6).tolist())
N_ROUNDS = 20  # baselines of the integrated gradients
LENGTH_SCALES = (5.0, 0.5)  # the code's and the paper's
GENERATORS = tuple(
    ECCCoGenerator(max_iter=MAX_ITER, lambda_cost=0.0, lambda_energy=weight)
    for weight in ENERGY_WEIGHTS
)
ECCCO = GENERATORS[2]  # the middle one
PLAUSIBLE = {"threshold": 0.95, "constrained": False}  # for IP, IP* and free cost
BOUND = {"threshold": 0.5, "constrained": True}  # for the cost under constraints


def predict(module, X):
    """Class index that the model predicts for each row."""
    with torch.no_grad():
        return module(torch.as_tensor(X)).argmax(1).numpy()


def accuracy(module, task):
    """Share of test rows that are predicted right."""
    return float((predict(module, task.X_test) == task.y_test).mean())


# -------------------------------------------------------------------- counterfactuals


def recourse(
    module,
    task,
    *,
    threshold,
    constrained,
    generators=GENERATORS,
    n_rows=N_ROWS,
    seed=0,
):
    """Mean quality of the counterfactuals of each generator, and over all.

    Parameters
    ----------
    module : torch module
        Model input -> logits, in eval mode.
    task : Task
    threshold : float
        Target probability at which a search stops: 0.95 for plausibility, 0.5 for the
        cost under constraints.
    constrained : bool
        Whether the protected columns are immutable. Categories are, in any case: the
        reference code snaps them after each step, which freezes them.
    generators : sequence of BaseGenerator
        Fitted where they learn. Default: ECCCo with the paper's five energy weights.
    n_rows : int, default=1000
    seed : int, default=0
        Of factuals and targets.

    Returns
    -------
    scores : dict
        Means over the generators, and under "by_weight" those of each.
    """
    rows, target = draw_factuals(module, task, n_rows, np.random.default_rng(seed))
    asked = {"threshold": threshold, "constrained": constrained}
    by_weight = [
        judge(module, task, rows, find(module, task, rows, target, each, **asked))
        for each in generators
    ]
    means = {
        name: mean_of([s[name] for s in by_weight if s[name] is not None])
        for name in by_weight[0]
    }
    return means | {"n_rows": len(rows), "by_weight": by_weight}


def find(module, task, rows, target, generator, *, threshold, constrained):
    """Search counterfactuals of some test rows; the generator stays as it is."""
    fixed = (*task.one_hot, *task.mixed, *(task.protected if constrained else ()))
    return search(
        module,
        torch.as_tensor(task.snap(task.X_test[rows])),
        torch.as_tensor(target),
        copy(generator).set_params(threshold=threshold),
        task.constraints(fixed),
    )


def draw_factuals(module, task, n_rows, rng):
    """Test rows, equally many of each predicted class, and a target for each."""
    predicted, classes = predict(module, task.X_test), np.unique(task.y_train)
    rows = [
        some(np.flatnonzero(predicted == k), n_rows // len(classes), rng)
        for k in classes
    ]
    rows = np.concatenate(rows)
    shift = rng.integers(1, len(classes), len(rows))  # any class but the predicted
    return rows, (predicted[rows] + shift) % len(classes)


def some(rows, n, rng):
    """At most `n` of the rows, in their order."""
    return rows if len(rows) <= n else np.sort(rng.choice(rows, n, replace=False))


def judge(module, task, rows, found):
    """Quality of one set of counterfactuals; distances count valid ones only."""
    factual, answer = task.X_test[rows], found.counterfactual.numpy()
    target, predicted = found.target.numpy(), predict(module, task.X_test[rows])
    valid = predict(module, answer) == target
    share = 1.0 / np.bincount(predicted)[predicted]  # every factual class counts alike

    def mean_valid(values):
        return average(values, np.where(valid, share, 0.0))

    return {
        "ip": mean_valid(distances(task, answer, target)),
        **{
            f"mmd_{scale}": divergence(task, answer, target, scale)
            for scale in LENGTH_SCALES
        },
        "cost": mean_valid(cost(factual, answer)),
        "validity": float(np.average(valid, weights=share)),
        "mature": float(np.average(found.mature.numpy(), weights=share)),
        "n_iter": float(found.n_iter.float().mean()),
    }


def average(values, weights):
    """Weighted mean as a float; None where no row counts."""
    return float(np.average(values, weights=weights)) if weights.any() else None


def distances(task, answer, target, n_neighbours=None):
    """Mean L1 distance of each row from the (nearest) test rows of its target class."""
    values = np.empty(len(answer))
    for k in np.unique(target):
        reference = task.X_test[task.y_test == k]
        values[target == k] = implausibility(
            answer[target == k], reference, n_neighbours=n_neighbours
        )
    return values


def divergence(task, answer, target, length_scale):
    """Squared MMD by target class, no less than 0, averaged over the classes.

    All counterfactuals enter, valid or not: the reference code computes it before it
    looks at validity.
    """
    rng, values = np.random.default_rng(0), []
    for k in np.unique(target):
        reference = some(np.flatnonzero(task.y_test == k), N_ROWS, rng)
        pair = answer[target == k], task.X_test[reference]
        if min(map(len, pair)) > 1:
            values.append(max(mmd(*pair, length_scale=length_scale), 0.0))
    return mean_of(values)


def mean_of(values):
    """Mean as a float; None of nothing."""
    return float(np.mean(values)) if len(values) else None


# ------------------------------------------------------------- attacks and attribution


def robustness(module, task, n_rows=None, seed=0):
    """Accuracy under attack for each radius of the paper's Fig. 5."""
    rows = np.arange(len(task.X_test))
    rows = some(rows, n_rows or len(rows), np.random.default_rng(seed))
    data = module, task.X_test[rows], task.y_test[rows]
    return {
        "epsilons": list(EPSILONS),
        "fgsm": robust_accuracy(*data, epsilons=EPSILONS, attack="fgsm").tolist(),
        "pgd": robust_accuracy(
            *data, epsilons=EPSILONS, attack="pgd", random_state=seed
        ).tolist(),
    }


def attention(module, task, n_rows=N_ROWS, n_rounds=N_ROUNDS, seed=0):
    """Sensitivity to the protected columns by integrated gradients, Table II.

    Each round draws test rows with replacement and one baseline from U(-1, 1).

    Returns
    -------
    scores : dict
        Median over rounds, standardised by the range (the paper's) and as a share of
        all attributions; and the single rounds.
    """
    rng, values = np.random.default_rng(seed), {"range": [], "share": []}
    for _ in range(n_rounds):
        rows = rng.integers(0, len(task.X_test), n_rows)
        baseline = rng.uniform(-1.0, 1.0, task.X_test.shape[1:])
        given = integrated_gradients(
            module, task.X_test[rows], task.y_test[rows], baseline=baseline
        )
        for kind, found in values.items():
            found.append(sensitivity(given, task.protected, standardize=kind))
    medians = {kind: float(np.median(found)) for kind, found in values.items()}
    return medians | {"rounds": values}
