"""Training as the reference code does it, by subclassing `CounterfactualNet`.

Where it differs from the package, and how it is rebuilt here:

- V1 labels nascent counterfactuals with the class that the model predicts for the
  factual, V2 with the true one: `ReferenceObjective.adversarial_target`;
- an immature counterfactual is replaced by its neighbour, so that its divergence is 0
  but its ridge is twice the squared target logit of the neighbour:
  `ReferenceObjective.terms`;
- weights start as Flux draws them, Glorot's uniform distribution without bias:
  `initialize_module` (torch's are half as large on images, and the net more robust);
- batches are the same in every epoch: ``iterator_train__shuffle=False``;
- categories move like numbers in training: the net gets constraints without groups.

Departures that remain: the neighbour of an immature pair is masked like that of a
mature one (constrained runs only); a loss that is not finite ends the training instead
of skipping one update; random streams are torch's, not Julia's.
"""

import warnings

import torch

from skct import (
    MLP,
    CounterfactualNet,
    ECCCoGenerator,
    GenericGenerator,
    PaperObjective,
    REVISEGenerator,
)
from skct.exceptions import DivergenceWarning
from skct.losses import energy

VERSIONS = ("V1", "V2")
MODELS = ("BL", "CT", "AR", "CD", "CT-constrained")
BARE = "CT-div-constrained"  # as CT-constrained, but only on class loss and divergence
GENERATORS = {"CT-Generic": GenericGenerator, "CT-REVISE": REVISEGenerator}
EPOCHS, LEARNING_RATE = 100, 1e-3


class ReferenceObjective(PaperObjective):
    """Eq. 2 as the reference code computes it.

    Parameters
    ----------
    version : {"V1", "V2"}, default="V2"
        Label of the adversarial term: predicted at the start of the epoch, or true.
    lambda_div, lambda_adv, lambda_reg, epsilon
        As in `skct.PaperObjective`.
    """

    def __init__(
        self,
        *,
        version="V2",
        lambda_div=0.5,
        lambda_adv=0.25,
        lambda_reg=0.25,
        epsilon=0.3,
    ):
        super().__init__(
            lambda_div=lambda_div,
            lambda_adv=lambda_adv,
            lambda_reg=lambda_reg,
            epsilon=epsilon,
        )
        self.version = version

    def adversarial_target(self, y_true, y_predicted):
        """Label of the nascent counterfactuals."""
        return y_predicted if self.version == "V1" else y_true

    def terms(self, pairs, outputs):
        """Divergence and ridge of each pair; an immature one pairs with itself."""
        plus = energy(outputs.neighbour, pairs.target)
        minus = energy(outputs.counterfactual, pairs.target)
        other = torch.where(pairs.mature, minus, plus)
        return plus - other, plus.square() + other.square()


class ReferenceNet(CounterfactualNet):
    """`CounterfactualNet` with the semantics of the paper's reference code.

    Parameters
    ----------
    version : {"V1", "V2"}, default="V2"
        Label of the adversarial term: predicted at the start of the epoch, or true.
    module, **kwargs
        As in `skct.CounterfactualNet`.
    """

    def __init__(
        self,
        module=MLP,
        *args,
        version="V2",
        iterator_train__shuffle=False,
        **kwargs,
    ):
        kwargs = {"objective": ReferenceObjective(version=version)} | kwargs
        shuffle = {"iterator_train__shuffle": iterator_train__shuffle}
        super().__init__(module, *args, **shuffle, **kwargs)
        self.version = version

    def initialize_module(self):
        """Build the module and draw its first weights as Flux does."""
        super().initialize_module()
        self.module_.apply(draw_as_flux)
        return self


def draw_as_flux(layer):
    """Glorot's uniform weights and no bias."""
    if isinstance(layer, torch.nn.Linear):
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)


def weights(model, settings):
    """Weights of the objective that each model of the paper is trained on."""
    div, adv, reg = 0.5, 0.25, settings.lambda_reg
    div, adv, reg = {
        "BL": (0.0, 0.0, 0.0),
        "CT": (div, adv, reg),
        "AR": (0.0, adv, 0.0),
        "CD": (div, 0.0, reg),
        "CT-constrained": (div, adv, reg),
        BARE: (div, 0.0, 0.0),
        **dict.fromkeys(GENERATORS, (div, adv, reg)),
    }[model]
    return {"lambda_div": div, "lambda_adv": adv, "lambda_reg": reg}


def depends_on_version(model, settings):
    """Whether the two versions differ: only where there is an adversarial term."""
    return weights(model, settings)["lambda_adv"] > 0


def train(task, settings, model, version, seed, *, epochs=EPOCHS, lr=LEARNING_RATE):
    """Train one model on one data set.

    Returns
    -------
    net : ReferenceNet
    messages : list of str
        Warnings of the training.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training, which skorch would pass over in silence.
    """
    protected = task.protected if model.endswith("constrained") else ()
    generator = GENERATORS.get(model, ECCCoGenerator)
    net = ReferenceNet(
        version=version,
        batch_size=settings.batch_size,
        max_epochs=epochs,
        lr=lr,
        generator=generator(threshold=settings.threshold),
        constraints=task.constraints(protected),
        n_counterfactuals=settings.n_counterfactuals,
        optimizer__fused=True,
        **weights(model, settings),
    )
    return net, fit(net, task, seed)


def fit(net, task, seed):
    """Fit a net from a seed of its own; see `train`.

    Returns
    -------
    messages : list of str
    """
    with warnings.catch_warnings(record=True) as caught, torch.random.fork_rng():
        warnings.simplefilter("always")
        torch.manual_seed(seed)
        net.fit(task.X_train, task.y_train)
    diverged = any(w.category is DivergenceWarning for w in caught)
    if len(net.history) < net.max_epochs and not diverged:
        raise KeyboardInterrupt
    net.module_.eval()
    return [str(w.message) for w in caught]
