"""Look at a data set before a model does: leaks, biases, balance.

``data_prep.audit.run.audit_build`` is the way in; ``leaking_ids`` there says what ``--drop_leaks``
leaves out. Nothing is imported here, so that a command line which does no audit starts at once.
"""
