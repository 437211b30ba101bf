"""Look at a data set before a model does: leaks, biases, balance.

``audit_build`` is the way in; ``leaking_ids`` says what ``--drop_leaks`` leaves out.
"""

from data_prep.audit.balance import TokenLimits
from data_prep.audit.run import AuditOptions, AuditResult, audit_build, leaking_ids

__all__ = ["AuditOptions", "AuditResult", "TokenLimits", "audit_build", "leaking_ids"]
