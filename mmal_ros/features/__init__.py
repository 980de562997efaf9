"""Features: samples in, feature frames out, the same code live and offline.

The law: an extractor is a pure function of the samples it was given, in their order. It reads no clock, opens no
device, and what it says about a moment uses nothing that was measured later.
"""
