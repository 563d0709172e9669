"""One contract for the store in SQLite and the store in memory."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hanse.model.replica.instruction import Generation, Instruction
from hanse.model.replica.order import ReachOrder
from hanse.ports import Store, Temporary, Transaction
from hanse.store.memory import MemoryStore
from hanse.store.sqlite import SqliteStore
from hanse.store.transaction import UnrecordedChangeError

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(lambda: NOW)
        return
    opened = SqliteStore(tmp_path / "hub.sqlite", lambda: NOW)
    yield opened
    opened.close()


def note(tx: Transaction, subject: str = "site/acme/one") -> None:
    tx.append_entry("site-invited", subject, {})


def put(store: Store, key: str, value: int, *, expect: int = 0, state: str = "") -> None:
    with store.transaction() as tx:
        tx.put("thing", key, {"value": value}, expect=expect, state=state)
        note(tx)


def test_a_record_is_read_as_it_was_written(store: Store) -> None:
    put(store, "a", 1, state="open")
    with store.transaction(read_only=True) as tx:
        record = tx.get("thing", "a")
        assert record is not None
        assert (record.version, record.state, record.body) == (1, "open", {"value": 1})
        assert tx.get("thing", "b") is None


def test_a_write_over_a_newer_version_is_a_conflict(store: Store) -> None:
    put(store, "a", 1)
    put(store, "a", 2, expect=1)
    with pytest.raises(Temporary) as failure:
        put(store, "a", 3, expect=1)
    assert failure.value.code == "conflict"
    with store.transaction(read_only=True) as tx:
        assert tx.select("thing")[0].body == {"value": 2}


def test_a_record_that_must_not_exist_and_does_is_a_conflict(store: Store) -> None:
    put(store, "a", 1)
    with pytest.raises(Temporary):
        put(store, "a", 2, expect=0)


def test_a_change_without_a_ledger_entry_is_refused(store: Store) -> None:
    with pytest.raises(UnrecordedChangeError), store.transaction() as tx:
        tx.put("thing", "a", {}, expect=0)
    with store.transaction(read_only=True) as tx:
        assert tx.get("thing", "a") is None


def test_an_unknown_kind_of_entry_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="not a kind"), store.transaction() as tx:
        tx.append_entry("something", "x", {})


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(UnrecordedChangeError), store.transaction(read_only=True) as tx:
        note(tx)


def test_an_exception_undoes_everything(store: Store) -> None:
    put(store, "a", 1)
    with pytest.raises(KeyError):
        change_much_and_fail(store)
    with store.transaction() as tx:
        assert [row.body["value"] for row in tx.select("thing")] == [1]
        assert tx.entries("site/acme/undone") == []
        assert tx.instructions("acme/one", 0) == []
        assert tx.next_number("n") == 1
        note(tx)


def change_much_and_fail(store: Store) -> None:
    with store.transaction() as tx:
        note(tx, "site/acme/undone")
        tx.put("thing", "a", {"value": 2}, expect=1)
        tx.put("thing", "b", {"value": 2}, expect=0)
        tx.next_number("n")
        tx.issue("acme/one", "reach", build)
        raise KeyError


def test_selecting_goes_by_key_state_and_prefix(store: Store) -> None:
    for key, state in (("b/2", "open"), ("a/1", "open"), ("b/1", "done"), ("bb", "open")):
        put(store, key, 0, state=state)
    with store.transaction(read_only=True) as tx:
        assert [row.key for row in tx.select("thing")] == ["a/1", "b/1", "b/2", "bb"]
        assert [row.key for row in tx.select("thing", state="open", prefix="b/")] == ["b/2"]
        assert tx.select("other") == []


def test_deleting_is_guarded_too(store: Store) -> None:
    put(store, "a", 1)
    with pytest.raises(Temporary), store.transaction() as tx:
        tx.delete("thing", "a", expect=2)
    with store.transaction() as tx:
        tx.delete("thing", "a", expect=1)
        note(tx)
    put(store, "a", 3)


def test_entries_come_newest_first_by_prefix(store: Store) -> None:
    with store.transaction() as tx:
        for subject in ("site/a/1", "site/b/1", "site/a/2"):
            note(tx, subject)
    with store.transaction(read_only=True) as tx:
        found = tx.entries("site/a/")
        assert [entry["subject"] for entry in found] == ["site/a/2", "site/a/1"]
        assert found[0]["at"] == NOW.isoformat()
        assert len(tx.entries("site/", limit=1)) == 1


def build(serial: int, number: int) -> tuple[Instruction, str]:
    instruction = Instruction(
        site="acme/one",
        serial=serial,
        subject="reach",
        generation=Generation(number=number),
        issued_at=NOW,
        order=ReachOrder(peers=()),
    )
    return instruction, f"document {serial}.{number}"


def test_only_the_newest_instruction_of_a_subject_is_kept(store: Store) -> None:
    with store.transaction() as tx:
        for site, subject in (("acme/one", "a"), ("acme/one", "b"), ("acme/two", "a"), ("acme/one", "a")):
            tx.issue(site, subject, build)
        note(tx)
    with store.transaction(read_only=True) as tx:
        assert tx.instructions("acme/one", 0) == [(2, "document 2.1"), (4, "document 4.2")]
        assert tx.instructions("acme/one", 2) == [(4, "document 4.2")]
        assert tx.instructions("acme/one", 0, limit=1) == [(2, "document 2.1")]


def test_writers_in_many_threads_lose_nothing(store: Store) -> None:
    def add() -> None:
        for _ in range(20):
            with store.transaction() as tx:
                number = tx.next_number("n")
                tx.put("thing", f"{number:04}", {}, expect=0)
                note(tx)

    run_together(add, 4)
    with store.transaction(read_only=True) as tx:
        assert len(tx.select("thing")) == 80


def run_together(work: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_file_is_private_and_survives_reopening(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "hub.sqlite")
    put(first, "a", 1)
    first.close()
    second = SqliteStore(tmp_path / "hub.sqlite")
    with second.transaction(read_only=True) as tx:
        assert tx.get("thing", "a") is not None
    second.close()
    assert (tmp_path / "hub.sqlite").stat().st_mode & 0o077 == 0
