"""The examples: every application file reads and explains, every image it needs has a builder."""

import os
import re
from pathlib import Path

import pytest

from hanse.demo.images import CHECKOUT, Example
from hanse.model.application.file import ContainerComponent
from hanse.model.application.reader import ReadApplication, read_application
from hanse.model.application.requirement import Mandate
from hanse.rules.expand import expand
from hanse.rules.explain import explain_lines

EXAMPLES = CHECKOUT / "examples"
FILES = sorted(EXAMPLES.glob("*/*.yaml"))
CITIES = {"Milan": (45.46, 9.19)}
BUILT = sorted(path.parent.name for path in EXAMPLES.glob("*/build"))


def read(file: Path) -> ReadApplication:
    found = read_application(file.read_text(), file.name)
    assert isinstance(found, ReadApplication), found
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_application_file_reads_and_explains(file: Path):
    application = read(file)
    mandate = expand(application.application, application.lines, CITIES)
    assert isinstance(mandate, Mandate), mandate
    assert f"{file.stem}: " in explain_lines(mandate)[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_example_has_a_readme_and_the_name_of_its_folder(file: Path):
    assert file.stem == file.parent.name == read(file).application.name
    assert (file.parent / "README.md").read_text().startswith("# ")


@pytest.mark.parametrize("name", BUILT)
def test_the_script_builds_the_image_of_every_container(name: str):
    components = read(EXAMPLES / name / f"{name}.yaml").application.components
    containers = {one for one, component in components.items() if isinstance(component, ContainerComponent)}
    script = EXAMPLES / name / "build"
    assert set(re.findall(r"\$into/([a-z-]+)\.tar\.gz", script.read_text())) == containers
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("name", BUILT)
def test_the_digests_of_built_images_stand_in_the_application_file(name: str):
    components = read(EXAMPLES / name / f"{name}.yaml").application.components
    containers = [one for one, component in components.items() if isinstance(component, ContainerComponent)]
    digests = {one: f"sha256:{number:064}" for number, one in enumerate(containers, 5)}
    filled = read_application(Example(name).application(digests), name)
    assert isinstance(filled, ReadApplication)
    for one, digest in digests.items():
        component = filled.application.components[one]
        assert isinstance(component, ContainerComponent)
        assert component.image == digest


@pytest.mark.parametrize("lock", sorted(EXAMPLES.glob("*/*.txt")), ids=lambda lock: lock.stem)
def test_every_wheel_is_locked_by_hash(lock: Path):
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
