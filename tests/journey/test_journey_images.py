"""Images that are not usable: bought by nobody, told with their last words, and nothing stays behind."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey_footprint import difference, footprint
from journey_stage import Journey, pack_busybox, pages_file

pytestmark = pytest.mark.xdist_group("stage")


@pytest.fixture(autouse=True)
def nothing_left(clinic: Journey) -> Iterator[None]:
    """No process, mount, network, file or image of what could not run."""
    before = footprint(clinic)
    yield
    for image in clinic.ask("image", "list")["images"]:
        if not image["used_by"]:
            clinic.do("image", "remove", image["digest"])
    assert difference(before, footprint(clinic)) == []


def refused_apply(journey: Journey, name: str, image: str, command: str = "") -> str:
    """Everything that `apply` says of an application that cannot run."""
    said = journey.type(
        "apply", journey.file(f"{name}.yaml", pages_file(name, image, command=command)), "--yes"
    )
    assert said.code == 1, said.words
    assert f"{name} was not bought" in said.words
    assert "declined" in journey.do("status", name)
    return said.words


def test_a_program_that_ends_is_told_with_its_last_lines_and_exit_code(
    clinic: Journey, tmp_path: Path
) -> None:
    image = clinic.push(pack_busybox(tmp_path / "web.tar"))
    words = "'echo the first line; echo no such table >&2; exit 3'"
    told = refused_apply(clinic, "ends", image, f"[/bin/busybox, sh, -c, {words}]")
    assert "component pages does not start" in told
    assert "exit code 3" in told
    assert "no such table" in told
    assert "correct its `command`" in told


def test_a_program_that_is_not_in_the_image_is_named(clinic: Journey, tmp_path: Path) -> None:
    image = clinic.push(pack_busybox(tmp_path / "web.tar"))
    told = refused_apply(clinic, "nowhere", image, "[/bin/nginx]")
    assert "/bin/nginx cannot be run in this image: No such file or directory" in told


def hostile(archive: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, link, 0 if link else 4
        tar.addfile(member, None if link else io.BytesIO(b"evil"))
        member = tarfile.TarInfo("out/evil")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    return archive


def test_an_archive_that_reaches_out_of_itself_writes_nothing(clinic: Journey, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for number, archive in enumerate(
        [
            hostile(tmp_path / "dots.tar", "../../../../../../../.." + str(outside / "evil")),
            hostile(tmp_path / "absolute.tar", str(outside / "evil")),
        ]
    ):
        told = refused_apply(clinic, f"hostile-{number}", clinic.push(archive))
        assert "cannot be used" in told
        assert "tar -C ROOT -cf FILE ." in told
    assert list(outside.iterdir()) == []


def test_a_link_out_of_the_archive_is_followed_by_nobody(clinic: Journey, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = hostile(tmp_path / "link.tar", "out", tarfile.SYMTYPE, str(outside))
    refused_apply(clinic, "linked", clinic.push(archive), "[/bin/busybox]")
    assert list(outside.iterdir()) == []


def test_what_is_no_archive_at_all_is_told(clinic: Journey, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes")
    told = refused_apply(clinic, "notes", clinic.push(tmp_path / "notes.txt"))
    assert "not a whole tar archive" in told


def test_an_image_in_use_cannot_be_removed(clinic: Journey) -> None:
    used = next(each for each in clinic.ask("image", "list")["images"] if each["used_by"])
    assert "is used by clinic" in clinic.refused("image", "remove", used["digest"])
