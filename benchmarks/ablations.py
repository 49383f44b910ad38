"""What each part of the default objective buys: one at a time is left out.

    SKCT_DATA=... python benchmarks/ablations.py [table ...] [--splits 1]

As `recourse.py`, which has the tables and says what is printed. "teacher on rows"
learns the teacher's probabilities at training rows instead of counterfactuals: what the
teacher alone is good for.
"""

import torch
from recourse import PLAIN, compare

from skct import TeacherObjective
from skct.solvers import SearchResult


class AtRows(TeacherObjective):
    """Takes the factuals themselves for counterfactuals."""

    def search(self, task):
        """No search."""
        found = super().search(task)
        return SearchResult(
            task.factual,
            found.nascent,
            task.target,
            torch.zeros_like(found.mature),
            found.n_iter,
        )


SETTINGS = {
    "plain": PLAIN,
    "default": {},
    "no counterfactuals": {"lambda_div": 0},
    "teacher on rows": {"objective": AtRows()},
    "no adversarial examples": {"lambda_adv": 0},
}

if __name__ == "__main__":
    compare(SETTINGS, __doc__.split("\n")[0], splits=1)
