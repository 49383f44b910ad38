import os
import pickle
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
from conftest import quick
from scipy.stats import norm
from sklearn import datasets as sklearn_datasets
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import Bunch

from skct import datasets
from skct.datasets import (
    fetch_adult,
    fetch_california_housing,
    fetch_compas,
    fetch_credit_default,
    fetch_german_credit,
    fetch_gmsc,
    fetch_heloc,
    fetch_mnist,
    make_circles,
    make_linearly_separable,
    make_moons,
    make_overlapping,
)
from skct.datasets.loaders import CENTRES
from skct.datasets.sources import (
    CREDIT,
    EDUCATION,
    GERMAN_NAMES,
    GERMAN_WORDS,
    PIXELS,
    SOURCES,
)

MAKERS = [make_linearly_separable, make_overlapping, make_circles, make_moons]


@pytest.fixture(autouse=True)
def _no_folder(monkeypatch, request):
    if "slow" not in request.keywords:
        monkeypatch.delenv("SKCT_DATA", raising=False)


@pytest.mark.parametrize("make", MAKERS)
def test_synthetic_shapes_balance_and_seeds(make):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    X, y = make(501, random_state=3)
    assert X.shape == (501, 2)
    assert X.dtype == np.float64
    assert y.dtype.kind == "i"
    assert sorted(np.bincount(y)) == [250, 251]
    np.testing.assert_array_equal(make(501, random_state=3)[0], X)
    assert not np.array_equal(make(501, random_state=4)[0], X)
    assert not np.array_equal(make(501)[0], make(501)[0])
    stream = np.random.RandomState(3)
    assert not np.array_equal(
        make(9, random_state=stream)[0], make(9, random_state=stream)[0]
    )
    assert len(make()[0]) == 3000
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, state)


@pytest.mark.parametrize("make", MAKERS)
def test_rows_are_shuffled(make):
    _, y = make(1000, random_state=0)
    assert 300 < np.abs(np.diff(y)).sum() < 700


def test_overlapping_has_the_bayes_accuracy_of_the_paper():
    bayes = norm.cdf(np.linalg.norm(CENTRES[1] - CENTRES[0]) / 2 / 2)
    assert bayes == pytest.approx(0.92, abs=0.005)
    X, y = make_overlapping(40_000, random_state=0)
    lda = LinearDiscriminantAnalysis().fit(X[:20_000], y[:20_000])
    neighbours = KNeighborsClassifier(201).fit(X[:20_000], y[:20_000])
    for model in (lda, neighbours):
        assert model.score(X[20_000:], y[20_000:]) == pytest.approx(bayes, abs=0.006)


@pytest.mark.parametrize(
    ("make", "spread"), [(make_linearly_separable, 0.5), (make_overlapping, 2.0)]
)
def test_blobs_sit_at_their_centres(make, spread):
    X, y = make(20_000, random_state=1)
    for label, centre in enumerate(CENTRES):
        blob = X[y == label]
        np.testing.assert_allclose(blob.mean(0), centre, atol=5 * spread / 100)
        np.testing.assert_allclose(np.cov(blob.T), spread**2 * np.eye(2), atol=0.15)


def test_linearly_separable_is():
    X, y = make_linearly_separable(20_000, random_state=0)
    assert LinearDiscriminantAnalysis().fit(X, y).score(X, y) == 1.0


def test_circles_are_a_ring_around_a_blob():
    X, y = make_circles(20_000, random_state=0)
    ring, blob = X[y == 0], X[y == 1]
    np.testing.assert_allclose(blob.std(0), 0.15, atol=0.01)
    # E r^2 = 1 + 2 * 0.15^2
    assert (ring**2).sum(1).mean() == pytest.approx(1 + 2 * 0.15**2, abs=0.01)
    np.testing.assert_allclose(X.mean(0), 0, atol=0.02)


def test_moons_are_half_circles_with_the_shift_of_mlj():
    X, y = make_moons(20_000, random_state=0)
    upper, lower = X[y == 0], X[y == 1]
    # The mean of a half circle lies 2 / pi from its centre: (0, 0) and (1, 0.3).
    np.testing.assert_allclose(upper.mean(0), [0, 2 / np.pi], atol=0.02)
    np.testing.assert_allclose(lower.mean(0), [1, 0.3 - 2 / np.pi], atol=0.02)
    for moon, centre in ((upper, [0, 0]), (lower, [1, 0.3])):
        radius = np.linalg.norm(moon - centre, axis=1)
        assert radius.mean() == pytest.approx(1 + 0.1**2 / 2, abs=0.005)
        assert radius.std() == pytest.approx(0.1, abs=0.005)


# Tables in the layout of the real files, a few rows each.


def adult_table():
    table = pd.DataFrame(
        {
            "age": [39, 50, 25],
            "workclass": ["State-gov", "?", "Private"],
            "fnlwgt": [77516, 83311, 226802],
            "education": ["Bachelors", "11th", "Doctorate"],
            "education_num": [13, 7, 16],
            "marital_status": ["Never-married", "Divorced", "Divorced"],
            "occupation": ["Sales", "Sales", "?"],
            "relationship": ["Husband", "Wife", "Husband"],
            "race": ["White", "Black", "White"],
            "sex": ["Male", "Female", "Male"],
            "capital_gain": [0, 1, 2],
            "capital_loss": [0, 1, 2],
            "hours_per_week": [40, 13, 40],
            "native_country": ["Cuba", "?", "Cuba"],
            "income": ["<=50K", ">50K", ">50K"],
        }
    )
    return table.assign(split=["train", "train", "test"])


def credit_table():
    table = pd.DataFrame({name: [1, 2, 3] for name in CREDIT})
    return table.assign(
        SEX=[1, 2, 2], EDUCATION=[0, 2, 6], MARRIAGE=[0, 1, 3], PAY_0=[-2, 0, 8]
    )


def german_table():
    table = {c: list(words)[:3] for c, words in GERMAN_WORDS.items()}
    table = {c: (codes * 2)[:3] for c, codes in table.items()}
    numbers = ("duration", "credit_amount", "installment_rate", "residence_since")
    numbers += ("age", "existing_credits", "people_liable")
    table |= {c: [4, 2, 1] for c in numbers} | {"class": [1, 2, 1]}
    return pd.DataFrame(table).assign(employment_since=["A75", "A71", "A72"])


def california_table():
    columns = ("MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup")
    columns += ("Latitude", "Longitude")
    return pd.DataFrame({c: [1.0, 2.0, 3.0] for c in columns})


def gmsc_table():
    table = {"age": [45, 40, 38], "MonthlyIncome": [9120.0, np.nan, 3042.0]}
    return pd.DataFrame(table | {"NumberOfDependents": [2.0, 1.0, np.nan]})


def compas_table():
    table = {c: [0, 1, 2] for c in SOURCES["compas"].features}
    table |= {"sex": ["Male", "Female", "Male"], "race": ["Other", "Asian", "Other"]}
    table |= {"c_charge_degree": ["F", "M", "F"], "decile_score": [1, 2, 3]}
    table |= {"id": [1, 3, 4], "is_recid": [0, 1, 1], "end": [1, 2, 3]}
    return pd.DataFrame(table | {"two_year_recid": [0, 1, 1]})


def heloc_table():
    table = {"ExternalRiskEstimate": [55, -9, 67], "NumInqLast6M": [0, -9, 4]}
    table |= {"MSinceOldestTradeOpen": [144, -9, 66]}
    return pd.DataFrame(table | {"RiskPerformance": ["Bad", "Good", "Bad"]})


DEFAULT = "default_payment_next_month"
TABLES = {
    "adult": adult_table(),
    "california_housing": california_table().assign(MedHouseVal=[1.0, 2.0, 3.0]),
    "california_housing_balanced": california_table().assign(target=[1, 0, 1]),
    "credit_default": credit_table().assign(ID=[1, 2, 3], **{DEFAULT: [1, 0, 0]}),
    "credit_default_balanced": credit_table().assign(target=[0, 1, 1]),
    "gmsc": gmsc_table().assign(id=[1, 2, 3], SeriousDlqin2yrs=[1, 0, 0]),
    "gmsc_balanced": gmsc_table().assign(target=[0, 1, 1]),
    "german_credit": german_table(),
    "heloc": heloc_table(),
    "compas": compas_table(),
}
FETCHERS = [getattr(datasets, n) for n in datasets.__all__ if n.startswith("fetch")]
BALANCED = [fetch_california_housing, fetch_credit_default, fetch_gmsc]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, table in TABLES.items():
        table.to_parquet(folder / f"{name}.parquet")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 28, 28), dtype="uint8")
    labels = np.array([5, 0, 4, 7, 2], dtype="uint8")
    np.savez(
        folder / "mnist.npz",
        x_train=images[:3],
        y_train=labels[:3],
        x_test=images[3:],
        y_test=labels[3:],
    )
    return folder


@pytest.mark.parametrize("fetch", FETCHERS)
def test_return_conventions(fetch, folder):
    data = fetch(as_frame=True, data_home=folder)
    assert isinstance(data, Bunch)
    assert list(data.data) == data.feature_names
    assert data.frame.columns.tolist() == [*data.feature_names, data.target.name]
    assert data.target.name not in data.feature_names
    assert not {"id", "ID", "split"} & set(data.feature_names)
    assert set(data.mutability) <= set(data.feature_names)
    assert "Licence:" in data.DESCR
    X, y = fetch(as_frame=True, data_home=str(folder), return_X_y=True)
    pd.testing.assert_frame_equal(X, data.data)
    pd.testing.assert_series_equal(y, data.target)
    labels = np.unique(y)
    assert data.favourable in (None, *labels)
    assert len(data.target_names) >= len(labels)


@pytest.mark.parametrize("fetch", FETCHERS)
def test_arrays(fetch, folder):
    data = fetch(as_frame=False, data_home=folder)
    named = fetch(as_frame=True, data_home=folder)
    assert data.frame is None
    np.testing.assert_array_equal(data.data, named.data.to_numpy())
    np.testing.assert_array_equal(data.target, named.target.to_numpy())
    names = {data.feature_names[p]: way for p, way in data.mutability.items()}
    ordered = named.data.select_dtypes("category").columns  # no order in an array
    assert names == {
        column: way
        for column, way in named.mutability.items()
        if way == "none" or column not in ordered
    }


@pytest.mark.parametrize("fetch", BALANCED)
def test_balanced_tables_favour_label_one(fetch, folder):
    full = fetch(data_home=folder)
    balanced = fetch(balanced=True, data_home=folder)
    assert balanced.feature_names == full.feature_names
    assert balanced.target.name == "target"
    assert balanced.favourable == 1
    assert balanced.target_names[1] == full.target_names[full.favourable]
    pd.testing.assert_frame_equal(balanced.data, full.data)


def test_environment_variable_names_the_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SKCT_DATA", str(folder))
    assert len(fetch_heloc().data) == 3
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        fetch_heloc(data_home=tmp_path)


def test_adult(folder):
    X, y = fetch_adult(data_home=folder, return_X_y=True)
    assert X.shape == (3, 14)
    assert y.tolist() == ["<=50K", ">50K", ">50K"]
    assert X["education"].cat.ordered
    assert X["education"].cat.categories.tolist() == list(EDUCATION)
    assert (X["education"].cat.codes + 1).tolist() == X["education_num"].tolist()
    assert not X["workclass"].cat.ordered
    assert X["workclass"].tolist() == ["State-gov", "?", "Private"]
    test = fetch_adult(subset="test", data_home=folder)
    assert test.frame.index.tolist() == [0]
    assert test.data["age"].tolist() == [25]
    assert len(fetch_adult(subset="train", data_home=folder).data) == 2


def test_california_is_cut_at_the_median(folder):
    data = fetch_california_housing(data_home=folder)
    assert data.target.tolist() == [0, 1, 1]
    assert "MedHouseVal" not in data.frame


def test_credit_default_spells_out_its_codes(folder):
    data = fetch_credit_default(data_home=folder)
    assert data.data.shape == (3, 23)
    assert data.data["SEX"].tolist() == ["male", "female", "female"]
    assert data.data["EDUCATION"].tolist() == [
        "undocumented 0",
        "university",
        "undocumented 6",
    ]
    assert data.data["MARRIAGE"].tolist() == ["undocumented 0", "married", "others"]
    assert data.data["PAY_0"].tolist() == [-2, 0, 8]
    assert data.target.tolist() == [1, 0, 0]
    assert data.target_names[data.favourable] == "no default"


def test_german_credit_spells_out_its_codes(folder):
    data = fetch_german_credit(data_home=folder)
    assert data.target.tolist() == ["good", "bad", "good"]
    assert data.data["status"].tolist() == ["<0", "0<=X<200", ">=200"]
    assert data.data["employment_since"].tolist() == [">=7", "unemployed", "<1"]
    assert data.data["employment_since"].max() == ">=7"
    kinds = data.data.dtypes.map(lambda t: isinstance(t, pd.CategoricalDtype))
    assert kinds.sum() == 13
    words = GERMAN_WORDS
    assert words["purpose"]["A410"] == "other"
    assert words["purpose"]["A49"] == "business"
    assert words["credit_history"]["A34"] == "critical/other existing credit"
    assert words["personal_status_sex"]["A94"] == "male mar/wid"
    assert words["job"]["A174"] == "high qualif/self emp/mgmt"


def test_compas_leaves_out_what_leaks_the_target(folder):
    data = fetch_compas(data_home=folder)
    assert data.feature_names == list(SOURCES["compas"].features)
    assert data.target.tolist() == [0, 1, 1]


def test_missing_values_of_gmsc_stay(folder):
    data = fetch_gmsc(data_home=folder)
    assert data.data.isna().sum().sum() == 2


def test_mnist(folder):
    data = fetch_mnist(data_home=folder)
    assert data.data.shape == (5, 784)
    assert data.data.dtype == np.uint8
    assert data.target.tolist() == [5, 0, 4, 7, 2]
    test = fetch_mnist(subset="test", data_home=folder)
    np.testing.assert_array_equal(test.data, data.data[3:])
    frame = fetch_mnist(subset="train", as_frame=True, data_home=folder).data
    with np.load(folder / "mnist.npz") as arrays:
        assert frame["pixel_2_7"].tolist() == arrays["x_train"][:, 2, 7].tolist()


# Downloads: OpenML's names and categories, as scikit-learn returns them.


def german_at_openml():
    ours = {name: column for column, name in GERMAN_NAMES.items()}
    table = german_table()
    for column, words in GERMAN_WORDS.items():
        table[column] = table[column].map(words).astype("category")
    return table.rename(columns=ours)


def adult_at_openml():
    table = adult_table().drop(columns="split").replace({"?": None})
    for column in table.select_dtypes(exclude="number"):
        table[column] = table[column].astype("category")
    return table.rename(columns=lambda c: c.replace("_", "-")).rename(
        columns={"income": "class"}
    )


def credit_at_openml():
    table = credit_table().astype(float)
    table.columns = [f"x{i}" for i in range(1, 24)]
    return table.assign(
        x2=pd.Categorical(["1", "2", "2"]), y=pd.Categorical(["1", "0", "0"])
    )


def mnist_at_openml():
    table = pd.DataFrame(np.full((60_002, 784), 255, dtype="int64"))
    table.columns = [f"pixel{i}" for i in range(1, 785)]
    labels = np.arange(60_002) % 10
    return table.assign(**{"class": pd.Categorical(labels.astype(str))})


OPENML = {
    31: german_at_openml,
    554: mnist_at_openml,
    1590: adult_at_openml,
    42477: credit_at_openml,
}


@pytest.fixture
def online(monkeypatch):
    """Pretend that OpenML answers; the list of what was asked."""
    asked = []

    def fetch_openml(*, data_id, as_frame, data_home):
        asked.append((data_id, as_frame, data_home))
        return Bunch(frame=OPENML[data_id]())

    monkeypatch.setattr(sklearn_datasets, "fetch_openml", fetch_openml)
    return asked


@pytest.fixture
def offline(monkeypatch):
    def fail(**params):
        raise URLError("no network")

    monkeypatch.setattr(sklearn_datasets, "fetch_openml", fail)
    monkeypatch.setattr(sklearn_datasets, "fetch_california_housing", fail)


@pytest.mark.parametrize(
    "fetch", [fetch_adult, fetch_credit_default, fetch_german_credit]
)
def test_openml_gives_the_same_table(fetch, folder, online):
    here, there = fetch(data_home=folder), fetch()
    assert len(online) == 1
    assert online[0][1:] == (True, None)
    pd.testing.assert_frame_equal(there.frame[here.frame.columns], here.frame)
    assert there.mutability == here.mutability


def test_downloads_are_kept_in_data_home(online, tmp_path):
    fetch_german_credit(data_home=tmp_path)
    assert online == [(31, True, tmp_path)]


def test_mnist_from_openml(online):
    X, y = fetch_mnist(subset="test", return_X_y=True)
    assert X.shape == (2, 784)
    assert X.dtype == np.uint8
    assert y.tolist() == [0, 1]


def test_california_from_scikit_learn(monkeypatch, folder):
    table = TABLES["california_housing"].copy()
    monkeypatch.setattr(
        sklearn_datasets,
        "fetch_california_housing",
        lambda **params: Bunch(frame=table),
    )
    pd.testing.assert_frame_equal(
        fetch_california_housing().frame,
        fetch_california_housing(data_home=folder).frame,
    )


def test_openml_does_not_know_the_split_of_adult(online):
    with pytest.raises(FileNotFoundError, match="adult.parquet"):
        fetch_adult(subset="train")


def test_a_changed_download_is_refused(monkeypatch, online):
    monkeypatch.setitem(OPENML, 31, lambda: german_at_openml().drop(columns="job"))
    with pytest.raises(ValueError, match="lacks the columns.*job"):
        fetch_german_credit()
    changed = german_at_openml().assign(employment=["7 years"] * 3)
    monkeypatch.setitem(OPENML, 31, lambda: changed)
    with pytest.raises(ValueError, match="employment_since.*7 years"):
        fetch_german_credit()


# Errors.


@pytest.mark.parametrize("fetch", FETCHERS)
def test_a_missing_file_says_what_and_where(fetch, tmp_path, offline):
    with pytest.raises(FileNotFoundError) as caught:
        fetch(data_home=tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "Original: " in message
    with pytest.raises(FileNotFoundError, match="SKCT_DATA is not set"):
        fetch()


@pytest.mark.parametrize("fetch", BALANCED)
def test_balanced_tables_are_never_downloaded(fetch, online):
    with pytest.raises(FileNotFoundError, match="_balanced.parquet.*Original"):
        fetch(balanced=True)
    assert not online


@pytest.mark.parametrize("fetch", [fetch_adult, fetch_mnist])
def test_unknown_subset(fetch, folder):
    with pytest.raises(ValueError, match="'all', 'train', 'test'.*'valid'"):
        fetch(subset="valid", data_home=folder)


def test_without_pyarrow(monkeypatch, folder):
    def read_parquet(path):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", read_parquet)
    with pytest.raises(ImportError, match=r'pip install "skct\[data\]"'):
        fetch_heloc(data_home=folder)


@pytest.mark.parametrize("name", datasets.__all__)
def test_docstrings_are_filled_in(name):
    doc = getattr(datasets, name).__doc__
    assert "{" not in doc.replace('{"all", "train", "test"}', "")
    assert "Returns\n    -------" in doc
    assert f"import {name}" in doc


def test_bunch_pickles(folder):
    data = fetch_adult(data_home=folder)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(data)).frame, data.frame)


# The real files.

REAL = [
    # fetch, parameters, rows, features, rows of the favourable (first) label
    (fetch_adult, {}, 48_842, 14, 11_687),
    (fetch_adult, {"subset": "train"}, 32_561, 14, 7_841),
    (fetch_adult, {"subset": "test"}, 16_281, 14, 3_846),
    (fetch_california_housing, {}, 20_640, 8, 10_325),
    (fetch_california_housing, {"balanced": True}, 20_630, 8, 10_315),
    (fetch_credit_default, {}, 30_000, 23, 23_364),
    (fetch_credit_default, {"balanced": True}, 13_272, 23, 6_636),
    (fetch_gmsc, {}, 150_000, 10, 139_974),
    (fetch_gmsc, {"balanced": True}, 16_714, 10, 8_357),
    (fetch_german_credit, {}, 1_000, 20, 700),
    (fetch_heloc, {}, 10_459, 23, 5_000),
    (fetch_compas, {}, 7_214, 8, 3_963),
]
needs_data = pytest.mark.skipif(
    "SKCT_DATA" not in os.environ, reason="SKCT_DATA does not name the data folder"
)


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(("fetch", "params", "rows", "features", "favourable"), REAL)
def test_real_tables(fetch, params, rows, features, favourable):
    data = fetch(**params)
    assert data.data.shape == (rows, features)
    assert (data.target == data.favourable).sum() == favourable
    assert set(data.mutability) <= set(data.feature_names)
    categories = data.data.select_dtypes("category")
    assert not categories.isna().any(axis=None)
    coded = categories.apply(lambda c: c.astype(str).str.fullmatch(r"A?\d+"))
    assert not coded.any(axis=None)


@pytest.mark.slow
@needs_data
def test_real_tables_have_the_papers_encoded_widths():
    adult = fetch_adult(subset="train").data
    encoded = pd.get_dummies(adult.astype({"education": str}))
    assert encoded.shape[1] == 108
    assert (adult["education"].cat.codes + 1 == adult["education_num"]).all()
    credit = fetch_credit_default(balanced=True).data
    assert pd.get_dummies(credit).shape[1] == 33


@pytest.mark.slow
@needs_data
def test_real_balanced_credit_is_the_flipped_one():
    full, balanced = fetch_credit_default(), fetch_credit_default(balanced=True)
    columns = full.feature_names
    bad = full.frame[full.target == 1][columns].drop_duplicates()
    flipped = balanced.frame[balanced.target == 0][columns].drop_duplicates()
    assert len(flipped.merge(bad)) == len(flipped) == len(bad)


@pytest.mark.slow
@needs_data
def test_real_mnist():
    data = fetch_mnist()
    assert data.data.shape == (70_000, 784)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.target[:60_000]).tolist() == counts
    assert data.feature_names == PIXELS
    assert len(fetch_mnist(subset="test").data) == 10_000


@pytest.mark.slow
@needs_data
def test_real_german_credit_in_a_pipeline():
    data = fetch_german_credit()
    encoder = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
            make_column_selector(dtype_include="category"),
        ),
    )
    for model in (
        quick(mutability=data.mutability, random_state=0),
        make_pipeline(encoder, quick(random_state=0)),
    ):
        fitted = clone(model).fit(data.data[:800], data.target[:800])
        assert fitted.score(data.data[800:], data.target[800:]) > 0.7
