"""What a follower remembers of its copies must never make equal content look different."""

from pathlib import Path

from hanse.drivers.bucket.follow.content import comparison
from hanse.drivers.bucket.s3 import Listed

IN_PARTS, WHOLE = "c8f0fbcf-1", "b76b8d4d"


def _object(etag: str, modified: str) -> Listed:
    return Listed("scan.dcm", 107_060, etag, modified)


def _pass(place: Path, source: Listed, copy: Listed, own: tuple[Listed, ...] = ()) -> tuple[int, str]:
    """One pass: how much was copied, and the position said afterwards."""
    with comparison(place) as content:
        content.add("source", [source])
        content.add("own", own)
        copied = content.begin_job().objects
        if copied:
            content.drop("scan.dcm")
            content.add("own", [copy])
        content.finish_job(clean=True)
        return copied, content.position(following=True)


def _shown(place: Path, own: Listed) -> str:
    with comparison(place) as content:
        content.add("own", [own])
        return content.position(following=False)


def test_a_copy_of_an_upload_in_parts_stands_where_its_source_stands(tmp_path: Path) -> None:
    source, copy = _object(IN_PARTS, "10:00"), _object(WHOLE, "10:05")
    assert _pass(tmp_path / "b", source, copy) == (1, _shown(tmp_path / "a", source))


def test_after_a_move_there_and_back_a_follower_stands_where_its_source_stands(tmp_path: Path) -> None:
    first, second = _object(IN_PARTS, "10:00"), _object(WHOLE, "10:05")
    third = _object(WHOLE, "10:10")
    _pass(tmp_path / "b", first, second)
    assert _pass(tmp_path / "a", second, third, own=(first,))[0] == 1
    again = _pass(tmp_path / "b", third, second, own=(second,))
    assert again == (0, _shown(tmp_path / "a", third))


def test_a_version_that_was_written_anew_is_copied_even_with_the_same_bytes(tmp_path: Path) -> None:
    before, copy, anew = _object(WHOLE, "10:00"), _object(WHOLE, "10:05"), _object(WHOLE, "11:00")
    _pass(tmp_path / "b", before, copy)
    assert _pass(tmp_path / "b", anew, _object(WHOLE, "11:05"), own=(copy,))[0] == 1
