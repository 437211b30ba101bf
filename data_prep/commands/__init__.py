"""The commands of ``python -m data_prep``, one module each with ``add_command(subparsers)``."""
