"""AutoAttack of the Adversarial Robustness Toolbox (ART), adapted to tables.

An attack for `skct.robustness.robust_accuracy`, stronger than PGD::

    robust_accuracy(model, X, y, attack=autoattack, random_state=0)
"""

from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from skct.utils.model import CHUNK, check_batch, evaluation_mode, logits_of
from skct.utils.random import draw_seed, seeded
from skct.utils.validation import check_number


def autoattack(model, X, y, *, epsilon=0.1, random_state=None):
    """Attack with those parts of AutoAttack [1]_ that suit tables.

    Needs ``pip install adversarial-robustness-toolbox multiprocess``.

    Parameters
    ----------
    model, X, y
        As in `skct.robustness.fgsm`.
    epsilon : float, default=0.1
        Max-norm radius, in model-input units.
    random_state : int, RandomState or None, default=None
        Seed; the global random states are given back as they were.

    Returns
    -------
    attacked : ndarray of shape (n, *features), float32
        Rows that no attack fools come back unchanged.

    Raises
    ------
    ImportError
        Without the toolbox.
    ValueError
        As in `skct.robustness.fgsm`.

    Notes
    -----
    APGD on the cross-entropy, APGD on the difference of logits ratio (from three
    classes on: it divides by the gap to the third logit), then DeepFool in place of
    FAB. The Square attack draws squares in images and is left out. The first step of
    APGD is twice the radius, as in the paper. There are no constraints, since the
    toolbox knows none of the kind; use `skct.robustness.pgd` with restarts.

    References
    ----------
    .. [1] Croce and Hein, "Reliable Evaluation of Adversarial Robustness with an
       Ensemble of Diverse Parameter-free Attacks", 2020.

    Examples
    --------
    >>> import torch
    >>> from attacks import autoattack
    >>> model = lambda x: torch.stack([0 * x[:, 0], 2 * x[:, 0] - x[:, 1]], dim=1)
    >>> attacked = autoattack(model, [[1.0, 1.9]], [1])  # doctest: +SKIP
    >>> model(torch.from_numpy(attacked)).argmax(1)  # doctest: +SKIP
    tensor([0])
    """
    check_number("epsilon", epsilon)
    X, y = check_batch(model, X, y)
    try:
        import multiprocess  # noqa: F401  (AutoAttack imports it when it attacks)
        from art.attacks.evasion import AutoAttack
        from art.estimators.classification import PyTorchClassifier
    except ImportError as error:
        raise ImportError(
            "autoattack needs the Adversarial Robustness Toolbox and multiprocess; "
            "pip install adversarial-robustness-toolbox multiprocess."
        ) from error
    seed, epsilon = draw_seed(random_state), float(epsilon)
    if epsilon == 0:
        return X.numpy()
    with evaluation_mode(model), torch.enable_grad(), seeded(seed), numpy_seeded(seed):
        n_classes = logits_of(model, X[:1]).shape[1]
        target = PyTorchClassifier(
            Shifted(model), None, tuple(X.shape[1:]), n_classes, device_type="cpu"
        )
        attacks = toolbox_attacks(target, epsilon)
        attack = AutoAttack(target, eps=epsilon, attacks=attacks)
        found = attack.generate(X.numpy(), y.numpy())
    return torch.from_numpy(found).clamp(X - epsilon, X + epsilon).numpy()


def toolbox_attacks(target, epsilon):
    """The parts of AutoAttack that work on tables and on any number of classes."""
    from art.attacks.evasion import AutoProjectedGradientDescent, DeepFool

    quiet = {"batch_size": CHUNK, "verbose": False}
    size = {"eps": epsilon, "eps_step": 2 * epsilon}
    losses = ["cross_entropy", "difference_logits_ratio"][: target.nb_classes - 1]
    attacks = [
        AutoProjectedGradientDescent(target, **size, loss_type=loss, **quiet)
        for loss in losses
    ]
    deepfool = DeepFool(target, epsilon=1e-3, nb_grads=target.nb_classes, **quiet)
    return [*attacks, deepfool]


class Shifted(nn.Module):
    """A model whose largest logit is moved to -1, which no loss notices.

    The toolbox refuses what might be probabilities.
    """

    def __init__(self, model):
        super().__init__()
        self.logits = lambda x: logits_of(model, x)  # hidden: no submodule to touch

    def forward(self, x):
        """Logits, shifted."""
        logits = InputGradient.apply(x, self.logits)
        return logits - logits.detach().amax(1, keepdim=True) - 1


class InputGradient(torch.autograd.Function):
    """Apply a function; `backward`, which the toolbox calls, reaches the input only.

    So neither a module nor one hidden in a function gets gradients in its parameters.
    """

    @staticmethod
    def forward(ctx, x, function):
        """Build a graph of its own."""
        ctx.x = x.detach().requires_grad_()
        with torch.enable_grad():
            ctx.out = function(ctx.x)
        return ctx.out.detach()

    @staticmethod
    def backward(ctx, gradient):
        """Gradient of the input alone."""
        (out,) = torch.autograd.grad(ctx.out, ctx.x, gradient, retain_graph=True)
        return out, None


@contextmanager
def numpy_seeded(seed):
    """Seed numpy's global state inside, which the toolbox draws from; give it back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
