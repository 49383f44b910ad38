"""Data sets: `make_*` draws synthetic ones, `fetch_*` reads real ones.

The package ships no data. `fetch_*` reads the folder `data_home`, or else the one that
the environment variable ``SKCT_DATA`` names; what is not there is downloaded where
OpenML or scikit-learn have the same table, and the error says where to get it if not.
"""

from .loaders import (
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

__all__ = [
    "fetch_adult",
    "fetch_california_housing",
    "fetch_compas",
    "fetch_credit_default",
    "fetch_german_credit",
    "fetch_gmsc",
    "fetch_heloc",
    "fetch_mnist",
    "make_circles",
    "make_linearly_separable",
    "make_moons",
    "make_overlapping",
]
