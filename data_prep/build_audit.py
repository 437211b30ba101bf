"""The audit at the end of a build, and the rows that leak."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from data_prep.drop_rows import drop_rows
from data_prep.plan import Plan
from data_prep.settings import BuildRequest
from data_prep.shards import Shard
from rewards.files import write_json


def check_against(against: Sequence[Path]) -> None:
    """Refuse at the start what the audit could not read at the end.

    Raises:
        UserError: A folder is no data set.
    """
    if not against:
        return
    from data_prep.audit.folder import open_folder  # imports `datasets`: a second

    for folder in against:
        open_folder(folder)


def audit(
    building: Path,
    plan: Plan,
    shards: Sequence[Shard],
    request: BuildRequest,
    finish: Callable[[], str],
) -> str | None:
    """Audit the finished folder; leave out leaking rows first if that is asked for.

    What leaks is written down before a row is taken out: a build that is killed in between takes
    out the same rows when it is started again.

    Args:
        building: The building folder; the audit goes into its ``set/audit``.
        plan: Of the build.
        shards: Of the plan, all written.
        request: Of the build.
        finish: Writes the folder's other files again; returns a line about it all.

    Returns:
        The new line if rows were taken out.

    Raises:
        UserError: A folder cannot serve.
    """
    # Here and not above: only builds that are audited wait for what the audit imports.
    from data_prep.audit.run import AuditOptions, audit_build, leaking_ids

    def run_audit() -> dict[str, str]:
        options = AuditOptions(num_proc=request.num_proc)
        name = request.output_dir.name
        return leaking_ids(audit_build(building / "set", request.against, options, name=name))

    record = building / "leaks.json"
    if record.is_file():
        leaks = json.loads(record.read_text(encoding="utf-8"))
    else:
        leaks = run_audit()
        if not (request.drop_leaks and leaks):
            return None
        write_json(record, leaks)
    drop_rows(building, plan, shards, leaks)
    line = finish()
    run_audit()
    return line
