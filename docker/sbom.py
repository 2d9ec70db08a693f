"""A bill of materials from ``pip inspect``: ``python3 docker/sbom.py inspect.json > sbom.cdx.json``.

CycloneDX 1.6, the JSON form (https://cyclonedx.org/docs/1.6/json/): every Python distribution with its version and its
licence as its metadata has it. Standard library only: it runs on whatever Python a build machine has.
"""

import json
import sys
import uuid
from typing import Any

INSPECT_VERSION = "1"  # of pip's format; a later one is refused rather than guessed at


def bill_of_materials(inspected: dict[str, Any]) -> dict[str, Any]:
    """The document. Raises ValueError for another format of ``pip inspect``."""
    if inspected.get("version") != INSPECT_VERSION:
        raise ValueError(f"pip inspect, version {inspected.get('version')!r}: expected {INSPECT_VERSION!r}")
    components = [_component(each) for each in inspected["installed"]]
    environment = inspected["environment"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "name": "mimickit", "bom-ref": "mimickit"},
            "tools": {"components": [{"type": "application", "name": "pip", "version": inspected["pip_version"]}]},
            "properties": [
                {"name": f"python:{key}", "value": str(environment[key])}
                for key in ("python_full_version", "sys_platform", "platform_machine")
            ],
        },
        "components": sorted(components, key=lambda component: component["bom-ref"]),
    }


def _component(installed: dict[str, Any]) -> dict[str, Any]:
    metadata = installed["metadata"]
    name, version = metadata["name"].lower().replace("_", "-"), metadata["version"]
    url = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
    component = {"type": "library", "bom-ref": url, "name": metadata["name"], "version": version, "purl": url}
    licence = metadata.get("license_expression")
    if licence:
        component["licenses"] = [{"expression": licence}]
    elif metadata.get("license"):
        component["licenses"] = [{"license": {"name": metadata["license"].splitlines()[0].strip()}}]
    else:
        trove = [entry.split(" :: ")[-1] for entry in metadata.get("classifier", []) if entry.startswith("License ::")]
        if trove:
            component["licenses"] = [{"license": {"name": entry}} for entry in trove]
    return component


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as handle:
        json.dump(bill_of_materials(json.load(handle)), sys.stdout, indent=1)
    sys.stdout.write("\n")
