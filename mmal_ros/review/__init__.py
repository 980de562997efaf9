"""The pages: review of flagged windows after a session, and the live view during one.

The only place that imports the web framework. The law: a page asks the session folder and model sets, and knows neither
ROS nor training. What it needs of a running graph comes through `live.LiveFeed`; to personalise it starts a process.
Nobody without the token sees anything, and nothing is loaded from elsewhere.
"""

DEFAULT_PORT = 8765
"""Where the pages are, or at the next port that is free, unless told otherwise."""
