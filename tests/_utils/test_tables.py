"""Inputs that are no plain arrays work, or the message has the line that mends them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn
from helpers import gaussian
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skntk import (
    NTKAttack,
    NTKClassifier,
    NTKClassifierCV,
    NTKRegressor,
    NTKRegressorCV,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
)
from skntk._utils.frames import framed_like
from skntk.metrics import gradient_cosine_similarity, robust_accuracy_score

Image = pytest.importorskip("PIL.Image")
pa = pytest.importorskip("pyarrow")

X = gaussian(20, 4)
Y = (X[:, 0] > 0).astype(int)
ESTIMATORS = [
    NTKClassifier,
    NTKClassifierCV,
    NTKRegressor,
    NTKRegressorCV,
    SpectralFeatureDecomposer,
    RobustFeatureSelector,
]


class DataLoader:
    """As PyTorch's: batches, and no items."""

    def __iter__(self):
        yield from zip(X.reshape(4, 5, 4), Y.reshape(4, 5), strict=True)

    def __len__(self):
        return 4


WRONG = {
    "images": (X.reshape(20, 2, 2, 1), ValueError, r"\(20, 2, 2, 1\).*X\.reshape\(len\(X\), -1\)"),
    "channels first": (
        np.zeros((20, 3, 4, 4)),
        ValueError,
        r"X\.transpose\(0, 2, 3, 1\)\.reshape\(len\(X\), -1\)",
    ),
    "grey": (X.reshape(20, 2, 2), ValueError, r"X\.reshape\(len\(X\), -1\)"),
    "list": (list(X.reshape(20, 2, 2)), ValueError, r"np\.stack.*reshape\(len\(X\), -1\)"),
    "pictures": (
        [Image.fromarray(np.zeros((2, 2), np.uint8))] * 20,
        ValueError,
        r"list of images of shape \(2, 2\).*np\.stack",
    ),
    "loader": (DataLoader(), TypeError, r"X is a DataLoader.*np\.concatenate"),
    "sparse frame": (
        pd.DataFrame(X).astype(pd.SparseDtype(float, 0.0)),
        TypeError,
        r"give X\.sparse\.to_dense\(\)",
    ),
    "sparse matrix": (scipy.sparse.csr_array(X), TypeError, r"\.toarray\(\)"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_message_has_the_remedy(estimator, name):
    given, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        estimator().fit(given, Y)


@pytest.mark.parametrize("name", WRONG)
def test_also_after_the_fit(name):
    given, error, message = WRONG[name]
    clf = NTKClassifier().fit(X, Y)
    calls = [
        lambda: clf.predict(given),
        lambda: NTKAttack(clf, clip_values=None).generate(given, Y),
        lambda: gradient_cosine_similarity(clf, clf, given, Y),
    ]
    for call in calls:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize(
    "frame",
    [
        lambda values: pd.DataFrame(values, columns=list("abcd")),
        lambda values: pl.DataFrame(values, schema=list("abcd")),
        lambda values: pa.table(dict(zip("abcd", values.T, strict=True))),
        lambda values: pd.DataFrame(values, columns=list("abcd")).astype("float64[pyarrow]"),
    ],
    ids=["pandas", "polars", "arrow", "pandas, arrow"],
)
def test_frames(frame):
    given, plain = frame(X), NTKClassifier().fit(X, Y)
    clf = NTKClassifier().fit(given, Y)
    outputs = clf.decision_function(given)
    np.testing.assert_allclose(outputs, plain.decision_function(X), rtol=1e-10)
    X_adv = NTKAttack(clf, eps=0.3, clip_values=None).generate(given, Y)
    expected = NTKAttack(plain, eps=0.3, clip_values=None).generate(X, Y)
    np.testing.assert_allclose(X_adv, expected, rtol=1e-12)
    back = framed_like(given, X_adv)
    assert type(back) is type(given)
    np.testing.assert_array_equal(np.asarray(back), X_adv)
    attack = NTKAttack(None, eps=0.3, clip_values=None)
    expected = robust_accuracy_score(plain, X, Y, attack)
    assert robust_accuracy_score(clf, given, Y, attack) == expected
    assert gradient_cosine_similarity(clf, clf, given, Y) == pytest.approx(1)


FRAMES = {
    "pandas": lambda values: pd.DataFrame(values, columns=list("abcd"), index=[*"xyzu"] * 5),
    "polars": lambda values: pl.DataFrame(values, schema=list("abcd")),
    "arrow": lambda values: pa.table(dict(zip("abcd", values.T, strict=True))),
}


@pytest.mark.parametrize("library, kind", [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
@pytest.mark.parametrize("given", FRAMES)
def test_adversarial_frames_where_scikit_learn_is_told_to_give_them(given, library, kind):
    """Arrays otherwise, and for arrays."""
    given = FRAMES[given](X)
    attack = NTKAttack(NTKClassifier().fit(given, Y), eps=0.3, clip_values=None)
    expected = attack.generate(given, Y)
    assert type(expected) is np.ndarray
    with sklearn.config_context(transform_output=library):
        X_adv = attack.generate(given, Y)
        plain = NTKAttack(NTKClassifier().fit(X, Y), eps=0.3, clip_values=None)
        assert type(plain.generate(X, Y)) is np.ndarray
    assert type(X_adv) is kind
    assert list(X_adv.columns) == list("abcd")
    np.testing.assert_array_equal(X_adv.to_numpy(), expected)
    assert attack.estimator.score(X_adv, Y) == pytest.approx(plain.estimator.score(expected, Y))
    if isinstance(given, pd.DataFrame) and library == "pandas":
        assert X_adv.index.equals(given.index)


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow", "array"])
@pytest.mark.parametrize("method", ["fgsm", "square"])
def test_columns_of_text_are_named_under_attack(library, method):
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["b"] = ["red", "blue"] * (len(X) // 2)
    encoder = OneHotEncoder(sparse_output=False)
    columns = ColumnTransformer([("words", encoder, ["b"]), ("rest", "passthrough", ["a", "d"])])
    model = make_pipeline(columns, NTKClassifier("fc1")).fit(frame, Y)
    given = {
        "pandas": lambda: frame,
        "polars": lambda: pl.DataFrame(frame.to_dict("list")),
        "arrow": lambda: pa.table(frame.to_dict("list")),
        "array": lambda: frame.to_numpy(),
    }[library]()
    name = "1" if library == "array" else "'b'"
    message = rf"columns \[{name}\], which hold .*'red'.*OrdinalEncoder.*eps=0 there"
    with pytest.raises(ValueError, match=message):
        NTKAttack(model, method=method, clip_values=None).generate(given, Y)
