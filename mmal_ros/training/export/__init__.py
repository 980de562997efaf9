"""From what was trained to files that the live graph loads.

The law: nothing is written that ONNX Runtime does not compute as it was trained, and every figure in a card is measured
on the files.
"""
