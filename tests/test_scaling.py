"""More than one process, and tables larger than memory."""

import os
import pickle
import re
import subprocess
import sys
import weakref
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import people, quick
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from train_distributed import CASES, PLAIN, numbers, train, train_classifier

from skct import CounterfactualExplainer, CounterfactualNet
from skct.distributed import DistributedCounterfactualNet
from skct.scoring import get_scorer

ROOT = Path(__file__).parent.parent
two_processes = pytest.mark.slow  # real ones, which take a while to start; CI runs them


def assert_same_answers(ours, theirs, fixed=("age", "married")):
    """Same figures to 1e-5 and same table, immutable columns to the bit."""
    ours, theirs = ours.sort_index(), theirs.sort_index()
    assert list(ours.columns) == list(theirs.columns)
    assert list(ours.index) == list(theirs.index)
    for name in ours:
        if ours[name].dtype.kind == "f":
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-4)
        else:
            assert (ours[name].astype(object) == theirs[name].astype(object)).all()
    for name in fixed:
        assert ours[name].to_numpy().tobytes() == theirs[name].to_numpy().tobytes()


# ------------------------------------------------------------------------------ Dask


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def partitions(denied):
    dd = pytest.importorskip("dask.dataframe")
    return dd.from_pandas(denied, npartitions=3, sort=False)


def test_a_token_is_that_of_what_was_learnt(applicants, fitted):
    X, y = applicants
    token = fitted.__dask_tokenize__()
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy.__dask_tokenize__() == token
    twins = [quick(2).fit(X, y).__dask_tokenize__() for _ in range(2)]
    assert twins[0] == twins[1]
    other = [quick(2, random_state=1).fit(X, y), quick(3).fit(X, y), quick(2)]
    assert all(clf.__dask_tokenize__() != twins[0] for clf in other)
    module = next(copy.module_.parameters())
    module.data[0] += 1e-6
    assert copy.__dask_tokenize__() != token


def test_an_explainer_has_the_token_of_its_parts(applicants, fitted):
    X, y = applicants
    explainer = CounterfactualExplainer(fitted)
    token = explainer.__dask_tokenize__()
    assert CounterfactualExplainer(fitted).__dask_tokenize__() == token
    others = [
        CounterfactualExplainer(fitted, target="approved"),
        CounterfactualExplainer(fitted).fit(X, y),
        CounterfactualExplainer(quick(2).fit(X, y)),
    ]
    assert all(other.__dask_tokenize__() != token for other in others)


def block(words):
    """The code of the page on scaling that has these words."""
    page = (ROOT / "docs" / "guide" / "scaling.md").read_text()
    (found,) = [b for b in re.findall(r"```py\n(.*?)```", page, re.S) if words in b]
    return found


def process(estimator, X, y):
    """Number of the process that asks for this score."""
    return os.getpid()


@two_processes
def test_a_grid_search_on_a_cluster_gives_the_scores_of_one_process(client):
    X, y = people()
    X = X[["age", "income", "children"]]
    pipe = make_pipeline(StandardScaler(), quick(3))
    grid = {"counterfactualtrainingclassifier__net__lr": [0.001, 0.01]}
    scoring = {"loss": "neg_log_loss", "ip": get_scorer("neg_implausibility")}
    search = GridSearchCV(
        pipe, grid, cv=2, scoring={**scoring, "process": process}, refit=False
    )
    results = [search.fit(X, y).cv_results_]
    with joblib.parallel_config(backend="dask"):
        results.append(search.fit(X, y).cv_results_)
    for name in ("loss", "ip"):
        for fold in (0, 1):
            key = f"split{fold}_test_{name}"
            np.testing.assert_array_equal(results[0][key], results[1][key])
    used = {n for fold in (0, 1) for n in results[1][f"split{fold}_test_process"]}
    assert used <= set(client.run(os.getpid).values())


@two_processes
def test_partitions_get_the_answers_of_one_process(client, partitions, denied, fitted):
    explainer = CounterfactualExplainer(fitted, target="approved")
    spread = partitions.map_partitions(explainer.transform, meta=partitions._meta)
    assert_same_answers(spread.compute(), explainer.transform(denied))


@two_processes
def test_partitions_bring_their_figures_even_empty_ones(
    client, partitions, denied, fitted
):
    names = {"CounterfactualExplainer": CounterfactualExplainer, "clf": fitted}
    names |= {"X": denied, "table": partitions}
    exec(block("map_partitions"), names)
    alone = fitted.explain(denied, "approved").to_frame()
    assert_same_answers(names["answers"].compute(), alone)
    names["table"] = partitions[partitions["income"] <= denied["income"].min()]
    exec(block("map_partitions"), names)
    assert len(names["answers"].compute()) == 1


# --------------------------------------------------------------------------- Parquet


def write_in_parts(table, path, size=40):
    """Parquet file whose row groups have the categories they need, no others."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    schema = pa.Table.from_pandas(table).schema
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(table), size):
            part = table[start : start + size].copy()
            part["education"] = part["education"].cat.remove_unused_categories()
            writer.write_table(pa.Table.from_pandas(part, schema=schema))


class Watched:
    """An explainer that notes how many rows it is given, and how many parts live."""

    def __init__(self, explainer):
        self.explainer, self.sizes, self.alive, self.parts = explainer, [], [], []

    def explain(self, part):
        self.sizes.append(len(part))
        self.alive.append(sum(ref() is not None for ref in self.parts))
        self.parts.append(weakref.ref(part))
        return self.explainer.explain(part)


def test_a_file_gets_the_answers_of_a_table_part_by_part(denied, fitted, tmp_path):
    denied = denied.sort_values("education")
    write_in_parts(denied, tmp_path / "in.parquet")
    explainer = Watched(CounterfactualExplainer(fitted, target="approved"))
    names = {}
    exec(block("ParquetWriter"), names)
    names["explain_file"](
        explainer, tmp_path / "in.parquet", tmp_path / "out.parquet", 40
    )
    answers = pd.read_parquet(tmp_path / "out.parquet")
    alone = fitted.explain(denied, "approved").to_frame()
    assert list(answers.index) == list(denied.index)
    assert answers["education"].dtype == denied["education"].dtype
    assert_same_answers(answers, alone)
    read_schema = names["pq"].read_schema
    written = read_schema(tmp_path / "out.parquet")
    for field in read_schema(tmp_path / "in.parquet"):
        assert written.field(field.name).type == field.type
    assert max(explainer.sizes) <= 40
    assert len(explainer.sizes) >= len(denied) / 40 > 3
    assert max(explainer.alive) <= 1  # the part before, until it is replaced


def test_rows_of_a_file_are_numbered_through(denied, fitted, tmp_path):
    rows = denied[:50].reset_index(drop=True)
    write_in_parts(rows, tmp_path / "in.parquet", 20)
    names = {}
    exec(block("ParquetWriter"), names)
    names["explain_file"](
        CounterfactualExplainer(fitted),
        tmp_path / "in.parquet",
        tmp_path / "out.parquet",
        20,
    )
    answers = pd.read_parquet(tmp_path / "out.parquet")
    assert list(answers.index) == list(range(50))


def test_the_benchmark_measures_what_the_page_shows():
    code = (ROOT / "benchmarks" / "parquet.py").read_text()
    (function,) = re.findall(r"^def explain_file.*?close\(\)\n", code, re.S | re.M)
    assert function in block("ParquetWriter")


# -------------------------------------------------------------------------- torchrun


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What two processes have learnt, each for itself."""
    if not torch.distributed.is_available():
        pytest.skip("this torch cannot train in several processes")
    folder = tmp_path_factory.mktemp("run")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", str(ROOT / "tests" / "train_distributed.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(folder)], check=True, env=environment, timeout=300)
    return [dict(np.load(folder / f"{rank}.npz")) for rank in (0, 1)], folder


@pytest.fixture
def run(ran):
    return ran[0]


@two_processes
def test_every_process_searches_its_share(ran):
    searched = [int(np.load(ran[1] / f"searched by {rank}.npy")) for rank in (0, 1)]
    assert searched == [31, 30]


@two_processes
def test_all_processes_end_with_the_same_bits(run):
    assert set(run[0]) == set(run[1])
    assert "batch norm" in run[0]
    for name in run[0]:
        assert run[0][name].tobytes() == run[1][name].tobytes(), name


@two_processes
@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_what_one_does(run, name):
    """Up to the order of float sums: 1e-7 were seen, where weights move by 0.3."""
    weights, loss = numbers(train(CounterfactualNet, **CASES[name]))
    np.testing.assert_allclose(run[0][name], weights, rtol=0, atol=1e-5)
    np.testing.assert_allclose(run[0][f"loss of {name}"], loss, rtol=0, atol=1e-5)


@two_processes
def test_a_classifier_trains_on_two_processes_what_it_does_on_one(run):
    weights, _ = numbers(train_classifier(CounterfactualNet).net_)
    np.testing.assert_allclose(run[0]["classifier"], weights, rtol=0, atol=1e-5)


@two_processes
def test_processes_that_differ_in_their_seeds_are_told(run):
    assert "random_state differ" in str(run[0]["other seeds"])


@two_processes
def test_all_processes_stop_where_one_loss_is_not_finite(run):
    assert run[0]["epochs until infinity"] < PLAIN["max_epochs"]


def test_without_a_group_of_processes_nothing_is_trained():
    with pytest.raises(RuntimeError, match="torchrun"):
        train(DistributedCounterfactualNet)
