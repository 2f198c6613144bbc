#!/usr/bin/env bash
# msgspec 0.22.0 refuses numbers that the JSON Schema which it makes of the same type admits.
# For a field of type int it writes {"type": "integer"}. JSON Schema 2020-12 (validation, 6.1.1) counts every number with a
# zero fractional part as one, and so does the validator jsonschema-rs 0.61.2; msgspec's decoder wants it without a point
# or an exponent. A client that keeps to the schema, as one written in a language with floats alone, is refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0 jsonschema-rs==0.61.2
"$folder/venv/bin/python" - <<'PYTHON'
import json

import jsonschema_rs
import msgspec


class Packet(msgspec.Struct):
    index: int


schema = msgspec.json.schema(Packet)
for text in ('{"index": 0.0}', '{"index": 1e3}'):
    assert jsonschema_rs.is_valid(schema, json.loads(text))
    try:
        msgspec.json.decode(text, type=Packet)
    except msgspec.ValidationError as error:
        print(text, "is valid by the schema; the decoder:", error)
        assert "Expected `int`, got `float`" in str(error)
    else:
        raise SystemExit("the decoder takes it now")
PYTHON
