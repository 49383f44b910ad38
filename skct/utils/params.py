"""`NestedParams`: parameters of parts that are still None or a name."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator

__all__ = ["NestedParams"]


class NestedParams(BaseEstimator):
    """Lets ``get_params`` and ``set_params`` reach into parts before they are built.

    scikit-learn looks into parameters that are objects; here `None` and names stand for
    objects with defaults, so that ``net__lr`` or ``generator__max_iter`` exist at once.
    """

    parts: ClassVar[tuple[str, ...]] = ()  # parameters that have parameters

    def _build_part(self, name: str) -> Any:
        """The object that a part stands for; None if it has no parameters."""
        raise NotImplementedError

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name, nested ones of net, generator and objective included.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        params : dict
        """
        params = super().get_params(deep=deep)
        if deep:
            for name in self.parts:
                part = self._build_part(name)
                if part is not None and part is not getattr(self, name):
                    nested = part.get_params(deep=True)
                    params.update({f"{name}__{k}": v for k, v in nested.items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``net__*``, ``objective__*``, ... of the defaults as well.

        Parameters
        ----------
        **params
            Names and values.

        Returns
        -------
        self : CounterfactualTrainingClassifier
        """
        for name in self.parts:
            if name in params:
                setattr(self, name, params.pop(name))
            if any(key.startswith(f"{name}__") for key in params):
                part = self._build_part(name)
                if part is not None:
                    setattr(self, name, part)
        return super().set_params(**params)
