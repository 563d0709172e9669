"""Images of an example: built once, kept by what goes into them, resumed after a failure."""

from pathlib import Path

import pytest

from hanse.demo.images import Example
from hanse.demo.network import SceneryError

BUILD = """#!/bin/sh
echo building >>"$1/../calls"
echo "two steps" >&2
[ -e "$1/web.tar.gz" ] || echo image >"$1/web.tar.gz"
[ ! -e "$0.broken" ] || { echo "no room left" >&2; exit 1; }
"""


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def example(tmp_path: Path) -> Example:
    folder = tmp_path / "examples"
    script(folder / "python-root", '#!/bin/sh\ncat "$0.versions" 2>/dev/null || echo one 1\n')
    script(folder / "shop" / "build", BUILD)
    (folder / "shop" / "shop.yaml").write_text(
        "components:\n  web:\n    kind: container\n    image: sha256:00\n    size: {}\n"
    )
    return Example("shop", checkout=tmp_path, kept=tmp_path / "kept")


def calls(example: Example) -> int:
    log = example.kept / "calls"
    count = len(log.read_text().splitlines()) if log.exists() else 0
    log.unlink(missing_ok=True)
    return count


def silent(_line: str) -> None:
    return None


def test_an_image_is_built_once_and_each_step_is_told(example: Example):
    said: list[str] = []
    images = example.images(said.append)
    assert said == ["examples/shop: two steps"]
    assert {name: file.read_text() for name, file in images.items()} == {"web": "image\n"}
    assert calls(example) == 1
    assert example.images(said.append) == images
    assert calls(example) == 0


def test_a_newer_package_of_the_machine_makes_new_images_and_the_old_ones_go(example: Example):
    old = example.images(silent)["web"]
    calls(example)
    (example.checkout / "examples" / "python-root.versions").write_text("one 2")
    new = example.images(silent)["web"]
    assert new != old
    assert not old.exists()


def test_a_failure_says_the_scripts_last_words_and_is_taken_up_again(example: Example):
    (example.directory / "build.broken").touch()
    digest = example.digest()
    with pytest.raises(SceneryError, match="no room left"):
        example.images(silent)
    finished = example.kept / f"shop-{digest[:16]}" / "web.tar.gz"
    assert finished.read_text() == "image\n"


def test_another_application_file_needs_no_new_images(example: Example):
    before = example.digest()
    (example.directory / "shop.yaml").write_text("other")
    assert example.digest() == before


def test_the_application_file_names_the_images(example: Example):
    assert "    image: sha256:ab\n" in example.application({"web": "sha256:ab"})


def test_a_component_that_the_file_lacks_is_said(example: Example):
    with pytest.raises(SceneryError, match="names no image for api"):
        example.application({"api": "sha256:ab"})


def test_without_a_checkout_it_is_said_where_the_examples_would_be(tmp_path: Path):
    with pytest.raises(SceneryError, match="run it from a checkout"):
        Example("shop", checkout=tmp_path).images(silent)
