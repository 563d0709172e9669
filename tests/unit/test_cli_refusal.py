"""With --json every no is one document, whoever says it: the hub, the command line, a site, this machine."""

import json
from pathlib import Path

import pytest
from cli_hub import live_hub

from hanse.__main__ import main


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    with live_hub(tmp_path_factory.mktemp("hub"), "alder/one") as live:
        yield live.environment


@pytest.fixture
def refused(environment, monkeypatch, capsys):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*words: str, code: int = 1) -> dict:
        assert main([*words, "--json"]) == code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert err.strip(), "a person is told too"
        assert len(out.splitlines()) == 1
        error = json.loads(out)["error"]
        assert {"code", "title", "detail", "next"} <= set(error)
        assert error["code"] == error["code"].lower().replace("_", "-")
        assert all(error[part] for part in ("code", "title", "detail"))
        return error

    return run


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status", "nobody"], "application-unknown"),
        (["status", "no/body"], "name-malformed"),
        (["logs", "nobody/web"], "application-unknown"),
        (["connect", "nobody/web"], "application-unknown"),
        (["abort", "op-99"], "operation-unknown"),
        (["move", "nobody", "--to", "alder"], "application-unknown"),
        (["retire", "nobody"], "application-unknown"),
        (["offers", "--limit", "0"], "limit-malformed"),
        (["offers", "--where", "nonsense < 3"], "query-unreadable"),
        (["invite", "No Such/Site"], "site-malformed"),
        (["remove-site", "dogwood/one"], "nobody-to-ask"),
        (["image", "push", "/nowhere"], "file-unreadable"),
        (["plan", "/nowhere"], "file-unreadable"),
        (["hub", "run", "--listen", "nowhere"], "address-unusable"),
        (["hub", "run", "--dir", "/proc/nowhere"], "directory-unusable"),
        (["site", "run", "--dir", "/nowhere"], "not-joined"),
        (["site", "join", "hanse1.abc", "--dir", "/nowhere/site"], "token-malformed"),
    ],
)
def test_a_no_is_a_document_with_a_stable_code(refused, words, code):
    assert refused(*words)["code"] == code


@pytest.mark.parametrize(
    "words", [["plan"], ["mvoe"], ["status", "--bogus"], ["hub", "--bogus"], ["site", "x"], ["demo", "x"]]
)
def test_what_is_not_understood_ends_with_2_and_says_where_to_look(refused, words):
    error = refused(*words, code=2)
    assert error["code"] == "usage-wrong"
    assert "--help" in error["next"]


def test_what_the_hub_says_next_stands_apart(refused, monkeypatch):
    monkeypatch.setenv("HANSE_TOKEN", "wrong")
    error = refused("status")
    assert error["title"] == "The token is wrong"
    assert "admin.token" in error["next"]
    assert error["next"] not in error["detail"]


def test_the_mistakes_of_a_file_are_a_list(refused, tmp_path: Path):
    (tmp_path / "shop.yaml").write_text("hanse: 1\nname: Shop\n")
    for verb in ("plan", "explain"):
        error = refused(verb, str(tmp_path / "shop.yaml"))
        assert error["code"] == "file-unreadable"
        assert all("shop.yaml:" in line for line in error["errors"])
        assert len(error["errors"]) == 2


def test_a_fault_of_this_machine_is_named(refused, monkeypatch):
    def full(*_words, **_how):
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr("hanse.cli.verbs.running.open_hub", full)
    assert "/somewhere" in refused("status")["detail"]
