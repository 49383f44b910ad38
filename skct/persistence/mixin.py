"""`PersistenceMixin`: `save` and `load` of a fitted classifier."""

import os
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted

from .classifier import load_classifier, save_classifier

__all__ = ["PersistenceMixin"]


class PersistenceMixin:
    """Gives a classifier `save` and `load`."""

    def save(
        self,
        path: str | os.PathLike,
        *,
        include_optimizer: bool = False,
        include_reference: bool = True,
    ) -> None:
        """Write the fitted classifier to one file, without pickle.

        The file is in the safetensors format: weights as tensors, all else as JSON in
        its header. It is replaced at once: whatever goes wrong, a file that was there
        before stays as it was.

        Parameters
        ----------
        path : str or path-like
            Written exactly as given; no suffix is added.
        include_optimizer : bool, default=False
            Save the state of the optimiser, so that `partial_fit` or a warm start goes
            on as if nothing had happened. Without it they go on from the weights with
            a fresh optimiser.
        include_reference : bool, default=True
            Save the reference rows, training rows that plausibility is judged by. False
            saves a summary in their place: within each class every column is sorted for
            itself, so that no row is left, and counterfactuals are the same (except
            for rows that no search brings to their target: they would take over values
            of a reference row). `load` then warns.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            For a parameter that only pickle could write: callbacks, a generator, net,
            criterion or optimiser that does not come with skct or torch. Also for a
            `GravitationalGenerator` without `include_reference`: it explains by
            training rows.
        OSError
            If the file cannot be written.

        Notes
        -----
        The file holds training rows: up to `n_reference` of each class, encoded. With
        ``include_reference=False`` it holds none, but still single values, such as an
        exact income, each without the rest of its row; with ``n_reference=0`` only the
        smallest and largest value and the median of each numeric column. In any case:
        weights, categories, labels, and the constructor's parameters.

        A module or transformer of your own is not in the file (of the module, the
        weights are): `load` asks for it.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sklearn.datasets import load_iris
        >>> from skct import CounterfactualTrainingClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = CounterfactualTrainingClassifier(lambda_div=0, lambda_adv=0,
        ...     lambda_reg=0, random_state=0).set_params(net__max_epochs=2).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "iris.skct"
        ...     clf.save(path)
        ...     again = CounterfactualTrainingClassifier.load(path)
        >>> bool((again.predict_proba(X) == clf.predict_proba(X)).all())
        True
        """
        check_is_fitted(self)
        save_classifier(
            self,
            path,
            include_optimizer=include_optimizer,
            include_reference=include_reference,
        )

    def _check_parameters(self) -> None:
        """Raise a ValueError that names the first parameter out of range."""
        raise NotImplementedError

    @classmethod
    def load(
        cls, path: str | os.PathLike, *, module: Any = None, preprocessor: Any = None
    ) -> Self:
        """Read a classifier that `save` has written; no code of the file runs.

        Parameters
        ----------
        path : str or path-like
        module : torch module class or instance, optional
            Where the classifier was saved with a module of your own: the same class
            (``net__module__*`` are in the file), or an instance where the net was given
            one, which is copied. Its weights come from the file.
        preprocessor : transformer, optional
            Where the classifier was saved with a transformer of your own: that one,
            fitted. It is compared on a row of medians.

        Returns
        -------
        classifier : CounterfactualTrainingClassifier
            Fitted; predictions are those of the one saved, bit for bit. So are
            explanations, unless `load` warns that reference rows are missing, and what
            `partial_fit` and warm starts make of it if the optimiser was saved.

        Raises
        ------
        ValueError
            For any other file, a damaged one, one of another `format_version` or major
            version of skct, and where `module` or `preprocessor` is needed, not
            needed, or not the one saved.
        OSError
            If the file cannot be read.
        """
        return load_classifier(
            cls,
            path,
            module=module,
            preprocessor=preprocessor,
            check=cls._check_parameters,
        )
