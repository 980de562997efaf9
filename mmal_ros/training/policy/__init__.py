"""Learning when to ask: MMQL's Algorithm 1, and its control.

The law: it sees windows through the classifiers of `training.group`; it never trains on the person who is asked about.
"""
