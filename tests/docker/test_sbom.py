"""The bill of materials is one, and says what pip says."""

import json
import subprocess
import sys

import pytest
from cyclonedx.model.bom import Bom

from docker.sbom import bill_of_materials


@pytest.fixture(scope="module")
def inspected():
    command = [sys.executable, "-m", "pip", "inspect", "--local"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_a_reader_of_the_format_reads_it(inspected):
    bill = bill_of_materials(inspected)
    read = Bom.from_json(data=json.loads(json.dumps(bill)))
    assert read.metadata.component.name == "mimickit"
    assert len(read.components) == len(inspected["installed"])
    (yaml,) = [component for component in read.components if component.name.lower() == "pyyaml"]
    assert str(yaml.purl) == f"pkg:pypi/pyyaml@{yaml.version}"
    assert [licence.name for licence in yaml.licenses] == ["MIT"]


def installed(**metadata):
    about = {"name": "Some_Thing", "version": "1.0+cpu", **metadata}
    return {
        "version": "1",
        "pip_version": "25.0",
        "environment": {"python_full_version": "3.12.3", "sys_platform": "linux", "platform_machine": "x86_64"},
        "installed": [{"metadata": about}],
    }


@pytest.mark.parametrize(
    ("metadata", "licences"),
    [
        ({"license_expression": "MIT OR Apache-2.0", "license": "no"}, [{"expression": "MIT OR Apache-2.0"}]),
        ({"license": "BSD\n\nCopyright somebody"}, [{"license": {"name": "BSD"}}]),
        ({"classifier": ["License :: OSI Approved :: MIT License", "A :: B"]}, [{"license": {"name": "MIT License"}}]),
        ({}, None),
    ],
)
def test_a_licence_is_taken_from_where_it_is(metadata, licences):
    (component,) = bill_of_materials(installed(**metadata))["components"]
    assert component.get("licenses") == licences
    assert component["purl"] == "pkg:pypi/some-thing@1.0%2Bcpu"
    Bom.from_json(data=bill_of_materials(installed(**metadata)))


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="version '2': expected '1'"):
        bill_of_materials({**installed(), "version": "2"})
