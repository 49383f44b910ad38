"""The package's own objective, ``objective="margin"``, with one setting for all data.

Not the paper's: weights start as torch draws them, batches are shuffled, the number of
counterfactuals is the default. From the settings of the paper come batch size and
epochs only.
"""

import torch
from reference import fit

from skct import CounterfactualNet

MODELS = ("CT-margin", "CT-margin-constrained")


def train(task, settings, model, seed, *, epochs, lr):
    """Train one model on one data set, at twice the learning rate; as `reference`'s."""
    protected = task.protected if model.endswith("constrained") else ()
    net = CounterfactualNet(
        objective="margin",
        batch_size=settings.batch_size,
        max_epochs=epochs,
        lr=2 * lr,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=0.1,
        optimizer__fused=True,
        lambda_reg=0.05,
        epsilon=0.1,
        constraints=task.constraints(protected),
    )
    return net, fit(net, task, seed)
