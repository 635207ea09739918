"""Stands in for ModelArts' moxing in tests: obs:// and s3:// URLs are folders below FAKE_BUCKETS.

FAKE_MOXING holds rules as JSON, a list of {"call", "match", "how", "times"}: the first `times` calls (without it: all)
of `call` whose URL contains `match` fail, stall, take 3 seconds, or deliver half. Every call is a line of
FAKE_MOXING_LOG.
"""

from moxing import file

__all__ = ["file"]
