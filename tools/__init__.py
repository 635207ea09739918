"""Tools outside the product: rendering the demo's data, benchmarks, and the check of a new device."""

import src  # noqa: F401 - prepares the environment before any module of this package imports NumPy
