"""`ECCCoGenerator`: faithful counterfactuals, by distance and energy."""

from typing import Self

from torch import Tensor

from ..losses import energy
from ..utils.validation import check_real
from .base import BaseGenerator, SearchState, distance

__all__ = ["ECCCoGenerator"]


class ECCCoGenerator(BaseGenerator):
    """Faithful counterfactuals: class loss, distance and energy, after ECCCo [1]_.

    Parameters
    ----------
    max_iter, step_size, threshold, lambda_cost
        As in `BaseGenerator`.
    lambda_energy : float, default=5.0
        Weight of the energy of the counterfactual under its target class.

    Notes
    -----
    The energy term is E + 0.001 E^2 times a factor that decays with the steps,
    a (b + t)^-0.9 with b = round(max_iter / 25) and a = b / 10, as in the reference
    code: changing `max_iter` changes the objective. The conformal set-size penalty of
    the original paper is left out, as in counterfactual training.

    References
    ----------
    .. [1] Altmeyer et al., "Faithful Model Explanations through Energy-Constrained
       Conformal Counterfactuals", AAAI 2024.

    Examples
    --------
    >>> from skct import ECCCoGenerator
    >>> ECCCoGenerator(max_iter=50, threshold=0.95)
    ECCCoGenerator(max_iter=50, threshold=0.95)
    """

    def __init__(
        self,
        *,
        max_iter: int = 30,
        step_size: float = 0.1,
        threshold: float = 0.5,
        lambda_cost: float = 0.001,
        lambda_energy: float = 5.0,
    ):
        super().__init__(
            max_iter=max_iter,
            step_size=step_size,
            threshold=threshold,
            lambda_cost=lambda_cost,
        )
        self.lambda_energy = lambda_energy

    def check(self) -> Self:
        """Raise a ValueError that names the first parameter out of range."""
        super().check()
        check_real(self, "lambda_energy", low=0)
        return self

    def penalty(self, state: SearchState) -> Tensor:
        """L1 distance plus scheduled energy, of shape (n,)."""
        weight = self.lambda_energy * energy_schedule(state.step, state.max_iter)
        value = energy(state.logits, state.target)
        return self.lambda_cost * distance(state) + weight * (
            value + 1e-3 * value.square()
        )


def energy_schedule(step: int, max_iter: int) -> float:
    """Decaying factor of the energy term; 0 throughout for ``max_iter < 13``."""
    # The polynomial decay of step sizes in Langevin dynamics, a (b + t)^-c (Welling and
    # Teh, 2011), with the numbers of the reference code.
    offset = round(max_iter / 25)
    return offset / 10 * (offset + step) ** -0.9
