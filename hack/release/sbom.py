"""Print CycloneDX SBOMs. Equal files give an equal SBOM, which is validated before it is printed.

The SBOM of an image is made from its unpacked files: the packages of Debian, those of the
environment of svclink, Python itself, and the JavaScript of the dashboard. The SBOM of the wheel
is that of cyclonedx-py, to which the JavaScript is added.

    python hack/release/sbom.py image DIRECTORY > image.cdx.json
    python hack/release/sbom.py wheel FILE > wheel.cdx.json
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[2]
VENDORED = Path("dashboard", "static", "vendor", "package.json")
JAVASCRIPT_LICENSES = {"htm": "Apache-2.0", "preact": "MIT"}
"""The licenses of the JavaScript libraries; their texts are in files beside package.json."""
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
        add_license(found, declared_license(package))
        yield found


def add_license(found: Component, declared: str | None) -> None:
    """Add the license that a package declares."""
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


def javascript(package: Path) -> Iterator[Component]:
    """The libraries in the dashboard of an installed or checked out `svclink_controller`."""
    versions = json.loads((package / VENDORED).read_text(encoding="utf-8"))["dependencies"]
    for name, version in versions.items():
        found = component(PackageURL("npm", None, name, version))
        add_license(found, JAVASCRIPT_LICENSES[name])
        yield found


def component(url: PackageURL) -> Component:
    """A package, identified by its package URL."""
    kind = ComponentType.LIBRARY
    return Component(type=kind, name=url.name, version=url.version, purl=url, bom_ref=str(url))


def sbom_of_image(root: Path) -> Bom:
    """The SBOM of an unpacked image."""
    found = [*debian_packages(root), *python_packages(root), *python_itself(root)]
    for package in root.glob("opt/svclink/lib/python3.*/site-packages/svclink_controller"):
        found += javascript(package)
    version = next(each.version for each in found if str(each.purl).startswith("pkg:pypi/svclink@"))
    kind = ComponentType.CONTAINER
    image = Component(type=kind, name="svclink", version=version, bom_ref="svclink")
    bom = Bom(components=found)
    bom.metadata.component = image
    bom.register_dependency(image, found)
    return bom


def sbom_of_wheel(file: Path) -> Bom:
    """The SBOM of the wheel, from that of its environment."""
    bom: Bom = Bom.from_json(json.loads(file.read_text(encoding="utf-8")))
    libraries = [*javascript(ROOT / "svclink_controller")]
    bom.components.update(libraries)
    if bom.metadata.component is not None:
        bom.register_dependency(bom.metadata.component, libraries)
    return bom


def make_reproducible(bom: Bom) -> None:
    """Give it a serial number that depends on what it lists, and no time."""
    listed = "\n".join(sorted(str(each.purl) for each in bom.components))
    bom.serial_number, bom.metadata.timestamp = uuid5(NAMESPACE_URL, listed), EPOCH


def main(kind: str, path: Path) -> int:
    """Print an SBOM; returns the exit code."""
    bom = sbom_of_image(path) if kind == "image" else sbom_of_wheel(path)
    make_reproducible(bom)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        print(f"Invalid SBOM: {problem}", file=sys.stderr)
        return 1
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
