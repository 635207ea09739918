"""The set-up of a run, its command line, its log, its callbacks."""
