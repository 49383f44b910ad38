"""The tables behind `fetch_*`: what is known about each, its file, its download."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from sklearn import datasets as sklearn_datasets

from ..utils.validation import wrong

__all__ = ["NOT_FEATURES", "SOURCES", "Source", "load", "variant"]

DataHome: TypeAlias = str | os.PathLike | None
# Identifiers, and the split into training and test rows: they say nothing about a row.
NOT_FEATURES = ("id", "ID", "split")
PIXELS = [f"pixel_{row}_{column}" for row in range(28) for column in range(28)]


class Source(NamedTuple):
    """What is known about one table."""

    file: str
    origin: str
    licence: str
    target: str
    target_names: tuple
    favourable: object
    note: str
    protected: tuple = ()  # immutable, like `fixed`
    fixed: tuple = ()
    increase: tuple = ()
    features: tuple = ()  # default: all but target and NOT_FEATURES
    words: Mapping = MappingProxyType({})  # column: {code: word}
    ordered: Mapping = MappingProxyType({})  # column: categories, lowest first
    unknown: str | None = None  # stands for missing categories
    download: Callable | None = None  # data_home -> table

    @property
    def mutability(self) -> dict[str, str]:
        """Suggested mutability."""
        fixed = dict.fromkeys((*self.protected, *self.fixed), "none")
        return fixed | dict.fromkeys(self.increase, "increase")


def openml(
    data_id: int, names: Mapping[str, str], dtype: str | None = None
) -> Callable[[DataHome], pd.DataFrame]:
    """Make a download of the OpenML table `data_id`; `names` maps its columns."""

    def download(data_home: DataHome) -> pd.DataFrame:
        table = sklearn_datasets.fetch_openml(
            data_id=data_id, as_frame=True, data_home=data_home
        ).frame.rename(columns=lambda c: names.get(c, c.replace("-", "_")))
        return table if dtype is None else table.astype(dtype)

    return download


def download_california(data_home: DataHome) -> pd.DataFrame:
    """Download California housing."""
    return sklearn_datasets.fetch_california_housing(
        data_home=data_home, as_frame=True
    ).frame


def download_mnist(data_home: DataHome) -> pd.DataFrame:
    """Download MNIST; OpenML also has the 60,000 training images first."""
    table = openml(554, {}, dtype="uint8")(data_home)
    labels = table.pop("class")
    return as_digits(table.to_numpy(), labels.to_numpy(), 60_000)


def as_digits(images: np.ndarray, labels: np.ndarray, n_train: int) -> pd.DataFrame:
    """Table of images, one column per pixel."""
    table = pd.DataFrame(images.reshape(len(images), -1), columns=PIXELS)
    split = np.where(np.arange(len(images)) < n_train, "train", "test")
    return table.assign(**{"class": labels.astype("int64"), "split": split})


EDUCATION = (
    *("Preschool", "1st-4th", "5th-6th", "7th-8th", "9th", "10th", "11th", "12th"),
    *("HS-grad", "Some-college", "Assoc-voc", "Assoc-acdm", "Bachelors", "Masters"),
    *("Prof-school", "Doctorate"),
)
# OpenML calls these columns x1 to x23, in this order. There is no PAY_1.
CREDIT = (
    *("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"),
    *(f"PAY_{i}" for i in (0, 2, 3, 4, 5, 6)),
    *(f"BILL_AMT{i}" for i in range(1, 7)),
    *(f"PAY_AMT{i}" for i in range(1, 7)),
)
CREDIT_Y = {"y": "default_payment_next_month"}
# Codes that occur in the table and that its documentation does not explain.
UNDOCUMENTED = {code: f"undocumented {code}" for code in (0, 5, 6)}
DEGREES = {1: "graduate school", 2: "university", 3: "high school", 4: "others"}
CREDIT_WORDS = {
    "SEX": {1: "male", 2: "female"},
    "EDUCATION": DEGREES | UNDOCUMENTED,
    "MARRIAGE": {1: "married", 2: "single", 3: "others"} | UNDOCUMENTED,
}
# Column; column at OpenML; first code; OpenML's words for the codes from there on.
GERMAN = """
status; checking_status; A11; <0, 0<=X<200, >=200, no checking
credit_history; ; A30; no credits/all paid, all paid, existing paid, delayed previously
credit_history; ; A34; critical/other existing credit
purpose; ; A40; new car, used car, furniture/equipment, radio/tv, domestic appliance
purpose; ; A45; repairs, education, vacation, retraining, business
purpose; ; A410; other
savings; savings_status; A61; <100, 100<=X<500, 500<=X<1000, >=1000, no known savings
employment_since; employment; A71; unemployed, <1, 1<=X<4, 4<=X<7, >=7
installment_rate; installment_commitment; ;
personal_status_sex; personal_status; A91; male div/sep, female div/dep/mar
personal_status_sex; ; A93; male single, male mar/wid, female single
other_debtors; other_parties; A101; none, co applicant, guarantor
property; property_magnitude; A121; real estate, life insurance, car, no known property
other_installment_plans; other_payment_plans; A141; bank, stores, none
housing; ; A151; rent, own, for free
job; ; A171; unemp/unskilled non res, unskilled resident, skilled
job; ; A174; high qualif/self emp/mgmt
people_liable; num_dependents; ;
telephone; own_telephone; A191; none, yes
foreign_worker; ; A201; yes, no
"""


def read_german(text: str) -> tuple[dict[str, dict], dict[str, str]]:
    """Words per column, and names of columns at OpenML."""
    words: dict[str, dict] = {"class": {1: "good", 2: "bad"}}
    names: dict[str, str] = {}
    for line in text.strip().splitlines():
        column, name, code, values = (part.strip() for part in line.split(";"))
        if name:
            names[name] = column
        for i, word in enumerate(values.split(", ") if code else ()):
            words.setdefault(column, {})[f"A{int(code[1:]) + i}"] = word
    return words, names


GERMAN_WORDS, GERMAN_NAMES = read_german(GERMAN)

SOURCES = {
    "adult": Source(
        "adult.parquet",
        "UCI, B. Becker and R. Kohavi (1996), https://doi.org/10.24432/C5XW20",
        "CC BY 4.0",
        "income",
        ("<=50K", ">50K"),
        ">50K",
        "US dollars a year, 1994. Unknown categories are '?'. fnlwgt is a sampling "
        "weight, no property of the person; education_num repeats education.",
        protected=("age", "race", "sex", "native_country", "marital_status"),
        fixed=("relationship", "fnlwgt"),
        increase=("education", "education_num"),
        ordered={"education": EDUCATION},
        unknown="?",
        download=openml(1590, {"class": "income"}),
    ),
    "california_housing": Source(
        "california_housing.parquet",
        "StatLib cal_housing, R. K. Pace and R. Barry (1997)",
        "none stated",
        "target",
        ("below the median", "median or above"),
        1,
        "Median house value of a block group (1990) against that of all, 179,700 US "
        "dollars.",
        fixed=("HouseAge", "Latitude", "Longitude"),
        download=download_california,
    ),
    "credit_default": Source(
        "credit_default.parquet",
        "UCI, I.-C. Yeh (2009), https://doi.org/10.24432/C55S3H",
        "CC BY 4.0",
        "default_payment_next_month",
        ("no default", "default"),
        0,
        "Amounts in New Taiwan dollars, 2005. PAY_0 to PAY_6: months of delay, -1 paid "
        "duly; -2 and 0 undocumented (no consumption, revolving credit).",
        protected=("SEX", "AGE", "MARRIAGE"),
        words=CREDIT_WORDS,
        download=openml(
            42477, {f"x{i}": c for i, c in enumerate(CREDIT, 1)} | CREDIT_Y, "int64"
        ),
    ),
    "gmsc": Source(
        "gmsc.parquet",
        "Kaggle, Give Me Some Credit (2011), cs-training.csv of "
        "https://www.kaggle.com/c/GiveMeSomeCredit",
        "none stated; the competition's rules apply",
        "SeriousDlqin2yrs",
        ("no serious delinquency", "serious delinquency"),
        0,
        "90 days or more past due within two years. 96 and 98 in the past-due counts "
        "are codes.",
        protected=("age",),
        fixed=("NumberOfDependents",),
    ),
    "mnist": Source(
        "mnist.npz",
        "Y. LeCun, C. Cortes, C. J. C. Burges; https://www.openml.org/d/554",
        "commonly given as CC BY-SA 3.0",
        "class",
        tuple("0123456789"),
        None,
        "Grey values, 0 background to 255 ink. The paper scales them to [-1, 1] and "
        "holds the five top and five bottom rows of pixels fixed.",
        download=download_mnist,
    ),
    "german_credit": Source(
        "german_credit.parquet",
        "UCI, H. Hofmann (1994), https://doi.org/10.24432/C5NC77",
        "CC BY 4.0",
        "class",
        ("bad", "good"),
        "good",
        "Amounts in DM, duration in months, employment in years. Codes are spelled out "
        "as at OpenML; several meanings are doubtful (U. Groemping, 2019).",
        protected=("age", "personal_status_sex", "foreign_worker"),
        fixed=("people_liable",),
        increase=("employment_since",),
        words=GERMAN_WORDS,
        ordered={"employment_since": tuple(GERMAN_WORDS["employment_since"].values())},
        download=openml(31, GERMAN_NAMES),
    ),
    "heloc": Source(
        "heloc.parquet",
        "FICO, Explainable Machine Learning Challenge (2018), heloc_dataset_v1",
        "FICO's data usage agreement; not an open licence",
        "RiskPerformance",
        ("Bad", "Good"),
        "Good",
        "Bad: 90 days past due at least once in 24 months. Codes in every feature: -9 "
        "no record, -8 no usable trades, -7 condition not met.",
        fixed=("ExternalRiskEstimate",),
        increase=("MSinceOldestTradeOpen",),
    ),
    "compas": Source(
        "compas.parquet",
        "ProPublica (2016), compas-scores-two-years.csv of "
        "https://github.com/propublica/compas-analysis",
        "none stated",
        "two_year_recid",
        ("no recidivism", "recidivism"),
        0,
        "Left out: age_cat (repeats age), the COMPAS scores, dates, texts, and what "
        "leaks the target (is_*, r_*, vr_*, end, event). ProPublica's filter of rows "
        "is not applied.",
        protected=("sex", "age", "race"),
        fixed=("juv_fel_count", "juv_misd_count", "juv_other_count"),
        increase=("priors_count",),
        features=(
            *("sex", "age", "race", "juv_fel_count", "juv_misd_count"),
            *("juv_other_count", "priors_count", "c_charge_degree"),
        ),
    ),
}


def variant(name: str, balanced: bool) -> Source:
    """Source of the full or the balanced table."""
    source = SOURCES[name]
    if not balanced:
        return source
    flip = -1 if source.favourable == 0 else 1  # done by those who balanced it
    return source._replace(
        file=f"{name}_balanced.parquet",
        origin=f"{source.origin}; balanced: dev/artifacts/upload/data/tabular of "
        "https://github.com/JuliaTrustworthyAI/CounterfactualExplanations.jl (ce5c773)",
        target="target",
        target_names=source.target_names[::flip],
        favourable=1,
        download=None,
    )


def load(source: Source, data_home: DataHome) -> pd.DataFrame:
    """Read the table of a source from its file, or download it."""
    if not isinstance(data_home, (str, os.PathLike, type(None))):
        raise wrong("data_home", "a path to a folder, or None", data_home)
    folder = os.environ.get("SKCT_DATA") if data_home is None else data_home
    path = Path(folder).expanduser() / source.file if folder else None
    if path and path.is_file():
        return read(path)
    if not source.download:
        raise not_found(source, path)
    try:
        return source.download(data_home)
    except OSError as error:  # no network
        raise not_found(source, path, error) from error


def read(path: Path) -> pd.DataFrame:
    """Read a table, or the arrays of MNIST as one."""
    if path.suffix == ".npz":
        with np.load(path) as data:
            images = np.concatenate([data["x_train"], data["x_test"]])
            labels = np.concatenate([data["y_train"], data["y_test"]])
            return as_digits(images, labels, len(data["y_train"]))
    try:
        return pd.read_parquet(path)
    except ImportError as error:
        message = f'Reading {path} needs pyarrow; pip install "skct[data]".'
        raise ImportError(message) from error


def not_found(
    source: Source, path: Path | None, reason: OSError | None = None
) -> FileNotFoundError:
    """Error for a table that is nowhere: what, where, and the remedy."""
    where = f"there is no {path}" if path else "SKCT_DATA is not set"
    failed = f", and the download failed ({reason})" if reason else ""
    return FileNotFoundError(
        f"{source.file!r} was not found: {where}{failed}. Put it into the folder "
        "`data_home`, or into the one that the environment variable SKCT_DATA names. "
        f"Original: {source.origin}."
    )
