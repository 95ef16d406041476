"""Write the generated pages of docs/reference: flags, fields of the CRDs, reasons, metrics.

python hack/reference.py          # write the pages
python hack/reference.py --check  # exit with code 1 if a page is not up to date
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import reference_metrics
import yaml

from svclink_controller.cli.main import svclink
from svclink_core.link_reasons import LinkReason
from svclink_core.traffic_status import PolicyReason
from svclink_core.well_known import GROUP, Reason

ROOT = Path(__file__).resolve().parents[1]
DEFINITIONS = ROOT / "crd"
PAGES = ROOT / "docs" / "reference"
RUNBOOK = ROOT / "docs" / "how-to" / "runbook.md"
Row = tuple[str, str, str]
FLAG_COLUMNS = ("flag", "meaning", "default")
# A flag that so many commands have, with one meaning, is described once.
SHARED_BY = 3
GENERATED = "Generated from the code by `hack/reference.py`."
FLAGS = f"""\
# Flags

{GENERATED} [Commands](commands.md) describes what each command does and
what its exit codes mean.
"""
LINK = f"""\
# ClusterLink

{GENERATED} The conditions and their reasons are on
[another page](reasons.md#conditions-of-a-clusterlink).
"""
POLICY = f"""\
# TrafficPolicy

{GENERATED} [Traffic policies](../how-to/traffic-policies.md) shows how to use
one; the conditions and their reasons are on
[another page](reasons.md#conditions-of-a-trafficpolicy).
"""
REASONS = f"""\
# Conditions and reasons

{GENERATED} Condition reasons link to their sections in the
[runbook](../how-to/runbook.md), which describe how to fix the problem.
"""
LINK_CONDITIONS = """\
## Conditions of a ClusterLink

`Ready`: the cluster is connected. `Synced`: all its objects have been listed and their
mirrors written. `Degraded`: some objects could not be fully mirrored. `CredentialsExpiring`: a
credential expires within a week or has expired. `Drained`: `spec.drained` is true and no Service
uses the cluster.

"""
POLICY_CONDITIONS = """\
## Conditions of a TrafficPolicy

`Accepted`: the policy is in effect for its Service. `Applied`: traffic is distributed
as the policy specifies.

"""
DECISIONS = """\
## Why a Service is mirrored or not

`svclink explain`, `svclink plan` and the log use these reasons. While a Service is *Kept*, svclink
does not delete its mirrored EndpointSlices.

"""


def pages() -> dict[str, str]:
    """The generated pages, by file name."""
    return {
        "flags.md": joined(FLAGS, *commands()),
        "clusterlink.md": joined(LINK, *fields("clusterlinks")),
        "trafficpolicy.md": joined(POLICY, *fields("trafficpolicies")),
        "reasons.md": joined(
            REASONS,
            LINK_CONDITIONS + reasons_of(LinkReason),
            POLICY_CONDITIONS + reasons_of(PolicyReason),
            DECISIONS + reasons(),
        ),
        "metrics.md": reference_metrics.page(),
    }


def joined(*parts: str) -> str:
    return "\n".join(parts)


def commands() -> Iterator[str]:
    """A table for the controller, one for each command, and one for flags of several commands."""
    context = click.Context(svclink, info_name="svclink")
    by_name = {
        name: command
        for name in svclink.list_commands(context)
        if (command := svclink.get_command(context, name)) is not None
    }
    counts = Counter(each for command in by_name.values() for each in flags_of(command))
    meanings = Counter(name_of(each) for each in counts)
    shared = [
        each
        for each, count in counts.items()
        if count >= SHARED_BY and meanings[name_of(each)] == 1
    ]
    yield f"## svclink\n\n{first(svclink.help)}\n\n{table(FLAG_COLUMNS, flags_of(svclink))}"
    for name, command in by_name.items():
        yield section(f"svclink {usage(name, command)}", command, shared)
    yield f"## Shared flags\n\n{table(FLAG_COLUMNS, shared)}"


def usage(name: str, command: click.Command) -> str:
    context = click.Context(svclink)
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    return " ".join([name, *(each.make_metavar(context) for each in arguments)])


def section(heading: str, command: click.Command, shared: Collection[Row]) -> str:
    """The flags of a command: a table of its own flags, and the names of those it shares."""
    rows = flags_of(command)
    own = [each for each in rows if each not in shared]
    also = [name_of(each) for each in rows if each in shared]
    parts = [f"## {heading}\n\n{first(command.help)}\n"]
    if own:
        parts.append(table(FLAG_COLUMNS, own))
    if also:
        names = ", ".join(f"`{each}`" for each in also)
        parts.append(f"This command also has these [shared flags](#shared-flags): {names}.\n")
    return "\n".join(parts)


def name_of(flag: Row) -> str:
    """The long name of a flag, without its value."""
    return flag[0].strip("`").split(", ")[-1].split()[0]


def flags_of(command: click.Command) -> list[Row]:
    return [row(each) for each in command.params if isinstance(each, click.Option)]


def row(option: click.Option) -> Row:
    context = click.Context(svclink)
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    default = option.default if option.show_default else None
    return (
        f"`{', '.join(option.opts)}{value}`",
        option.help or "",
        "" if default is None else f"`{default}`",
    )


def first(text: str | None) -> str:
    """The first paragraph of a help text."""
    return " ".join((text or "").replace("\b", "").strip().split("\n\n")[0].split())


def fields(plural: str) -> Iterator[str]:
    """A table for spec and one for status."""
    definition = (DEFINITIONS / f"{plural}.{GROUP}.yaml").read_text(encoding="utf-8")
    (version,) = yaml.safe_load(definition)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]
    for part in ("spec", "status"):
        yield table(
            (f"field of `{part}`", "type", "meaning", "default"), properties(schema[part], "")
        )


def properties(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str, str, str]]:
    for name, each in schema["properties"].items():
        default = "" if each.get("default") in (None, {}) else f"`{as_yaml(each['default'])}`"
        choices = " or ".join(f"`{choice}`" for choice in each.get("enum", ()))
        yield (
            f"`{path}{name}`",
            choices or each["type"],
            " ".join(each["description"].split()),
            default,
        )
        inner = each.get("items", each)
        if "properties" in inner:
            yield from properties(inner, f"{path}{name}{'[]' if 'items' in each else ''}.")


def as_yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def reasons_of(kind: type[LinkReason | PolicyReason]) -> str:
    """The reasons of the conditions of a kind."""
    return table(
        ("reason", "meaning or fix"),
        ((linked(each.code), each.sentence) for each in kind),
    )


def linked(code: str) -> str:
    """A reason, with a link to its section of the runbook if there is something to do."""
    has_section = f"\n### {code}\n" in RUNBOOK.read_text(encoding="utf-8")
    return f"[`{code}`](../how-to/runbook.md#{code.lower()})" if has_section else f"`{code}`"


def reasons() -> str:
    rows = (
        (f"`{each.code}`", each.sentence, each.caused_by.value if each.caused_by else "")
        for each in Reason
    )
    return table(("reason", "meaning", "caused by"), rows)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(columns)
    lines = [
        heads,
        ["---"] * len(heads),
        *([cell.replace("|", "\\|") for cell in each] for each in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def main() -> int:
    check = "--check" in sys.argv[1:]
    for name, text in pages().items():
        page = PAGES / name
        if not check:
            page.write_text(text, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != text:
            print(
                f"docs/reference/{name} is not up to date: run `python hack/reference.py`",
                file=sys.stderr,
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
