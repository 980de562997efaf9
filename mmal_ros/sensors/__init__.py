"""Sensors: everything that yields stamped samples is a `Source`, simulated and recorded ones included.

The law: a source knows its device and nothing of features, models or ROS. It is the only layer beside `nodes` that
may read a clock, and it takes that clock as an argument. It heals itself: a lost device is looked for again with
back-off, and `status` says in one sentence what is wrong and what to do.
"""
