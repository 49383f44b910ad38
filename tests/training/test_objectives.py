"""The protocol of objectives: by name, as instances, of one's own; and its checks."""

import pickle

import numpy as np
import pytest
import torch
from conftest import quick
from sklearn.base import clone
from sklearn.datasets import load_iris, make_circles
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from slope_objective import Slope
from torch import nn

from skct import (
    MLP,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    Objective,
    PaperObjective,
    TeacherObjective,
)
from skct.plotting import HistoryDisplay
from skct.testing import check_objective
from skct.training.objectives import OBJECTIVES, make_objective


class Pull(Objective):
    """What a user would write; breaks one promise each."""

    regulariser = "squares"

    def __init__(
        self, *, lambda_div=0.5, lambda_adv=0.25, lambda_reg=0.25, epsilon=0.1, flaw=""
    ):
        super().__init__(
            lambda_div=lambda_div,
            lambda_adv=lambda_adv,
            lambda_reg=lambda_reg,
            epsilon=epsilon,
        )
        self.flaw = flaw

    def check(self):
        return self if self.flaw == "check" else super().check()

    def fit(self, X, y, class_weight=None):
        return None if self.flaw == "fit" else self

    def search(self, task):
        if self.flaw == "search":
            task.generator.set_params(threshold=0.9)
        result = super().search(task)
        if self.flaw == "outside":
            return result._replace(counterfactual=task.factual + 9)
        return result

    def pair(self, X, y, searched, constraints, rng):
        if self.flaw == "random":
            torch.rand(1)
        if self.flaw == "write":
            X.zero_()
        pairs = super().pair(X, y, searched, constraints, rng)
        if self.flaw == "short":
            return type(pairs)(*(value[:5] for value in pairs))
        return pairs

    def terms(self, pairs, outputs):
        gap = outputs.neighbour - outputs.counterfactual
        if self.flaw == "mean":
            gap = gap - gap.mean(0)
        if self.flaw == "scalar":
            return gap.abs().mean(), gap.square().mean()
        if self.flaw == "infinite":
            gap = gap / 0
        return gap.abs().sum(1), gap.square().sum(1)


@pytest.mark.parametrize("objective", [*OBJECTIVES.values(), Pull])
def test_every_objective_keeps_the_promises_of_the_protocol(objective):
    check_objective(objective())


@pytest.mark.parametrize(
    ("flaw", "promise"),
    [
        ("check", "must refuse lambda_div=-1"),
        ("fit", "fit must return the objective"),
        ("search", "must not change the generator"),
        ("outside", "must satisfy the constraints"),
        ("random", "the generator that it is given only"),
        ("write", "must not write to the rows"),
        ("short", "one row per counterfactual"),
        ("mean", "must not depend on other pairs"),
        ("scalar", r"two Tensors of shape \(n,\)"),
        ("infinite", "must be finite"),
    ],
)
def test_a_broken_promise_is_named(flaw, promise):
    with pytest.raises(AssertionError, match=promise):
        check_objective(Pull(flaw=flaw))


def test_a_regulariser_has_a_name_of_its_own():
    for name in ("divergence", "epoch", "dur"):
        with pytest.raises(AssertionError, match="name the regulariser otherwise"):
            check_objective(type("Taken", (Pull,), {"regulariser": name})())
    with pytest.raises(ValueError, match="instance of an Objective class"):
        check_objective("paper")


@pytest.mark.parametrize("objective", ["paper", PaperObjective(), Pull(epsilon=0.3)])
def test_a_name_or_an_instance_trains(objective):
    X, y = load_iris(return_X_y=True)
    clf = quick(2, objective=objective).fit(X, y)
    used = clf.net_.objective_
    assert isinstance(used, type(make_objective(objective)))
    assert used is not objective
    assert used.epsilon == 0.3
    assert used.regulariser in clf.history_


def weights(clf):
    return torch.cat([p.flatten() for p in clf.module_.parameters()])


def test_settings_are_reached_in_three_ways():
    X, y = load_iris(return_X_y=True)
    ways = [
        quick(3, objective="paper", lambda_div=0.1),
        quick(3, objective="paper").set_params(objective__lambda_div=0.1),
        quick(3, objective=PaperObjective(lambda_div=0.1)),
        quick(3, objective="paper").set_params(net__max_epochs=3, lambda_div=0.1),
    ]
    learnt = [weights(clf.fit(X, y)) for clf in ways]
    assert all(torch.equal(learnt[0], other) for other in learnt[1:])
    assert not torch.equal(learnt[0], weights(quick(3, objective="paper").fit(X, y)))


def test_objectives_are_cloned_pickled_and_searched_over():
    X, y = load_iris(return_X_y=True)
    clf = quick(2, objective=Pull(lambda_reg=0.1))
    assert clone(clf).objective.lambda_reg == 0.1
    assert clone(clf).objective is not clf.objective
    assert clone(clf).get_params()["objective__flaw"] == ""
    again = pickle.loads(pickle.dumps(clf.fit(X, y)))
    assert np.array_equal(again.predict_proba(X), clf.predict_proba(X))
    grid = {"objective__epsilon": [0.1, 0.2], "lambda_div": [0.0, 0.5]}
    search = GridSearchCV(quick(2, objective="paper"), grid, cv=2).fit(X, y)
    assert search.best_estimator_.net_.objective_.epsilon in (0.1, 0.2)
    search = GridSearchCV(quick(2), {"objective": ["paper", "teacher"]}, cv=2)
    assert search.fit(X, y).best_params_["objective"] in ("paper", "teacher")


@pytest.mark.parametrize("kind", [PaperObjective, TeacherObjective])
def test_objectives_are_saved(kind, tmp_path):
    X, y = load_iris(return_X_y=True)
    clf = quick(2, objective=kind(epsilon=0.2), lambda_div=0.3).fit(X, y)
    clf.save(tmp_path / "f", include_optimizer=True)
    again = CounterfactualTrainingClassifier.load(tmp_path / "f")
    assert again.get_params()["objective__epsilon"] == 0.2
    assert again.net_.objective_.lambda_div == 0.3
    assert torch.equal(weights(clf.partial_fit(X, y)), weights(again.partial_fit(X, y)))


def test_the_learning_rate_follows_the_objective():
    X, y = load_iris(return_X_y=True)

    def rate(net):
        return net.optimizer_.param_groups[0]["lr"]

    for name, kind in OBJECTIVES.items():
        net = CounterfactualNet(objective=name, max_epochs=1)
        net.fit(X.astype("float32"), y)
        assert rate(net) == kind.learning_rate
        assert rate(net.set_params(lr=0.5)) == 0.5
        assert rate(net.set_params(lr="auto")) == kind.learning_rate
    with pytest.raises(ValueError, match="'lr'"):
        CounterfactualNet(lr="fast").fit(X.astype("float32"), y)


def test_the_learning_rate_follows_an_objective_that_is_changed():
    X, y = load_iris(return_X_y=True)
    net = CounterfactualNet(max_epochs=1)
    clf = CounterfactualTrainingClassifier(
        net, objective=Slope(), warm_start=True, random_state=0
    )

    def rate():
        return clf.net_.optimizer_.param_groups[0]["lr"]

    clf.fit(X, y)
    assert rate() == Slope.learning_rate
    clf.net_.optimizer_.param_groups[0]["lr"] = 0.5  # as a scheduler does
    assert clf.partial_fit(X, y) is clf
    assert rate() == 0.5
    clf.set_params(objective="paper").partial_fit(X, y)
    assert rate() == PaperObjective.learning_rate
    clf.set_params(objective=Slope()).fit(X, y)
    assert rate() == Slope.learning_rate


def test_weights_of_net_and_classifier_come_before_those_of_the_objective():
    both = {"lambda_div": 0.1, "objective__lambda_div": 0.9}
    net = CounterfactualNet(max_epochs=1, **both).fit(*blobs())
    assert net.objective_.lambda_div == 0.1
    clf = quick(1).set_params(**both).fit(*blobs())
    assert clf.net_.objective_.lambda_div == 0.1


def blobs():
    X, y = make_circles(60, random_state=0)
    return X.astype("float32"), y


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
def test_an_adopted_net_trains_plainly_first_and_counterfactually_later():
    X, y = blobs()
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        MLP(2, 2), criterion=torch.nn.CrossEntropyLoss, max_epochs=1, verbose=0
    ).fit(X, y)
    clf = CounterfactualTrainingClassifier(
        net, preprocessor=None, warm_start=True, random_state=0
    )
    plain = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}
    clf.set_params(**plain).fit(X, y)
    assert "mature" not in clf.history_
    clf.set_params(**dict.fromkeys(plain)).fit(X, y)
    assert clf.history_["mature"].notna().sum() == 1


def test_the_history_draws_any_regulariser():
    clf = quick(2, objective=Pull()).fit(*blobs())
    assert "squares" in HistoryDisplay.from_estimator(clf).lines_


class Forgetful(Objective):
    """Has no parameters of its own."""

    def __init__(self):
        pass


def test_an_objective_needs_its_settings():
    with pytest.raises(AssertionError, match="must have a parameter lambda_div"):
        check_objective(Forgetful())


class Attention(nn.Module):
    """One token per feature; attention that is fast has no second derivative."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.embed = nn.Linear(1, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.head = nn.Linear(8, n_classes)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x[..., None])).mean(1))


def test_attention_can_be_trained():
    X, y = load_iris(return_X_y=True)
    net = CounterfactualNet(Attention, max_epochs=2)
    clf = CounterfactualTrainingClassifier(net, objective=Slope(), random_state=0)
    clf.fit(X, y)
    assert np.isfinite(clf.history_["slope"]).all()


class Sine(torch.autograd.Function):
    """Differentiable once."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos()


class Once(nn.Linear):
    def __init__(self, n_features_in, n_classes):
        super().__init__(n_features_in, n_classes)

    def forward(self, x):
        return Sine.apply(super().forward(x))


def test_a_module_without_second_derivatives_is_told_what_to_set():
    X, y = load_iris(return_X_y=True)
    net = CounterfactualNet(Once, max_epochs=1)
    clf = CounterfactualTrainingClassifier(net, objective=Slope())
    with pytest.raises(ValueError, match="such as objective='teacher'"):
        clf.fit(X, y)
    assert clf.set_params(objective="teacher").fit(X, y).n_iter_ == 1


def test_the_paper_by_name_has_the_settings_of_the_paper():
    """By name alone it makes circles as plausible as with its settings spelt out."""
    X, y = make_circles(600, noise=0.05, factor=0.5, random_state=0)
    clf = CounterfactualTrainingClassifier(objective="paper", random_state=0)
    clf.set_params(net__max_epochs=2).fit(X, y)
    assert clf.net_.objective_.get_params() == {
        "epsilon": 0.3,
        "lambda_adv": 0.25,
        "lambda_div": 0.5,
        "lambda_reg": 0.25,
    }
    assert clf.net_.optimizer_.param_groups[0]["lr"] == 1e-3
