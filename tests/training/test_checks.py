"""Modules whose outputs are not what their criterion, or a search, takes."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from skct import (
    CounterfactualExplainer,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
)


def table(n=80):
    X = np.random.default_rng(0).normal(size=(n, 3)).astype("float32")
    return X, (X[:, 0] > 0).astype(int)


def module(last=None):
    torch.manual_seed(0)
    layers = [nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)]
    return nn.Sequential(*layers, *([] if last is None else [last]))


class Own(nn.Module):
    """As one writes it: the last layer does not show from outside."""

    def __init__(self, last):
        super().__init__()
        self.layers = module(last)

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("build", [module, Own])
def test_a_module_that_ends_in_a_softmax_is_refused_with_the_remedy(build):
    X, y = table()
    softmax = build(nn.Softmax(dim=1))
    with pytest.raises(ValueError, match="each row sums to 1"):
        CounterfactualExplainer(softmax).fit(X, y)
    clf = CounterfactualTrainingClassifier(
        CounterfactualNet(softmax, max_epochs=1), preprocessor=None
    )
    with pytest.raises(ValueError, match="Leave the softmax at its end out"):
        clf.fit(X, y)
    assert not hasattr(clf, "net_")


@pytest.mark.parametrize("last", [nn.LogSoftmax(dim=1), None])
def test_nll_loss_of_skorch_takes_probabilities(last):
    X, y = table()
    options = {"criterion": nn.NLLLoss, "max_epochs": 1, "verbose": 0}
    net = NeuralNetClassifier(Own(last), **options)
    clf = CounterfactualTrainingClassifier(net, preprocessor=None)
    with pytest.raises(ValueError, match="End the module in Softmax instead of Log"):
        clf.fit(X, y)
    net.initialize()
    with pytest.raises(ValueError, match=r"criterion=torch\.nn\.CrossEntropyLoss"):
        CounterfactualExplainer(net).fit(X, y)


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
@pytest.mark.parametrize(
    ("last", "criterion"),
    [
        (None, nn.CrossEntropyLoss),
        (nn.LogSoftmax(dim=1), nn.CrossEntropyLoss),  # which changes nothing
        (nn.Softmax(dim=1), nn.NLLLoss),
    ],
)
def test_the_remedies_report_the_module_s_own_probabilities(last, criterion):
    X, y = table()
    net = CounterfactualNet(Own(last), criterion=criterion, max_epochs=20, lr=0.01)
    clf = CounterfactualTrainingClassifier(net, preprocessor=None, random_state=0)
    answer = clf.fit(X, y).explain(X[:20])
    with torch.no_grad():
        own = clf.net_.module_(torch.from_numpy(answer.counterfactual))
    own = own if criterion is nn.NLLLoss else own.softmax(1)
    told = own.numpy()[np.arange(20), answer.target]
    np.testing.assert_allclose(answer.probability, told, atol=1e-5)
