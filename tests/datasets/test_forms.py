"""Files of every format that users bring, written here, are read or refused with the remedy."""

import gzip
import io
import pickle
import re
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skntk.datasets import _names, load_images

h5py = pytest.importorskip("h5py")
pd = pytest.importorskip("pandas")
Image = pytest.importorskip("PIL.Image")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
scipy_io = pytest.importorskip("scipy.io")

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 6, 6), dtype=np.uint8)
RGB = RNG.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
for stack in (GREY, RGB):
    stack[:, 0, 0] = 255  # so that any choice of images has a white pixel
Y = np.arange(20) % 2
TRAIN, TEST = slice(14), slice(14, None)


def idx(array):
    header = b"\0\0\x08" + bytes([array.ndim])
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def keras(folder):
    path = folder / "mnist.npz"
    np.savez(path, x_train=GREY[TRAIN], y_train=Y[TRAIN], x_test=GREY[TEST], y_test=Y[TEST])
    return path, GREY


def medmnist(folder):
    path = folder / "pathmnist.npz"
    arrays = {f"{part}_images": RGB[rows] for part, rows in (("train", TRAIN), ("test", TEST))}
    arrays |= {"train_labels": Y[TRAIN, None], "test_labels": Y[TEST, None]}
    np.savez_compressed(path, **arrays, val_images=RGB[:3], val_labels=Y[:3, None])
    return path, RGB


def npy_pair(folder):
    np.save(folder / "fog.npy", RGB)
    np.save(folder / "labels.npy", Y)
    return folder / "fog.npy", RGB


def npy_folder(folder):
    for part, rows in (("train", TRAIN), ("test", TEST)):
        np.save(folder / f"X_{part}.npy", GREY[rows])
        np.save(folder / f"y_{part}.npy", Y[rows])
    return folder, GREY


def idx_folder(folder):
    for part, rows in (("train", TRAIN), ("t10k", TEST)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(GREY[rows]))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(Y[rows]))
        # torchvision keeps the unpacked file beside the compressed one.
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(GREY[rows])))
    return folder, GREY


def idx_gz_file(folder):
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(GREY)))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(Y)))
    return folder / "train-images-idx3-ubyte.gz", GREY


def cifar_records(images, *labels):
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.c_[np.stack(labels, axis=1), planes].astype(np.uint8).tobytes()


def cifar_binary(folder):
    (folder / "data_batch_1.bin").write_bytes(cifar_records(RGB[:8], Y[:8]))
    (folder / "data_batch_2.bin").write_bytes(cifar_records(RGB[8:14], Y[8:14]))
    (folder / "test_batch.bin").write_bytes(cifar_records(RGB[TEST], Y[TEST]))
    (folder / "batches.meta.txt").write_text("cat\ndog\n")
    (folder / "readme.html").write_text("<a>,</a>")
    return folder, RGB


def cifar100_binary(folder):
    path = folder / "train.bin"
    path.write_bytes(cifar_records(RGB, Y * 0 + 7, Y))
    return path, RGB


def svhn(folder):
    for part, rows in (("train", TRAIN), ("test", TEST)):
        arrays = {"X": np.moveaxis(RGB[rows], 0, -1), "y": Y[rows, None]}
        scipy_io.savemat(folder / f"{part}_32x32.mat", arrays)
    return folder, RGB


def matlab_73(folder):
    path = folder / "images.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in (("X", np.moveaxis(RGB, 0, -1)), ("y", Y[:, None].astype(float))):
            file[name] = array.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    content = bytearray(path.read_bytes())
    content[:24] = b"MATLAB 7.3 MAT-file, ..."
    path.write_bytes(content)
    return path, RGB


def hdf5_groups(folder):
    path = folder / "images.h5"
    with h5py.File(path, "w") as file:
        for part, rows in (("train", TRAIN), ("test", TEST)):
            file[f"{part}/images"] = GREY[rows]
            file[f"{part}/labels"] = [str(label) for label in Y[rows]]
    return path, GREY


def pictures(folder):
    for name, label in (("cat", 0), ("dog", 1)):
        (folder / name).mkdir()
        for k in np.flatnonzero(label == Y):
            (folder / name / f"{k:02}.png").write_bytes(png(RGB[k]))
    return folder, RGB


def picture_parts(folder):
    for part, rows in (("train", TRAIN), ("val", TEST)):
        for name, label in (("cat", 0), ("dog", 1)):
            (folder / part / name).mkdir(parents=True)
            for k in np.flatnonzero(label == Y):
                if k in np.arange(20)[rows]:
                    (folder / part / name / f"{k:02}.png").write_bytes(png(GREY[k]))
    return folder, GREY


def csv(folder):
    frame = pd.DataFrame(GREY.reshape(20, -1)).rename(columns="pixel{}".format)
    frame.insert(0, "label", Y)
    frame.to_csv(folder / "train.csv", index=False)
    return folder / "train.csv", GREY


def csv_folder(folder):
    frame = pd.read_csv(csv(folder)[0])
    for part, rows in (("train", TRAIN), ("test", TEST)):
        frame[rows].to_csv(folder / f"mnist_{part}.csv.gz", index=False)
    (folder / "train.csv").unlink()
    return folder, GREY


def hugging_face(folder):
    cells = [{"bytes": png(image), "path": None} for image in RGB]
    table = pa.table({"image": cells, "label": Y})
    names = {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}
    table = table.replace_schema_metadata({"huggingface": str(names).replace("'", '"')})
    for k, rows in enumerate((range(8), range(8, 14))):
        parquet.write_table(table.take(list(rows)), folder / f"train-0000{k}-of-00002.parquet")
    parquet.write_table(table.take(list(range(14, 20))), folder / "test-00000-of-00001.parquet")
    return folder, RGB


def parquet_pixels(folder):
    frame = pd.read_csv(csv(folder)[0])
    frame.to_parquet(folder / "images.parquet")
    return folder / "images.parquet", GREY


READ = [
    *[keras, medmnist, npy_pair, npy_folder, idx_folder, idx_gz_file, cifar_binary],
    *[cifar100_binary, svhn, matlab_73, hdf5_groups, pictures, picture_parts, csv, csv_folder],
    *[hugging_face, parquet_pixels],
]
SPLIT = [npy_pair, idx_gz_file, cifar100_binary, matlab_73, pictures, csv, parquet_pixels]
NAMED = [cifar_binary, pictures, picture_parts, hugging_face]


@pytest.mark.parametrize("write", READ, ids=lambda write: write.__name__)
def test_forms_that_are_read(write, tmp_path):
    source, stored = write(tmp_path)
    data = load_images(source)
    assert data.image_shape == (stored[..., None] if stored.ndim == 3 else stored).shape[1:]
    pixels = (stored.reshape(20, -1) / 255).astype(np.float32)
    index = {row.tobytes(): k for k, row in enumerate(pixels)}
    found = {part: [index[x.tobytes()] for x in data[f"X_{part}"]] for part in ("train", "test")}
    for part, rows in found.items():
        assert data[f"y_{part}"].astype(int).tolist() == Y[rows].tolist()
    assert sorted(found["train"] + found["test"]) == list(range(20))
    if write in SPLIT:
        assert np.bincount(data.y_test).tolist() == [2, 2]
    else:
        assert sorted(found["train"]) == list(range(14))
    names = ["cat", "dog"] if write in NAMED else ["0", "1"]
    assert list(data.target_names.values()) == names


# Files that are refused, with the reason and the remedy


def python_pickle(folder):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": Bomb()}))
    return folder / "data_batch_1"


def folder_of_pickles(folder):
    python_pickle(folder)
    return folder


def pickle_gz(folder):
    (folder / "mnist.pkl.gz").write_bytes(gzip.compress(pickle.dumps([1], protocol=2)))
    return folder / "mnist.pkl.gz"


def torch_file(folder):
    with zipfile.ZipFile(folder / "train.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    return folder / "train.pt"


def tar(folder):
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("data_batch_1.bin"))
    return folder / "cifar-10-binary.tar.gz"


def zip_of_pictures(folder):
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("cat/1.png", png(GREY[0]))
    return folder / "images.zip"


def single_picture(folder):
    (folder / "cat.png").write_bytes(png(GREY[0]))
    return folder / "cat.png"


def no_header(folder):
    frame = pd.DataFrame(np.c_[Y, GREY.reshape(20, -1)])
    frame.to_csv(folder / "mnist.csv", index=False, header=False)
    return folder / "mnist.csv"


def no_labels(folder):
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}).to_csv(folder / "test.csv", index=False)
    return folder / "test.csv"


def other_names(folder):
    np.savez(folder / "images.npz", foo=GREY, bar=Y)
    return folder / "images.npz"


def labels_missing(folder):
    path, _ = idx_gz_file(folder)
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    return path


def shard_missing(folder):
    hugging_face(folder)
    (folder / "train-00001-of-00002.parquet").unlink()
    return folder


def pictures_of_two_sizes(folder):
    pictures(folder)
    (folder / "cat" / "00.png").write_bytes(png(RGB[0, :30]))
    return folder


def link_out_of_the_folder(folder):
    pictures(folder)
    (folder / "cat" / "00.png").unlink()
    (folder / "cat" / "00.png").symlink_to("/etc/hosts")
    return folder


def transparent(folder):
    pictures(folder)
    first = tuple(RGB[0, 0, 0].tolist())
    Image.fromarray(RGB[0]).save(folder / "cat" / "00.png", transparency=first)
    return folder


def transparent_palette(folder):
    pictures(folder)
    palette = Image.fromarray(RGB[0]).convert("P")
    palette.save(folder / "cat" / "00.png", transparency=palette.getpixel((0, 0)))
    return folder


def several_pages(folder):
    pages = [Image.fromarray(image) for image in GREY[:2]]
    (folder / "cat").mkdir()
    pages[0].save(folder / "cat" / "0.tif", save_all=True, append_images=pages[1:])
    return folder


def float_pictures(folder):
    (folder / "cat").mkdir()
    Image.fromarray((GREY[0] / 255).astype(np.float32)).save(folder / "cat" / "0.tif")
    return folder


def deep_pictures(folder):
    (folder / "cat").mkdir()
    Image.fromarray(GREY[0].astype(np.int32) * 1000).save(folder / "cat" / "0.tif")
    return folder


def two_folders_of_a_part(folder):
    picture_parts(folder)
    (folder / "training").mkdir()
    return folder


def empty_part(folder):
    picture_parts(folder)
    (folder / "test").mkdir()
    return folder


def one_folder_too_high(folder):
    (folder / "raw").mkdir()
    idx_folder(folder / "raw")
    return folder


def two_files_of_one_array(folder):
    npy_folder(folder)
    np.savez(folder / "train.npz", X=GREY, y=Y)
    return folder


def batches_of_two_sizes(folder):
    for name, X in (("train_1", GREY), ("train_2", GREY[:, 1:]), ("test", GREY)):
        np.savez(folder / f"{name}.npz", X=X, y=Y)
    return folder


def table(folder, edit, **options):
    frame = edit(pd.read_csv(csv(folder)[0]))
    frame.to_csv(folder / "train.csv", **({"index": False} | options))
    return folder / "train.csv"


def with_index(folder):
    return table(folder, lambda frame: frame, index=True)


def with_numbers(folder):
    return table(folder, lambda frame: frame.assign(ID=range(20)))


def unlabelled_rows(folder):
    return table(folder, lambda frame: frame.assign(label=[*"ab" * 9, None, None]))


def unlabelled_parquet(folder):
    frame = pd.read_csv(unlabelled_rows(folder))
    frame.to_parquet(folder / "images.parquet")
    return folder / "images.parquet"


def header_alone(folder):
    return table(folder, lambda frame: frame[:0])


def semicolons(folder):
    return table(folder, lambda frame: frame, sep=";")


def cells(folder):
    labels = np.empty(20, object)
    labels[:] = ["cat", "dog"] * 10
    scipy_io.savemat(folder / "images.mat", {"X": GREY, "y": labels})
    return folder / "images.mat"


def square(folder):
    scipy_io.savemat(folder / "images.mat", {"X": GREY.reshape(20, -1)[:, :20], "y": Y})
    return folder / "images.mat"


def lengths_that_vary(folder):
    with h5py.File(folder / "images.h5", "w") as file:
        file["X"] = GREY
        file.create_dataset("y", (20,), dtype=h5py.vlen_dtype(np.int32))
    return folder / "images.h5"


def complex_labels(folder):
    np.savez(folder / "images.npz", X=GREY, y=Y * 1j)
    return folder / "images.npz"


def one_hot(folder):
    np.savez(folder / "images.npz", X=GREY, y=np.eye(2)[Y])
    return folder / "images.npz"


def axes_at_the_end(folder):
    np.savez(folder / "images.npz", X_train=np.moveaxis(GREY, 0, -1), y_train=Y,
             X_test=np.moveaxis(GREY, 0, -1), y_test=Y)  # fmt: skip
    return folder / "images.npz"


REFUSED = [
    (python_pickle, r"data_batch_1' is a Python pickle.*pickle\.load.*np\.savez"),
    (folder_of_pickles, r"data_batch_1' is a Python pickle.*np\.savez"),
    (pickle_gz, "is a Python pickle"),
    (torch_file, r"is a PyTorch file.*weights_only=True"),
    (tar, "is a tar archive; unpack it with tar -xf"),
    (zip_of_pictures, "is a zip archive.*unzip"),
    (single_picture, "is a single picture; pass the folder"),
    (no_header, r"has no header.*rename\(columns=\{0: 'label'\}\)"),
    (no_labels, r"has no columns of labels among its 2: 'a', 'b'; name one column 'label'"),
    (other_names, r"holds foo \(20, 6, 6\) uint8 in \[0, 255\], bar \(20,\) int64 in \[0, 1\]"),
    (
        labels_missing,
        "images without labels; put the labels beside it as 'train-labels-idx1-ubyte'",
    ),
    (shard_missing, r"has 1 of the 2 files like 'train-00000-of-00002.parquet'"),
    (pictures_of_two_sizes, r"is 32 x 32 pixels, and .*00\.png' 32 x 30; resize all to one size"),
    (link_out_of_the_folder, "is a symbolic link out of its folder"),
    (transparent, r"00\.png' cannot be read: it is transparent in places"),
    (transparent_palette, r"00\.png' cannot be read: it is transparent in places"),
    (several_pages, r"0\.tif' cannot be read: it holds 2 pictures; save each"),
    (float_pictures, r"0\.tif' cannot be read: its pixels are floats; save them all as \.npy"),
    (deep_pictures, r"0\.tif' cannot be read: it has 32 bits a pixel"),
    (two_folders_of_a_part, "has several folders of one part, 'train' and 'training'"),
    (empty_part, r"test' has no folders of pictures"),
    (one_folder_too_high, r"it holds raw/\. Give one of these"),
    (two_files_of_one_array, r"has X_train in a file of its own and in 'train\.npz'"),
    (batches_of_two_sizes, r"train_2\.npz' has shape \(20, 5, 6\), and in the files before"),
    (with_index, "neither pixels nor labels: 'Unnamed: 0'; leave them out"),
    (with_numbers, "neither pixels nor labels: 'ID'; leave them out"),
    (unlabelled_rows, r"has no label in 2 rows of 'label'.*dropna\(subset=\['label'\]\)"),
    (unlabelled_parquet, r"has no label in 2 rows of 'label'"),
    (header_alone, "has a header and no rows"),
    (semicolons, r"a table whose columns no commas separate.*sep=None"),
    (cells, r"y in .* is a cell array of MATLAB's; save numbers.*char\(y\)"),
    (square, r"X in .* the first axis or the last may be that of the images"),
    (lengths_that_vary, r"y in .* is an array of objects"),
    (complex_labels, "y holds values of type complex128"),
    (one_hot, r"y has shape \(20, 2\).*one-hot labels; save y\.argmax\(axis=1\)"),
    (axes_at_the_end, r"y_train has shape \(20,\) for 6 images.*np\.moveaxis\(X, -1, 0\)"),
]


@pytest.mark.parametrize("write, message", REFUSED, ids=lambda item: getattr(item, "__name__", ""))
def test_forms_that_are_refused(write, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_images(write(tmp_path))


@pytest.mark.parametrize(
    "write, name, n_bytes",
    [
        (idx_gz_file, "train-images-idx3-ubyte.gz", 20),
        (parquet_pixels, "images.parquet", 40),
        (hdf5_groups, "images.h5", 400),
        (svhn, "train_32x32.mat", 400),
        (npy_pair, "fog.npy", 1),
        (npy_folder, "X_train.npy", 1),
        (npy_folder, "y_train.npy", 200),
        (pictures, "cat/00.png", 2000),
    ],
)
def test_truncated_files_are_named(write, name, n_bytes, tmp_path):
    source, _ = write(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-n_bytes])
    with pytest.raises(ValueError, match=rf"{re.escape(path.name)}' is .*(damaged|truncated)"):
        load_images(source)


@pytest.mark.parametrize("write", [keras, npy_pair, idx_gz_file, cifar100_binary, svhn, pictures,
                                   csv, parquet_pixels, hdf5_groups])  # fmt: skip
def test_nothing_is_allocated_that_does_not_fit(write, tmp_path, monkeypatch):
    source, _ = write(tmp_path)

    def too_large(n_bytes, **what):
        raise MemoryError(f"{what['what']} needs {n_bytes}")

    monkeypatch.setattr(_names, "check_memory", too_large)
    with pytest.raises(MemoryError, match="Reading"):
        load_images(source)


def test_a_header_that_claims_more_than_the_file_holds(tmp_path):
    header = np.lib.format.magic(1, 0)
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999, 28, 28), }\n"
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        for name in ("X.npy", "y.npy"):
            archive.writestr(name, header + struct.pack("<H", len(text)) + text)
    with pytest.raises(ValueError, match=r"bomb\.npz' is damaged"):
        load_images(tmp_path / "bomb.npz")


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    source, _ = hdf5_groups(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ImportError, match=r"Reading HDF5 needs h5py.*skntk\[data\]"):
        load_images(source)


def test_copies_of_an_image_stay_on_one_side_of_a_split(tmp_path):
    y = RNG.integers(0, 2, 20)
    np.save(tmp_path / "fog.npy", np.concatenate([GREY // k * k for k in (1, 2, 3, 4, 5)]))
    np.save(tmp_path / "labels.npy", np.tile(y, 5))
    data = load_images(tmp_path / "fog.npy")
    assert len(data.X_test) == 20 and len(data.X_train) == 80
    assert len(np.unique(data.y_test)) == 2
    originals = (GREY.reshape(20, -1) / 255).astype(np.float32)
    in_test = {k for k, x in enumerate(originals) if (data.X_test == x).all(axis=1).any()}
    assert len(in_test) == 4
    for k in in_test:
        copy = ((GREY[k] // 5 * 5).ravel() / 255).astype(np.float32)
        assert (data.X_test == copy).all(axis=1).any()
        assert not (data.X_train == copy).all(axis=1).any()


def test_a_class_of_one_image_cannot_be_split(tmp_path):
    np.savez(tmp_path / "images.npz", X=GREY, y=np.r_[Y[:19], 7])
    with pytest.raises(ValueError, match="The class 7 has a single image"):
        load_images(tmp_path / "images.npz")


# Values and axes


def saved(tmp_path, X, **options):
    np.savez(tmp_path / "images.npz", X_train=X[TRAIN], y_train=Y[TRAIN], X_test=X[TEST],
             y_test=Y[TEST])  # fmt: skip
    return load_images(tmp_path / "images.npz", dtype=np.float64, **options)


@pytest.mark.parametrize(
    "X, message, pixel_range",
    [
        ((GREY > 127).astype(np.uint8), r"If 1 is white.*\(0, 1\).*\(0, 255\)", (0, 1)),
        ((GREY > 127).astype(np.int64), r"If 1 is white", (0, 1)),
        (GREY // 16, r"uint8 values in \[0, 15\]. If 15 is white", (0, 15)),
        (GREY / 255 / 255, r"If 0.00392157 is white.*if white is 1 and", (0, 1 / 255)),
        (GREY / 255 + 1e-7, r"1e-07 beyond \[0, 1\].*store np.clip\(X, 0, 1\)", (0, 1.0000001)),
        (GREY / 230 - 0.05, r"0.059 beyond \[0, 1\]", (-0.05, 1.06)),
        (GREY.astype(np.float32), r"if 255 is white, pass pixel_range=\(0, 255\)", (0, 255)),
        (GREY.astype(np.uint16) * 257, r"if 65535 is white, pass pixel_range=", (0, 65535)),
        (GREY / 127.5 - 1, r"if -1 is black and 1 white.*\(X \+ 1\) / 2", (-1, 1)),
        ((GREY - 120.0) / 60, r"look standardised: undo that, X \* std \+ mean", (-2, 2.25)),
    ],
    ids=[
        "binary",
        "binary int",
        "16 levels",
        "twice",
        "rounding",
        "resizing",
        "float bytes",
        "16 bit",
        "-1..1",
        "z",
    ],
)
def test_values_in_doubt_name_their_readings(X, message, pixel_range, tmp_path):
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, X)
    data = saved(tmp_path, X, pixel_range=pixel_range)
    low, high = pixel_range
    expected = (X.astype(np.float64) - low) / (high - low)
    np.testing.assert_allclose(data.X_test, expected.reshape(20, -1)[TEST], atol=1e-7)


def test_integers_that_are_bytes_and_booleans(tmp_path):
    for dtype in (np.int64, np.uint16, np.int32):
        data = saved(tmp_path, GREY.astype(dtype))
        np.testing.assert_allclose(data.X_test * 255, GREY.reshape(20, -1)[TEST])
    assert_array_equal(saved(tmp_path, GREY > 99).X_test, (GREY > 99).reshape(20, -1)[TEST])


@pytest.mark.parametrize("value", [np.uint8(0), 0.5, np.False_])
def test_images_of_a_single_value(value, tmp_path):
    with pytest.raises(ValueError, match="one value alone; check how they were saved"):
        saved(tmp_path, np.full(GREY.shape, value))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_no_test_image(dtype, tmp_path):
    X = GREY.astype(dtype)
    np.savez(tmp_path / "images.npz", X_train=X, y_train=Y, X_test=X[:0], y_test=Y[:0])
    with pytest.raises(ValueError, match="X_test holds no image"):
        load_images(tmp_path / "images.npz")


def test_arrays_beside_training_and_test_images_are_left_out(tmp_path):
    parts = {"X_train": GREY[TRAIN], "y_train": Y[TRAIN], "X_test": GREY[TEST], "y_test": Y[TEST]}
    for more in ({"X": GREY}, {"images": GREY[:5], "labels": Y[:5]}, {"X_val": GREY, "y_val": Y}):
        np.savez(tmp_path / "images.npz", **parts, **more)
        data = load_images(tmp_path / "images.npz")
        assert (len(data.X_train), len(data.X_test)) == (14, 6)


def test_not_a_number_in_some_images(tmp_path):
    X = GREY / 255
    X[[3, 5], 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity in 2 of 14 images.*index 3; leave them"):
        saved(tmp_path, X)


@pytest.mark.parametrize(
    "pixel_range, message",
    [((1, 0), "not ascending"), (3, "not a pair"), ((0, 9), "outside pixel")],
)
def test_wrong_pixel_ranges(pixel_range, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, GREY, pixel_range=pixel_range)


def test_channels_first_is_transposed_with_a_warning(tmp_path):
    X = RGB.transpose(0, 3, 1, 2)
    with pytest.warns(UserWarning, match=r"as X\.transpose\(0, 2, 3, 1\) does"):
        data = saved(tmp_path, X)
    assert data.image_shape == (32, 32, 3)
    np.testing.assert_allclose(data.X_train * 255, RGB[TRAIN].reshape(14, -1))
    assert_array_equal(saved(tmp_path, X, channels_first=True).X_train, data.X_train)
    assert saved(tmp_path, GREY[:, None]).image_shape == (6, 6, 1)


@pytest.mark.parametrize("shape", [(3, 5, 3), (1, 4, 1), (7, 8, 9), (4, 6, 4)])
def test_axes_in_doubt_are_asked_for(shape, tmp_path):
    X = RNG.integers(0, 256, (20, *shape), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"channels_first=False or True.*transpose\(0, 2, 3, 1\)"):
        saved(tmp_path, X)
    assert saved(tmp_path, X, channels_first=False).image_shape == shape
    first = saved(tmp_path, X, channels_first=True)
    assert first.image_shape == (*shape[1:], shape[0])


def test_rows_of_cifars_pickles_are_asked_for(tmp_path):
    rows = RGB.transpose(0, 3, 1, 2).reshape(20, -1)
    with pytest.raises(ValueError, match=r"reshape\(-1, 3, 32, 32\)\.transpose\(0, 2, 3, 1\)"):
        saved(tmp_path, rows)
    data = saved(tmp_path, rows, channels_first=True)
    np.testing.assert_allclose(data.X_train * 255, RGB[TRAIN].reshape(14, -1))
    assert saved(tmp_path, GREY.reshape(20, -1)).image_shape == (6, 6, 1)
    assert saved(tmp_path, RNG.integers(0, 256, (20, 6, 5, 4))).image_shape == (6, 5, 4)
