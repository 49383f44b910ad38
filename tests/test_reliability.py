"""What holds when things go wrong; see docs/reliability.md."""

import ast
import gc
import json
import locale
import multiprocessing
import os
import random
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from conftest import quick
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch.callbacks import EarlyStopping, GradientNormClipping, LRScheduler
from skorch.dataset import ValidSplit
from slope_objective import Slope
from torch import nn

import skct
from skct import (
    MLP,
    Constraints,
    CounterfactualExplainer,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    ECCCoGenerator,
    GenericGenerator,
    REVISEGenerator,
    losses,
    search,
)
from skct.exceptions import DivergenceWarning, SearchWarning
from skct.scoring import counterfactual_scorer
from skct.solvers.forward import DenseForward
from skct.training import Pairs
from skct.training.passes import DensePass
from skct.utils.quiet import quiet

ROOT = Path(__file__).parent.parent
SGD, ADAM, LBFGS = torch.optim.SGD, torch.optim.Adam, torch.optim.LBFGS
EXPLODE = {"lambda_div": 1e6, "lambda_reg": 0.0}
PLAIN = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}

# -------------------------------------------------------------------- instability


class Normed(nn.Sequential):
    """Batch normalisation and dropout."""

    def __init__(self, n_features_in, n_classes, p=0.0):
        layers = [nn.Linear(n_features_in, 16), nn.BatchNorm1d(16), nn.ReLU()]
        super().__init__(*layers, nn.Dropout(p), nn.Linear(16, n_classes))


class Filled(MLP):
    """First-layer biases of one value; the weights of all layers, too, if asked."""

    def __init__(self, n_features_in, n_classes, bias, weight=None):
        super().__init__(n_features_in, n_classes)
        with torch.no_grad():
            for layer in (self[0], self[2]) if weight is not None else ():
                layer.weight.fill_(weight)
            self[0].bias.fill_(bias)


class NoSlope(MLP):
    """Finite logits whose gradient is not."""

    def forward(self, x):
        logits = super().forward(x)
        return logits + (0 * logits).sqrt()


class Probabilities(nn.Sequential):
    """Probabilities in place of logits."""

    def __init__(self, n_features_in, n_classes):
        super().__init__(nn.Linear(n_features_in, n_classes), nn.Softmax(1))


class Case:
    """Parameters of net and classifier, and what is done to iris; `error` if any."""

    def __init__(self, net=None, change=None, error=None, **params):
        self.net = {"max_epochs": 6, "lr": 0.02, "batch_size": 32, **(net or {})}
        self.params = {"random_state": 0, **params}
        self.change, self.error = change or (lambda X, y: (X, y)), error

    def build(self):
        net = CounterfactualNet(**self.net)
        X, y = self.change(*load_iris(return_X_y=True))
        return CounterfactualTrainingClassifier(net, **self.params), X, y


def scaled(factor, **params):
    return Case(change=lambda X, y: (X * factor, y), **params)


def outlier(value):
    def change(X, y):
        X[3, 1], X[60, 1] = value, -value
        return X, y

    return Case(change=change)


def stopped(callback, **net):
    net = {"optimizer": SGD, "lr": 1e4, "max_epochs": 20, **net}
    return Case({**net, "callbacks": [callback]}, **EXPLODE)


COMMON = {
    "energies explode, SGD": Case({"optimizer": SGD, "lr": 10.0}, **EXPLODE),
    "energies explode, Adam": Case({"optimizer": ADAM, "lr": 10.0}, **EXPLODE),
    "scale 1e30, no preprocessor": scaled(1e30, preprocessor=None),
    "an outlier of 1e300": outlier(1e300),
    "batches of one row": Case({"batch_size": 1, "max_epochs": 2}),
    "one row left over": Case({"batch_size": 149}),
    "batch norm, one row left over": Case(
        {"module": Normed, "batch_size": 149}, error="batch of one row"
    ),
    "dropout .99": Case({"module": Normed, "module__p": 0.99}),
    "batch norm, scale 1e25": scaled(1e25, preprocessor=None, net={"module": Normed}),
    "dead ReLUs": Case({"module": Filled, "module__bias": -1e6}),
    "NaN in the first weights": Case(
        {"module": Filled, "module__bias": np.nan}, error="before the first step"
    ),
    "gradient is NaN": Case({"module": NoSlope}),
    "LBFGS": Case({"optimizer": LBFGS, "lr": 100.0, "batch_size": -1}, **EXPLODE),
    "clipping": Case({"callbacks": [GradientNormClipping(1.0)], "lr": 10.0}, **EXPLODE),
    "early stopping": stopped(EarlyStopping("train_loss", load_best=True)),
    "nothing may move": Case(mutability=["none"] * 4),
    "a class without weight": Case(
        {"batch_size": 1, "max_epochs": 2}, class_weight={0: 0.0}
    ),
    "two rows": Case(change=lambda X, y: (X[[0, 60]], y[[0, 60]])),
}


def rarer():
    """The long tail of hostile settings."""
    for optimizer in (SGD, ADAM, torch.optim.RMSprop):
        for lr in (1e4, 1e30):
            net = {"optimizer": optimizer, "lr": lr}
            yield f"{optimizer.__name__}, lr {lr:g}", Case(net, **EXPLODE)
    for name in PLAIN:
        for value in (1e6, 1e30, 1e300):
            yield f"{name} {value:g}", Case(**{name: value})
        yield f"{name} inf", Case(**{name: np.inf}, error=rf"'{name}' parameter")
    for factor in (1e-40, 1e-30, 1e-6, 1e6, 1e15, 1e19, 1e37):
        yield f"scale {factor:g}", scaled(factor)
        yield f"scale {factor:g}, no preprocessor", scaled(factor, preprocessor=None)
    yield (
        "scale 1e39, no preprocessor",
        scaled(1e39, preprocessor=None, error="too large for float32"),
    )
    for value in (1e30, 1.7e308):
        yield f"an outlier of {value:g}", outlier(value)
    yield "columns of 1", Case(change=lambda X, y: (np.ones_like(X), y))
    for size in (2, 1000, -1):
        yield f"batches of {size}", Case({"batch_size": size})
    norm = {"module": Normed}
    yield "batch norm, energies explode", Case({**norm, "lr": 1e3}, **EXPLODE)
    yield (
        "no batch left",
        Case({"batch_size": 500, "iterator_train__drop_last": True}, error="No batch"),
    )
    yield "dropout 1", Case({**norm, "module__p": 1.0})
    zero = {"module": Filled, "module__bias": 0.0, "module__weight": 0.0}
    yield "all weights 0", Case(zero)
    yield "dead ReLUs, plain", Case({"module": Filled, "module__bias": -1e6}, **PLAIN)
    yield "gradient is NaN, plain", Case({"module": NoSlope}, **PLAIN)
    yield (
        "gradient is NaN, clipped",
        Case({"module": NoSlope, "callbacks": [GradientNormClipping(1.0)]}),
    )
    inf = {"module": Filled, "module__bias": np.inf}
    yield "infinity in the first weights", Case(inf, error="before the first step")
    probable = {"module": Probabilities, "criterion": nn.NLLLoss, "lr": 1e6}
    yield "saturated probabilities", Case(probable)
    yield "saturated probabilities, energies explode", Case(probable, **EXPLODE)
    for size in (16, -1):
        net = {"optimizer": LBFGS, "lr": 1.0, "batch_size": size}
        yield f"LBFGS, batches of {size}", Case(net)
    yield "clipping to 0", Case({"callbacks": [GradientNormClipping(0.0)]})
    stop = EarlyStopping(patience=2)
    split = ValidSplit(5, stratified=True)
    yield "early stopping, valid", Case({"train_split": split, "callbacks": [stop]})
    yield "early stopping, train", stopped(EarlyStopping("train_loss"))
    yield "growing lr", Case({"callbacks": [LRScheduler("ExponentialLR", gamma=1e10)]})
    plateau = LRScheduler("ReduceLROnPlateau", monitor="train_loss")
    yield "plateau", stopped(plateau)
    yield "split", Case({"train_split": ValidSplit(0.5), "lr": 1e30})
    yield "no callbacks", Case({"callbacks": "disable", "lr": 1e20, "optimizer": SGD})
    for domain in ((5.0, 5.0), (1e6, 2e6), (-1e38, 1e38), (-1e300, 1e300)):
        yield f"domain {domain}", Case(domain=dict.fromkeys(range(4), domain))
    yield "up only", Case(mutability=["increase"] * 4)
    for generator in (
        ECCCoGenerator(step_size=1e38),
        ECCCoGenerator(step_size=1e300),
        ECCCoGenerator(lambda_energy=1e30),
        ECCCoGenerator(threshold=0.999999),
        ECCCoGenerator(max_iter=1),
        GenericGenerator(lambda_cost=1e300),
        REVISEGenerator(),
    ):
        yield repr(generator), Case(generator=generator)
    far = GenericGenerator(step_size=1e38)
    yield "steps of 1e38 without bounds", Case(generator=far, domain=None)
    for epsilon in (0.0, 1e300):
        yield f"epsilon {epsilon:g}", Case(objective__epsilon=epsilon)
    yield "one counterfactual", Case(n_counterfactuals=1)
    yield "rare class", Case(change=lambda X, y: (X[:101], y[:101]))
    yield (
        "rare class, balanced",
        Case(change=lambda X, y: (X[:101], y[:101]), class_weight="balanced"),
    )
    yield "class weight 1e30", Case(class_weight={0: 1e30})
    yield "class weight 1e300", Case(class_weight={0: 1e300})
    yield (
        "class weights 0",
        Case(class_weight=dict.fromkeys(range(3), 0), error="not all"),
    )
    yield "lr 0", Case({"lr": 0.0})
    yield "lr 1e300", Case({"lr": 1e300}, error="'lr' parameter")
    yield "forty layers", Case({"module__hidden_layer_sizes": (8,) * 40, "lr": 1.0})
    yield (
        "one row, two labels",
        Case(change=lambda X, y: (X[:1].repeat(30, 0), y[35:65])),
    )
    yield "burn-in all the way", Case({"lr": 1e10, "optimizer": SGD}, burn_in=1.0)
    later = {"lr": 1e3, "optimizer": SGD}
    yield "explodes after burn-in", Case(later, burn_in=0.5, **EXPLODE)
    yield "weight decay", Case({"optimizer": SGD, "optimizer__weight_decay": 1e10})
    momentum = {"optimizer": SGD, "optimizer__momentum": 2.0, "lr": 1.0}
    yield "momentum 2", Case({**momentum, "max_epochs": 20})
    yield "label smoothing", Case({"criterion__label_smoothing": 0.9}, **EXPLODE)
    yield "float64 module", Case({"module": MLP(4, 3).double()}, error="float64")


RARE = dict(rarer())


def survives(case):
    """Fit, predict and explain, and look at all that is promised."""
    clf, X, y = case.build()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if case.error:
            with pytest.raises(ValueError, match=case.error):
                clf.fit(X, y)
            return
        clf.fit(X, y)
        n_told = len(told)
        answer = clf.explain(X[:20])
    for part in (told[:n_told], told[n_told:]):
        kinds = Counter((w.category, str(w.message)[-20:]) for w in part)
        assert all(count == 1 for count in kinds.values()), kinds
    assert all(w.category.__module__ == "skct.exceptions" for w in told), told
    assert all(re.search(r"\d", str(w.message)) for w in told)
    assert np.isfinite(clf.predict_proba(X)).all()
    assert np.isfinite(clf.decision_function(X)).all()
    assert np.isfinite(answer.counterfactual).all()
    for part in (answer.cost, answer.probability, answer.implausibility):
        assert np.isfinite(part).all()
    assert all(value.isfinite().all() for value in clf.module_.state_dict().values())
    assert len(clf.history_) == clf.n_iter_
    assert np.isfinite(clf.history_.select_dtypes("number")).all(axis=None)
    stops = any(isinstance(c, EarlyStopping) for c in case.net.get("callbacks", ()))
    if clf.n_iter_ < case.net["max_epochs"] and not stops:
        assert DivergenceWarning in [w.category for w in told]


@pytest.mark.parametrize("name", COMMON)
def test_a_hostile_setting_is_told_and_leaves_a_sound_model(name):
    survives(COMMON[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", RARE)
def test_a_rare_hostile_setting_is_told_and_leaves_a_sound_model(name):
    survives(RARE[name])


def test_a_class_that_never_comes_is_never_advised():
    X, y = load_iris(return_X_y=True)
    clf = quick().partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    with pytest.warns(SearchWarning, match="5 of 5 rows"):
        answer = clf.explain(X[:5], target=2)
    assert not answer.valid.any()
    assert np.isfinite(answer.counterfactual).all()


# -------------------------------------------------------------------- concurrency


def bits(answer):
    """All that counts of an explanation, to compare bit for bit."""
    numbers = (answer.cost, answer.probability, answer.implausibility, answer.n_iter)
    table = np.asarray(answer.counterfactual.to_csv())
    return [part.tobytes() for part in (table, *numbers)]


def ask(model, X):
    return [model.predict_proba(X).tobytes(), *bits(answers(model, X))]


def answers(model, X):
    with_explain = hasattr(model, "explain")
    return (model if with_explain else CounterfactualExplainer(model)).explain(X)


def answer_to(queue, model, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        queue.put(ask(model, X))


def piped(X, y):
    """A Pipeline whose inverse asks scikit-learn, which may warn."""
    encoder = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(drop="if_binary"), ["job", "education", "married"]),
    )
    return make_pipeline(encoder, quick(epochs=3)).fit(X, y)


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
@pytest.mark.parametrize("make", [lambda X, y: quick(epochs=3).fit(X, y), piped])
def test_eight_threads_give_the_serial_answers(make, applicants):
    X, y = applicants
    model = make(X, y)
    filters = list(warnings.filters)
    parts = [X[i : i + 40] for i in range(0, 240, 30)]
    serial = [ask(model, part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda part: ask(model, part), parts)) == serial
    if make is not piped:  # scikit-learn's ColumnTransformer sets filters in threads
        assert list(warnings.filters) == filters


def test_warnings_kept_quiet_in_threads_leave_the_filters_as_they_were():
    filters = list(warnings.filters)

    def rest(seconds):
        with quiet(UserWarning):
            time.sleep(seconds)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(rest, 8 * [0.003, 0.001, 0.002]))
    assert list(warnings.filters) == filters


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
@pytest.mark.parametrize("how", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_other_processes_give_the_serial_answers(how, applicants):
    X, y = applicants
    model = quick(epochs=3).fit(X, y)
    context = multiprocessing.get_context(how)
    queue = context.Queue()
    workers = [
        context.Process(target=answer_to, args=(queue, model, X[:40])) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    found = [queue.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join()
    assert found == 2 * [ask(model, X[:40])]


def test_fits_in_threads_are_the_serial_fits(applicants):
    X, y = applicants
    kinds = "eccco", "generic", "gravitational", "eccco"

    def fit(seed):
        clf = quick(epochs=2, random_state=seed, generator=kinds[seed])
        return clf.fit(X, y).predict_proba(X).tobytes()

    serial = [fit(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fit, range(4))) == serial


def global_state():
    """Everything of the process that a library might change."""
    kind, keys, *position = np.random.get_state()  # noqa: NPY002
    return {
        "numpy": (kind, keys.tobytes(), *position),
        "torch": torch.random.get_rng_state().numpy().tobytes(),
        "python": random.getstate(),
        "gradients": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "errors": np.geterr(),
        "filters": list(warnings.filters),
        "backend": mpl.get_backend(),
        "rcParams": dict(mpl.rcParams),
        "locale": locale.setlocale(locale.LC_ALL),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "excepthook": sys.excepthook,
        "recursion": sys.getrecursionlimit(),
    }


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
def test_nothing_global_is_touched(applicants):
    X, y = applicants
    before = global_state()
    clf = quick(epochs=2, random_state=None, generator=REVISEGenerator(n_epochs=2))
    answer = clf.fit(X, y).partial_fit(X, y).explain(X[:40], n_alternatives=2)
    answer.to_html()
    answer.plot()
    mpl.pyplot.close("all")
    counterfactual_scorer(("accuracy", "validity"))(clf, X, y)
    after = global_state()
    assert [name for name in before if before[name] != after[name]] == []


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
@pytest.mark.parametrize("objective", ["paper", "teacher"])
@pytest.mark.parametrize("generator", ["eccco", "revise"])
def test_a_service_may_wrap_everything_in_inference_mode(objective, generator):
    X, y = load_iris(return_X_y=True)
    options = {"objective": objective, "generator": generator}

    def run():
        clf = quick(epochs=2, class_weight="balanced", **options).fit(X, y)
        explanation = clf.partial_fit(X, y).explain(X[:40], target=1)
        return explanation.counterfactual, clf.predict_proba(X)

    with torch.inference_mode():
        inside = run()
    for mine, theirs in zip(inside, run(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_search_in_inference_mode_is_a_search():
    module = MLP(3, 2)
    task = GenericGenerator(), Constraints.unbounded((3,))

    def run():
        return search(module, torch.ones(5, 3), torch.ones(5).long(), *task)

    with torch.inference_mode():
        inside = run().counterfactual
    assert torch.equal(inside.clone(), run().counterfactual)


# ------------------------------------------------------------------------ numbers


def objective(logits, n_batch, mature, weights):
    """Eq. 2 as `losses` defines it, from the logits of all rows."""
    n = len(mature)
    rng = torch.Generator().manual_seed(1)
    classes = logits.shape[1]
    y = torch.randint(classes, (n_batch,), generator=rng)
    label, target = (torch.randint(classes, (n,), generator=rng) for _ in range(2))
    batch, nascent, ours, theirs = logits.split([n_batch, n, n, n])
    energies = losses.energy(theirs, target), losses.energy(ours, target)
    return losses.counterfactual_loss(
        nn.functional.cross_entropy(batch, y),
        nn.functional.cross_entropy(nascent, label),
        losses.divergence(*energies, mature),
        losses.ridge(*energies, mature),
        **weights,
    )


WEIGHTS = {"lambda_div": 0.5, "lambda_adv": 0.25, "lambda_reg": 0.1}
MATURE = torch.tensor([True, False, True, True])


def some_logits(scale=1.0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(0)
    return scale * torch.randn(6 + 3 * 4, 3, generator=rng, dtype=dtype)


def test_the_objective_passes_gradcheck():
    logits = some_logits().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: objective(x, 6, MATURE, WEIGHTS).total, logits
    )


@pytest.mark.parametrize("scale", [1e-320, 1e-30, 1.0, 1e4, 1e15])
def test_float32_agrees_with_float64_at_every_scale(scale):
    exact = some_logits(scale).requires_grad_()
    terms = objective(exact, 6, MATURE, WEIGHTS)
    (slope,) = torch.autograd.grad(terms.total, exact)
    rounded = exact.detach().float().requires_grad_()
    mine = objective(rounded, 6, MATURE, WEIGHTS)
    (gradient,) = torch.autograd.grad(mine.total, rounded)
    atol = 1e-5 * float(slope.abs().max())
    torch.testing.assert_close(gradient.double(), slope, rtol=1e-5, atol=atol)
    assert mine.total.item() == pytest.approx(terms.total.item(), rel=1e-4)


def test_gradients_by_hand_pass_gradcheck():
    """Of the weights and of the input, through the dense layers in float64."""
    torch.manual_seed(0)
    module = MLP(3, 3, hidden_layer_sizes=(7, 5)).double()
    layers = [m for m in module if isinstance(m, nn.Linear)]
    x, passes = some_logits(), DensePass(module, module, module, layers)
    terms = objective(torch.cat(passes.forward(x[:6], x[6:])), 6, MATURE, WEIGHTS)
    passes.backward(terms.total)
    logits, pull_back = DenseForward(layers)(x)
    leaf = logits.requires_grad_()
    at_logits = torch.autograd.grad(objective(leaf, 6, MATURE, WEIGHTS).total, leaf)
    at_input = pull_back(at_logits[0].clone())

    def total(x, *parameters):
        names = [name for name, _ in module.named_parameters()]
        logits = torch.func.functional_call(
            module, dict(zip(names, parameters, strict=True)), (x,)
        )
        return objective(logits, 6, MATURE, WEIGHTS).total

    leaves = [x.clone().requires_grad_()]
    leaves += [p.detach().clone().requires_grad_() for p in module.parameters()]
    assert torch.autograd.gradcheck(total, leaves)
    wanted = torch.autograd.grad(total(*leaves), leaves)
    given = [at_input, *(p.grad for p in module.parameters())]
    for mine, theirs in zip(given, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("objective", ["paper", Slope()])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("lambda_reg", [0.0, 0.1])
def test_a_step_of_the_net_has_the_gradient_of_the_objective(
    dtype, objective, n_classes, lambda_reg
):
    """The pass by hand against autograd throughout, in both precisions."""
    X = torch.as_tensor(load_iris().data)
    y = torch.arange(150) % n_classes
    fixed = Constraints.from_spec({1: "none"}, {}, feature_names=range(4))
    weights = {**WEIGHTS, "lambda_reg": lambda_reg}
    net = CounterfactualNet(MLP, max_epochs=3, objective=objective, **weights)
    net.set_params(module__hidden_layer_sizes=(16, 8), constraints=fixed)
    net.fit(X.numpy().astype("float32"), y.numpy())
    net.module_.to(dtype)
    target = (y[:9] + 1) % n_classes
    rows = [X[i : i + 9].to(dtype) for i in (0, 20, 40)]
    mature = torch.arange(9) > 4
    pairs = Pairs(rows[0], y[:9], *rows[1:], target, rows[0], mature)
    gradients, values = [], []
    for dense in (net._dense_pass(), None):
        net.module_.zero_grad()
        batch = X[60:90].to(dtype), y[60:90]
        step = net.train_step_single(batch, counterfactuals=pairs, dense=dense)
        values.append(torch.stack([step["loss"], *step["parts"]]))
        gradients.append([p.grad.clone() for p in net.module_.parameters()])
    rtol = 1e-4 if dtype == torch.float32 else 1e-11
    torch.testing.assert_close(*values, rtol=rtol, atol=rtol)
    atol = rtol * max(float(gradient.abs().max()) for gradient in gradients[1])
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=rtol, atol=atol)


THREADS = """
import sys, warnings
import torch
torch.set_num_threads(int(sys.argv[1]))
warnings.simplefilter("ignore")
from sklearn.datasets import make_classification
from skct import CounterfactualNet, CounterfactualTrainingClassifier
X, y = make_classification(3000, 40, n_informative=10, random_state=0)
net = CounterfactualNet(
    max_epochs=3, batch_size=512, module__hidden_layer_sizes=(256, 256)
)
clf = CounterfactualTrainingClassifier(net, random_state=0).fit(X, y)
answer = clf.explain(X[:2000])
import hashlib
for part in (clf.predict_proba(X), answer.counterfactual, answer.cost):
    print(hashlib.sha256(part.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_two_threads_of_torch_give_the_bits_of_one():
    found = []
    for n in "12":
        environment = {**os.environ, "OMP_NUM_THREADS": n}
        command = [sys.executable, "-c", THREADS, n]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        found.append(done.stdout.split())
    assert len(found[0]) == 3
    assert found[0] == found[1]


# ----------------------------------------------------------------------- security

FORBIDDEN_MODULES = {
    "pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve",
    "subprocess", "pty", "ctypes", "code", "codeop", "runpy", "importlib",
}  # fmt: skip
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "breakpoint", "os.system", "os.popen",
    "os.execv", "os.spawnv", "torch.load", "torch.jit.load", "torch.hub.load",
    "pd.read_pickle", "pandas.read_pickle", "yaml.load", "joblib.load",
}  # fmt: skip


def dotted(node):
    """Name of what is called, such as ``torch.load``."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(source):
    """Lines of a file that could run code that is not its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            if FORBIDDEN_CALLS & set(names):
                yield node.lineno, names
        else:
            names = []
        if FORBIDDEN_MODULES & {name.split(".")[0] for name in names}:
            yield node.lineno, names
        if not isinstance(node, ast.Call):
            continue
        options = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if dotted(node.func) in FORBIDDEN_CALLS or (
            options.get("allow_pickle") or options.get("shell")
        ):
            yield node.lineno, dotted(node.func)


def test_nothing_in_the_package_runs_code_of_others():
    files = sorted(Path(skct.__file__).parent.rglob("*.py"))
    found = {f.name: list(dangers(f.read_text(encoding="utf-8"))) for f in files}
    assert len(files) > 40
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "from torch import load",
        "from os import system",
        "eval('1')",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "run(command, shell=True)",
    ],
)
def test_the_search_for_dangers_finds_them(line):
    assert list(dangers(line))


def requirements():
    """Runtime dependencies, as the metadata of the project has them."""
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    block = re.search(r"install_requires =\n((?:    .+\n)+)", text).group(1)
    return dict(line.strip().split(">=") for line in block.splitlines())


def test_every_runtime_dependency_has_a_lower_bound_that_is_met():
    needed = requirements()
    assert len(needed) >= 7
    for name, least in needed.items():
        installed = re.match(r"[\d.]+", metadata.version(name)).group()
        numbers = [[int(part) for part in v.split(".")] for v in (installed, least)]
        assert numbers[0] >= numbers[1], name


def test_every_import_of_the_package_is_a_declared_dependency():
    """What is imported but not declared is audited by nobody."""
    needed = {*requirements(), "sklearn", "tqdm", "joblib"}  # the last two: skorch's
    optional = {"matplotlib", "art", "multiprocess", "pyarrow", "polars", "skrub"}
    found = set()
    for file in Path(skct.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    assert found - needed - optional - set(sys.stdlib_module_names) == set()


def test_the_import_leaves_out_what_only_reports_plots_and_dask_need():
    lazy = ["jinja2", "matplotlib", "dask", "pandas.plotting._matplotlib"]
    code = f"import sys, skct; print([name for name in {lazy} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, cwd=ROOT, text=True).strip() == "[]"


def test_files_beside_the_code_are_part_of_the_wheel():
    """Templates and style sheets: setuptools packs only what setup.cfg names."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    packed = {
        path
        for package, patterns in config["options.package_data"].items()
        for pattern in patterns.split()
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    present = {
        path
        for path in (ROOT / "skct").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert present == packed
    assert len(present) >= 7


# --------------------------------------------------------------------------- load


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
def test_answers_leave_no_open_file_and_no_tensor(applicants):
    X, y = applicants
    clf = quick(epochs=2).fit(X, y)

    def in_use():
        clf.explain(X[:5])
        gc.collect()
        tensors = sum(issubclass(type(t), torch.Tensor) for t in gc.get_objects())
        return len(os.listdir("/proc/self/fd")), tensors

    first = in_use()
    for _ in range(10):
        clf.explain(X[:5])
    assert in_use() == first


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_benchmark_of_load_finds_flat_memory():
    script = ROOT / "benchmarks" / "load.py"
    done = subprocess.run(
        [sys.executable, script, "--quick", "many", "--alone"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    first, *_, last = json.loads(done.stdout.splitlines()[-1])
    assert last["MB in use"] < first["MB in use"] + 20
    assert last["open files"] == first["open files"]
