"""Images from scikit-learn, OpenML and local files; nothing is fetched from the network."""

import gc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

import skntk.datasets
from skntk.datasets import load_images


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(
        skntk.datasets, "fetch_openml", lambda *a, **k: pytest.fail("reached for the network")
    )


def arrays(image_shape=(4, 3), n_train=6, n_test=4, dtype=np.uint8, **changes):
    rng = np.random.default_rng(0)
    stored = {}
    for part, n in (("train", n_train), ("test", n_test)):
        stored[f"X_{part}"] = rng.integers(0, 256, (n, *image_shape)).astype(dtype)
        stored[f"y_{part}"] = np.arange(n, dtype=np.uint8) % 2
    stored |= changes
    return {name: array for name, array in stored.items() if array is not None}


@pytest.fixture
def save(tmp_path):
    def to_file(**stored):
        path = tmp_path / "images.npz"
        np.savez(path, **stored)
        return path

    return to_file


# Built-in digits


def test_digits():
    data, digits = load_images(), load_digits()
    assert data.image_shape == (8, 8, 1)
    assert data.X_train.dtype == np.float32
    assert_array_equal(
        np.concatenate([data.X_train, data.X_test]), (digits.data / 16).astype(np.float32)
    )
    assert_array_equal(np.concatenate([data.y_train, data.y_test]), digits.target)
    assert data.target_names == {k: str(k) for k in range(10)}
    assert data.X_train.min() == 0
    assert data.X_train.max() == 1


def test_choice():
    data = load_images("digits", classes=[3, 8], n_train=50, n_test=7, dtype=np.float64)
    everything = load_images("digits", dtype=np.float64)
    kept = np.flatnonzero(np.isin(everything.y_train, [3, 8]))[:50]
    assert_array_equal(data.X_train, everything.X_train[kept])
    assert_array_equal(data.y_train, everything.y_train[kept])
    assert data.X_test.shape == (7, 64)
    assert data.X_test.dtype == np.float64
    assert set(data.y_test) == {3, 8}
    assert len(load_images("digits", n_test=10**9).X_test) == 597


# Local files


@pytest.mark.parametrize("image_shape", [(4, 3), (4, 3, 1), (2, 5, 3)])
@pytest.mark.parametrize("as_string", [False, True])
def test_bytes(image_shape, as_string, save):
    stored = arrays(image_shape)
    path = save(**stored)
    data = load_images(str(path) if as_string else path, dtype=np.float64)
    assert data.image_shape == (*image_shape, 1)[:3]
    assert data.X_train.shape == (6, np.prod(image_shape))
    assert_allclose(data.X_train.reshape(6, *image_shape), stored["X_train"] / 255, rtol=1e-15)
    assert_allclose(data.X_test.reshape(4, *image_shape), stored["X_test"] / 255, rtol=1e-15)
    assert_array_equal(data.y_train, stored["y_train"])


def test_fractions(save):
    X = np.random.default_rng(0).uniform(size=(6, 4, 3))
    data = load_images(save(**arrays(X_train=X)))
    assert_array_equal(data.X_train, X.reshape(6, 12).astype(np.float32))


def test_target_names(save):
    assert load_images(save(**arrays())).target_names == {0: "0", 1: "1"}
    path = save(**arrays(target_names=np.array(["cat", "dog"])))
    assert load_images(path).target_names == {0: "cat", 1: "dog"}
    named = {"y_train": np.array(["b", "a"] * 3), "y_test": np.array(["a", "b"] * 2)}
    data = load_images(save(**arrays(**named)), classes=["b"])
    assert data.target_names == {"a": "a", "b": "b"}
    assert data.y_test.tolist() == ["b", "b"]


@pytest.mark.parametrize("name", ["X_train", "y_train", "X_test", "y_test"])
def test_missing_array(name, save):
    with pytest.raises(ValueError, match=rf"images.npz' lacks {name}; it needs X_train, y_train"):
        load_images(save(**arrays(**{name: None})))


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"none.npz' is neither a file nor one of 'digits', 'mni"):
        load_images(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="is neither a file nor"):
        load_images("cifar100")
    with pytest.raises(ValueError, match="is neither a file nor"):
        load_images(tmp_path)


@pytest.mark.parametrize("content", ["text", "empty", "truncated", "npy"])
def test_files_that_are_no_npz(content, save):
    path = save(**arrays())
    whole = path.read_bytes()
    if content == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_bytes({"text": b"hello", "empty": b"", "truncated": whole[:300]}[content])
    with pytest.raises(ValueError, match=r"images\.npz.*npz"):
        load_images(path)
    gc.collect()  # a file left open warns here, not in some later test


def test_archive_damaged_inside(save):
    path = save(**arrays(image_shape=(20, 20)))
    content = bytearray(path.read_bytes())
    content[500:520] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.npz.*damaged"):
        load_images(path)
    gc.collect()


def test_nothing_is_unpickled(save):
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_images(save(**arrays(y_train=np.array(["a", None] * 3, dtype=object))))


def test_labels_and_images_must_match(save):
    for name, n in (("y_train", 5), ("y_test", 7)):
        path = save(**arrays(**{name: np.arange(n) % 2}))
        for classes in (None, [0]):
            with pytest.raises(ValueError, match=name):
                load_images(path, classes=classes)


def test_images_of_one_shape(save):
    with pytest.raises(ValueError, match="X_test"):
        load_images(save(**arrays(X_test=np.zeros((4, 5, 5), np.uint8))))


@pytest.mark.parametrize("shape", [(12,), (), (2, 2, 3, 1)])
def test_images_must_be_images(shape, save):
    stored = arrays(X_train=np.zeros((6, *shape)), X_test=np.zeros((4, *shape)))
    with pytest.raises(ValueError, match=r"X_train.*\(H, W"):
        load_images(save(**stored))


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float32])
def test_bytes_of_another_type_are_not_taken_for_fractions(dtype, save):
    path = save(**arrays(dtype=dtype))
    with pytest.raises(ValueError, match="uint8"):
        load_images(path)


def test_not_finite(save):
    X = np.full((6, 4, 3), np.nan)
    with pytest.raises(ValueError, match="X_train"):
        load_images(save(**arrays(X_train=X)))


# Choices that leave nothing


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"classes": [99]},
            ValueError,
            r"No train image of classes=\[99\] in 'digits'; it has \[0",
        ),
        ({"classes": []}, ValueError, "No train image of classes="),
        ({"classes": ["3"]}, ValueError, "No train image of classes="),
        ({"n_train": 0}, ValueError, "n_train=0 is out of range"),
        ({"n_test": -1}, ValueError, "n_test=-1 is out of range"),
        ({"n_train": 2.5}, TypeError, "n_train must be an integer, got 2.5"),
    ],
)
def test_wrong_choices(options, error, message):
    with pytest.raises(error, match=message):
        load_images("digits", **options)


def test_no_test_image_of_a_class(save):
    path = save(**arrays(y_test=np.zeros(4, int)))
    with pytest.raises(ValueError, match=r"No test image of classes=\[1\]"):
        load_images(path, classes=[1])


def test_classes_that_are_not_there():
    with pytest.raises(ValueError, match="99"):
        load_images("digits", classes=[3, 99])


@pytest.mark.parametrize("dtype", [int, np.uint8, "complex64", str])
def test_pixels_are_floats(dtype):
    with pytest.raises((ValueError, TypeError), match="dtype"):
        load_images("digits", dtype=dtype)


# OpenML


def openml(n, d):
    """Rows told apart by their first pixel, labels as the strings OpenML gives."""
    X = np.zeros((n, d))
    X[:, 0] = np.arange(n) % 256
    X[:, 1] = 255
    return X, np.array([str(k % 10) for k in range(n)])


def test_mnist(monkeypatch):
    calls = []

    def fetch(name, **options):
        calls.append((name, options))
        return openml(60_003, 784)

    monkeypatch.setattr(skntk.datasets, "fetch_openml", fetch)
    data = load_images("mnist", n_train=20)
    assert calls[0][0] == "mnist_784"
    assert calls[0][1]["as_frame"] is False
    assert calls[0][1]["return_X_y"] is True
    assert data.image_shape == (28, 28, 1)
    assert data.X_train.shape == (20, 784)
    assert data.X_test.shape == (3, 784)
    assert_allclose(data.X_test[:, 0] * 255, np.arange(60_000, 60_003) % 256, rtol=1e-6)
    assert data.X_train.max() == 1
    assert data.y_train.tolist() == [k % 10 for k in range(20)]
    assert data.target_names[7] == "7"


def test_cifar_channels_go_last(monkeypatch):
    monkeypatch.setattr(skntk.datasets, "_OPENML", {"cifar10": ("CIFAR_10", (3, 32, 32), 8)})
    X = np.random.default_rng(0).integers(0, 256, (10, 3, 32, 32))
    y = np.array([str(k) for k in range(10)])

    def fetch(name, **_):
        assert name == "CIFAR_10"
        return X.reshape(10, -1).astype(float), y

    monkeypatch.setattr(skntk.datasets, "fetch_openml", fetch)
    data = load_images("cifar10", dtype=np.float64)
    assert data.image_shape == (32, 32, 3)
    assert data.X_train.shape == (8, 3072)
    images = data.X_train.reshape(8, 32, 32, 3) * 255
    for channel in range(3):
        assert_allclose(images[..., channel], X[:8, channel], atol=1e-9)
    assert data.y_test.tolist() == [8, 9]
