"""The net that a classifier trains: made, cloned, copied or adopted."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from sklearn.base import clone

from .net import SHARED, CounterfactualNet
from .progress import FitProgress

__all__ = ["make_net"]


def make_net(given: Any, *, warm_start: bool, verbose: int) -> CounterfactualNet:
    """Net of a classifier from the one it was given, which is not touched.

    An initialised net is copied with its weights if `warm_start` is set, any other is
    cloned; of a plain skorch net the parameters are taken over.
    """
    net = CounterfactualNet() if given is None else given
    if warm_start and net.initialized_:
        net = deepcopy(net)
        if not isinstance(net, CounterfactualNet):
            net = adopt(net)
    elif isinstance(net, CounterfactualNet):
        net = clone(net)
    else:
        params = clone(net).get_params(deep=False)
        net = CounterfactualNet(**{"iterator_train__shuffle": False, **params})
    if verbose and net.callbacks != "disable":
        net.set_params(callbacks=[*(net.callbacks or []), FitProgress()])
    if verbose > 1:
        net.set_params(verbose=1)
    return net


def adopt(net: Any) -> CounterfactualNet:
    """Turn an initialised skorch net into a CounterfactualNet with the same weights."""
    # A new net would draw new weights and build a new optimiser: both are kept.
    defaults = CounterfactualNet()
    net.__class__ = CounterfactualNet
    for name in (*SHARED, "generator", "constraints", "random_state"):
        setattr(net, name, getattr(defaults, name))
    net.prefixes_ = CounterfactualNet.prefixes_
    net.initialize_virtual_params()
    return net
