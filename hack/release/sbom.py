"""Print the CycloneDX SBOM of an image, from its unpacked files.

It lists the packages of Debian, of the environment of svclink, and Python itself. Equal files give
an equal SBOM. It is validated before it is printed.

    python hack/release/sbom.py DIRECTORY > image.cdx.json
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

EPOCH = datetime.fromtimestamp(0, UTC)
"""The time of the SBOM: that of its making would make two of one image differ."""


def debian_packages(root: Path) -> Iterator[Component]:
    """The packages that dpkg calls installed."""
    status = root / "var" / "lib" / "dpkg" / "status"
    for block in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", block, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            qualifiers = {"arch": fields["Architecture"]}
            name, version = fields["Package"], fields["Version"]
            yield component(PackageURL("deb", "debian", name, version, qualifiers))


def python_packages(root: Path) -> Iterator[Component]:
    """The packages in the environment of svclink."""
    places = [str(each) for each in root.glob("opt/svclink/lib/python3.*/site-packages")]
    for package in distributions(path=places):
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        found = component(PackageURL("pypi", None, name, package.version))
        add_license(found, package)
        yield found


def add_license(found: Component, package: Distribution) -> None:
    """Add the license that the package declares."""
    declared = declared_license(package)
    if declared:
        how = LicenseAcknowledgement.DECLARED
        made = LicenseFactory().make_from_string(declared, license_acknowledgement=how)
        found.licenses.add(made)


def declared_license(package: Distribution) -> str | None:
    """The license in the metadata: an expression, the only classifier, or a line of text."""
    fields = package.metadata.json
    classifiers = fields.get("classifier", ())
    names = [each for each in classifiers if each.startswith("License :: ")]
    if "license_expression" in fields or len(names) != 1:
        return str(fields.get("license_expression", fields.get("license", ""))) or None
    return names[0].rpartition(" :: ")[2]


def python_itself(root: Path) -> Iterator[Component]:
    """The Python that `python:slim` builds from source, which dpkg does not know."""
    for header in root.glob("usr/local/include/python3.*/patchlevel.h"):
        found = re.search(r'#define PY_VERSION\s+"([^"]+)"', header.read_text(encoding="utf-8"))
        if found:
            yield component(PackageURL("generic", None, "python", found[1]))


def component(url: PackageURL) -> Component:
    """A package, identified by its package URL."""
    kind = ComponentType.LIBRARY
    return Component(type=kind, name=url.name, version=url.version, purl=url, bom_ref=str(url))


def sbom_of(root: Path) -> Bom:
    """The SBOM of an unpacked image."""
    found = [*debian_packages(root), *python_packages(root), *python_itself(root)]
    version = next(each.version for each in found if str(each.purl).startswith("pkg:pypi/svclink@"))
    image = Component(type=ComponentType.CONTAINER, name="svclink", version=version)
    bom = Bom(components=found)
    bom.metadata.component, bom.metadata.timestamp = image, EPOCH
    bom.serial_number = uuid5(NAMESPACE_URL, "\n".join(sorted(str(each.purl) for each in found)))
    bom.register_dependency(image, found)
    return bom


def main(root: Path) -> int:
    """Print the SBOM; returns the exit code."""
    text = JsonV1Dot6(sbom_of(root)).output_as_string(indent=2)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        print(f"Invalid SBOM: {problem}", file=sys.stderr)
        return 1
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
