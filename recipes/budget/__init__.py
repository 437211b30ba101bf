"""What a run costs, in plain arithmetic: parameters, tokens, steps, memory, FLOPs, traffic.

Everything here is a formula with its docstring and its test; nothing loads weights or needs a GPU.
``recipes.check`` puts the parts together for a configuration.
"""
