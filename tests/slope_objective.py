"""An objective that looks at slopes, for tests."""

from skct.losses import energy
from skct.training import Objective


class Slope(Objective):
    """The gap between energies, and squared slopes: once more along what is fixed."""

    regulariser = "slope"
    learning_rate = 3e-3
    needs_mature = False

    def terms(self, pairs, outputs):
        plus = energy(outputs.neighbour, pairs.target)
        minus = energy(outputs.counterfactual, pairs.target)
        square = outputs.slopes(pairs.counterfactual, pairs.target).square()
        fixed = outputs.constraints.fixed.flatten()
        return plus - minus, square.sum(1) + square[:, fixed].sum(1)
