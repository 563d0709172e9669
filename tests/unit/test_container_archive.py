"""Judging image files without an engine: bombs, bounds and forms."""

import gzip
import io
import tarfile

import pytest

from hanse.drivers.container.image.archive import UnusableError, judge

GIB = 2**30


def tar(names, size=0):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, io.BytesIO(bytes(size)))
    return buffer.getvalue()


def judged(tmp_path, data, limit=GIB):
    file = tmp_path / "image"
    file.write_bytes(data)
    return judge(file, limit)


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (["bin/sh"], "rootfs"),
        (["./bin/sh", "./etc/manifest.json"], "rootfs"),
        (["oci-layout", "index.json"], "oci"),
        (["./index.json", "./oci-layout"], "oci"),
        (["manifest.json", "a.json"], "docker"),
        (["manifest.json", "oci-layout", "index.json"], "oci"),
    ],
)
def test_the_form_is_known_by_content(tmp_path, names, form):
    assert judged(tmp_path, tar(names)).form == form


def test_what_it_unpacks_to_is_counted(tmp_path):
    assert judged(tmp_path, gzip.compress(tar(["a", "b"], 5000))).unpacked_bytes == 10_000


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    with pytest.raises(UnusableError, match=r"would unpack to more than 0\.0 GiB"):
        judged(tmp_path, gzip.compress(tar(["a"], 2_000_000)), limit=1_000_000)


def test_a_size_that_lies_is_refused(tmp_path):
    entry = tarfile.TarInfo("huge")
    entry.size = 2**60
    with pytest.raises(UnusableError, match="would unpack to more than"):
        judged(tmp_path, entry.tobuf() + bytes(10_240))


def test_a_bomb_inside_a_layer_is_seen(tmp_path):
    layer = gzip.compress(tar(["a"], 2_000_000))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (("oci-layout", b"{}"), ("index.json", b"{}"), ("blobs/sha256/ab", layer)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    with pytest.raises(UnusableError, match="would unpack to more than"):
        judged(tmp_path, buffer.getvalue(), limit=1_000_000)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "..", "a/.."])
def test_a_name_that_leaves_is_refused(tmp_path, name):
    with pytest.raises(UnusableError, match=r"leaves the archive|absolute name"):
        judged(tmp_path, tar([name]))


def test_a_name_with_dots_that_stays_is_fine(tmp_path):
    assert judged(tmp_path, tar(["./a/..b", "a/...", "./c"])).form == "rootfs"
