"""Hypothesis strategies: random tables of every kind, labels, constraints, settings.

What hypothesis draws is a small recipe (`Case`) that shrinks well and prints in a few
lines; `Case.table` and its siblings build the data from it with numpy.
"""

from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skct import (
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    ECCCoGenerator,
    GenericGenerator,
    GravitationalGenerator,
    REVISEGenerator,
)

N_NEW = 6  # rows that training has not seen
WORDS = ["low", "middle", "high", "top"]
NAMES = [
    "age",
    "größe",
    "収入",
    "a b",
    "x__y",
    "",
    "target",
    "alternative",
    "😀",
    "age",
]


def negate(values):
    return -np.asarray(values, dtype=float)


class Kind(NamedTuple):
    """How a column is made, and what one may ask of it."""

    make: object  # (rng, n) -> values of one column
    nature: str = "number"  # or "category", "ordered", "refused"
    frame_only: bool = True


def normal(scale=1.0, offset=0.0, dtype=float):
    return Kind(
        lambda rng, n: (offset + scale * rng.standard_normal(n)).astype(dtype),
        frame_only=False,
    )


def whole(low, high, dtype):
    def make(rng, n):
        values = rng.integers(low, high, n, endpoint=True, dtype=np.dtype(dtype).type)
        return values.astype(dtype)

    return Kind(make, frame_only=False)


def holes(make, dtype, share=0.2):
    """Values with some missing; the first is always there."""

    def make_with_holes(rng, n):
        values = pd.Series(make(rng, n)).astype(object)
        gone = rng.random(n) < share
        gone[0] = False
        values[gone] = np.nan if dtype in (float, "float32") else None
        return values.astype(dtype)

    return make_with_holes


def words(rng, n):
    return rng.choice(WORDS[:3], n).astype(object)


def category(categories, ordered, used):
    """Categorical column that uses the first `used` of its categories."""

    def make(rng, n):
        codes = rng.integers(0, used, n)
        return pd.Categorical.from_codes(codes, categories=categories, ordered=ordered)

    return Kind(make, "ordered" if ordered else "category")


def objects(*values):
    """Object column of some values."""

    def make(rng, n):
        out = np.empty(n, dtype=object)
        out[:] = [values[i] for i in rng.integers(0, len(values), n)]
        out[0] = values[0]  # training sees text where there is any
        return out

    return make


def integers(rng, n):
    return rng.integers(0, 20, n)


def normals(rng, n):
    return rng.standard_normal(n)


def constant(value):
    return lambda rng, n: pd.Series([value] * n)


KINDS = {
    "float64": normal(),
    "float32": normal(dtype="float32"),
    "float16": normal(dtype="float16"),
    "money": normal(2e4, 5e4),
    "tiny": normal(1e-30),
    "tiny float32": normal(1e-30, dtype="float32"),
    "huge": normal(1e30),
    "huge float32": normal(1e30, dtype="float32"),
    "far": normal(1.0, 1e9),
    "far float32": normal(300.0, 1e6, "float32"),
    "int8": whole(-128, 127, "int8"),
    "int16": whole(-3000, 3000, "int16"),
    "int32": whole(-20, 20, "int32"),
    "int64": whole(0, 10**6, "int64"),
    "big int64": whole(2**60, 2**60 + 5000, "int64"),
    "whole int64": whole(-(2**63), 2**63 - 1, "int64"),
    "uint8": whole(0, 255, "uint8"),
    "uint16": whole(0, 9, "uint16"),
    "uint32": whole(0, 2**32 - 1, "uint32"),
    "uint64": whole(2**63, 2**64 - 1, "uint64"),
    "0/1": Kind(lambda rng, n: rng.integers(0, 2, n).astype(float), frame_only=False),
    "0/1 int": whole(0, 1, "int64"),
    "one value": Kind(constant(3.7), frame_only=False),
    "zeros": Kind(constant(0.0), frame_only=False),
    "one int": Kind(constant(-7), frame_only=False),
    "nan": Kind(holes(normals, float), frame_only=False),
    "nan float32": Kind(holes(normals, "float32"), frame_only=False),
    "whole nan": Kind(holes(integers, float), frame_only=False),
    "Int64": Kind(holes(integers, "Int64")),
    "UInt8": Kind(holes(integers, "UInt8")),
    "Float64": Kind(holes(normals, "Float64")),
    "Float32": Kind(holes(normals, "Float32")),
    "double[pyarrow]": Kind(holes(normals, "double[pyarrow]")),
    "int16[pyarrow]": Kind(holes(integers, "int16[pyarrow]")),
    "Sparse": Kind(lambda rng, n: pd.arrays.SparseArray(integers(rng, n) * 1.0)),
    "object int": Kind(lambda rng, n: integers(rng, n).astype(object)),
    "object float": Kind(holes(normals, object)),
    "object text": Kind(lambda rng, n: integers(rng, n).astype(str).astype(object)),
    "object digits": Kind(lambda rng, n: normals(rng, n).astype(str).astype(object)),
    "object numbers": Kind(objects(1, 2.5, np.float32(0.1), np.int8(4))),
    "decimals": Kind(objects(Decimal("1.10"), Decimal("2.25"), Decimal("-3"))),
    "bool": Kind(lambda rng, n: rng.random(n) < 0.4, "category"),
    "boolean": Kind(holes(lambda rng, n: rng.random(n) < 0.4, "boolean"), "category"),
    "object bool": Kind(objects(True, False), "category"),
    "object": Kind(words, "category"),
    "object mixed": Kind(objects("a", 1, 2.5, "é"), "category"),
    "object holes": Kind(holes(words, object), "category"),
    "str": Kind(holes(words, "str"), "category"),
    "string": Kind(holes(words, "string"), "category"),
    "one word": Kind(constant("same"), "category"),
    "category": category(WORDS, False, 3),
    "unused": category(WORDS, False, 2),
    "category of ints": category([3, 1, 2], False, 3),
    "ordered": category(WORDS, True, 4),
    "ordered unused": category(WORDS, True, 2),
    "ordered of ints": category([1, 2, 10], True, 3),
    "ordered holes": Kind(
        holes(category(WORDS, True, 3).make, pd.CategoricalDtype(WORDS, ordered=True)),
        "ordered",
    ),
    "interval": Kind(lambda rng, n: pd.cut(rng.random(n), [0, 0.3, 0.7, 1]), "ordered"),
    "date": Kind(lambda rng, n: pd.date_range("2020", periods=n), "refused"),
    "duration": Kind(lambda rng, n: pd.to_timedelta(integers(rng, n), "D"), "refused"),
    "complex": Kind(lambda rng, n: normals(rng, n) + 1j, "refused"),
}
RUN = 3  # columns of a one-hot run
ONE_HOT = [f"run {i}" for i in range(RUN)]
RUNS = {"run": ONE_HOT}
KINDS.update({name: Kind(None, frame_only=False) for name in ONE_HOT})
REFUSED = [name for name, kind in KINDS.items() if kind.nature == "refused"]
NUMBERS = [
    name
    for name, kind in KINDS.items()
    if kind.nature == "number" and not kind.frame_only and name not in ONE_HOT
]
PLAIN = [
    *("float64", "float32", "money", "int8", "int32", "uint16", "0/1", "0/1 int"),
    *("one value", "object", "category", "ordered", "bool"),
]
POLARS = [
    *("float64", "float32", "nan", "money", "tiny", "huge", "int8", "int64", "uint8"),
    *("big int64", "uint64", "Int64", "UInt8", "0/1", "one value", "bool", "boolean"),
    *("str", "object", "category", "ordered", "ordered unused"),
]
ARRAYS = {
    "float64": float,
    "float32": "float32",
    "fortran": float,
    "read only": float,
    "list": float,
    "object": object,
    "int64": "int64",
    "int8": "int8",
    "uint8": "uint8",
    "bool": bool,
    "csr": float,
    "csc": "float32",
    "csr array": float,
}
DENSE = ["pandas", "polars", *[name for name in ARRAYS if name[:2] != "cs"]]
LABELS = {
    "str": lambda k: f"class {k}",
    "non-ASCII": lambda k: "äöü収入😀ßéñøçłž"[k],
    "int": int,
    "negative": lambda k: -3 * k,
    "large": lambda k: 10**12 + k,
    "float": float,
    "bool": bool,
    "numpy": np.int16,
    "category": lambda k: f"class {k}",
    "string": lambda k: f"class {k}",
    "list": lambda k: f"class {k}",
    "Int64": int,
}
FRONT = ["transformer", "pipeline"]
INDICES = ["range", "labels", "repeated", "dates", "two levels"]
GENERATORS = {
    "generic": GenericGenerator(max_iter=8),
    "generic mad": GenericGenerator(max_iter=8, distance="mad"),
    "eccco": ECCCoGenerator(max_iter=8),
    "revise": REVISEGenerator(max_iter=5, hidden_size=4, n_epochs=2, latent_dim=2),
    "gravitational": GravitationalGenerator(max_iter=8),
}
SCALERS = {
    "passthrough": "passthrough",
    "standard": StandardScaler(),
    "min-max": MinMaxScaler(),
    "max-abs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "impute": make_pipeline(SimpleImputer(), StandardScaler()),
    "power": PowerTransformer(),
    "quantile": QuantileTransformer(n_quantiles=2),
    "negate": FunctionTransformer(negate, negate, check_inverse=False),
}
ENCODERS = {
    "one-hot": OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
    "sparse one-hot": OneHotEncoder(handle_unknown="ignore"),
    "drop first": OneHotEncoder(drop="first", handle_unknown="ignore"),
    "if binary": OneHotEncoder(drop="if_binary", sparse_output=False),
    "ordinal": OrdinalEncoder(),
    "scaled": make_pipeline(OneHotEncoder(sparse_output=False), StandardScaler()),
}


class Case(NamedTuple):
    """Recipe of a table, its labels, a classifier and questions to it."""

    container: str
    kinds: list
    n: int
    seed: int
    names: str
    index: str
    labels: str
    n_classes: int
    imbalance: float
    words: list
    by: str
    domain: list | None
    generator: str
    preprocessor: str
    scaler: str
    encoder: str
    plain: bool
    refine: bool
    plausibility_weight: float
    batch_size: int | None
    target: str
    n_alternatives: int
    patient: bool
    fits: bool

    def tables(self):
        """Training table and the table that is explained."""
        frame = self.frame()
        picked = np.random.default_rng(self.seed).integers(0, self.n, N_NEW)
        explained = frame.iloc[[*picked, *range(self.n, self.n + N_NEW)]]
        if self.front and self.encoder in ("if binary", "ordinal", "scaled"):
            explained = frame.iloc[picked]  # unknown categories are the encoder's error
        return self.contain(frame.iloc[: self.n]), self.contain(explained)

    @property
    def front(self):
        """Whether scikit-learn transformers encode the table."""
        return self.preprocessor in FRONT

    def frame(self):
        """All rows as one frame."""
        rng, size = np.random.default_rng(self.seed), self.n + N_NEW
        run = np.eye(RUN)[rng.integers(0, RUN, size)]
        columns = [
            run[:, ONE_HOT.index(kind)]
            if kind in ONE_HOT
            else KINDS[kind].make(rng, size)
            for kind in self.kinds
        ]
        columns = [  # pandas 3 would make text of objects that are strings
            pd.Series(values, dtype=values.dtype).reset_index(drop=True)
            for values in columns
        ]
        frame = pd.concat(columns, axis=1)
        return frame.set_axis(self.column_names(), axis=1).set_axis(self.rows(size))

    def column_names(self):
        """Names of all columns: unique words, repeated ones or numbers."""
        k = len(self.kinds)
        if self.names == "numbers":
            return list(range(k))[::-1]
        if self.names == "repeated":
            return [NAMES[i % 3] for i in range(k)]
        return [f"{NAMES[i % len(NAMES)]}{i}" for i in range(k)]

    def rows(self, size):
        """Row labels."""
        return {
            "range": pd.RangeIndex(size),
            "labels": pd.Index([f"r{i}" for i in range(size)]),
            "repeated": pd.Index(np.arange(size) // 3, name="person"),
            "dates": pd.date_range("2020", periods=size),
            "two levels": pd.MultiIndex.from_arrays([np.arange(size) // 2, [7] * size]),
        }[self.index]

    def contain(self, frame):
        """The table in the container of this case."""
        if self.container == "pandas":
            return frame
        if self.container == "polars":
            return as_polars(frame)
        values = frame.to_numpy(dtype=float, na_value=np.nan)
        dtype = ARRAYS[self.container]
        if np.dtype(dtype).kind in "iu":
            info = np.iinfo(dtype)
            with np.errstate(invalid="ignore"):
                values = np.clip(np.round(values), info.min / 2, info.max / 2)
        array = values.astype(dtype)
        array.setflags(write=self.container != "read only")
        return {
            "fortran": np.asfortranarray,
            "list": np.ndarray.tolist,
            "csr": sparse.csr_matrix,
            "csc": sparse.csc_matrix,
            "csr array": sparse.csr_array,
        }.get(self.container, np.asarray)(array)

    def label_values(self):
        """Labels of the training rows; a class has one row at least."""
        rng = np.random.default_rng(self.seed + 1)
        share = self.imbalance ** np.arange(self.n_classes)
        codes = rng.choice(self.n_classes, self.n, p=share / share.sum())
        codes[: self.n_classes] = np.arange(self.n_classes)[: self.n]
        codes = rng.permutation(codes)
        values = [LABELS[self.labels](int(k)) for k in codes]
        if self.labels == "list":
            return values
        if self.labels in ("category", "string", "Int64"):
            return pd.Series(values, dtype=self.labels, index=self.rows(self.n))
        return np.array(values)

    def column_key(self, position):
        """How mutability and domain name a column: by name where that is unique."""
        names = self.column_names()
        named = self.container in ("pandas", "polars")
        if self.names == "numbers" and named:
            return names[position]
        unique = names.count(names[position]) == 1
        return (
            names[position] if named and unique and self.by != "position" else position
        )

    def mutability(self):
        """Mutability as the user writes it."""
        if self.by == "array":
            return list(self.words)
        return {
            self.column_key(i): word
            for i, word in enumerate(self.words)
            if word != "both" or self.seed % 2
        }

    def bounds(self):
        """Domain as the user writes it, and by position, from the training rows."""
        if self.domain is None or not any(self.domain):
            return self.domain and "auto", {}
        by_position, columns = {}, columns_of(self.tables()[0])
        for position, wanted in enumerate(self.domain):
            present = [v for v in columns[position] if not is_missing(v)]
            if not wanted or not len(present):
                continue
            if self.nature(position) == "number":
                numbers = sorted(float(v) for v in present)
                low, high = numbers[len(numbers) // 4], numbers[-1 - len(numbers) // 4]
                by_position[position] = {
                    "inner": (low, high),
                    "from": (low, None),
                    "to": (None, high),
                    "wide": (-2 * abs(numbers[0]) - 1, 2 * abs(numbers[-1]) + 1),
                }[wanted]
            else:
                seen = sorted(set(present), key=str)
                by_position[position] = seen[: 1 + len(seen) // 2]
        named = {self.column_key(i): value for i, value in by_position.items()}
        return named or "auto", by_position

    def nature(self, position):
        """What the column counts as in its container."""
        nature = KINDS[self.kinds[position]].nature
        if self.preprocessor == "none" and self.kinds[position] == "bool":
            return "number"
        return nature

    def classifier(self):
        """Unfitted classifier, or a Pipeline that ends in one."""
        net = CounterfactualNet(
            max_epochs=1, batch_size=64, module__hidden_layer_sizes=(6,), lr=0.02
        )
        mutability, domain = self.mutability(), self.bounds()[0]
        plain = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}
        clf = CounterfactualTrainingClassifier(
            net,
            generator=GENERATORS[self.generator],
            mutability=None if self.preprocessor == "pipeline" else mutability,
            domain="auto" if self.preprocessor == "pipeline" else domain,
            random_state=self.seed % 1000,
            objective="teacher" if self.seed % 3 == 1 else "paper",
            **(plain if self.plain else {}),
        )
        if self.preprocessor == "pipeline":
            return make_pipeline(self.transformer(), clf)
        chosen = {"none": None, "transformer": self.transformer()}
        return clf.set_params(preprocessor=chosen.get(self.preprocessor, "auto"))

    def transformer(self):
        """ColumnTransformer of one scaler and one encoder."""
        positions = range(len(self.kinds))
        numeric = [i for i in positions if self.nature(i) == "number"]
        others = [i for i in positions if i not in numeric]
        parts = [
            ("numbers", SCALERS[self.scaler], numeric),
            ("categories", ENCODERS[self.encoder], others),
        ]
        return ColumnTransformer([part for part in parts if part[2]])


def columns_of(table):
    """Columns of a table of any type, as lists of Python objects."""
    if sparse.issparse(table):
        table = table.toarray()
    if hasattr(table, "iloc"):
        return [table.iloc[:, j].astype(object).tolist() for j in range(table.shape[1])]
    if hasattr(table, "to_dict"):  # polars
        return [values.to_list() for values in table.get_columns()]
    return [list(values) for values in np.asarray(table).T]


def is_missing(value):
    return value is None or value is pd.NA or value != value


def as_polars(frame):
    """Polars frame; ordered categories become an Enum."""
    import polars as pl

    integers = [f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
    numeric = {
        name.lower(): getattr(pl, name) for name in ("Float32", "Float64", *integers)
    }
    columns = []
    for name, values in frame.items():
        dtype = values.dtype
        objects = [None if pd.isna(v) else v for v in values.astype(object)]
        if isinstance(dtype, pd.CategoricalDtype):
            kind = pl.Enum(list(dtype.categories)) if dtype.ordered else pl.Categorical
        elif pd.api.types.is_bool_dtype(dtype):
            kind = pl.Boolean
        elif pd.api.types.is_numeric_dtype(dtype):
            kind = numeric[str(dtype).lower()]
        else:
            kind = pl.String
        columns.append(pl.Series(name, objects, dtype=kind))
    return pl.DataFrame(columns)


@st.composite
def cases(draw):
    """Random `Case`: any table, any labels, any constraints, any settings."""

    def one_of(values):
        return draw(st.sampled_from(list(values)))

    container = one_of(["pandas", "pandas", "pandas", "polars", *ARRAYS])
    preprocessors = ["auto", "auto", "none", "transformer", "pipeline"]
    if container in ("polars", "object", "list"):
        preprocessors = ["auto"]
    preprocessor = one_of(preprocessors)
    scaler = one_of(SCALERS if container in DENSE else ["passthrough", "max-abs"])
    kinds = draw(kinds_of(container, preprocessor, scaler))
    if (
        container == "pandas"
        and preprocessor == "auto"
        and one_of([False] * 19 + [True])
    ):
        kinds = [*kinds[:-1], one_of(REFUSED)]
    natures = [KINDS[kind].nature for kind in kinds]
    if container not in ("pandas", "polars"):
        natures = ["number"] * len(kinds)
    encoder = one_of(ENCODERS)
    if encoder in ("drop first", "if binary", "ordinal") and preprocessor in FRONT:
        # Encoders sort categories by name, and lose their order.
        natures = ["category" if n == "ordered" else n for n in natures]
    words = [one_of(WORDS_OF[nature]) for nature in natures]
    wanted = {"number": [None, "inner", "from", "to", "wide"]}
    bounds = [one_of(wanted.get(nature, [None, "some"])) for nature in natures]
    labels = one_of(LABELS)
    names = ["unique", "unique", "numbers", "repeated"]
    if container == "polars":
        names = ["unique"]
    elif preprocessor in FRONT or one_of([True] * 9 + [False]):
        names.remove("repeated")  # refused
    n = draw(st.integers(2, 12) | st.integers(12, 120) | st.integers(1, 500))
    if scaler == "power" and n < 30:
        scaler = "standard"  # of so few rows the bend may be extreme
    return Case(
        container=container,
        kinds=kinds,
        n=draw(
            st.one_of(st.integers(2, 12), st.integers(12, 120), st.integers(1, 500))
        ),
        seed=draw(st.integers(0, 2**32 - 1)),
        names=one_of(names),
        index=one_of(INDICES),
        labels=labels,
        n_classes=2 if labels == "bool" else draw(st.integers(2, 12)),
        imbalance=one_of([1.0, 0.8, 0.02]),
        words=words,
        by=one_of(["name", "position", "array"]),
        domain=one_of([None, bounds, [None] * len(kinds)]),
        generator=one_of(GENERATORS),
        preprocessor=preprocessor,
        scaler=scaler,
        encoder=encoder,
        plain=draw(st.booleans()),
        refine=draw(st.booleans()),
        plausibility_weight=one_of([0.0, 0.5, 2.0]),
        batch_size=one_of([None, 4, 100]),
        target=one_of(["runner-up", "label", "each", "constructor"]),
        n_alternatives=one_of([1, 1, 1, 2, 4]),
        patient=one_of([False] * 9 + [True]),
        fits=draw(st.booleans()),
    )


WORDS_OF = {
    "number": ["both", "none", "increase", "decrease"],
    "ordered": ["both", "none", "increase", "decrease"],
    "category": ["both", "none"],
    "refused": ["both"],
}


def kinds_of(container, preprocessor, scaler):
    """Strategy of the columns that fit a container and a preprocessor."""
    if preprocessor in FRONT:
        kinds = [kind for kind in PLAIN if container == "pandas" or kind in NUMBERS]
        kinds += ["nan"] if scaler == "impute" else []
    elif preprocessor == "none":
        kinds = [kind for kind in NUMBERS if "nan" not in kind]
    elif container == "pandas":
        kinds = [kind for kind in KINDS if kind not in (*ONE_HOT, *REFUSED)]
    else:
        kinds = POLARS if container == "polars" else NUMBERS
    if preprocessor != "auto" or container in ("int64", "int8", "uint8", "bool", "csc"):
        kinds = [kind for kind in kinds if "nan" not in kind and "uge" not in kind]
    one = st.sampled_from([*kinds, "run"]).map(lambda kind: RUNS.get(kind, [kind]))
    small, large = (st.lists(one, min_size=1, max_size=size) for size in (6, 40))
    return st.one_of(small, small, large).map(lambda parts: sum(parts, [])[:40])
