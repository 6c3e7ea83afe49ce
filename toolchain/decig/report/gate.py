"""The result of a check as CI systems take it: JUnit XML, and a summary in Markdown."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from decig import __version__
from decig.deploy.check import Verdict
from decig.deploy.tolerances import Finding
from decig.device.measure.paired import Answer

_SUITE = "decig check"


def junit(verdict: Verdict, candidate: str) -> bytes:
    """Write a check as JUnit XML: one test case per limit.

    A limit that is missed is a failure. One of which it cannot be told whether it is met is
    skipped, or a failure too where the check was strict. What is wrong beside limits, such as
    pictures that hold no numbers, is the failure of a case of its own.

    Args:
        verdict: result of the check.
        candidate: the model, as it was named.
    """
    cases = [*_fault_cases(verdict), *(_case(verdict, each) for each in verdict.findings)]
    counts = {tag: sum(case.find(tag) is not None for case in cases) for tag in _OUTCOMES}
    numbers = {"tests": len(cases), "failures": counts["failure"], "skipped": counts["skipped"]}
    suite = ET.Element(
        "testsuite",
        {"name": _SUITE, "errors": "0"} | {name: str(count) for name, count in numbers.items()},
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _figures(verdict, candidate):
        ET.SubElement(properties, "property", name=name, value=_printable(value))
    suite.extend(cases)
    ET.indent(suite)
    text: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def junit_error(text: str) -> bytes:
    """JUnit XML of a check that ended without a verdict: one test case, in error.

    Args:
        text: why it ended.
    """
    suite = ET.Element("testsuite", name=_SUITE, tests="1", failures="0", errors="1", skipped="0")
    case = ET.SubElement(suite, "testcase", classname=_SUITE, name="verdict")
    ET.SubElement(case, "error", message=_printable(text))
    ET.indent(suite)
    made: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return made + b"\n"


def markdown_error(text: str) -> str:
    """Summary in Markdown of a check that ended without a verdict, because of `text`."""
    return f"### decig check: no verdict\n\n{_safe(text)}\n"


def _printable(text: str) -> str:
    """Text without what XML cannot hold: control characters, and bytes that are no text."""
    return "".join(char if char.isprintable() else " " for char in text)


_OUTCOMES = ("failure", "skipped")


def _fault_cases(verdict: Verdict) -> Iterator[ET.Element]:
    """A case for the pictures themselves; it fails where they are no pictures."""
    case = ET.Element("testcase", classname=_SUITE, name="pictures")
    for fault in verdict.faults:
        ET.SubElement(case, "failure", message=_printable(fault))
    yield case


def _case(verdict: Verdict, finding: Finding) -> ET.Element:
    """The test case of one limit."""
    case = ET.Element("testcase", classname=_SUITE, name=f"{finding.option} {finding.limit:g}")
    if finding.text in verdict.failures:
        ET.SubElement(case, "failure", message=_printable(finding.text))
    elif finding.answer is Answer.UNSURE:
        ET.SubElement(case, "skipped", message=_printable(finding.text))
    ET.SubElement(case, "system-out").text = _printable(finding.text)
    return case


def _figures(verdict: Verdict, candidate: str) -> Iterator[tuple[str, str]]:
    """Name and value of what was measured."""
    yield "decig", __version__
    yield "candidate", candidate
    for name, latency in verdict.latency.items():
        yield f"latency of the {name}, ms", f"{latency.median_ms:.4f}"
    yield "speedup", f"{verdict.speedup:.4f}"
    yield "runs of each", str(len(verdict.times.candidate_us))
    yield "time that other programs took", f"{verdict.times.disturbed:.1%}"
    yield "SSIM", f"{verdict.likeness.pairs.ssim:.4f}"
    yield "PSNR, dB", f"{verdict.likeness.pairs.psnr_db:.2f}"
    yield "images", str(verdict.likeness.images)


_SHOWN = {True: "passed", False: "**failed**", None: "cannot tell"}


def markdown(verdict: Verdict, candidate: str) -> str:
    """Write a check as a summary in Markdown, as CI systems show it beside a job.

    Args:
        verdict: result of the check.
        candidate: the model, as it was named.
    """
    outcome = _SHOWN[verdict.passed] if verdict.findings or verdict.faults else "nothing asked"
    lines = [f"### decig check: {outcome}", ""]
    lines += [f"- {_safe(fault)}" for fault in verdict.faults]
    lines += [""] if verdict.faults else []
    if verdict.findings:
        lines += ["| limit | answer | what was found |", "| --- | --- | --- |"]
        lines += [
            f"| `{each.option} {each.limit:g}` | {each.answer.value} | {_safe(each.text)} |"
            for each in verdict.findings
        ]
    lines += ["", "| figure | value |", "| --- | --- |"]
    lines += [f"| {name} | {_safe(value)} |" for name, value in _figures(verdict, candidate)]
    lines += [f"- {_safe(warning)}" for warning in verdict.warnings]
    return "\n".join(lines) + "\n"


def _safe(text: str) -> str:
    """Text that breaks no table and is no HTML, whatever files are called."""
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(char, entity)
    return text
