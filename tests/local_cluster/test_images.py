"""Built images are kept for the next run, and not for ever."""

import os
from pathlib import Path

import pytest

from claims_cluster import images, settings


def test_the_builds_of_an_image_that_were_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMS_CACHE", str(tmp_path))
    folder = settings.cache_directory() / "images"
    folder.mkdir(parents=True)
    image = images.PLATFORM_IMAGES[0]
    for age_seconds in range(5):
        archive = folder / f"{image.name}-{age_seconds}.tar"
        archive.touch()
        os.utime(archive, (1_000 - age_seconds, 1_000 - age_seconds))
    (folder / "claims-other-9.tar").touch()

    images.forget_older(image)

    kept = {archive.name for archive in folder.iterdir()}
    assert kept == {f"{image.name}-{age_seconds}.tar" for age_seconds in range(3)} | {"claims-other-9.tar"}
