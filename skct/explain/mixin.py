"""`RecourseMixin`: `explain` for a fitted classifier."""

from typing import Any

from sklearn.utils.validation import check_is_fitted

from .explained_model import Explainable
from .explainer import CounterfactualExplainer
from .explanation import CounterfactualExplanation

__all__ = ["RecourseMixin"]


class RecourseMixin(Explainable):
    """Gives a classifier that is `Explainable` its `explain`."""

    def explain(
        self,
        X: Any,
        target: Any = None,
        *,
        confidence: float | None = None,
        n_alternatives: int = 1,
    ) -> CounterfactualExplanation:
        """Counterfactuals of the rows of X, in raw units.

        Short for ``CounterfactualExplainer(self).explain(X, target)``.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)
        target : label or array-like of shape (n,), optional
            One label for all rows, or one per row; None: the runner-up class.
        confidence : float, optional
            Target probability that a counterfactual has to reach; None: the default of
            `CounterfactualExplainer`.
        n_alternatives : int, default=1
            Different counterfactuals per row.

        Returns
        -------
        explanation : CounterfactualExplanation
        """
        check_is_fitted(self)
        explainer = CounterfactualExplainer(self, random_state=self.seed_)
        return explainer.explain(
            X, target, confidence=confidence, n_alternatives=n_alternatives
        )
