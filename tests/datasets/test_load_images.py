"""Images from scikit-learn, OpenML and local files; nothing is fetched from the network."""

import gc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

from skntk.datasets import _openml, load_images


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(
        _openml, "fetch_openml", lambda *a, **k: pytest.fail("reached for the network")
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


def test_choice_keeps_the_proportions_of_the_classes():
    options = {"classes": [3, 8], "dtype": np.float64}
    data = load_images("digits", n_train=50, n_test=7, **options)
    everything = load_images("digits", **options)
    rows = {x.tobytes(): y for x, y in zip(everything.X_train, everything.y_train, strict=True)}
    assert [rows[x.tobytes()] for x in data.X_train] == data.y_train.tolist()
    share = (everything.y_train == 3).mean()
    assert abs((data.y_train == 3).sum() - 50 * share) <= 1
    assert data.X_test.shape == (7, 64)
    assert data.X_test.dtype == np.float64
    assert set(data.y_test) == {3, 8}
    assert data.target_names == {3: "3", 8: "8"}
    assert len(load_images("digits", n_test=10**9).X_test) == 597


def test_choice_is_repeatable_and_larger_ones_contain_smaller_ones():
    few, more, other = (
        load_images("digits", n_train=n, random_state=seed).X_train
        for n, seed in ((20, 0), (90, 0), (20, 1))
    )
    assert_array_equal(few, more[:20])
    assert_array_equal(few, load_images("digits", n_train=20).X_train)
    assert not np.array_equal(few, other)


def test_no_class_of_a_sorted_file_is_lost(save):
    y = np.repeat(np.arange(5), [40, 40, 40, 40, 2])
    X = np.random.default_rng(0).integers(0, 256, (len(y), 4, 3), dtype=np.uint8)
    path = save(**arrays(X_train=X, y_train=y, y_test=np.arange(4)))
    for n in (5, 9, 100):
        counts = np.bincount(load_images(path, n_train=n).y_train, minlength=5)
        assert counts.min() >= 1 and counts[:4].max() - counts[:4].min() <= 1
    message = "n_train=4 is fewer than the 5 classes, of which 4 would be left; give at least 5"
    with pytest.raises(ValueError, match=message):
        load_images(path, n_train=4)


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
    data = load_images(save(**arrays(X_train=X, X_test=X[:4])))
    assert_array_equal(data.X_train, X.reshape(6, 12).astype(np.float32))


def test_target_names(save):
    assert load_images(save(**arrays())).target_names == {0: "0", 1: "1"}
    path = save(**arrays(target_names=np.array(["cat", "dog"])))
    assert load_images(path).target_names == {0: "cat", 1: "dog"}
    named = {"y_train": np.array(["b", "a"] * 3), "y_test": np.array(["a", "b"] * 2)}
    data = load_images(save(**arrays(**named)), classes=["b"])
    assert data.target_names == {"b": "b"}
    assert data.y_test.tolist() == ["b", "b"]


@pytest.mark.parametrize("name", ["X_train", "y_train", "X_test", "y_test"])
def test_missing_array(name, save):
    with pytest.raises(ValueError, match=rf"images.npz' lacks {name}; it needs X_train, y_train"):
        load_images(save(**arrays(**{name: None})))


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"none.npz' is neither a file, nor a folder"):
        load_images(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="is neither a file"):
        load_images("cifar100")
    with pytest.raises(ValueError, match="it holds no files"):
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
    messages = {"text": "no format that", "empty": "is empty", "npy": "images without labels"}
    message = messages.get(content, "damaged or truncated")
    with pytest.raises(ValueError, match=rf"images\.npz.*{message}"):
        load_images(path)
    gc.collect()  # so that a file left open warns here and not in a later test


def test_archive_damaged_inside(save):
    path = save(**arrays(image_shape=(20, 20)))
    content = bytearray(path.read_bytes())
    content[500:520] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.npz.*damaged"):
        load_images(path)
    gc.collect()


def test_nothing_is_unpickled(save):
    with pytest.raises(ValueError, match=r"y_train in .* never unpickled here; save y"):
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


def test_not_finite(save):
    X = np.full((6, 4, 3), np.nan)
    with pytest.raises(ValueError, match="X_train"):
        load_images(save(**arrays(X_train=X)))


# Choices that leave no images


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"classes": [99]},
            ValueError,
            r"No train image of classes=\[99\] in 'digits'; it has \[0",
        ),
        ({"classes": []}, ValueError, "No train image of classes="),
        ({"classes": ["three"]}, ValueError, r"No train image of classes=\['three'\]"),
        ({"classes": "3"}, TypeError, r"classes='3' is one name; give a sequence"),
        ({"classes": 3}, TypeError, r"classes=3 is no sequence; give one: \[3\]"),
        ({"dtype": "pixels"}, ValueError, "dtype='pixels' is not supported"),
        ({"n_train": 9}, ValueError, "n_train=9 is fewer than the 10 classes"),
        ({"test_size": 1}, ValueError, "test_size=1 is out of range"),
        ({"channels_first": 1}, TypeError, "channels_first=1 must be True, False or None"),
        ({"source": [1, 2]}, TypeError, "source must be a name or a path, got list"),
        ({"n_train": 0}, ValueError, "n_train=0 is out of range"),
        ({"n_test": -1}, ValueError, "n_test=-1 is out of range"),
        ({"n_train": 2.5}, TypeError, "n_train must be an integer, got 2.5"),
    ],
)
def test_wrong_choices(options, error, message):
    with pytest.raises(error, match=message):
        load_images(**{"source": "digits"} | options)


def test_a_name_of_two_classes_is_no_choice(save):
    path = save(**arrays(target_names=np.array(["cat", "cat"])))
    with pytest.raises(ValueError, match=r"classes='cat' names each of the labels \[0, 1\]"):
        load_images(path, classes=["cat"])


def test_the_home_folder_is_understood(save, monkeypatch):
    path = save(**arrays())
    monkeypatch.setenv("HOME", str(path.parent))
    assert len(load_images(f"~/{path.name}").X_train) == 6


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
    """Rows distinguished by their first pixel, and labels as strings, as OpenML gives them."""
    X = np.zeros((n, d))
    X[:, 0] = np.arange(n) % 256
    X[:, 1] = 255
    return X, np.array([str(k % 10) for k in range(n)])


def test_mnist(monkeypatch):
    calls = []

    def fetch(name, **options):
        calls.append((name, options))
        return openml(60_003, 784)

    monkeypatch.setattr(_openml, "fetch_openml", fetch)
    data = load_images("mnist", n_train=20)
    assert calls[0][0] == "mnist_784"
    assert calls[0][1]["as_frame"] is False
    assert calls[0][1]["return_X_y"] is True
    assert data.image_shape == (28, 28, 1)
    assert data.X_train.shape == (20, 784)
    assert data.X_test.shape == (3, 784)
    assert_allclose(data.X_test[:, 0] * 255, np.arange(60_000, 60_003) % 256, rtol=1e-6)
    assert data.X_train.max() == 1
    assert np.bincount(data.y_train).tolist() == [2] * 10
    assert data.target_names[7] == "7"


def test_cifar_channels_go_last(monkeypatch):
    monkeypatch.setattr(_openml, "_OPENML", {"cifar10": ("CIFAR_10", (3, 32, 32), 8)})
    X = np.random.default_rng(0).integers(0, 256, (10, 3, 32, 32))
    y = np.array([str(k) for k in range(10)])

    def fetch(name, **_):
        assert name == "CIFAR_10"
        return X.reshape(10, -1).astype(float), y

    monkeypatch.setattr(_openml, "fetch_openml", fetch)
    data = load_images("cifar10", dtype=np.float64)
    assert data.image_shape == (32, 32, 3)
    assert data.X_train.shape == (8, 3072)
    images = data.X_train.reshape(8, 32, 32, 3) * 255
    for channel in range(3):
        assert_allclose(images[..., channel], X[:8, channel], atol=1e-9)
    assert data.y_test.tolist() == [8, 9]


@pytest.mark.parametrize("installed, parser", [(True, "pandas"), (False, "liac-arff")])
def test_openml_needs_no_pandas(installed, parser, monkeypatch):
    monkeypatch.setattr(_openml, "is_installed", lambda *packages: installed)
    monkeypatch.setattr(_openml, "_OPENML", {"mnist": ("mnist_784", (28, 28, 1), 20)})

    def fetch(name, **options):
        assert options["parser"] == parser and options["as_frame"] is False
        return openml(30, 784)

    monkeypatch.setattr(_openml, "fetch_openml", fetch)
    assert load_images("mnist").X_train.shape == (20, 784)


@pytest.mark.parametrize(
    "source, name",
    [
        *[("MNIST", "mnist_784"), ("mnist_784", "mnist_784"), ("Fashion-MNIST", "Fashion-MNIST")],
        *[("fashion_mnist", "Fashion-MNIST"), ("CIFAR10", "CIFAR_10"), ("cifar-10", "CIFAR_10")],
    ],
)
def test_common_spellings(source, name, monkeypatch):
    split = {
        key: (openml_name, (2, 2, 1), 20) for key, (openml_name, *_) in _openml._OPENML.items()
    }
    monkeypatch.setattr(_openml, "_OPENML", split)

    def fetch(asked, **_):
        assert asked == name
        return openml(30, 4)

    monkeypatch.setattr(_openml, "fetch_openml", fetch)
    data = load_images(source)
    assert data.X_train.shape == (20, 4)
    if name == "CIFAR_10":
        assert data.target_names[3] == "cat"
        assert set(load_images(source, classes=["cat", "dog"]).y_train) == {3, 5}


def test_classes_by_label_text_or_name(save):
    path = save(**arrays(target_names=np.array(["cat", "dog"])))
    for classes in ([1], ["1"], ["dog"], [np.int64(1)]):
        data = load_images(path, classes=classes)
        assert data.target_names == {1: "dog"} and set(data.y_train) == {1}
    with pytest.raises(ValueError, match=r"it has \[0, 1\], named \['cat', 'dog'\]"):
        load_images(path, classes=["cow"])
