"""The example applications of this checkout: their files, and their images, built once and kept."""

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hanse.demo.network import SceneryError

CHECKOUT = Path(__file__).resolve().parents[3]
LAST_WORDS = 5


@dataclass(frozen=True)
class Example:
    """`examples/NAME`: an application file, and a script that builds one image a container.

    `kept` is where built images stay, by a digest of everything that goes into them.
    """

    name: str
    checkout: Path = CHECKOUT
    kept: Path = CHECKOUT / ".state" / "images"

    @property
    def directory(self) -> Path:
        """Raises SceneryError where Hanse was installed without its examples."""
        directory = self.checkout / "examples" / self.name
        if not (directory / "build").exists():
            raise SceneryError(f"there is no example in {directory}: run it from a checkout of Hanse")
        return directory

    def images(self, say: Callable[[str], None]) -> dict[str, Path]:
        """Component name to image file; what is not there yet is built, telling each step to `say`.

        May be interrupted and repeated: an image that was finished is not built again. Two at once
        wait for each other. Raises SceneryError with the script's last words.
        """
        place = self.kept / f"{self.name}-{self.digest()[:16]}"
        with _alone(self.kept, self.name):
            if not (place / "whole").exists():
                place.mkdir(parents=True, exist_ok=True)
                self._build(place, say)
                (place / "whole").touch()
                self._forget_others(place)
        return {file.name.removesuffix(".tar.gz"): file for file in sorted(place.glob("*.tar.gz"))}

    def application(self, digests: Mapping[str, str]) -> str:
        """The application file with these images, by component name."""
        text = (self.directory / f"{self.name}.yaml").read_text(encoding="utf-8")
        for component, digest in digests.items():
            block = re.compile(rf"(?m)^(  {re.escape(component)}:\n(?:    .*\n)*?    image: )\S+$")
            text, found = block.subn(rf"\g<1>{digest}", text)
            if found != 1:
                raise SceneryError(f"examples/{self.name}/{self.name}.yaml names no image for {component}")
        return text

    def digest(self) -> str:
        """Of all that decides the images: the scripts, the locks, this machine's packages."""
        own = [path for path in self.directory.iterdir() if path.suffix not in {".yaml", ".md"}]
        shared = [path for path in (self.checkout / "examples").iterdir() if path.is_file()]
        whole = hashlib.sha256(_output(self.checkout / "examples" / "python-root", "--versions"))
        for path in sorted([*shared, *own]):
            whole.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return whole.hexdigest()

    def _build(self, place: Path, say: Callable[[str], None]) -> None:
        words: list[str] = []
        pipe, both = subprocess.PIPE, subprocess.STDOUT
        command = [str(self.directory / "build"), str(place)]
        with subprocess.Popen(command, stdout=pipe, stderr=both, text=True) as process:
            for line in process.stdout or ():
                words.append(line.rstrip())
                say(f"examples/{self.name}: {line.rstrip()}")
        if process.returncode:
            last = "\n".join(words[-LAST_WORDS:])
            raise SceneryError(f"examples/{self.name}/build could not make the images:\n{last}")

    def _forget_others(self, place: Path) -> None:
        for other in self.kept.glob(f"{self.name}-{'[0-9a-f]' * 16}"):
            if other != place:
                shutil.rmtree(other)


@contextmanager
def _alone(directory: Path, name: str) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _output(*command: Path | str) -> bytes:
    done = subprocess.run([str(word) for word in command], capture_output=True, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise SceneryError(f"this machine lacks a package that the images are made of: {words}")
    return done.stdout
