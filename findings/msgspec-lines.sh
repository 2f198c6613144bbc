#!/usr/bin/env bash
# msgspec 0.22.0: Decoder.decode_lines does not look at lines.
# Its documentation says "decode a list of items from newline-delimited JSON". Seen: three values on one line are three
# items, a value over two lines is one, blank lines are none. A receiver that answers by line numbers, or stores a line as
# one record, has to count the line feeds itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0
"$folder/venv/bin/python" - <<'PYTHON'
import msgspec

decode_lines = msgspec.json.Decoder(dict[str, int]).decode_lines
one_line = decode_lines(b'{"a":1} {"a":2}{"a":3}\n')
two_lines = decode_lines(b'{"a":\n1}\n')
blank = decode_lines(b'\n\n{"a":1}\n\n')
print("one line:", one_line, "two lines:", two_lines, "among blank lines:", blank)
assert (len(one_line), len(two_lines), len(blank)) == (3, 1, 1)
PYTHON
