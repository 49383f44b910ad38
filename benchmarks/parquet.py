"""Peak memory of explaining a Parquet file, part by part.

    python benchmarks/parquet.py [--rows 100000 1000000]

Each file is explained in a process of its own, 20,000 rows at a time.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from skct import CounterfactualExplainer, CounterfactualTrainingClassifier


def explain_file(explainer, source, destination, n_rows=20_000):
    """Write the answers for all rows of a Parquet file, `n_rows` at a time."""
    file, writer, done = pq.ParquetFile(source), None, 0
    for batch in file.iter_batches(batch_size=n_rows):
        part = batch.to_pandas()
        if isinstance(part.index, pd.RangeIndex):  # it starts anew in every batch
            part.index = range(done, done + len(part))
        answer = pa.Table.from_pandas(explainer.explain(part).to_frame())
        if writer is None:  # the columns keep their types in the file
            types = {field.name: field.type for field in file.schema_arrow}
            fields = [f.with_type(types.get(f.name, f.type)) for f in answer.schema]
            schema = pa.schema(fields, answer.schema.metadata)
            writer = pq.ParquetWriter(destination, schema)
        writer.write_table(answer.cast(schema))
        done += len(part)
    writer.close()


def people(n, seed):
    rng = np.random.default_rng(seed)
    jobs = np.array(["clerk", "cook", "nurse"])
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 70, n),
            "income": rng.gamma(4.0, 10.0, n).round(2),
            "job": pd.Categorical(rng.choice(jobs, n), jobs),
            "children": rng.integers(0, 4, n).astype("int8"),
        }
    )
    score = 0.05 * (table["income"] - 40) + 0.8 * (table["job"] == "nurse") - 0.3
    approved = score + 0.3 * rng.normal(size=n) > 0
    return table, np.where(approved, "approved", "denied")


def write_people(path, n_rows, size=100_000):
    """A file that is written in parts, too, of `size` rows each."""
    writer = None
    for start in range(0, n_rows, size):
        table, _ = people(min(size, n_rows - start), seed=start)
        part = pa.Table.from_pandas(table, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    writer.close()


def run(folder, n_rows):
    clf = CounterfactualTrainingClassifier(mutability={"age": "none"}, random_state=0)
    clf.set_params(net__max_epochs=20, net__lr=0.01).fit(*people(5_000, seed=1))
    source, destination = folder / "people.parquet", folder / "answers.parquet"
    write_people(source, n_rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    explain_file(CounterfactualExplainer(clf), source, destination)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers = pq.ParquetFile(destination)
    assert answers.metadata.num_rows == n_rows
    figures = {"peak MB": peak / 1024, "MB before": before / 1024, "seconds": seconds}
    print(json.dumps(figures))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.folder:
        run(options.folder, options.rows[0])
        return
    table = {}
    for n_rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--rows", str(n_rows)]
            command += ["--folder", folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            table[n_rows] = json.loads(done.stdout)
    print(pd.DataFrame(table).T.round(1).rename_axis("rows").to_string())


if __name__ == "__main__":
    main()
