"""Training: from windows and labels to a model set.

The law: this is the only place that imports torch. It meets the live graph in model sets on disk and nowhere else, and
it takes features, windows and standardisation from the same code that runs live: what a network saw in training is
what it gets in a session. A figure that it writes into a model card is measured on the exported files, by the runtime.
"""
