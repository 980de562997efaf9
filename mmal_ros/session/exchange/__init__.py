"""Labels of a session in and out, for teams whose coders work in other tools and want to stay there.

    export   ELAN (.eaf), CSV, Label Studio, BORIS, Foxglove: `exporting`
    import   ELAN (.eaf), CSV: `importing`

All of them count time from the start of the session, in ms or s. What a coder says is one of five words: low, medium,
high, cannot_tell, bad_capture. A file that was exported and is imported again gives the same labels.
"""
