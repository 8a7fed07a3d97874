"""A step of a plan as a person wants it: within what the remedies of its cause allow."""

from __future__ import annotations

from dataclasses import replace

from homeostat.maintain.plan.remedies import Means, Offer, offers
from homeostat.records.edits import Edit, with_body
from homeostat.records.findings import Finding, Findings
from homeostat.records.plans import Step


def offered(step: Step, findings: Findings, means: Means) -> tuple[Finding, Offer]:
    """The finding that a step answers, and its offer as the step has it. Raises ValueError where none offers it."""
    lasts = step.expects.get("lasts_ns")
    for finding in findings.findings:
        found = [one for one in offers(finding, means) if (one.remedy, one.scope) == (step.remedy, step.scope)]
        if found:  # Of several versions, the one of the step: each has learned until a time of its own.
            offer = next((one for one in found if one.alterations == step.alterations), found[0])
            lasts_ns = lasts if isinstance(lasts, int) else offer.lasts_ns
            return finding, replace(offer, alterations=step.alterations, job=step.job, lasts_ns=lasts_ns)
    raise ValueError(f"no cause that was found is answered by {step.remedy} at {step.scope}")


def changed(offer: Offer, finding: Finding, edit: Edit, means: Means) -> Offer:
    """The offer with a person's edit. Raises ValueError where the remedies do not allow it."""
    if edit.remedy is not None:
        others = [one for one in offers(finding, means) if one.alterations or one.job]
        found = next((one for one in others if one.remedy == edit.remedy), None)
        if found is None:
            known = ", ".join(str(one.remedy) for one in others)
            raise ValueError(f"{edit.remedy} does not answer {finding.kind} at {finding.node}; these do: {known}")
        return found
    alterations = offer.alterations if edit.body is None else with_body(offer.alterations, edit.body)
    return replace(offer, alterations=alterations, lasts_ns=edit.lasts_ns or offer.lasts_ns)
