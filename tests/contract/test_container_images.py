"""Images by digest: what is accepted, what is refused in words, when they go."""

import asyncio
import gzip
import io
import lzma
import os
import subprocess
import tarfile

import pytest

from hanse.ports import Permanent

pytestmark = pytest.mark.real


def tar(*members, content=b"x"):
    """A tar of (name, type, link) members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, link in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


async def rootfs(bench):
    return await asyncio.to_thread((bench.directory.parent / "rootfs.tar").read_bytes)


async def serves(bench, key, data):
    spec = bench.kind.spec().model_copy(update={"image": bench.artifacts.add(data)})
    return await bench.driver.primary(key, spec, bench.kind.environment(), bench.report)


async def saved(bench, key, form):
    """The healthy image as another tool would pack it."""
    await bench.primary(key)
    file = bench.directory.parent / "saved.tar"
    identity = bench.driver._images.known(bench.kind.spec().image).identity
    await bench.driver._engine.call("save", "--quiet", "--format", form, "--output", str(file), identity)
    await bench.driver.erase(key)
    return await asyncio.to_thread(file.read_bytes)


def zstd(data):
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
async def test_a_packed_root_file_system_runs(containers, key, pack):
    assert await containers.answers(key, await serves(containers, key, pack(await rootfs(containers))))


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
async def test_an_archive_of_another_tool_runs(containers, key, form):
    data = await saved(containers, key, form)
    assert await containers.answers(key, await serves(containers, key, data))
    await containers.driver.erase(key)
    assert await containers.leftovers() == []


async def test_long_work_is_reported(containers, key):
    await containers.primary(key)
    phases = [progress.phase for progress in containers.progress]
    assert phases[:3] == ["fetching image", "reading image", "unpacking image"]


async def test_an_image_is_shared_and_goes_with_its_last_user(containers, key, other_key):
    await containers.standby(key)
    await containers.primary(other_key)
    assert sum(progress.phase == "fetching image" for progress in containers.progress) == 1
    await containers.driver.erase(key)
    assert await containers.answers(other_key, await containers.primary(other_key))
    assert (await containers.driver.look(other_key)).used_bytes > 2**20
    assert await containers.driver.erase(other_key) > 2**20


async def test_a_new_image_replaces_the_old_one(containers, key):
    await containers.primary(key)
    old = containers.kind.spec().image
    served = await serves(containers, key, gzip.compress(await rootfs(containers)))
    assert await containers.answers(key, served)
    assert containers.driver._images.known(old) is None


async def test_an_image_that_is_not_there_is_named(containers, key):
    spec = containers.kind.spec().model_copy(update={"image": "sha256:" + "0" * 64})
    with pytest.raises(Permanent) as caught:
        await containers.driver.primary(key, spec, containers.kind.environment(), containers.report)
    assert caught.value.code == "image-missing"


HOSTILE = {
    "nothing": b"",
    "noise": os.urandom(20_000),
    "text": b"FROM debian\n" * 1000,
    "zeros": bytes(20_480),
    "up": tar(("../../escape", tarfile.REGTYPE, "")),
    "up-within": tar(("a/../../escape", tarfile.REGTYPE, "")),
    "absolute": tar(("/etc/escape", tarfile.REGTYPE, "")),
    "hard-link-out": tar(("a", tarfile.REGTYPE, ""), ("b", tarfile.LNKTYPE, "../../etc/passwd")),
    "cut-off": tar(("bin/a", tarfile.REGTYPE, ""), content=bytes(50_000))[:30_000],
    "cut-off-gzip": gzip.compress(tar(("bin/a", tarfile.REGTYPE, ""), content=os.urandom(50_000)))[:30_000],
    "oci-without-image": tar(("oci-layout", tarfile.REGTYPE, ""), ("index.json", tarfile.REGTYPE, "")),
    "docker-without-image": tar(("manifest.json", tarfile.REGTYPE, ""), content=b"[]"),
    "long-name": tar(("a" * 5000, tarfile.REGTYPE, "")),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_what_is_no_image_is_refused_in_words_and_leaves_nothing(containers, key, what):
    with pytest.raises(Permanent) as caught:
        await serves(containers, key, HOSTILE[what])
    assert caught.value.code == "image-not-usable"
    assert "component part: image sha256:" in caught.value.message
    assert "docs/images.md" in caught.value.message
    await containers.driver.erase(key)
    assert await containers.leftovers() == []


async def test_links_that_lead_out_stay_inside_the_container(containers, key, tmp_path):
    trap = tmp_path / "trap"
    trap.mkdir()
    data = tar(("x", tarfile.SYMTYPE, str(trap)), ("x/escape", tarfile.REGTYPE, ""))
    with pytest.raises(Permanent):
        await serves(containers, key, data)
    assert list(trap.iterdir()) == []


async def test_a_tag_in_an_archive_does_not_replace_anothers_image(containers, key, other_key):
    evil = await saved(containers, key, "oci-archive")
    served = await containers.primary(key)
    await serves(containers, other_key, evil)
    assert await containers.primary(key) == served
    assert await containers.answers(key, served)
