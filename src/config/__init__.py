"""What can be set: the keys, their checks, YAML files."""
