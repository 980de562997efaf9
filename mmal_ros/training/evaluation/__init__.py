"""Evaluation: what asking for labels is worth, on people whom the group model has not seen.

The law: the science of one cell (a person, a seed) is in `cell`; everything else here takes rows, whoever made them.
A row names its protocol, and no figure is drawn without the constant answer beside it.
"""
