"""A session on disk: written while it is live, read, labelled, exported and deleted afterwards.

    sessions/2026-11-20_P017_01/
      session.json          who (a code, never a name), when, devices, model set, software: see `card`
      bag/                  rosbag2 MCAP: features, raw wristband signals, estimates, queries
      clips/<window>.mp4    picture and sound around each flagged window
      labels.sqlite         flags and labels, by whom, when; only added to: see `store`
      derived/trace.npz     what the timeline needs; may be deleted at any time

The law: nodes, the review page and the training meet here and in model sets, and nowhere else. So this knows neither
ROS's client library nor the web framework nor torch, and what it promises to have written survives a power cut.
"""
