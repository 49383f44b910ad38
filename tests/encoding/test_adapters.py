"""Adapters for transformers that skct does not know: registered, found, used."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skct.encoding import FeatureSpace, TransformerAdapter, register_adapter
from skct.encoding.adapters import adapter, not_invertible
from skct.encoding.transformers import categories, inverse_numeric, sources


class Stateless(TransformerMixin, BaseEstimator):
    """A transformer that learns nothing."""

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True


class Doubler(Stateless):
    def transform(self, X):
        return 2.0 * np.asarray(X)


class SubDoubler(Doubler):
    pass


@register_adapter(Doubler)
class DoublerAdapter(TransformerAdapter):
    def inverse(self, encoded):
        return encoded / 2.0


class Mirror(Stateless):
    """Columns in the opposite order; the first one is dropped."""

    def transform(self, X):
        return np.asarray(X)[:, :0:-1]


@register_adapter(Mirror)
class MirrorAdapter(TransformerAdapter):
    def sources(self):
        return [(i,) for i in range(self.n_in - 1, 0, -1)]

    def inverse(self, encoded):
        first = np.full((len(encoded), 1), np.nan)
        return np.hstack([first, encoded[:, ::-1]])


class Grades(Stateless):
    """Letters A to C as numbers."""

    def transform(self, X):
        return np.asarray(X == "B") + 2.0 * np.asarray(X == "C")


@register_adapter(Grades)
class GradesAdapter(TransformerAdapter):
    def inverse(self, encoded):
        return np.full((len(encoded), self.n_in), np.nan)

    def categories(self):
        return dict.fromkeys(range(self.n_in), (("A", "B", "C"), True))


@pytest.fixture
def numbers():
    return np.random.default_rng(0).normal(size=(20, 3))


def test_a_transformer_without_adapter_is_refused_by_name_and_place(numbers):
    class Unknown(Stateless):
        def transform(self, X):
            return X

    with pytest.raises(ValueError, match=r"Unknown \(preprocessor, step 'unknown'\)"):
        FeatureSpace(make_pipeline(Unknown()), numbers)
    register_adapter(Unknown)(DoublerAdapter)
    with pytest.raises(ValueError, match="loses information about column 0"):
        FeatureSpace(make_pipeline(Unknown()), numbers)


def test_a_registered_transformer_is_inverted(numbers):
    space = FeatureSpace(Doubler(), numbers)
    moved = space.encode(numbers)[::-1]
    np.testing.assert_allclose(
        space.decode(moved, like=numbers), numbers[::-1], rtol=1e-6
    )


def test_adapters_serve_subclasses_until_these_have_their_own(numbers):
    assert isinstance(adapter(SubDoubler(), 3), DoublerAdapter)

    @register_adapter(SubDoubler)
    class Own(TransformerAdapter):
        pass

    assert type(adapter(SubDoubler(), 3)) is Own
    assert type(adapter(Doubler(), 3)) is DoublerAdapter


def test_an_adapter_of_ones_own_comes_before_that_of_a_mixin():
    class Halver(OneToOneFeatureMixin, Doubler):
        def inverse_transform(self, X):
            raise AssertionError

    @register_adapter(Halver)
    class Own(DoublerAdapter):
        pass

    assert inverse_numeric(Halver(), np.array([[4.0]]), 1).tolist() == [[2.0]]


def test_the_last_adapter_of_a_class_wins():
    class Twice(Doubler):
        pass

    for name in ("first", "second"):
        register_adapter(Twice)(type(name, (TransformerAdapter,), {}))
        assert type(adapter(Twice(), 1)).__name__ == name


def test_a_function_may_choose_the_adapter_or_refuse():
    class Power(Stateless):
        def __init__(self, exponent=1):
            self.exponent = exponent

    @register_adapter(Power)
    def choose(transformer, n_in, path="preprocessor"):
        if transformer.exponent % 2 == 0:
            raise not_invertible(transformer, path)
        return TransformerAdapter(transformer, n_in, path)

    assert sources(Power(3), 2) == [(0,), (1,)]
    with pytest.raises(ValueError, match=r"Power \(here\) mixes"):
        sources(Power(2), 2, "here")


def test_sources_of_ones_own_are_traced_through_other_steps(numbers):
    pipe = make_pipeline(Mirror(), StandardScaler(), Mirror()).fit(numbers)
    assert sources(pipe, 3) == [(1,)]
    space = FeatureSpace(pipe, numbers)
    encoded = space.encode(numbers)
    moved = space.decode(encoded[::-1], like=numbers)
    np.testing.assert_array_equal(moved[:, [0, 2]], numbers[:, [0, 2]])
    np.testing.assert_allclose(moved[:, 1], numbers[::-1, 1], rtol=1e-5)


def test_categories_of_ones_own_have_their_order():
    X = pd.DataFrame({"size": [1.5, 2.0, 4.0, 7.0], "grade": list("ABCA")})
    parts = [("grade", Grades(), ["grade"]), ("size", Doubler(), ["size"])]
    columns = ColumnTransformer(parts).fit(X)
    assert categories(columns, 2) == {1: (("A", "B", "C"), True)}
    space = FeatureSpace(columns, X)
    assert space.columns[1].ordered
    decoded = space.decode(space.encode(X)[::-1], like=X)
    assert decoded["grade"].tolist() == list("ACBA")
    constraints = space.constraints(space.rules({"grade": "increase"}))
    assert constraints.can_increase.tolist() == [True, True]
    assert constraints.can_decrease.tolist() == [False, True]
