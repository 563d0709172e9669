"""Environment and confinement of a container, without an engine."""

import itertools
from pathlib import Path

import pytest

from hanse.drivers.container.program import (
    Confinement,
    blacked_out,
    create_words,
    environment_beside,
    environment_text,
    resolve,
)
from hanse.drivers.container.records import Record, Records
from hanse.model.replica.spec import ContainerSpec, Size
from hanse.ports import Permanent

VALUES = {"files.endpoint": "http://10.1.2.3:80", "files.secret_key": "s3cret-key"}
PLACE = Confinement("n", "shop/web/0/live", 1_879_048_192, Path("/x"), "10.201.0.2", "10.201.0.1")


def program(command=(), **env):
    spec = ContainerSpec(size=Size(cpu_milli=250), image="sha256:" + "0" * 64, command=command, env=env)
    return resolve("web", spec, VALUES, "image")


def test_references_are_put_in():
    made = program(
        ("serve", "--at=${files.endpoint}/x"), KEY="${files.secret_key}", A="$HOME ${files.endpoint}"
    )
    assert made.command == ("serve", "--at=http://10.1.2.3:80/x")
    assert dict(made.environment) == {"KEY": "s3cret-key", "A": "$HOME http://10.1.2.3:80"}
    assert made.secret_names == ("KEY",)


def test_no_value_of_the_environment_is_an_argument():
    words = create_words(program(KEY="${files.secret_key}", PEM="a\nb"), PLACE, Path("/env"))
    assert not any("s3cret-key" in word or "a\nb" in word for word in words)
    assert ("--cpus", "0.250") in itertools.pairwise(words)


def test_values_of_several_lines_go_beside_the_file():
    made = program(KEY="${files.secret_key}", PEM="a\nb", ODD="x=y #z")
    assert environment_text(made) == "KEY=s3cret-key\nODD=x=y #z\n"
    assert environment_beside(made) == {"PEM": "a\nb"}


@pytest.mark.parametrize(
    ("command", "env", "code"),
    [
        ((), {"A": "${other.endpoint}"}, "reference-unresolved"),
        (("x", "${files.secret_key}"), {}, "secret-in-command"),
        ((), {"1A": "x"}, "environment-not-usable"),
        ((), {"A B": "x"}, "environment-not-usable"),
        ((), {"A": "x\0y"}, "environment-not-usable"),
        ((), {"PATH": "x\ny"}, "environment-not-usable"),
    ],
)
def test_what_cannot_be_passed_is_refused_by_component(command, env, code):
    with pytest.raises(Permanent) as caught:
        program(command, **env)
    assert caught.value.code == code
    assert "component web" in caught.value.message


def test_a_changed_secret_is_another_program_and_the_same_is_the_same():
    assert program(A="x").digest(PLACE) == program(A="x").digest(PLACE)
    assert program(A="x").digest(PLACE) != program(A="y").digest(PLACE)


def test_secrets_are_blacked_out_and_short_words_are_left():
    text = blacked_out("key s3cret-key on", ("KEY", "ON"), {"KEY": "s3cret-key", "ON": "on"})
    assert text == "key *** on"


def test_uid_ranges_are_own_stable_and_given_back(tmp_path):
    first, second = Records(tmp_path / "a", tmp_path / "c"), Records(tmp_path / "b", tmp_path / "c")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    base = first.claim_uids("web", None)
    assert first.claim_uids("web", base) == base
    assert second.claim_uids("web", base) != base
    first.put("web", Record("shop/web/0/live", "primary", "sha256:", base, 1))
    first.delete("web")
    assert second.claim_uids("db", base) == base


def test_a_claim_of_a_site_that_is_gone_is_taken_over(tmp_path):
    (tmp_path / "a").mkdir()
    base = Records(tmp_path / "a", tmp_path / "c").claim_uids("web", None)
    (tmp_path / "a").rmdir()
    (tmp_path / "b").mkdir()
    assert Records(tmp_path / "b", tmp_path / "c").claim_uids("web", base) == base
