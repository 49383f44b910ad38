"""Baselines that the paper's reviewers asked for, on the net of the paper.

- PGD-AT: adversarial training [1]_, at the largest radius of the paper's attacks;
- TRADES [2]_, as the Adversarial Robustness Toolbox has it, which has to be there;
- JEM: joint energy-based model [3]_;
- ensemble: deep ensemble of plain nets [4]_.

Weights start as those of the paper's models do, and all but TRADES, which shuffles, see
the same batches in every epoch.

.. [1] Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks",
   2018.
.. [2] Zhang et al., "Theoretically Principled Trade-off between Robustness and
   Accuracy", 2019.
.. [3] Grathwohl et al., "Your Classifier is Secretly an Energy Based Model and You
   Should Treat it Like One", 2020.
.. [4] Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation
   using Deep Ensembles", 2017.
"""

import io
import math
import time
from contextlib import redirect_stderr

import numpy as np
import reference
import torch
from attacks import numpy_seeded
from reference import EPOCHS, LEARNING_RATE, ReferenceNet, draw_as_flux
from skorch.callbacks import PassthroughScoring
from torch import nn

from skct import MLP
from skct.attribution import reflect
from skct.robustness import pgd
from skct.training.guarded import LossNotFinite

MODELS = ("PGD-AT", "TRADES", "JEM", "ensemble")
RADIUS, STEP, N_STEPS = 0.1, 0.025, 10  # the largest radius of the paper's attacks
LARGEST_LOSS = 1e8  # at which JEM stops, as in the authors' code
BETA = 6.0  # weight of the consistency in TRADES
N_MEMBERS = 5
PLAIN = {"lambda_div": 0.0, "lambda_adv": 0.0, "lambda_reg": 0.0}
COLUMNS = ("epoch", "dur", "train_loss", "divergence")


def train(task, settings, model, seed, *, epochs=EPOCHS, lr=LEARNING_RATE):
    """Train one baseline on one data set; arguments and results as in `models.train`.

    Same seed, same weights; the global random states stay as they are. Ctrl-C raises a
    KeyboardInterrupt.
    """
    return TRAINERS[model](task, settings, seed, epochs=epochs, lr=lr)


def build(model, n_features_in, n_classes):
    """Untrained module of a baseline, to load weights into."""
    if model == "ensemble":
        return Ensemble([MLP(n_features_in, n_classes) for _ in range(N_MEMBERS)])
    return MLP(n_features_in, n_classes)


def train_net(net, task, settings, seed, *, epochs, lr):
    """Train a net with skorch's loop; see `train`."""
    net.set_params(batch_size=settings.batch_size, max_epochs=epochs, lr=lr, **PLAIN)
    net.set_params(constraints=task.constraints())
    messages = reference.fit(net, task, seed)
    return net.module_, columns(net.history), messages


def columns(history):
    """Columns of a history of skorch."""
    known = [name for name in COLUMNS if history and name in history[0]]
    return {name: [row[name] for row in history] for name in known}


# ------------------------------------------------------------------- adversarial nets


class PGDNet(ReferenceNet):
    """Net that trains on what projected gradient descent makes of each batch.

    Parameters
    ----------
    radius, step_size : float, default=0.1, 0.025
        Max-norm radius of the attack and length of its steps.
    n_steps : int, default=10
    ramp : float, default=0.2
        Share of the epochs in which radius and steps grow to their full size.
    module, **kwargs
        As in `ReferenceNet`.

    Notes
    -----
    The authors attack at the full radius from the start. On MNIST, the net of the paper
    does not survive that: 28 of its 32 units are dead for good after a few epochs, and
    it predicts the same for all digits.
    """

    def __init__(
        self,
        module=MLP,
        *args,
        radius=RADIUS,
        step_size=STEP,
        n_steps=N_STEPS,
        ramp=0.2,
        **kwargs,
    ):
        super().__init__(module, *args, **kwargs)
        self.radius = radius
        self.step_size = step_size
        self.n_steps = n_steps
        self.ramp = ramp

    def train_step_single(self, batch, **fit_params):
        """Gradient of one batch under attack."""
        X, y = batch
        return super().train_step_single((self.attack(X, y), y), **fit_params)

    def attack(self, X, y):
        """Perturb a batch against its classes, from a random start."""
        share = min(1.0, len(self.history) / max(1.0, self.ramp * self.max_epochs))
        attacked = pgd(
            self.module_,
            X.numpy(),
            y.numpy(),
            epsilon=share * self.radius,
            step_size=share * self.step_size,
            n_steps=self.n_steps,
            random_state=int(torch.randint(2**31 - 1, ())),
        )
        return torch.from_numpy(attacked)


def train_pgd(*who, **length):
    """Train PGD-AT; see `train`."""
    return train_net(PGDNet(), *who, **length)


def train_trades(task, settings, seed, *, epochs, lr):
    """Train TRADES; see `train`.

    The toolbox attacks the cross-entropy, where the paper attacks the divergence
    between the predictions, and shuffles the rows in every epoch.
    """
    data, size = (task.X_train, task.y_train), settings.batch_size
    history = {"epoch": [], "dur": []}
    with torch.random.fork_rng(), numpy_seeded(seed):
        torch.manual_seed(seed)
        module = build("TRADES", task.X_train.shape[1], int(task.y_train.max()) + 1)
        trainer = trades_trainer(module.apply(draw_as_flux), size, lr)
        for epoch in range(epochs):
            started = time.perf_counter()
            with redirect_stderr(io.StringIO()):  # hides a progress bar
                trainer.fit(*data, batch_size=size, nb_epochs=1)
            history["epoch"].append(epoch + 1)
            history["dur"].append(time.perf_counter() - started)
    return module.eval(), history, []


def trades_trainer(module, batch_size, lr):
    """TRADES of the Adversarial Robustness Toolbox."""
    from art.attacks.evasion import ProjectedGradientDescent
    from art.defences.trainer import AdversarialTrainerTRADESPyTorch
    from art.estimators.classification import PyTorchClassifier

    first, last = module[0], module[-1]
    classifier = PyTorchClassifier(
        module,
        nn.CrossEntropyLoss(),
        (first.in_features,),
        last.out_features,
        optimizer=torch.optim.Adam(module.parameters(), lr=lr),
        device_type="cpu",
    )
    attack = ProjectedGradientDescent(
        classifier,
        eps=RADIUS,
        eps_step=STEP,
        max_iter=N_STEPS,
        num_random_init=1,
        batch_size=batch_size,
        verbose=False,
    )
    return AdversarialTrainerTRADESPyTorch(classifier, attack, beta=BETA)


# ------------------------------------------------------------------ energy-based model


class JEMNet(ReferenceNet):
    """Net that learns the classes and the density of the data at once.

    The loss is the cross-entropy plus the energy of the rows minus that of samples of
    the model, where the energy is minus the log-sum-exp of the logits. Samples come
    from stochastic gradient Langevin dynamics within the domain of `constraints`; the
    chains go on from batch to batch.

    Parameters
    ----------
    n_states : int, default=1000
        Number of chains.
    restarts : float, default=0.05
        Share of the chains of a batch that start afresh.
    n_steps : int, default=20
        Steps of a chain per batch.
    step_size : float or None, default=None
        Of the dynamics; None: 0.01, or a thousandth of the number of features if that
        is more.
    noise : float, default=0.01
        Standard deviation of the noise in each step.
    module, **kwargs
        As in `ReferenceNet`.

    Notes
    -----
    Chains start uniformly between the 1st and the 99th percentile of each column. In
    the whole domain, up to 180 standard deviations wide, most would start where no row
    is and never come back: the loss then falls without end, at the cost of the classes.

    A step is ``x - step_size / 2 * slope + noise * N(0, 1)``. The authors' noise, 0.01,
    and steps, 2 on images of 3,072 values, make chains that descend rather than sample.
    Such steps are too long for a table; noise of 0.1, at which steps of 0.01 would
    sample, hides columns most of whose values lie closer together than that, as in
    GMSC. The authors' noise on the rows themselves and their warm-up are left out.
    """

    def __init__(
        self,
        module=MLP,
        *args,
        n_states=1000,
        restarts=0.05,
        n_steps=20,
        step_size=None,
        noise=0.01,
        **kwargs,
    ):
        super().__init__(module, *args, **kwargs)
        self.n_states = n_states
        self.restarts = restarts
        self.n_steps = n_steps
        self.step_size = step_size
        self.noise = noise

    @property
    def _default_callbacks(self):
        gap = PassthroughScoring("divergence", on_train=True)
        return [*super()._default_callbacks, ("divergence", gap)]

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start the chains."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        ends = np.quantile(X, [0.01, 0.99], axis=0).astype(np.float32)
        self.start_ = torch.from_numpy(ends)
        self.step_size_ = self.step_size or max(0.01, X.shape[1] / 1000)
        self.states_ = self.first_states(self.n_states)

    def first_states(self, n):
        """Where chains start."""
        low, high = self.start_
        return low + torch.rand((n, *low.shape)) * (high - low)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Cross-entropy and, in training, the energy of rows minus that of samples."""
        loss = super().get_loss(y_pred, y_true, X, training)
        if not training:
            return loss
        sample = self.infer(self.sample(len(y_pred)))
        divergence = energy(y_pred).mean() - energy(sample).mean()
        self.history.record_batch("divergence", divergence.item())
        return loss + divergence

    def sample(self, n):
        """Move some of the chains on, and return their states."""
        chains = torch.randperm(self.n_states)[:n]
        x = self.states_[chains]
        afresh = torch.rand(len(x)) < self.restarts
        x[afresh] = self.first_states(int(afresh.sum()))
        for _ in range(self.n_steps):
            x = self.langevin_step(x)
        self.states_[chains] = x
        return x

    def langevin_step(self, x):
        """One step down the energy and in a random direction, within the domain."""
        x = x.requires_grad_()
        (slope,) = torch.autograd.grad(energy(self.infer(x)).sum(), x)
        kick = self.noise * torch.randn(x.shape)
        x = x.detach() - self.step_size_ / 2 * slope + kick
        return reflect(x, self.constraints_.lower, self.constraints_.upper)

    @staticmethod
    def _check_finite(loss):
        """Stop before a loss that has diverged reaches the weights."""
        if not math.fabs(loss.item()) < LARGEST_LOSS:
            raise LossNotFinite


def energy(logits):
    """Minus the logarithm of the unnormalised density that the logits stand for."""
    return -logits.logsumexp(1)


def train_jem(*who, **length):
    """Train JEM; see `train`."""
    return train_net(JEMNet(), *who, **length)


# ------------------------------------------------------------------ deep ensemble


class Ensemble(nn.Module):
    """Module whose probabilities are the mean of those of its members.

    The logits are logarithms of probabilities: their log-sum-exp is 0 everywhere, so
    that they say nothing about the density of the data.
    """

    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x):
        """Logarithm of the mean probability."""
        each = torch.stack([member(x).log_softmax(1) for member in self.members])
        return each.logsumexp(0) - math.log(len(each))


def train_ensemble(task, settings, seed, **length):
    """Train plain nets on seeds of their own; see `train`."""
    seeds = range(N_MEMBERS * seed, N_MEMBERS * (seed + 1))
    pairs = [
        reference.train(task, settings, "BL", "any", each, **length) for each in seeds
    ]
    nets, messages = zip(*pairs, strict=True)
    module = Ensemble([net.module_ for net in nets]).eval()
    return module, mean_history(nets), [text for each in messages for text in each]


def mean_history(nets):
    """History up to where the first member stopped: seconds in all, and mean loss."""
    seconds, loss = (
        list(zip(*(net.history[:, name] for net in nets), strict=False))
        for name in ("dur", "train_loss")
    )
    return {
        "epoch": list(range(1, len(loss) + 1)),
        "dur": [sum(each) for each in seconds],
        "train_loss": [sum(each) / len(each) for each in loss],
    }


TRAINERS = {
    "PGD-AT": train_pgd,
    "TRADES": train_trades,
    "JEM": train_jem,
    "ensemble": train_ensemble,
}
