"""`audit`: estimators compared by the advice that they give on a table."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import log_loss
from sklearn.model_selection import check_cv
from sklearn.utils import resample
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_consistent_length
from tqdm.auto import tqdm

from .attribution import integrated_gradients, sensitivity
from .classifier import CounterfactualTrainingClassifier
from .encoding.frames import take
from .explain.explained_model import Explainable, unwrap
from .explain.explainer import CONFIDENCE, CounterfactualExplainer
from .explain.judge import Judge, as_table, check_judge, default_judge
from .explain.requests import check_confidence
from .metrics import confidence_gap
from .plotting.audit import AuditDisplay
from .preprocessing import TableEncoder
from .reports.audit import document, fragment, text
from .robustness import refit_warnings_ignored
from .utils.caller import warn
from .utils.polars import as_pandas
from .utils.random import Seed, draw_seed
from .utils.validation import (
    check_count,
    is_integer,
    label_codes,
    validate_labels,
    wrong,
)

__all__ = ["AuditResult", "audit"]


SWEEP = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
N_ATTRIBUTED = 500
AT_REAL = ("cost", "distance", "n_changed")
AT_CONFIDENCE = ("told", "judged", "survival", "cost", "n_changed", "distance")
OF_ADVICE = (
    "validity",
    *AT_CONFIDENCE,
    "gap",
    *(f"{name}_at_real" for name in AT_REAL),
)


@dataclass(frozen=True, eq=False, repr=False)
class AuditResult:
    """What `audit` has found; frozen.

    Parameters
    ----------
    figures : DataFrame
        One row for each fold and estimator; see `audit` for the columns.
    target : label
    confidence : float
    """

    figures: pd.DataFrame
    target: Any
    confidence: float

    def to_frame(self) -> pd.DataFrame:
        """One row for each fold and estimator.

        Returns
        -------
        figures : DataFrame
        """
        return self.figures.copy()

    def summary(self) -> pd.DataFrame:
        """Mean and standard deviation over the folds.

        Returns
        -------
        summary : DataFrame
            One row for each estimator; columns (figure, "mean" or "std").
        """
        grouped = self.figures.drop(columns="fold").groupby("estimator", sort=False)
        return grouped.agg(["mean", "std"])

    def plot(self, *, ax: Any = None) -> AuditDisplay:
        """Draw the figures, one panel each.

        Parameters
        ----------
        ax : array of matplotlib Axes, optional
            None: a new figure.

        Returns
        -------
        display : AuditDisplay
        """
        return AuditDisplay(self.figures).plot(ax=ax)

    def to_html(self) -> str:
        """Complete HTML page, to be written to a file.

        Returns
        -------
        html : str
        """
        return document(self.summary(), self.target, self.confidence)

    def _repr_html_(self) -> str:
        return fragment(self.summary(), self.target, self.confidence)

    def __repr__(self) -> str:
        return text(self.summary(), self.target, self.confidence)


class Plan(NamedTuple):
    """What is the same in all folds; see `audit`."""

    estimators: dict[str, Any]
    target: Any
    mutability: Any
    confidence: float
    n_retrainings: int
    judge: Any
    n_rows: int
    random_state: int
    n_jobs: int | None


def audit(
    estimators: Mapping[str, Any] | None,
    X: Any,
    y: ArrayLike,
    *,
    target: Any = None,
    mutability: Any = None,
    confidence: float = CONFIDENCE,
    cv: Any = 3,
    n_retrainings: int = 3,
    judge: Any = None,
    n_rows: int = 200,
    random_state: Seed = 0,
    n_jobs: int | None = None,
    verbose: int = 1,
) -> AuditResult:
    """Compare estimators by the advice that they give on held-out rows.

    In each fold every estimator is fitted to the training rows, and fitted again to
    bootstrap samples of them with other seeds. A judge, a model of another kind, is
    fitted to the held-out rows. Those held-out rows are explained that every estimator
    denies the target, at a sweep of confidences.

    Parameters
    ----------
    estimators : dict of str to estimator, or None
        Unfitted: `CounterfactualTrainingClassifier`, or Pipelines that end in one.
        None: "plain" (all lambdas 0), "default" and "paper".
    X : DataFrame, array-like or sparse matrix of shape (n, *features)
    y : array-like of shape (n,)
    target : label
        What the rows that are explained are to become; it has to be given.
    mutability : dict, array-like or None, default=None
        Of the advice, and of the default estimators' training, as in
        `CounterfactualTrainingClassifier`. None: that of each estimator.
    confidence : float, default=0.8
        At which told and judged probability, survival, cost, changed columns and
        distance are measured.
    cv : int or splitter, default=3
        As in scikit-learn.
    n_retrainings : int, default=3
        Bootstrap samples.
    judge : classifier or None, default=None
        With `predict_proba`; it sees DataFrames, also where X is an array. None:
        gradient boosting.
    n_rows : int, default=200
        Rows that are explained in each fold, at most.
    random_state : int, RandomState or None, default=0
        Seed of samples and fits.
    n_jobs : int or None, default=None
        Models that are fitted, or explained, at the same time, as in scikit-learn.
    verbose : int, default=1
        0: no progress bar.

    Returns
    -------
    result : AuditResult
        Its figures, for each fold and estimator:

        - `n_explained`: rows that were explained;
        - `accuracy`, `log_loss`, `seconds`: of the fits, on all held-out rows;
        - `validity`: share assigned to the target, at a confidence of 0.5;
        - `told`, `judged`: mean target probability by model and judge;
        - `survival`: share still assigned to the target by retrained models;
        - `cost` (IQRs of the training rows, a changed category counts 1), `n_changed`;
        - `distance`: to the five nearest training rows of the target class, in IQRs
          that count less far from the median (`TableEncoder`);
        - `gap`: mean distance of `told` from `judged` over the sweep;
        - `cost_at_real`, `distance_at_real`, `n_changed_at_real`: where the judge is as
          convinced as by real members of the class; NaN where it never is;
        - `protected_share`: share of the attributions (integrated gradients) that
          falls on columns which must not change; NaN without any.

    Raises
    ------
    ValueError
        For a target that is no label of y, an estimator that cannot explain, a class
        too rare for the folds, or where nobody is denied by every estimator.

    Warns
    -----
    UserWarning
        After an interrupt (Ctrl-C), which ends the audit with the folds that are done,
        or if in some folds nobody is denied by every estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skct import audit
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> result = audit(None, X, y, target=1)  # doctest: +SKIP
    >>> print(result)  # doctest: +SKIP
    """
    X, y = as_pandas(X), validate_labels(CounterfactualTrainingClassifier(), y)
    X = X if hasattr(X, "iloc") or sparse.issparse(X) else np.asarray(X)
    check_consistent_length(X, y)
    estimators = default_estimators(mutability) if estimators is None else estimators
    check_audit(estimators, y, target)
    check_count("n_retrainings", n_retrainings)
    check_count("n_rows", n_rows)
    check_confidence(CounterfactualExplainer(None), confidence, len(np.unique(y)))
    if is_integer(cv):
        check_count("cv", cv, low=2)
        check_count_of_each(y, cv)
    folds = list(check_cv(cv, y, classifier=True).split(X, y))
    check_folds(y, folds)
    seed = as_seed(random_state)
    judge = default_judge(seed) if judge is None else judge
    check_judge(judge)
    plan = Plan(
        *(dict(estimators), target, mutability, confidence, n_retrainings),
        *(judge, n_rows, seed, n_jobs),
    )
    rows: list[dict[str, Any]] = []
    # Each estimator is fitted, retrained, and explained.
    total = len(folds) * len(estimators) * (n_retrainings + 2)
    with tqdm(total=total, desc="Audit", disable=not verbose) as bar:
        try:
            for fold, (train, test) in enumerate(folds):
                found = audit_fold(plan, X, y, train, test, bar)
                rows += [{"fold": fold} | figures for figures in found]
        except KeyboardInterrupt:
            if not rows:
                raise
            warn(
                f"Interrupted: the result holds {rows[-1]['fold'] + 1} of {len(folds)} "
                "folds.",
            )
    figures = pd.DataFrame(rows)
    check_advised(figures, target)
    return AuditResult(figures, target, confidence)


def as_seed(random_state: Seed) -> int:
    """Seed from a random state; an integer is its own."""
    if isinstance(random_state, int | np.integer) and random_state >= 0:
        return int(random_state)
    return draw_seed(random_state)


def default_estimators(mutability: Any) -> dict[str, Any]:
    """Plain network, the default objective, and the paper's."""
    plain = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}
    return {
        name: CounterfactualTrainingClassifier(mutability=mutability, **settings)
        for name, settings in (
            ("plain", plain),
            ("default", {}),
            ("paper", {"objective": "paper"}),
        )
    }


def check_audit(estimators: Any, y: np.ndarray, target: Any) -> None:
    """Check what is no business of the estimators themselves."""
    if not isinstance(estimators, Mapping) or not estimators:
        raise wrong("estimators", "a dict of names and unfitted estimators", estimators)
    for name, estimator in estimators.items():
        inner = unwrap(estimator)[1] if isinstance(estimator, BaseEstimator) else None
        if isinstance(estimator, type) or not isinstance(inner, Explainable):
            raise ValueError(
                f"The estimator {name!r} cannot explain: it is {estimator!r:.99}. Give "
                "a CounterfactualTrainingClassifier, or a Pipeline that ends in one."
            )
    if target not in set(y.tolist()):
        labels = list(map(repr, np.unique(y).tolist()))[:10]
        raise wrong("target", f"a label of y, such as {', '.join(labels)}", target)


def check_count_of_each(y: np.ndarray, n_folds: int) -> None:
    """Check that rows of each class suffice, before scikit-learn says so its way."""
    labels, counts = np.unique(y, return_counts=True)
    if counts.min() < 2 * n_folds:
        raise too_rare(labels[counts.argmin()], counts.min(), n_folds)


def check_folds(y: np.ndarray, folds: list) -> None:
    """Check that each class has rows to learn from, and rows to be judged by."""
    for label in np.unique(y):
        for part in (part for fold in folds for part in fold):
            if (y[part] == label).sum() < 2:
                raise too_rare(label, (y == label).sum(), len(folds))


def too_rare(label: Any, count: int, n_folds: int) -> ValueError:
    """Build the error for a class of which a fold has less than two rows."""
    label = label.item() if hasattr(label, "item") else label
    return ValueError(
        f"The class {label!r} of y is too rare to be held out in each of {n_folds} "
        f"folds: it has {count} rows. Use a smaller 'cv', or leave its rows out."
    )


def check_advised(figures: pd.DataFrame, target: Any) -> None:
    """Raise a ValueError if nobody was advised; warn of folds without anybody."""
    n_explained = figures.groupby("fold")["n_explained"].first()
    if not n_explained.any():
        raise ValueError(
            f"No held-out row is denied {target!r} by every estimator; there is nobody "
            "to advise. Use another 'target', or fewer estimators."
        )
    if not n_explained.all():
        warn(
            f"In {(n_explained == 0).sum()} of {len(n_explained)} folds no held-out "
            f"row is denied {target!r} by every estimator; figures of advice are "
            "missing there.",
        )


def audit_fold(
    plan: Plan, X: Any, y: np.ndarray, train: np.ndarray, test: np.ndarray, bar: tqdm
) -> list[dict[str, Any]]:
    """Figures of each estimator on one fold."""
    X_train, y_train, X_test, y_test = take(X, train), y[train], take(X, test), y[test]
    jobs = [
        (name, k) for name in plan.estimators for k in range(plan.n_retrainings + 1)
    ]
    with refit_warnings_ignored():
        fits: dict[str, list[tuple[Any, float]]] = {
            name: [] for name in plan.estimators
        }
        fitted = in_parallel(
            fit_on_sample,
            [
                (plan.estimators[name], X_train, y_train, plan.random_state, k)
                for name, k in jobs
            ],
            *(plan.n_jobs, bar),
        )
        for (name, _), done in zip(jobs, fitted, strict=True):
            fits[name].append(done)
        table = as_table(X_train)
        encoder = TableEncoder().fit(table)
        held_out = as_table(X_test), y_test
        members = table[y_train == plan.target]
        judge = Judge.fit(plan.judge, plan.target, held_out, members, encoder)
        said = [models[0][0].predict(X_test) != plan.target for models in fits.values()]
        denied = np.flatnonzero(np.all(said, axis=0))[: plan.n_rows]
        rows = take(X_test, denied)
        jobs = [(plan, [m for m, _ in models], judge, rows) for models in fits.values()]
        advice = in_parallel(of_advice, jobs, plan.n_jobs, bar)
        return [
            {"estimator": name, "n_explained": len(denied)}
            | of_predictions(models, X_test, y_test)
            | figures
            | {"protected_share": protected_share(plan, models[0][0], X_test)}
            for (name, models), figures in zip(fits.items(), advice, strict=True)
        ]


def in_parallel(
    function: Callable, jobs: list[tuple], n_jobs: int | None, bar: tqdm
) -> Iterator:
    """Results in the order of the jobs, which the bar counts."""
    run = Parallel(n_jobs=n_jobs, return_as="generator")
    for result in run(delayed(function)(*job) for job in jobs):
        bar.update()
        yield result


def fit_on_sample(
    estimator: Any, X: Any, y: np.ndarray, random_state: int, k: int
) -> tuple[Any, float]:
    """Clone fitted to all rows (k = 0) or a bootstrap sample, and its seconds."""
    seed = int(np.random.SeedSequence([random_state, k]).generate_state(1)[0] // 2)
    estimator = clone(estimator)
    for name in estimator.get_params(deep=True):
        if name.split("__")[-1] == "random_state":
            estimator.set_params(**{name: seed})
    rows = np.arange(len(y))
    if k:
        rows = resample(rows, stratify=y, random_state=seed)
    started = time.perf_counter()
    estimator.fit(take(X, rows), y[rows])
    return estimator, time.perf_counter() - started


def of_predictions(models: list, X: Any, y: np.ndarray) -> dict[str, float]:
    """How well the models of one estimator predict, and how long they take to fit."""
    first = models[0][0]
    proba = first.predict_proba(X).astype(float)
    proba /= proba.sum(axis=1, keepdims=True)  # which float32 may miss by a rounding
    return {
        "accuracy": float(np.mean([model.score(X, y) for model, _ in models])),
        "log_loss": log_loss(y, proba, labels=first.classes_),
        "seconds": float(np.mean([seconds for _, seconds in models])),
    }


def of_advice(plan: Plan, models: list, judge: Judge, rows: Any) -> dict[str, float]:
    """Figures of the counterfactuals of the first model; NaN where nobody asks."""
    if not rows.shape[0]:
        return dict.fromkeys(OF_ADVICE, np.nan)
    mutability = "inherit" if plan.mutability is None else plan.mutability
    explainer = CounterfactualExplainer(models[0], mutability=mutability)
    least = 1 / len(models[0].classes_)
    sweep = sorted({c for c in SWEEP if c >= least} | {plan.confidence})
    curve = pd.DataFrame(
        [advice_at(explainer, models[1:], judge, rows, c) for c in sweep], index=sweep
    )
    asked = curve.loc[plan.confidence].drop("validity")
    gaps = [confidence_gap(t, j) for t, j in zip(curve.told, curve.judged, strict=True)]
    return {
        "validity": curve["validity"].iloc[0],
        **asked,
        "gap": float(np.nanmean(gaps)) if curve.told.notna().any() else np.nan,
        **{f"{name}_at_real": at_real(curve, name, judge) for name in AT_REAL},
    }


def advice_at(
    explainer: CounterfactualExplainer,
    retrained: list,
    judge: Judge,
    rows: Any,
    confidence: float,
) -> dict[str, float]:
    """Means over the valid counterfactuals at one confidence."""
    answer = explainer.explain(rows, target=judge.target, confidence=confidence)
    found = as_table(answer.counterfactual)[answer.valid]
    if not len(found):
        return {"validity": 0.0} | dict.fromkeys(AT_CONFIDENCE, np.nan)
    return {
        "validity": answer.valid.mean(),
        "told": answer.probability[answer.valid].mean(),
        "judged": judge.judged(found).mean(),
        "survival": answer.survival(retrained)[answer.valid].mean(),
        "cost": judge.cost(found, as_table(answer.factual)[answer.valid]).mean(),
        "n_changed": answer.n_changed[answer.valid].mean(),
        "distance": judge.distance(found).mean(),
    }


def at_real(curve: pd.DataFrame, name: str, judge: Judge) -> float:
    """Figure where the judge is as convinced as by real members of the class."""
    curve = curve.dropna(subset=["judged"])
    if not len(curve):
        return np.nan
    judged = np.maximum.accumulate(curve["judged"].to_numpy())
    if judged[-1] < judge.convinced:
        return np.nan
    # By linear interpolation where it is reached first: it may stay the same then.
    stop = int((judged >= judge.convinced).argmax()) + 1
    near, values = slice(max(stop - 2, 0), stop), curve[name].to_numpy()
    return float(np.interp(judge.convinced, judged[near], values[near]))


def protected_share(plan: Plan, model: Any, X: Any) -> float:
    """Share of the attributions that falls on columns which must not change."""
    mutability = "inherit" if plan.mutability is None else plan.mutability
    explainer = CounterfactualExplainer(model, mutability=mutability)
    view, rows = explainer.inspect(take(X, np.arange(min(N_ATTRIBUTED, X.shape[0]))))
    fixed = np.flatnonzero(view.constraints.fixed.flatten().numpy())
    if not len(fixed):
        return np.nan
    predicted = label_codes(model.predict(rows), view.classes)
    gradients = integrated_gradients(view.module, view.space.encode(rows), predicted)
    return float(sensitivity(gradients, fixed, standardize="share"))
