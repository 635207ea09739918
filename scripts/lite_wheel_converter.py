"""The converter in MindSpore Lite's wheel, for Python 3.7 only, with the command line of converter_lite.

``python lite_wheel_converter.py --fmk=ONNX --modelFile=FILE --outputFile=NAME [--optimize=VALUE]``
"""

from __future__ import annotations

import sys


def main() -> None:
    """Convert; the library reports the outcome on standard output."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return
    import mindspore_lite

    options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
    converter = mindspore_lite.Converter()
    converter.optimize = options.get("optimize", "general")
    kind = mindspore_lite.FmkType[options["fmk"]]
    try:
        converter.convert(kind, options["modelFile"], options["outputFile"])
    except RuntimeError as err:
        sys.exit(str(err))


if __name__ == "__main__":
    main()
