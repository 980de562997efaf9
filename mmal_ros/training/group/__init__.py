"""What is learned from the training people: classifiers, their calibration, and how long a label holds.

The law: nothing here knows the person that a model will be for.
"""
