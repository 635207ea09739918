"""The configuration: keys, their checks, YAML files."""
