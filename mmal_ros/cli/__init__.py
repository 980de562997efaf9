"""`mmal …`: what people type and see.

The law: nothing imports this package. It asks the layers below, and turns what they raise into one sentence.
"""
