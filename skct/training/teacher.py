"""`TeacherObjective`: counterfactuals labelled by a second opinion."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import joblib
import numpy as np
import torch
from sklearn.base import ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Generator, Tensor
from torch.nn.functional import kl_div, pad

from ..constraints import Constraints
from ..losses import energy, ridge
from ..solvers.search import SearchResult
from .objective import Objective, Outputs, Searched, SearchTask
from .proposals import exchange, step_along_fixed, walk

__all__ = ["TeacherObjective"]

# Of the default teacher: few, small trees with large leaves are honest where rows are
# rare; a small table takes smaller leaves.
N_TREES, N_LEAVES, LEAF_ROWS, LEAVES_OF_TABLE = 50, 15, 40, 15


class TeacherPairs(NamedTuple):
    """As `Pairs`, with the teacher's probabilities of the counterfactuals' classes."""

    nascent: Tensor
    label: Tensor
    counterfactual: Tensor
    neighbour: Tensor
    target: Tensor
    factual: Tensor
    mature: Tensor
    opinion: Tensor  # (n, n_classes)


class TeacherObjective(Objective):
    r"""Trains on counterfactuals with the labels of a second opinion.

    .. math:: L(M(x), y) + \lambda_{div}\, KL(q(x') \| M(x'))
              + \lambda_{adv}\, L(M(x_{AE}), y)
              + \lambda_{reg}\, [E(x^+, y^+)^2 + E(x', y^+)^2]

    Counterfactuals x' are where advice will send people, and hardly anybody has been
    observed there: what a network says about them is extrapolation. So they are
    searched on the current network, as in the paper, but instead of being pushed away
    they are given to a teacher, a model of another kind that was fitted to the same
    rows, and the network learns the probabilities q that it finds. Half of the
    counterfactuals are walks of the explainer, of random length; the other half takes
    over one to three columns of an observed row of the target class, of four such rows
    the most convincing. Adversarial examples x_AE move along immutable features only,
    so that the network learns not to listen to what nobody can change. A teacher that
    is wrong at a counterfactual passes its error on.

    Parameters
    ----------
    lambda_div : float, default=1.0
        Weight of the Kullback-Leibler divergence of the network's probabilities from
        the teacher's.
    lambda_adv : float, default=1.0
        Weight of the loss on adversarial examples.
    lambda_reg : float, default=0.0
        Weight of the paper's ridge on energies (Eq. 4), of mature counterfactuals.
    epsilon : float, default=0.3
        How far an adversarial example moves along each immutable feature, in
        model-input units.
    teacher : classifier or None, default=None
        Any scikit-learn classifier with `predict_proba`; it sees the encoded training
        rows, flat. None: gradient boosting with 50 small trees.

    Attributes
    ----------
    teacher_ : classifier or None
        Fitted; None where all rows are of one class.
    classes_ : ndarray of int
        Classes of the training rows.

    Notes
    -----
    The classifier's `generator` plays no part in the training.

    Departs from the paper: the divergence is between class probabilities instead of
    energies, and has its minimum where network and teacher agree; the paper's has none.
    Labels from another model are knowledge distillation [1]_; here on counterfactuals.

    References
    ----------
    .. [1] Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.

    Examples
    --------
    >>> from skct import CounterfactualTrainingClassifier, TeacherObjective
    >>> CounterfactualTrainingClassifier(objective=TeacherObjective(lambda_div=0.5))
    CounterfactualTrainingClassifier(objective=TeacherObjective(lambda_div=0.5))
    """

    regulariser = "ridge"
    learning_rate = 1e-3
    needs_mature = False

    def __init__(
        self,
        *,
        lambda_div: float = 1.0,
        lambda_adv: float = 1.0,
        lambda_reg: float = 0.0,
        epsilon: float = 0.3,
        teacher: Any = None,
    ):
        super().__init__(
            lambda_div=lambda_div,
            lambda_adv=lambda_adv,
            lambda_reg=lambda_reg,
            epsilon=epsilon,
        )
        self.teacher = teacher

    def fit(self, X: Tensor, y: Tensor, class_weight: Tensor | None = None) -> Self:
        """Fit the teacher to the training rows, unless it knows these already."""
        rows, labels = X.flatten(1).cpu().numpy(), y.cpu().numpy()
        # `partial_fit` often goes on with the same rows, an epoch at a time.
        data = joblib.hash((rows, labels, class_weight))
        if data == getattr(self, "data_", None):
            return self
        weights = {}
        if class_weight is not None:
            weights["sample_weight"] = class_weight.cpu().numpy()[labels]
        teacher = default_teacher(len(rows)) if self.teacher is None else self.teacher
        self.classes_, self.teacher_ = np.unique(labels), None
        if len(self.classes_) > 1:  # not a batch of partial_fit with a single class
            self.teacher_ = clone(teacher).fit(rows, labels, **weights)
        self.data_ = data
        return self

    def opinion(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities of classes 0 to the last one that was seen, by the teacher.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            Encoded, flat.

        Returns
        -------
        opinion : ndarray of shape (n, n_classes), float64
        """
        opinion = np.zeros((len(rows), int(self.classes_.max()) + 1))
        known = 1.0 if self.teacher_ is None else self.teacher_.predict_proba(rows)
        opinion[:, self.classes_] = known
        return opinion

    def search(self, task: SearchTask) -> SearchResult:
        """Walk with one half of the rows, exchange columns in the other."""
        n = len(task.factual)
        first = torch.arange(n, device=task.factual.device) < n // 2
        x = torch.empty_like(task.factual)
        with torch.no_grad():
            for half, propose in ((first, walk), (~first, exchange)):
                if half.any():
                    x[half] = propose(task.of(half))
            logits = task.model(x)
        nascent = step_along_fixed(
            *(task.model, task.factual, task.label, task.constraints),
            *(self.epsilon, task.rng),
        )
        mature = logits.argmax(1) == task.target
        return SearchResult(
            x, nascent, task.target, mature, torch.ones_like(task.target)
        )

    def pair(
        self,
        X: Tensor,
        y: Tensor,
        searched: Searched,
        constraints: Constraints,
        rng: Generator,
    ) -> TeacherPairs:
        """Pair as the paper does, and ask the teacher."""
        pairs = super().pair(X, y, searched, constraints, rng)
        opinion = self.opinion(pairs.counterfactual.flatten(1).cpu().numpy())
        told = torch.from_numpy(opinion).to(pairs.counterfactual)
        return TeacherPairs(**pairs._asdict(), opinion=told)

    def terms(self, pairs: TeacherPairs, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Divergence from the teacher, and ridge of energies."""
        logits, target = outputs.counterfactual, pairs.target
        unknown = logits.shape[1] - pairs.opinion.shape[1]  # classes it has not seen
        opinion = pad(pairs.opinion, (0, unknown))
        divergence = kl_div(logits.log_softmax(1), opinion, reduction="none").sum(1)
        energies = energy(outputs.neighbour, target), energy(logits, target)
        return divergence, ridge(*energies, pairs.mature)


def default_teacher(n_rows: int) -> ClassifierMixin:
    """Gradient boosting that says no more than the rows do."""
    leaf = int(np.clip(n_rows // LEAVES_OF_TABLE, 5, LEAF_ROWS))
    return HistGradientBoostingClassifier(
        max_iter=N_TREES,
        max_leaf_nodes=N_LEAVES,
        min_samples_leaf=leaf,
        early_stopping=False,
        random_state=0,
    )
