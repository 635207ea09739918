"""What renders the demo's data and what measures: no part of the product."""

import src  # noqa: F401 - prepares the environment before any module of this package imports NumPy
