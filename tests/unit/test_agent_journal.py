"""The journal survives, belongs to one process, and is nobody else's to read."""

import stat
from pathlib import Path

import pytest

from hanse.agent.journal import SqliteJournal
from hanse.ports import Permanent, Temporary


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.sqlite")
    journal.put("replica", "a", {"epoch": 3, "name": "blå"})
    journal.put("replica", "b", {"epoch": 1})
    journal.delete("replica", "b")
    journal.close()
    again = SqliteJournal(tmp_path / "j.sqlite")
    assert again.items("replica") == [("a", {"epoch": 3, "name": "blå"})]
    assert again.get("replica", "b") is None
    again.close()


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    numbers = []
    for _ in range(3):
        journal = SqliteJournal(tmp_path / "j.sqlite")
        numbers += [journal.next_number("observation"), journal.next_number("observation")]
        journal.close()
    assert numbers == [1, 2, 3, 4, 5, 6]


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.sqlite")
    journal.put("credential", "a", {"secret_key": "s"})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    journal.close()
    assert modes == {0o600}


def test_a_second_agent_is_told_that_the_journal_is_in_use(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.sqlite")
    with pytest.raises(Permanent) as refused:
        SqliteJournal(tmp_path / "j.sqlite")
    journal.close()
    assert refused.value.code == "journal-in-use"


def test_a_damaged_journal_stops_the_agent_in_words(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(Permanent) as refused:
        SqliteJournal(tmp_path / "j.sqlite")
    assert refused.value.code == "journal-unreadable"
    assert "epochs" in refused.value.message


def test_a_full_disk_is_told_as_something_that_may_pass(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.sqlite")
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Temporary) as refused:
        journal.put("replica", "a", {"big": "x" * 100_000})
    assert refused.value.code == "journal-not-written"
    assert "Free space" in refused.value.message
    assert journal.get("replica", "a") is None
    journal.close()
