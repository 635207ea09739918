"""Make thumbnails of files that may be damaged, in a separate process, so that a crash of the decoder stays there.

Each line of standard input is a path as JSON; the answer to each is a line with a ``data:`` URL, or null, as JSON.
"""

import base64
import json
import sys

import cv2
import numpy as np

LARGEST, QUALITY = 320, 85  # pixels on the longest side; of the JPEG


def thumbnail(path: str) -> "str | None":
    """Return as much of a picture as OpenCV can decode as a ``data:`` URL; None if that is nothing."""
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            return None
        factor = min(1.0, LARGEST / max(picture.shape))
        size = [max(1, round(length * factor)) for length in picture.shape[1::-1]]
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        done, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    except (OSError, ValueError, cv2.error):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode() if done else None


def main() -> None:
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(thumbnail(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
