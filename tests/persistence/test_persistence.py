import copy
import json
import pickle
import resource
import struct
import warnings
from datetime import date
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import people, quick
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import nn

from skct import (
    CounterfactualExplainer,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    GenericGenerator,
    REVISEGenerator,
)
from skct.encoding.rules import Rule
from skct.exceptions import ImputationWarning, ReferenceWarning, SearchWarning
from skct.persistence import archive
from skct.persistence.classifier import KIND
from skct.persistence.codec import decode, encode

DATA = Path(__file__).parents[1] / "data"
load = CounterfactualTrainingClassifier.load
pytestmark = pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")


def rich(n=120):
    """A table with a column of every kind."""
    table, y = people(n)
    rng = np.random.default_rng(1)
    days = pd.to_datetime(["2024-01-01", "2024-06-01"])
    holiday = np.empty(n, dtype=object)
    holiday[:] = [date(2024, 1, 1 + i % 3) for i in range(n)]
    table = table.rename(columns={"income": "Einkünfte €", "job": "職業"}).assign(
        rooms=pd.array(rng.integers(1, 5, n), dtype="Int64"),
        height=rng.normal(1.7, 0.1, n).astype("float32"),
        band=pd.cut(rng.normal(size=n), [-9, 0, 1, 9]),
        since=pd.Categorical(rng.choice(days, n), ordered=True),
        size=pd.Categorical(rng.integers(1, 4, n), ordered=True),
        flag=pd.array(rng.random(n) < 0.5, dtype="boolean"),
        text=pd.array(rng.choice(["a", "b"], n), dtype="string"),
        digits=rng.integers(0, 9, n).astype(str).astype(object),
        holiday=holiday,
    )
    table.loc[table.index[::7], "height"] = np.nan
    return table, y


@pytest.fixture(scope="module")
def trained():
    X, y = people(120)
    mutability = {"age": "none", "education": "increase"}
    domain = {"income": (0, None), "job": ["cook", "clerk", "nurse"]}
    clf = quick(4, mutability=mutability, domain=domain)
    return clf.fit(X, y), X


@pytest.fixture
def saved(trained, tmp_path):
    clf, X = trained
    clf.save(tmp_path / "clf")
    return tmp_path / "clf"


def weights(clf):
    return torch.cat([p.detach().flatten() for p in clf.module_.parameters()])


def assert_same(clf, again, X, explain=True):
    assert np.array_equal(again.classes_, clf.classes_)
    assert again.classes_.dtype == clf.classes_.dtype
    assert np.array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert np.array_equal(again.predict(X), clf.predict(X))
    if explain:
        answer, expected = again.explain(X[:12]), clf.explain(X[:12])
        pd.testing.assert_frame_equal(
            answer.counterfactual, expected.counterfactual, check_exact=True
        )
        assert np.array_equal(answer.cost, expected.cost)
        assert np.array_equal(answer.valid, expected.valid)
        if answer.implausibility is not None:
            assert np.array_equal(answer.implausibility, expected.implausibility)


# ------------------------------------------------------------------------ save, load


def generators():
    return {
        "eccco": "eccco",
        "generic": GenericGenerator(distance="mad", max_iter=20),
        "revise": REVISEGenerator(n_epochs=2),
        "gravitational": "gravitational",
    }


@pytest.mark.parametrize("name", generators())
def test_what_is_loaded_predicts_and_explains_bit_for_bit(name, tmp_path):
    X, y = people(120)
    clf = quick(3, generator=generators()[name], mutability={"age": "none"}).fit(X, y)
    clf.save(tmp_path / "f")
    assert_same(clf, load(tmp_path / "f"), X)


def test_columns_of_every_kind_come_back(tmp_path):
    X, y = rich()
    mutability = {"職業": "none", "size": "increase", "since": "increase"}
    clf = quick(2, mutability=mutability, domain={"Einkünfte €": (np.float64(1), None)})
    with pytest.warns(ImputationWarning):
        clf.fit(X, y)
    clf.save(tmp_path / "f")
    again = load(tmp_path / "f")
    assert_same(clf, again, X)
    assert again.feature_names_in_.tolist() == list(X)
    with pytest.raises(ValueError, match="Known features: 'age', 'Einkünfte €'"):
        CounterfactualExplainer(again, mutability={"no": "none"}).explain(X)


@pytest.mark.parametrize(
    "labels",
    [
        ["no", "ja", "oui ✓"],
        [3, 1, 2],
        np.array([7, 8, 9], dtype=np.uint8),
        np.array([0.5, 1.5, 2.5])[[0, 0, 1]] * 2,
        [True, False, True],
        np.array(["a", "bb", "c"], dtype=object),
        np.array(["x", "y", "x"], dtype="<U12"),
    ],
    ids=repr,
)
def test_labels_of_every_kind_come_back(labels, tmp_path):
    X, y = load_iris(return_X_y=True)
    weight = dict.fromkeys(np.unique(np.asarray(labels)).tolist(), 2.0)
    clf = quick(1, lambda_div=0, lambda_adv=0, lambda_reg=0, class_weight=weight)
    clf.fit(X, np.asarray(labels)[y]).save(tmp_path / "f")
    again = load(tmp_path / "f")
    assert_same(clf, again, X, explain=False)
    assert again.class_weight == weight
    assert torch.equal(again.net_.criterion_.weight, clf.net_.criterion_.weight)


def test_the_loaded_object_is_a_full_estimator(trained, saved):
    clf, X = trained
    again = load(saved)
    assert repr(again) == repr(clf)
    assert again.get_params(deep=False).keys() == clf.get_params(deep=False).keys()
    for name in ("mutability", "domain", "random_state", "net__lr", "net__max_epochs"):
        assert again.get_params()[name] == clf.get_params()[name]
    pd.testing.assert_frame_equal(again.history_, clf.history_)
    assert (again.n_iter_, again.seed_) == (clf.n_iter_, clf.seed_)
    assert again.constraints_.groups == clf.constraints_.groups
    assert torch.equal(again.constraints_.upper, clf.constraints_.upper)
    assert not hasattr(clone(again), "net_")
    assert_same(clf, pickle.loads(pickle.dumps(again)), X)
    again.save(saved)
    assert_same(clf, load(saved), X)


@pytest.mark.parametrize("how", ["warm start", "partial_fit"])
def test_with_the_optimiser_training_goes_on_as_if_undisturbed(how, tmp_path):
    X, y = people(120)
    net = CounterfactualNet(
        max_epochs=2, lr=0.02, batch_size=32, module__hidden_layer_sizes=(5, 4)
    )
    clf = CounterfactualTrainingClassifier(net, random_state=0, warm_start=True)
    clf.fit(X, y).save(tmp_path / "with", include_optimizer=True)
    clf.save(tmp_path / "without")
    again, afresh = load(tmp_path / "with"), load(tmp_path / "without")
    for each in (clf, again, afresh):
        each.fit(X, y) if how == "warm start" else each.partial_fit(X, y)
    assert torch.equal(weights(again), weights(clf))
    assert not torch.equal(weights(afresh), weights(clf))
    assert again.n_iter_ == clf.n_iter_ > 2


def test_images_and_numbers_without_preprocessing_come_back(tmp_path):
    X = np.random.default_rng(0).random((40, 3, 3)).astype("float32")
    y = (X[:, 0, 0] > 0.5).astype(int)
    clf = quick(1, preprocessor=None, domain=None).fit(X, y)
    clf.save(tmp_path / "f")
    again = load(tmp_path / "f")
    assert np.array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert torch.equal(again.constraints_.upper, clf.constraints_.upper)


def test_a_parameter_that_is_a_random_state_comes_back(tmp_path):
    X, y = load_iris(return_X_y=True)
    state = np.random.RandomState(3)
    clf = quick(1, random_state=state, lambda_div=0, lambda_adv=0, lambda_reg=0)
    clf.fit(X, y).save(tmp_path / "f")
    again = load(tmp_path / "f")
    assert again.random_state.randint(10**6) == state.randint(10**6)


class Doubled(nn.Module):
    def __init__(self, n_features_in, n_classes, width=3):
        super().__init__()
        self.inner = nn.Linear(n_features_in, width)
        self.head = nn.Linear(width, n_classes)

    def forward(self, x):
        return 2 * self.head(self.inner(x).tanh())


def test_a_module_of_ones_own_is_asked_for(tmp_path):
    X, y = people(80)
    net = CounterfactualNet(Doubled, module__width=4, max_epochs=1)
    clf = quick(1).set_params(net=net).fit(X, y)
    clf.save(tmp_path / "f")
    assert_same(clf, load(tmp_path / "f", module=Doubled), X)
    with pytest.raises(ValueError, match=r"load\(path, module=\.\.\.\)"):
        load(tmp_path / "f")

    def wider(n_features_in, n_classes, width):
        return Doubled(n_features_in, n_classes, width + 1)

    with pytest.raises(ValueError, match="not those of the module"):
        load(tmp_path / "f", module=wider)


def test_a_transformer_of_ones_own_is_asked_for(tmp_path):
    X, y = people(80)
    X = X.drop(columns=["married"])
    transformer = ColumnTransformer(
        [
            ("number", StandardScaler(), ["age", "income", "children"]),
            ("word", OneHotEncoder(sparse_output=False), ["job", "education"]),
        ]
    )
    clf = quick(1, preprocessor=transformer).fit(X, y)
    clf.save(tmp_path / "f")
    assert_same(clf, load(tmp_path / "f", preprocessor=clf.preprocessor_), X)
    with pytest.raises(ValueError, match=r"load\(path, preprocessor=\.\.\.\)"):
        load(tmp_path / "f")
    other = clone(transformer).fit(X[:40])
    with pytest.raises(ValueError, match="encodes otherwise"):
        load(tmp_path / "f", preprocessor=other)


def test_a_part_that_the_file_holds_must_not_be_given(saved):
    with pytest.raises(ValueError, match="it holds its module"):
        load(saved, module=Doubled)
    with pytest.raises(ValueError, match="it holds its preprocessor"):
        load(saved, preprocessor=StandardScaler())


class Mine(GenericGenerator):
    pass


class MyNet(CounterfactualNet):
    pass


class MyLoss(nn.CrossEntropyLoss):
    pass


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"generator": Mine()}, "'generator' cannot be saved without pickle"),
        ({"net": MyNet(max_epochs=1)}, "'net' cannot be saved without pickle"),
        ({"net__criterion": MyLoss}, "'net.*__criterion' cannot be saved"),
        ({"net__callbacks": [EarlyStopping("train_loss")]}, "net__callbacks=None"),
    ],
    ids=["generator", "net", "criterion", "callbacks"],
)
def test_what_only_pickle_could_write_is_named(params, match, tmp_path):
    X, y = load_iris(return_X_y=True)
    clf = quick(1).set_params(**params).fit(X, y)
    with pytest.raises(ValueError, match=match):
        clf.save(tmp_path / "f")
    assert not list(tmp_path.iterdir())


def test_an_unfitted_classifier_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        quick().save(tmp_path / "f")


# --------------------------------------------------------------------------- privacy


def rows_in(data, X, clf):
    """How many rows of a table, raw or encoded, are somewhere in a file."""
    tables = [X.to_numpy("float64"), X.to_numpy("float32")]
    tables.append(clf.feature_space_.encode(X))
    return sum(row.tobytes() in data for table in tables for row in table)


def test_no_training_row_is_in_the_file_without_reference(tmp_path):
    X, y = load_iris(return_X_y=True, as_frame=True)
    X = X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape)  # no twins
    X.index = [f"patient {i}" for i in range(len(X))]
    clf = quick(1, generator=REVISEGenerator(n_epochs=1)).fit(X, y)
    clf.save(tmp_path / "private", include_optimizer=True, include_reference=False)
    clf.save(tmp_path / "open")
    assert rows_in((tmp_path / "private").read_bytes(), X, clf) == 0
    assert b"patient" not in (tmp_path / "private").read_bytes()
    assert rows_in((tmp_path / "open").read_bytes(), X, clf) >= 150


@pytest.mark.parametrize("kind", ["people", "rich", "indicators", "images"])
def test_a_summary_in_place_of_reference_rows_gives_the_same_advice(kind, tmp_path):
    more = {}
    if kind == "people":
        X, y = people(120)
    elif kind == "rich":
        X, y = rich()
    elif kind == "indicators":
        X, y = people(120)
        X = pd.get_dummies(X, columns=["job"], dtype=float)
    else:
        X = np.random.default_rng(0).normal(size=(60, 1, 3, 3)).astype("float32")
        y, more = (X.sum((1, 2, 3)) > 0).astype(int), {"preprocessor": None}
        more["net"] = CounterfactualNet(Flat, max_epochs=4)
    clf = quick(4, **more) if "net" not in more else None
    clf = clf or CounterfactualTrainingClassifier(random_state=0, **more)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImputationWarning)
        clf.fit(X, y)
    clf.save(tmp_path / "f", include_reference=False)
    module = {"module": Flat} if kind == "images" else {}
    with pytest.warns(ReferenceWarning, match="a summary in place of reference rows"):
        again = load(tmp_path / "f", **module)
    rows = X[:20]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        answer, expected = again.explain(rows), clf.explain(rows)
    if kind == "images":
        assert np.array_equal(answer.counterfactual, expected.counterfactual)
    else:
        pd.testing.assert_frame_equal(
            answer.counterfactual, expected.counterfactual, check_exact=True
        )
    assert np.array_equal(answer.cost, expected.cost)
    np.testing.assert_allclose(answer.implausibility, expected.implausibility)
    kept, real = again.reference_[0], clf.reference_[0]
    in_common = sum((kept == row).reshape(len(kept), -1).all(1).any() for row in real)
    assert in_common < len(real) / 2  # short tables of few categories have twins
    assert np.array_equal(again.reference_[1], clf.reference_[1])


class Flat(nn.Sequential):
    """Layers for images."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 2))


def test_a_summary_is_not_learnt_from_and_can_be_saved_again(tmp_path, monkeypatch):
    X, y = people(120)
    clf = quick(2).fit(X, y)
    clf.save(tmp_path / "f", include_reference=False)
    with pytest.warns(ReferenceWarning):
        again = load(tmp_path / "f")
    seen, train = [], CounterfactualNet.partial_fit

    def partial_fit(net, *args, **kwargs):
        seen.append(net.earlier_rows_)
        return train(net, *args, **kwargs)

    monkeypatch.setattr(CounterfactualNet, "partial_fit", partial_fit)
    clf.partial_fit(X[:40], y[:40])
    again.partial_fit(X[:40], y[:40])
    assert seen[0] is clf.reference_
    assert seen[1] is None
    again.save(tmp_path / "again")
    with pytest.warns(ReferenceWarning):
        load(tmp_path / "again")


def test_without_reference_rows_nothing_is_missing(tmp_path):
    X, y = people(120)
    clf = quick(2, n_reference=0).fit(X, y)
    clf.save(tmp_path / "f")  # a warning would be an error
    assert load(tmp_path / "f").explain(X[:3]).implausibility is None


def test_no_index_label_of_a_training_row_is_kept():
    X, y = load_iris(return_X_y=True, as_frame=True)
    X.index = [f"patient {i}" for i in range(len(X))]
    clf = quick(1, n_reference=0, lambda_div=0, lambda_adv=0, lambda_reg=0)
    assert b"patient" not in pickle.dumps(clf.fit(X, y))


def test_a_generator_made_of_training_rows_needs_leave(tmp_path):
    X, y = load_iris(return_X_y=True)
    clf = quick(1, generator="gravitational").fit(X, y)
    with pytest.raises(ValueError, match="leave include_reference at True"):
        clf.save(tmp_path / "f", include_reference=False)
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------- writing


def test_exactly_the_path_given_is_written(trained, tmp_path):
    clf, X = trained
    for name in ("model", "model.v1.bin", "Modell ü"):
        clf.save(str(tmp_path / name))
    (tmp_path / "link").symlink_to("model")
    clf.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["model", "model.v1.bin", "Modell ü", "link"]
    )


@pytest.fixture
def full_disk():
    """No file may grow beyond 1,000 bytes: writing fails half way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_old_file_and_no_litter(trained, saved, full_disk):
    before = saved.read_bytes()
    with pytest.raises(OSError, match="File too large"):
        trained[0].save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("error", [KeyboardInterrupt, PermissionError])
def test_an_interrupt_leaves_the_old_file_and_no_litter(
    error, trained, saved, monkeypatch
):
    def fail(*args):
        raise error

    before = saved.read_bytes()
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(error):
        trained[0].save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_folder_that_is_not_there_is_named(trained, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        trained[0].save(tmp_path / "nowhere" / "f")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere")


# --------------------------------------------------------------------- hostile files


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_under_that_name_is_refused_and_not_run(tmp_path):
    (tmp_path / "f").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(ValueError, match="it is not a skct classifier"):
        load(tmp_path / "f")
    torch.save(Bomb(tmp_path / "exploded"), tmp_path / "f")
    with pytest.raises(ValueError, match="it is not a skct classifier"):
        load(tmp_path / "f")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 7, b"\xff" * 64, b"{}", b"\2" + bytes(9)]
)
def test_any_other_file_is_refused(data, tmp_path):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(ValueError, match="Cannot load"):
        load(tmp_path / "f")


def rewrite(path, change):
    """The file with another document and tensors, under a valid checksum."""
    document, tensors = archive.read(path, KIND)
    change(document, tensors)
    archive.write(path, KIND, document, tensors)


def state(document, name):
    return document["state"][name]


def set_hidden(document, tensors):
    document["net_"]["parameters"]["module__hidden_layer_sizes"] = [10**9]


def rename_criterion(document, tensors):
    document["net_"]["parameters"]["criterion"]["name"] = "os.system"


def rename_generator(document, tensors):
    state(document, "generator")["name"] = "builtins.eval"


def name_generator(document, tensors):
    document["parameters"]["generator"] = "os.system"


def name_activation(document, tensors):
    document["net_"]["parameters"]["module__activation"] = "builtins.eval"


def hide_method(document, tensors):
    state(document, "fitted")["items"].append(["predict", 1])


def teach_generator(document, tensors):
    state(document, "generator")["learnt"].append(["penalty", 1])


def add_tensor(document, tensors):
    tensors["more"] = torch.zeros(2)


def drop_tensor(document, tensors):
    del tensors["module.0.weight"]


def use_twice(document, tensors):
    state(document, "criterion")["items"].append(
        ["weight", {"type": "tensor", "name": "module.0.weight"}]
    )


def transpose(document, tensors):
    tensors["module.0.weight"] = tensors["module.0.weight"].T.contiguous()


def poison(document, tensors):
    tensors["module.0.weight"][0, 0] = torch.nan


def compile_module(document, tensors):
    document["net_"]["parameters"]["compile"] = True


def nest(document, tensors, n=900):
    deep = []
    for _ in range(n):
        deep = [deep]
    document["parameters"]["mutability"] = deep


def nest_less(document, tensors):
    nest(document, tensors, n=110)  # no interpreter minds


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (set_hidden, "not of the size of its layer"),
        (rename_criterion, "do not fit together"),
        (rename_generator, "do not fit together"),
        (name_generator, "'generator' parameter must be one of"),
        (name_activation, "'activation' parameter of MLP must be one of"),
        (hide_method, "attributes that save does not write"),
        (teach_generator, "learns nothing of that kind"),
        (add_tensor, "tensors that nothing asks for"),
        (drop_tensor, "do not fit together"),
        (use_twice, "do not fit together"),
        (transpose, "not of the size of its layer"),
        (poison, "is not finite"),
        (compile_module, "a net that save does not write"),
        (nest, "Cannot load"),
        (nest_less, "it is damaged"),
    ],
)
def test_a_forged_file_is_refused(change, match, saved):
    rewrite(saved, change)
    with pytest.raises(ValueError, match=match):
        load(saved)


def test_an_autoencoder_of_invented_size_is_refused(tmp_path):
    X, y = load_iris(return_X_y=True)
    clf = quick(1, generator=REVISEGenerator(n_epochs=1)).fit(X, y)
    clf.save(tmp_path / "f")

    def enlarge(document, tensors):
        learnt = dict(state(document, "generator")["learnt"])
        learnt["vae_"]["hidden_size"] = 10**12

    rewrite(tmp_path / "f", enlarge)
    with pytest.raises(ValueError, match="not those of the module"):
        load(tmp_path / "f")


def repack(path, change):
    """The file with another safetensors header."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    text = change(data[8 : 8 + size].decode()).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


def test_a_tensor_or_key_that_comes_twice_is_refused(saved):
    before = saved.read_bytes()
    repack(saved, lambda text: '{"__metadata__":{},' + text[1:])
    with pytest.raises(ValueError, match="Cannot load"):
        load(saved)
    saved.write_bytes(before)
    repack(
        saved, lambda text: text.replace('"module.0.bias":', '"module.0.weight":', 1)
    )
    with pytest.raises(ValueError, match="Cannot load"):
        load(saved)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"format_version":"1"', '"format_version":"2"', "format_version '2'"),
        ('"skct_version":"0.', '"skct_version":"7.', "another major version"),
        ('"format":"skct', '"format":"else', "it is not a skct classifier"),
        ("approved", "accepted", "checksum is wrong"),
        ("education", "Education", "checksum is wrong"),
    ],
)
def test_other_versions_and_edits_are_refused(old, new, match, saved):
    repack(saved, lambda text: text.replace(old, new))
    if old == "approved":  # labels are no part of the header
        rewrite_bytes(saved)
    with pytest.raises(ValueError, match=match):
        load(saved)


def rewrite_bytes(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def test_damaged_files_either_load_as_they_were_or_are_refused(trained, saved):
    clf, X = trained
    data, rng, refused = saved.read_bytes(), np.random.default_rng(0), 0
    for i in range(200):
        bad = bytearray(data)
        if i % 2:
            bad = bad[: rng.integers(len(data))]
        else:
            for at in rng.integers(len(data), size=rng.integers(1, 4)):
                bad[at] ^= int(rng.integers(1, 256))
        saved.write_bytes(bad)
        try:
            again = load(saved)
        except ValueError as error:
            assert str(error).startswith("Cannot load")  # noqa: PT017
            refused += 1
        else:
            assert_same(clf, again, X, explain=False)
    assert refused > 150


HOSTILE = [None, -1, 10**12, 1e308, "os.system", [], [[]], {}, {"type": "dict"}, True]


def places(value):
    """Every list and dict inside a JSON value, with its keys."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from places(inner)


@pytest.mark.filterwarnings("ignore")
def test_whatever_a_forger_writes_is_loaded_as_data_or_refused(saved):
    document, tensors = archive.read(saved, KIND)
    rng, refused = np.random.default_rng(0), 0
    for i in range(80):
        forged = copy.deepcopy(document)
        found = [*places(forged)]
        where, key = found[rng.integers(len(found))]
        where[key] = HOSTILE[i % len(HOSTILE)]
        archive.write(saved, KIND, forged, tensors)
        try:
            load(saved)
        except ValueError as error:
            assert str(error).startswith("Cannot load")  # noqa: PT017
            refused += 1
    assert refused > 30


def test_a_rule_is_written_by_the_names_of_the_first_files():
    rule = Rule("increase", 1.5, 4.0, given=True)
    written = encode(rule, "rule", {})
    names = [name for name, _ in written["parameters"]]
    assert names == ["word", "low", "high", "categories", "given"]
    assert decode(written, {}) == rule


def test_the_file_of_an_earlier_version_still_loads():
    with pytest.warns(ReferenceWarning, match="of an earlier version"):
        clf = load(DATA / "classifier-1.skct")
    expected = json.loads((DATA / "classifier-1.json").read_text())
    X = people(8)[0]
    assert clf.predict(X).tolist() == expected["labels"]
    np.testing.assert_allclose(
        clf.predict_proba(X), expected["probabilities"], rtol=1e-5
    )
    denied = X[clf.predict(X) == "denied"]
    answer = clf.explain(denied, target="approved", confidence=0.5)
    np.testing.assert_allclose(answer.cost, expected["cost"], rtol=1e-3)


# ---------------------------------------------------------------- pickle and the like


def through_joblib(value, folder):
    joblib.dump(value, folder / "f.joblib")
    return joblib.load(folder / "f.joblib")


COPIES = {
    "pickle": lambda value, _: pickle.loads(pickle.dumps(value)),
    "joblib": through_joblib,
    "cloudpickle": lambda value, _: pickle.loads(cloudpickle.dumps(value)),
    "deepcopy": lambda value, _: copy.deepcopy(value),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_give_the_same_answers(how, trained, tmp_path):
    clf, X = trained
    again = COPIES[how](clf, tmp_path)
    assert_same(clf, again, X)
    y = clf.predict(X)
    explainer = CounterfactualExplainer(clf, random_state=0).fit(X, y)
    twin = COPIES[how](explainer, tmp_path)
    answer = explainer.explain(X[:9])
    assert twin.explain(X[:9]).to_json() == answer.to_json()
    assert COPIES[how](answer, tmp_path).to_json() == answer.to_json()
    one, two = copy.deepcopy(clf).partial_fit(X, y), again.partial_fit(X, y)
    assert torch.equal(weights(one), weights(two))


@pytest.mark.parametrize("how", COPIES)
def test_copies_of_a_pipeline_give_the_same_answers(how, tmp_path):
    X, y = load_iris(return_X_y=True, as_frame=True)
    pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), quick(2))
    pipe.fit(X, y)
    again = COPIES[how](pipe, tmp_path)
    assert np.array_equal(again.predict_proba(X), pipe.predict_proba(X))
    answer = CounterfactualExplainer(again).explain(X[:60:20])
    expected = CounterfactualExplainer(pipe).explain(X[:60:20])
    assert answer.to_json() == expected.to_json()


def test_a_plain_skorch_net_as_parameter_comes_back(tmp_path):
    X, y = load_iris(return_X_y=True)
    net = NeuralNetClassifier(Doubled, criterion=nn.CrossEntropyLoss, max_epochs=1)
    clf = CounterfactualTrainingClassifier(net, random_state=0)
    clf.set_params(net__verbose=0).fit(X, y)
    clf.save(tmp_path / "f")
    again = load(tmp_path / "f", module=Doubled)
    assert type(again.net) is NeuralNetClassifier
    assert again.net.train_split.cv == 5
    assert_same(clf, again, X, explain=False)


def test_a_function_in_the_preprocessing_is_no_obstacle(tmp_path):
    X, y = load_iris(return_X_y=True)
    step = FunctionTransformer(np.log1p, np.expm1)
    clf = quick(1, preprocessor=step).fit(X, y)
    clf.save(tmp_path / "f")
    again = load(tmp_path / "f", preprocessor=clf.preprocessor_)
    assert_same(clf, again, X, explain=False)
