"""Snapshots on disk: whole or absent, checked, never pickled, never outside their directory."""

import errno
import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from skntk._utils import snapshots as _snapshots
from skntk._utils.snapshots import SnapshotStore
from skntk.dynamics import SnapshotError

SETTINGS = {"batch": "abc", "top": [10, 20], "labels": ["a", "b"]}
ARRAYS = {
    "kernel": np.arange(12.0).reshape(3, 4),
    "values": np.array([3, 1], np.float32),
    "scalar": np.array(7),
    "none": np.empty((0, 5)),
}


def arrays_of(step):
    return {"kernel": np.random.default_rng(step).normal(size=(6, 6)), "step": np.array(step)}


def assert_same(arrays, expected):
    assert arrays.keys() == expected.keys()
    for key, array in expected.items():
        assert arrays[key].dtype == array.dtype and arrays[key].shape == array.shape
        np.testing.assert_array_equal(arrays[key], array)


def files(directory):
    """Contents of all files but the lock's."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != ".lock"}


@pytest.fixture
def store(tmp_path):
    return SnapshotStore(tmp_path / "run", SETTINGS)


# --- what is written is read ----------------------------------------------------------------


def test_round_trip(store):
    store.save("step-1", ARRAYS, step=1, note="clean")
    store.save("step-0", arrays_of(0))
    for reader in (store, SnapshotStore.open(store.directory)):
        assert reader.settings == SETTINGS and reader.names() == ["step-0", "step-1"]
        arrays, facts = reader.load("step-1")
        assert_same(arrays, ARRAYS)
        assert facts == {"step": 1, "note": "clean"}


def test_memory_layouts_and_types(store):
    arrays = {
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(20)[::3],
        "big_endian": np.arange(3, dtype=">f4"),
        "text": np.array(["a", "bcd"]),
        "flags": np.array([True, False]),
        "nan": np.array([np.nan, np.inf, -0.0]),
    }
    store.save("a", arrays)
    assert_same(store.load("a")[0], arrays)


def test_a_snapshot_is_never_replaced(store):
    store.save("a", arrays_of(1), step=1)
    before = files(store.directory)
    for arrays, step in ((arrays_of(2), 1), (arrays_of(1), 2)):
        for writer in (store, SnapshotStore(store.directory, SETTINGS, resume=True)):
            with pytest.raises(SnapshotError, match=r"'a' is in .*run.*never replaced"):
                writer.save("a", arrays, step=step)
    store.save("a", arrays_of(1), step=1)
    assert files(store.directory) == before


def test_a_damaged_snapshot_is_written_again(store):
    store.save("a", arrays_of(1))
    next(store.directory.glob("a.*.npz")).write_bytes(b"")
    store.save("a", arrays_of(2))
    assert_same(store.load("a")[0], arrays_of(2))
    assert len(files(store.directory)) == 3  # the first one's array file is gone


def test_names_that_begin_alike_do_not_disturb_each_other(store):
    names = ["a", "a.b", "a.b.c", "a.0123456789abcdef", "ab"]
    for step, name in enumerate(names):
        store.save(name, arrays_of(step))
    for step, name in enumerate(names):
        assert_same(store.load(name)[0], arrays_of(step))


# --- one writer at a time ---------------------------------------------------------------------


def test_one_writer_at_a_time_and_it_is_named(store):
    owner = f"process {os.getpid()} on {socket.gethostname()}"
    with store.writing():
        store.save("a", ARRAYS)  # its holder may enter again
        for use in (
            lambda: SnapshotStore(store.directory, SETTINGS, resume=True),
            lambda: SnapshotStore(store.directory, SETTINGS),
        ):
            with pytest.raises(SnapshotError, match=f"run.* is in use by {owner}; wait"):
                use()
        assert_same(SnapshotStore.open(store.directory).load("a")[0], ARRAYS)  # readers may
    SnapshotStore(store.directory, SETTINGS, resume=True).save("b", ARRAYS)


def test_two_that_began_together_do_not_mix(tmp_path):
    one = SnapshotStore(tmp_path, SETTINGS)
    other = SnapshotStore(tmp_path, SETTINGS | {"top": [7]})
    other.save("a", ARRAYS)
    with pytest.raises(SnapshotError, match=r"another run.*different top;"):
        one.save("b", ARRAYS)
    assert other.names() == ["a"]


def test_death_releases_the_lock(tmp_path):
    hold = """
n = 4
with store.writing():
    print("held", flush=True)
    sys.stdin.read()
"""
    with start(hold, tmp_path, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(SnapshotError, match=f"in use by process {process.pid} on "):
            SnapshotStore(tmp_path, {"run": 1}, resume=True)
        process.kill()
    SnapshotStore(tmp_path, {"run": 1}, resume=True).save("a", ARRAYS)


def test_what_failed_before_its_first_snapshot_is_not_in_the_way(store):
    again = SnapshotStore(store.directory, SETTINGS | {"top": [5]})
    again.save("a", ARRAYS)
    assert SnapshotStore.open(store.directory).settings["top"] == [5]


# --- no pickle ------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("bomb",)


@pytest.mark.parametrize(
    "array",
    [np.array([Bomb()]), np.array([None]), np.zeros(2, [("a", "O")]), np.zeros(2, [("a", "f8")])],
    ids=["object", "none", "structured-object", "structured"],
)
def test_what_needs_pickle_is_not_written(store, array):
    store.save("a", ARRAYS)
    before = files(store.directory)
    with pytest.raises(TypeError, match=r"'bad'.*pickle"):
        store.save("a", {**ARRAYS, "bad": array})
    assert files(store.directory) == before


def forge(store, name, data, arrays, changes=()):
    """Write a snapshot of any bytes with a manifest that vouches for them."""
    manifest = {
        "name": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "arrays": arrays,
        "facts": {},
    } | dict(changes)
    sha = str(manifest["sha256"])[:16].replace("/", "_")
    (store.directory / f"{name}.{sha}.npz").write_bytes(data)
    content = {"content": manifest, "sha256": _snapshots._json_hash(manifest)}
    (store.directory / f"{name}.json").write_bytes(json.dumps(content, sort_keys=True).encode())


def archive(compression=zipfile.ZIP_STORED, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, member in members.items():
            # With a date of its own, because processes that share the tests compare their names.
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), member, compression)
    return buffer.getvalue()


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def header(shape, descr="<f8"):
    buffer = io.BytesIO()
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()


def test_a_forged_snapshot_is_read_if_nothing_is_wrong_with_it(store):
    forge(store, "a", archive(x=npy(np.ones(3))), {"x": [[3], "<f8"]})
    assert_same(store.load("a")[0], {"x": np.ones(3)})


def test_pickles_are_never_read(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bomb = npy(np.array([Bomb()]), allow_pickle=True)
    forge(store, "a", archive(x=bomb), {"x": [[1], "|O"]})
    forge(store, "b", pickle.dumps(Bomb()), {"x": [[1], "|O"]})
    forge(store, "c", archive(x=pickle.dumps(Bomb())), {"x": [[1], "|O"]})
    for name in "abc":
        with pytest.raises(SnapshotError, match=rf"{name}\.json"):
            store.load(name)
    assert not (tmp_path / "bomb").exists()


HUGE = 2**45


@pytest.mark.parametrize(
    ("data", "arrays", "changes"),
    [
        # Nothing of this size may be allocated: it would be a MemoryError.
        (archive(x=header((HUGE,))), {"x": [[HUGE], "<f8"]}, {}),
        (archive(x=header((HUGE, HUGE, HUGE))), {"x": [[HUGE] * 3, "<f8"]}, {}),
        (archive(x=header((-1,))), {"x": [[-1], "<f8"]}, {}),
        (archive(x=npy(np.ones(3))[:-1]), {"x": [[3], "<f8"]}, {}),
        (archive(zipfile.ZIP_DEFLATED, x=npy(np.zeros(9999))), {"x": [[9999], "<f8"]}, {}),
        (archive(x=npy(np.ones(3))), {"x": [[4], "<f8"]}, {}),
        (archive(x=npy(np.ones(3))), {"x": [[3], "<f4"]}, {}),
        (archive(x=npy(np.ones(3))), {"x": [[3], "no type"]}, {}),
        (archive(x=npy(np.ones(3))), {"x": [[3]]}, {}),
        (archive(x=npy(np.ones(3))), {"x": 3}, {}),
        (archive(x=npy(np.ones(3))), ["x"], {}),
        (archive(x=npy(np.ones(3))), {"y": [[3], "<f8"]}, {}),
        (archive(x=npy(np.ones(3)), y=npy(np.ones(3))), {"x": [[3], "<f8"]}, {}),
        (archive(x=b"\x93NUMPY\x09\x00"), {"x": [[3], "<f8"]}, {}),
        (archive(x=b""), {"x": [[3], "<f8"]}, {}),
        (b"no zip", {}, {}),
        (archive(x=npy(np.ones(3))), {"x": [[3], "<f8"]}, {"bytes": HUGE}),
        (archive(x=npy(np.ones(3))), {"x": [[3], "<f8"]}, {"bytes": "3"}),
        (archive(x=npy(np.ones(3))), {"x": [[3], "<f8"]}, {"bytes": None}),
        (archive(x=npy(np.ones(3))), {"x": [[3], "<f8"]}, {"sha256": 5}),
        (archive(x=npy(np.ones(3))), {"x": [[3], "<f8"]}, {"sha256": "../../../x"}),
        (archive(x=npy(np.ones(3))), {"x": [[3], "<f8"]}, {"name": "b"}),
    ],
)
def test_a_manifest_that_lies_is_damage(store, data, arrays, changes):
    forge(store, "a", data, arrays, changes)
    with pytest.raises(SnapshotError, match=r"a\.json"):
        store.load("a")


@pytest.mark.parametrize(
    "manifest",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"content": 3}', b'{"content": {}}'],
)
def test_no_manifest_crashes(store, manifest):
    store.save("a", ARRAYS)
    for name in ("a", "settings"):
        (store.directory / f"{name}.json").write_bytes(manifest)
    with pytest.raises(SnapshotError, match=r"a\.json"):
        store.load("a")
    with pytest.raises(SnapshotError, match="run"):
        SnapshotStore.open(store.directory)
    with pytest.raises(SnapshotError, match="run"):
        SnapshotStore(store.directory, SETTINGS, resume=True)


def test_a_manifest_cannot_be_written_that_could_not_be_read(store):
    with pytest.raises(ValueError, match="too long"):
        store.save("a", ARRAYS, note="x" * 2**24)
    assert store.names() == [] and len(files(store.directory)) == 1


# --- names, links and what else lies around ---------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *["", ".", "..", "../a", "a/b", "/etc/a", ".a", "-a", "_a", "a\\b", "a\n", "a b", "a\0"],
        *["ä", "a" * 65, "settings"],
    ],
)
def test_names_stay_inside(store, tmp_path, name):
    before = files(store.directory)
    for use in (lambda: store.save(name, ARRAYS), lambda: store.load(name)):
        with pytest.raises(SnapshotError, match="no name for a checkpoint"):
            use()
    assert files(store.directory) == before and [*tmp_path.iterdir()] == [store.directory]


def test_the_longest_name(store):
    store.save("a" * 64, ARRAYS)
    assert_same(store.load("a" * 64)[0], ARRAYS)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_links_are_not_followed(store, tmp_path, suffix):
    store.save("a", ARRAYS)
    (path,) = store.directory.glob(f"a*{suffix}")
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(SnapshotError, match=r"a\.json"):
        store.load("a")
    # Writing puts a file in the place of the link, and leaves alone what it pointed to.
    before = outside.read_bytes()
    store.save("a", arrays_of(1))
    assert outside.read_bytes() == before and not any(
        path.is_symlink() for path in store.directory.iterdir()
    )
    assert_same(store.load("a")[0], arrays_of(1))


def test_settings_behind_a_link_are_refused(store, tmp_path):
    store.save("a", ARRAYS)
    path = store.directory / "settings.json"
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    for use in (
        lambda: SnapshotStore(store.directory, SETTINGS, resume=True),
        lambda: SnapshotStore.open(store.directory),
    ):
        with pytest.raises(SnapshotError, match="run"):
            use()
    (tmp_path / "outside").unlink()  # and so is a link to nothing, which is not written through
    with pytest.raises(SnapshotError, match="resume=True"):
        SnapshotStore(store.directory, SETTINGS)
    assert not (tmp_path / "outside").exists()


def test_a_link_laid_in_wait_is_not_written_through(store, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    data = io.BytesIO()
    np.savez(data, **ARRAYS)
    sha = hashlib.sha256(data.getvalue()).hexdigest()[:16]
    for name in ("a.json", f"a.{sha}.npz"):
        (store.directory / f".{name}.{os.getpid()}.tmp").symlink_to(victim)
        (store.directory / name).symlink_to(victim)
    store.save("a", ARRAYS)
    assert victim.read_text() == "precious"
    assert_same(store.load("a")[0], ARRAYS)


@pytest.mark.parametrize("kind", ["pipe", "directory"])
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_what_is_no_file_is_damage(store, kind, suffix):
    store.save("a", ARRAYS)
    (path,) = store.directory.glob(f"a*{suffix}")
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    n_open = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SnapshotError, match=r"a\.json.*not a file"):
        store.load("a")
    assert len(os.listdir("/proc/self/fd")) == n_open


def test_files_of_others_are_left_alone(tmp_path):
    directory = tmp_path / "home"
    (directory / "deeper").mkdir(parents=True)
    theirs = {
        ".draft.tmp": b"1",
        ".report.json.tmp": b"2",
        ".a.npz.12.tmp": b"3",
        "a.npz": b"4",
        "a.0123.npz": b"5",
        "notes.txt": b"6",
        ".hidden.json": b"7",
    }
    for name, content in theirs.items():
        (directory / name).write_bytes(content)
    store = SnapshotStore(directory, SETTINGS)
    store.save("a", ARRAYS)
    store = SnapshotStore(directory, SETTINGS, resume=True)
    assert store.names() == ["a"]
    for name, content in theirs.items():
        assert (directory / name).read_bytes() == content


def test_leftovers_of_a_killed_process_are_removed(store):
    store.save("step-1", ARRAYS)
    before = files(store.directory)
    for name in (
        ".step-1.json.1.tmp",
        ".step-1.0123456789abcdef.npz.4194304.tmp",
        ".settings.json.7.tmp",
    ):
        (store.directory / name).write_bytes(b"half of it")
    assert store.names() == ["step-1"]
    SnapshotStore(store.directory, SETTINGS, resume=True)
    assert files(store.directory) == before


# --- a directory used again -------------------------------------------------------------------


def test_a_directory_in_use_is_refused(store):
    store.save("a", ARRAYS)
    (store.directory / ".a.json.1.tmp").write_bytes(b"")
    before = files(store.directory)
    with pytest.raises(SnapshotError, match=r"run.*resume=True.*another directory"):
        SnapshotStore(store.directory, SETTINGS)
    for key, value in {"top": [5], "extra": 1}.items():
        with pytest.raises(SnapshotError, match=f"another run.*different {key};"):
            SnapshotStore(store.directory, SETTINGS | {key: value}, resume=True)
    fewer = {key: value for key, value in SETTINGS.items() if key != "labels"}
    with pytest.raises(SnapshotError, match="different labels;"):
        SnapshotStore(store.directory, fewer, resume=True)
    assert files(store.directory) == before
    again = SnapshotStore(store.directory, SETTINGS, resume=True)
    assert_same(again.load("a")[0], ARRAYS)


def test_resuming_what_never_began(tmp_path):
    store = SnapshotStore(tmp_path / "x" / "y", SETTINGS, resume=True)
    assert store.names() == [] and SnapshotStore.open(tmp_path / "x" / "y").settings == SETTINGS


def test_opening_nothing(tmp_path):
    for directory in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SnapshotError, match="holds no checkpoints"):
            SnapshotStore.open(directory)
    assert not (tmp_path / "absent").exists()


def test_missing_parts(store):
    with pytest.raises(SnapshotError, match=r"b\.json.*No such file"):
        store.load("b")
    store.save("a", ARRAYS)
    (path,) = store.directory.glob("a*.npz")
    path.unlink()
    with pytest.raises(SnapshotError, match=r"a\.json.*No such file"):
        store.load("a")


def test_a_snapshot_under_another_name_is_refused(store):
    store.save("step-1", ARRAYS)
    for path in [*store.directory.glob("step-1*")]:
        shutil.copy(path, path.with_name(path.name.replace("step-1", "step-2")))
    with pytest.raises(SnapshotError, match=r"step-2\.json.*written as 'step-1'"):
        store.load("step-2")


# --- damage -------------------------------------------------------------------------------------


def test_no_damage_is_accepted(store):
    """1,000 bytes flipped or cut off, anywhere in the directory."""
    rng = np.random.default_rng(0)
    for step in range(3):
        store.save(f"step-{step}", arrays_of(step), step=step)
    original = files(store.directory)
    names = sorted(original)
    n_found = 0
    for trial in range(1000):
        name = names[trial % len(names)]
        data = bytearray(original[name])
        if rng.random() < 0.7:
            data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        else:
            del data[rng.integers(len(data)) :]
        (store.directory / name).write_bytes(data)
        try:
            again = SnapshotStore(store.directory, SETTINGS, resume=True)
            for step in range(3):
                arrays, facts = again.load(f"step-{step}")
                assert_same(arrays, arrays_of(step))
                assert facts == {"step": step}
        except SnapshotError as error:
            n_found += 1
            assert name.partition(".")[0] in str(error) or str(store.directory) in str(error)
        (store.directory / name).write_bytes(original[name])
    assert n_found == 1000


# --- a disk that does not take it -----------------------------------------------------------------


def fail_writing(monkeypatch, how, error):
    def fail(*args):
        raise error

    class Full(io.FileIO):
        def write(self, data):
            super().write(data[: len(data) // 2])
            raise error

    if how == "write":
        monkeypatch.setattr(
            _snapshots,
            "open",
            lambda path, mode, **options: (
                Full(path, mode.replace("b", "")) if mode == "xb" else open(path, mode, **options)  # noqa: SIM115
            ),
            raising=False,
        )
    else:
        monkeypatch.setattr(_snapshots.os, how, fail)


@pytest.mark.parametrize("how", ["write", "fsync", "replace"])
def test_disk_full(store, monkeypatch, how):
    store.save("a", ARRAYS, step=1)
    before = files(store.directory)
    with monkeypatch.context() as patch:
        fail_writing(patch, how, OSError(errno.ENOSPC, "No space left on device"))
        for name in "bc":
            with pytest.raises(OSError, match=r"No space left.*[0-9,]+ bytes") as caught:
                store.save(name, arrays_of(5), step=2)
            assert caught.value.errno == errno.ENOSPC
            assert Path(caught.value.filename).parent == store.directory
            assert caught.value.filename.endswith(".npz")
    assert files(store.directory) == before
    assert_same(store.load("a")[0], ARRAYS)
    store.save("b", arrays_of(5), step=2)
    assert_same(store.load("b")[0], arrays_of(5))


def test_what_is_recorded_has_reached_the_disk(store, monkeypatch):
    """Contents before names, the arrays before the manifest, and nothing after it is unsaid."""
    steps, fsync, replace = [], os.fsync, os.replace

    def note_fsync(descriptor):
        steps.append(("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).suffix))
        fsync(descriptor)

    def note_replace(source, target):
        steps.append(("replace", Path(target).suffix))
        replace(source, target)

    monkeypatch.setattr(_snapshots.os, "fsync", note_fsync)
    monkeypatch.setattr(_snapshots.os, "replace", note_replace)
    store.save("a", ARRAYS)
    written = [("fsync", ".tmp"), ("replace", ".npz"), ("fsync", "")]
    assert steps == [*written, written[0], ("replace", ".json"), written[2]]


def test_interrupted_while_writing(store, monkeypatch):
    before = files(store.directory)
    with monkeypatch.context() as patch:
        fail_writing(patch, "fsync", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            store.save("a", ARRAYS)
    assert files(store.directory) == before


def test_disk_full_before_the_manifest(store, monkeypatch):
    """The arrays are written and not recorded: nothing has that name, and it is still free."""
    write, written = _snapshots._write, []

    def write_once(path, data):
        written.append(path.suffix)
        if path.suffix == ".json":
            with monkeypatch.context() as patch:
                fail_writing(patch, "write", OSError(errno.ENOSPC, "No space left on device"))
                write(path, data)
        write(path, data)

    monkeypatch.setattr(_snapshots, "_write", write_once)
    with pytest.raises(OSError, match=r"bytes were to be written.*a\.json"):
        store.save("a", arrays_of(5), step=2)
    assert written == [".npz", ".json"]
    assert store.names() == []
    assert [path.name for path in store.directory.glob(".*")] == [".lock"]
    monkeypatch.undo()
    store.save("a", arrays_of(6))
    assert len(files(store.directory)) == 3


#: A program of its own, without the rest of the package: it starts in a moment.
PROGRAM = """
import importlib, resource, sys, types
import numpy as np
sys.modules["utils"] = package = types.ModuleType("utils")
package.__path__ = [sys.argv[1]]
snapshots = importlib.import_module("utils.snapshots")
store = snapshots.SnapshotStore(sys.argv[2], {"run": 1}, resume=True)
def arrays(step):
    return {"kernel": np.random.default_rng(step).normal(size=(n, n)), "step": np.array(step)}
"""
SAVE_FOREVER = """
n, step = 60, int(sys.argv[3])
while True:
    store.save(f"step-{step}", arrays(step), step=step)
    print(step, flush=True)
    step += 1
"""
SAVE_TOO_MUCH = """
n = 4
store.save("small", arrays(0))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
n = 100
try:
    store.save("large", arrays(1))
except OSError as error:
    print(error.errno, error.filename, error.strerror)
"""


def start(program, *arguments, **options):
    folder = str(Path(_snapshots.__file__).parent)
    command = [sys.executable, "-c", PROGRAM + program, folder, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def assert_survives_kills(directory, n_kills):
    """Kill a process that saves, again and again; what it says is recorded must be there."""
    rng = np.random.default_rng(0)
    recorded, next_step = {}, 0
    for _ in range(n_kills):
        with start(SAVE_FOREVER, directory, next_step) as process:
            first = process.stdout.readline()
            time.sleep(rng.uniform(0, 0.03))
            process.kill()
            lines = [first, *process.stdout.read().splitlines()]
        assert process.returncode == -signal.SIGKILL
        for step in map(int, lines):
            recorded[f"step-{step}"] = step
            next_step = step + 1
        store = SnapshotStore.open(directory)
        assert set(store.names()) >= recorded.keys()
        for name in store.names():
            arrays, facts = store.load(name)
            step = facts["step"]
            # The one after the last that was told may have been recorded just before the end.
            assert name == f"step-{step}" and (name in recorded or step == next_step)
            expected = np.random.default_rng(step).normal(size=(60, 60))
            assert_same(arrays, {"kernel": expected, "step": np.array(step)})
            recorded[name] = step
        next_step = max(recorded.values()) + 1
    assert next_step > n_kills
    SnapshotStore(directory, {"run": 1}, resume=True)
    assert [path.name for path in directory.glob(".*")] == [".lock"]


def test_killed_while_writing(tmp_path):
    assert_survives_kills(tmp_path / "run", 12)


@pytest.mark.slow
def test_killed_a_hundred_times_while_writing(tmp_path):
    assert_survives_kills(tmp_path / "run", 100)


def test_a_file_too_large_for_the_system(tmp_path):
    directory = tmp_path / "run"
    with start(SAVE_TOO_MUCH, directory) as process:
        output = process.stdout.read()
    assert process.returncode == 0
    assert output.startswith(f"{errno.EFBIG} {directory}") and "bytes were to be" in output
    arrays, _ = SnapshotStore.open(directory).load("small")
    assert_same(
        arrays, {"kernel": np.random.default_rng(0).normal(size=(4, 4))} | {"step": arrays["step"]}
    )
    assert len(files(directory)) == 3


@pytest.mark.slow
def test_disk_full_on_a_small_file_system(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    try:
        store = SnapshotStore(disk / "run", SETTINGS)
        store.save("a", ARRAYS)
        before = files(store.directory)
        for name in "bc":
            with pytest.raises(OSError, match="bytes were to be written") as caught:
                store.save(name, {"kernel": np.ones((100, 100))})
            assert caught.value.errno == errno.ENOSPC
            assert files(store.directory) == before
        assert_same(SnapshotStore.open(store.directory).load("a")[0], ARRAYS)
    finally:
        subprocess.run(["umount", disk], check=True)
