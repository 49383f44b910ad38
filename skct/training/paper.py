"""`PaperObjective`: Equation 2 of the paper."""

from __future__ import annotations

from torch import Tensor

from ..losses import divergence, energy, ridge
from .objective import Objective, Outputs
from .pairs import Pairs

__all__ = ["PaperObjective"]


class PaperObjective(Objective):
    """The objective of the paper, Eq. 2: divergence and ridge of energies.

    Parameters
    ----------
    lambda_div, lambda_adv, lambda_reg : float, default=0.5, 0.25, 0.25
        Weights of divergence (Eq. 3), adversarial loss and ridge (Eq. 4).
    epsilon : float, default=0.3
        Max-norm radius of nascent counterfactuals, in model-input units.

    Notes
    -----
    Departure from the reference code: immature pairs carry weight 0 in divergence *and*
    ridge; the code leaves them in the ridge.

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.

    Examples
    --------
    >>> from skct import CounterfactualTrainingClassifier, PaperObjective
    >>> clf = CounterfactualTrainingClassifier(objective=PaperObjective(epsilon=0.2))
    >>> clf.set_params(objective__lambda_reg=0.5).objective
    PaperObjective(epsilon=0.2, lambda_reg=0.5)
    """

    regulariser = "ridge"
    learning_rate = 1e-3

    def __init__(
        self,
        *,
        lambda_div: float = 0.5,
        lambda_adv: float = 0.25,
        lambda_reg: float = 0.25,
        epsilon: float = 0.3,
    ):
        super().__init__(
            lambda_div=lambda_div,
            lambda_adv=lambda_adv,
            lambda_reg=lambda_reg,
            epsilon=epsilon,
        )

    def terms(self, pairs: Pairs, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Divergence and ridge of each pair, Eq. 3 and 4."""
        energies = (
            energy(outputs.neighbour, pairs.target),
            energy(outputs.counterfactual, pairs.target),
        )
        return divergence(*energies, pairs.mature), ridge(*energies, pairs.mature)
