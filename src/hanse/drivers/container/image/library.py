"""Images by digest: fetched once, judged, given to the engine, shared by replicas, removed with the last."""

import asyncio
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from hanse.drivers.container.engine import Engine
from hanse.drivers.container.image.archive import Archive, UnusableError, judge
from hanse.drivers.contract import Report
from hanse.drivers.identity import write_file
from hanse.model.replica.observation import Progress
from hanse.ports import Artifacts, Permanent

_UNPACKED_LIMIT_BYTES = 32 * 2**30
_LOAD_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the engine holds."""

    identity: str
    """The engine's own content id; what is run. A tag in a hostile archive cannot replace it."""
    size_bytes: int


class Images:
    """The images of one site."""

    def __init__(self, directory: Path, engine: Engine, artifacts: Artifacts) -> None:
        self._directory = directory
        self._engine = engine
        self._artifacts = artifacts
        self._one_at_a_time = asyncio.Lock()

    def known(self, digest: str) -> Image | None:
        """What was loaded for this digest, without asking the engine."""
        try:
            return Image(**json.loads(self._file(digest).read_text()))
        except FileNotFoundError:
            return None

    async def ensure(self, component: str, digest: str, report: Report) -> Image:
        """Have the image of a component in the engine.

        Raises Permanent(`image-missing`, `image-not-usable`, `disk-full`) or Temporary.
        """
        async with self._one_at_a_time:
            image = self.known(digest)
            if image is not None and (await self._engine.ask("image", "exists", image.identity)).code == 0:
                return image
            return await self._load(component, digest, report)

    async def keep_only(self, digests: set[str]) -> int:
        """Remove all other images; bytes that they had. May be repeated."""
        async with self._one_at_a_time:
            known = {digest: image for digest in self._digests() if (image := self.known(digest)) is not None}
            kept = {known[digest].identity for digest in digests & set(known)}
            freed = 0
            for digest, image in known.items():
                if digest not in digests:
                    freed += await self._release(digest, image, shared=image.identity in kept)
            return freed

    async def _release(self, digest: str, image: Image, *, shared: bool) -> int:
        await self._engine.ask("untag", image.identity, _tag(digest))
        if not shared:
            await self._engine.ask("rmi", image.identity)
        self._file(digest).unlink(missing_ok=True)
        return 0 if shared else image.size_bytes

    async def _load(self, component: str, digest: str, report: Report) -> Image:
        fetched = self._directory / "fetched"
        fetched.mkdir(parents=True, exist_ok=True)
        try:
            report(Progress(phase="fetching image"))
            file = await self._artifacts.fetch(digest, fetched / digest.partition(":")[2])
            report(Progress(phase="reading image", bytes_total=file.stat().st_size))
            archive = await asyncio.to_thread(judge, file, _UNPACKED_LIMIT_BYTES)
            self._refuse_what_does_not_fit(archive)
            report(Progress(phase="unpacking image", bytes_total=archive.unpacked_bytes))
            identity = await self._import(file, archive)
        except UnusableError as error:
            raise _not_usable(component, digest, error) from None
        finally:
            shutil.rmtree(fetched, ignore_errors=True)
        size = await self._engine.call("image", "inspect", "--format", "{{.Size}}", identity)
        await self._engine.call("tag", identity, _tag(digest))
        image = Image(identity, int(size))
        write_file(self._file(digest), json.dumps(asdict(image)).encode())
        return image

    async def _import(self, file: Path, archive: Archive) -> str:
        words = {
            "rootfs": ("import", "--quiet", str(file)),
            "oci": ("pull", "--quiet", f"oci-archive:{file}"),
            "docker": ("pull", "--quiet", f"docker-archive:{file}"),
        }[archive.form]
        finished = await self._engine.ask(*words, timeout_seconds=_LOAD_SECONDS)
        identities = finished.output.split()
        if finished.code or len(identities) != 1:
            why = finished.last_line if finished.code else f"it holds {len(identities)} images, not one"
            raise UnusableError(
                f"podman does not accept this {archive.form} archive: {why}", finished.complaint[-2000:]
            )
        return identities[0].removeprefix("sha256:")

    def _refuse_what_does_not_fit(self, archive: Archive) -> None:
        free = shutil.disk_usage(self._directory).free
        if archive.unpacked_bytes > free:
            raise Permanent(
                "disk-full",
                f"the image unpacks to {archive.unpacked_bytes / 2**20:.0f} MiB, and this site has"
                f" {free / 2**20:.0f} MiB left; make room there, or run the component at another site",
            )

    def _digests(self) -> list[str]:
        return [f"sha256:{path.stem}" for path in sorted(self._directory.glob("*.json"))]

    def _file(self, digest: str) -> Path:
        return self._directory / f"{digest.partition(':')[2]}.json"


def _tag(digest: str) -> str:
    return f"localhost/hanse/{digest.partition(':')[2][:12]}:latest"


def _not_usable(component: str, digest: str, error: UnusableError) -> Permanent:
    return Permanent(
        "image-not-usable",
        f"component {component}: image {digest[:19]}… cannot be used: {error.why}; push a root file system"
        " packed with `tar -C ROOT -cf FILE .`, or an OCI archive (docs/images.md)",
        error.detail,
    )
