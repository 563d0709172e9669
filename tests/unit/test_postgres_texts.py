"""The database driver's pure parts: settings, positions, what a copy takes and keeps, its pace."""

import platform
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.drivers.postgres.following import check_kin
from hanse.drivers.postgres.record import Login, Record
from hanse.drivers.postgres.seed.kept import Kept
from hanse.drivers.postgres.seed.listing import File, listing_of
from hanse.drivers.postgres.seed.pace import Pace
from hanse.drivers.postgres.seed.stretch import Stretch, batches
from hanse.drivers.postgres.server.control import Position, lsn_of, lsn_text
from hanse.drivers.postgres.server.program import MAJOR, machine_of
from hanse.drivers.postgres.server.settings import Setting, access_text, password_text, server_text
from hanse.drivers.postgres.source import Facts
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import GIB, MIB, PostgresSpec, Size
from hanse.ports import Permanent

KEY = ReplicaKey(application="shop", component="records")
SETTING = Setting("127.0.0.9", "root")


def _settings(
    role: ReplicaRole = ReplicaRole.PRIMARY, login: Login | None = None, **size: int
) -> dict[str, str]:
    spec = PostgresSpec(size=Size(**size), databases=("records",))
    record = Record(role=role, spec=spec, uid=1, port=5432, major=15, login=login)
    return dict(line.split(" = ", 1) for line in server_text(record, SETTING).splitlines())


def test_settings_grow_with_the_size_and_stay_within_bounds() -> None:
    small, large = _settings(memory_bytes=16 * MIB), _settings(memory_bytes=64 * GIB, disk_bytes=1024 * GIB)
    assert (small["shared_buffers"], large["shared_buffers"]) == ("'8192kB'", "'8388608kB'")
    assert (small["max_connections"], large["max_connections"]) == ("'40'", "'400'")
    assert large["max_wal_size"] == "'4096MB'"


@pytest.mark.parametrize("disk_bytes", [GIB, 10 * GIB, 500 * GIB])
def test_the_log_that_is_kept_for_a_follower_is_bounded_by_the_disk(disk_bytes: int) -> None:
    kept = _settings(disk_bytes=disk_bytes)["max_slot_wal_keep_size"]
    assert int(kept.strip("'").removesuffix("MB")) * MIB == disk_bytes // 4


def test_only_a_standby_follows_and_its_password_is_in_no_setting() -> None:
    login = Login("f_1", "pa'ss\\word", "hanse_slot")
    following = _settings(ReplicaRole.STANDBY, login)
    assert "hanse_slot" in following["primary_conninfo"]
    assert not any("word" in value for value in following.values())
    assert _settings(ReplicaRole.PRIMARY, login)["primary_conninfo"] == "''"
    assert password_text(login) == "*:*:*:f_1:pa'ss\\\\word\n"


def test_who_is_let_in_depends_on_the_role() -> None:
    assert "+app " in access_text(ReplicaRole.PRIMARY)
    assert "+app " not in access_text(ReplicaRole.FENCED)
    assert "replication" in access_text(ReplicaRole.FENCED)
    assert access_text(ReplicaRole.STANDBY).count("host") == 1
    assert all("trust" not in access_text(role) for role in ReplicaRole)


def test_positions_are_read_as_they_are_written() -> None:
    position = Position(7_300_000_000_000_000_000, 3, lsn_of("1A/2B000028"))
    assert Position.parse(str(position)) == position
    assert str(position).endswith(":3:1A/2B000028")
    assert lsn_text(lsn_of("0/0")) == "0/0"


@pytest.mark.parametrize("text", ["", "sha256:" + "0" * 64, "1:2", "1:2:3", "1:2:0/G", "x:1:0/1", "1:1:0/1 "])
def test_anything_else_is_no_position(text: str) -> None:
    assert Position.parse(text) is None


def test_a_copy_leaves_out_what_is_the_sources_own() -> None:
    rows = [
        ("base", 0, True, 1),
        ("base/5/100", 8192, False, 1),
        ("base/5/200", 8192, False, 1),
        ("base/5/200_init", 0, False, 1),
        ("base/5/200_fsm", 8192, False, 1),
        ("base/5/t3_99", 8192, False, 1),
        ("base/pgsql_tmp/pgsql_tmp1.0", 8192, False, 1),
        ("global/pg_control", 8192, False, 1),
        ("pg_wal", 0, True, 1),
        ("postmaster.pid", 9, False, 1),
        ("postgresql.conf", 9, False, 1),
        ("../escape", 9, False, 1),
        ("/etc/passwd", 9, False, 1),
    ]
    listing = listing_of(rows)
    assert [one.path for one in listing.files] == ["base/5/100", "base/5/200_init"]
    assert listing.directories == ("base", "pg_wal")


def _kept(tmp_path: Path, system: int = 1) -> Kept:
    return Kept(tmp_path / "seed.list", system)


FILE = File("base/100", 100, 1000)


def _begin(kept: Kept, read_at: float = 1010.0) -> None:
    """The first half of a file is here."""
    kept.begin([FILE], read_at)
    kept.add([Stretch(FILE, 0, 30), Stretch(FILE, 30, 50)])


@pytest.fixture
def local(tmp_path: Path) -> Path:
    (tmp_path / "100").touch()
    return tmp_path / "100"


@settings(deadline=None)
@given(st.data())
def test_what_is_missing_and_what_is_here_make_the_file(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, 99))) | {0, 100})
    stretches = [Stretch(FILE, first, end) for first, end in pairwise(cuts)]
    here = data.draw(st.sets(st.sampled_from(stretches)))
    with TemporaryDirectory() as place:
        (Path(place) / "100").touch()
        kept = _kept(Path(place))
        kept.begin([FILE], 1010.0)
        kept.add(here)
        missing = _kept(Path(place)).missing(FILE, Path(place) / "100")
    assert missing is not None
    assert sorted(byte for one in {*here, *missing} for byte in range(one.first, one.end)) == [*range(100)]


_SIZES = st.lists(st.tuples(st.integers(0, 40 * MIB), st.integers(0, 40 * MIB)), max_size=20)


@settings(deadline=None)
@given(_SIZES)
def test_batches_hold_each_byte_that_is_needed_once_and_in_order(sizes: list[tuple[int, int]]) -> None:
    ends = [(File(f"base/{n}", max(pair), 1), min(pair)) for n, pair in enumerate(sizes)]
    plan = [Stretch(file, good, file.size) for file, good in ends]
    made = list(batches(plan))
    for one in plan:
        parts = [part for batch in made for part in batch if part.file == one.file]
        pieces = [piece for part in parts for piece in part.pieces()]
        at = one.first
        for piece in pieces:
            assert piece.first == at
            at += piece.length
        assert at == one.end
        assert sum(part.is_last for part in parts) == 1
    assert all(sum(part.length for part in batch) < 36 * MIB for batch in made)


def test_what_was_copied_counts_if_the_source_has_not_changed_it_since(tmp_path: Path, local: Path) -> None:
    _begin(_kept(tmp_path))
    again = _kept(tmp_path)
    assert again.missing(FILE, local) == [Stretch(FILE, 50, 100)]
    assert again.missing(File("base/100", 100, 1001), local) is None
    assert again.missing(File("base/100", 108, 1000), local) is None
    assert again.missing(File("base/other", 100, 1000), local) is None
    assert again.missing(FILE, tmp_path / "gone") is None


def test_what_was_read_in_the_second_of_its_last_change_does_not_count(tmp_path: Path, local: Path) -> None:
    kept = _kept(tmp_path)
    _begin(kept, 1001.5)
    assert kept.missing(FILE, local) is None


@pytest.mark.parametrize("end", ['["base/200", 1', '["base/200", 1, 2]', "7", '["base/200"]'])
def test_another_source_and_a_damaged_end_are_not_gone_on_from(tmp_path: Path, local: Path, end: str) -> None:
    _begin(_kept(tmp_path))
    with (tmp_path / "seed.list").open("a") as out:
        out.write(end)
    assert _kept(tmp_path).missing(FILE, local) == [Stretch(FILE, 50, 100)]
    assert _kept(tmp_path, system=2).is_empty


def test_time_left_follows_the_pace_of_the_last_seconds() -> None:
    pace = Pace(0.0)
    assert pace.seconds_left(100) is None
    for second in range(1, 31):
        pace.add(float(second), second * 100)
    for second in range(31, 61):
        pace.add(float(second), 3000 + (second - 30) * 10)
    assert pace.seconds_left(1000) == pytest.approx(100, rel=0.1)


def _facts(major: int = MAJOR, machine: str = platform.machine()) -> Facts:
    return Facts(major, machine, 0, 1, None, Position(1, 1, 1))


def test_another_version_or_processor_is_refused_with_what_to_do() -> None:
    check_kin(KEY, _facts())
    with pytest.raises(
        Permanent, match=r"is PostgreSQL 9; this site has .*install postgresql-9 here"
    ) as caught:
        check_kin(KEY, _facts(major=9))
    assert caught.value.code == "version-differs"
    with pytest.raises(Permanent, match=r"runs on s390x.*move to another site") as caught:
        check_kin(KEY, _facts(machine="s390x"))
    assert caught.value.code == "architecture-differs"


def test_a_servers_processor_is_read_from_its_version() -> None:
    assert machine_of("PostgreSQL 15.18 (Debian 15.18-1) on x86_64-pc-linux-gnu, compiled by gcc") == "x86_64"
    assert machine_of("something else") == ""
