"""From a group's classifiers and a few labels of one person to models of that person.

The law: a label counts where somebody asked for it, and nowhere else.
"""
