#!/usr/bin/env bash
# openapi-python-client 0.29.1 makes no client of an OpenAPI 3.1 document in which a tuple is closed.
# {"prefixItems": [...], "items": false} is how JSON Schema 2020-12 says "these and no more" (core, 10.3.1.2). Seen: the
# whole document is refused, "Input should be a valid dictionary or instance of Schema", exit code 1, no file. The same
# pairs written with items, minItems and maxItems pass.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openapi-python-client==0.29.1
write() { # a document whose only answer holds pairs, with $1 as the end of their schema
    cat >"$folder/$2.json" <<JSON
{"openapi": "3.1.0", "info": {"title": "pairs", "version": "1"},
 "paths": {"/pairs": {"get": {"operationId": "get_pairs", "responses": {"200": {"description": "pairs",
   "content": {"application/json": {"schema": {"\$ref": "#/components/schemas/Pairs"}}}}}}}},
 "components": {"schemas": {"Pairs": {"type": "object", "properties": {"ranges": {"type": "array", "items":
   {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "integer"}], $1}}}}}}}
JSON
}
generate() { "$folder/venv/bin/openapi-python-client" generate --path "$folder/$1.json" --meta none --output-path "$folder/$1"; }
write '"items": false' closed
write '"items": {"type": "integer"}, "minItems": 2, "maxItems": 2' counted
generate closed >"$folder/closed.log" 2>&1 && { echo 'it makes a client now'; exit 1; }
grep 'Input should be a valid dictionary or instance of Schema' "$folder/closed.log"
test ! -e "$folder/closed/models/pairs.py"
generate counted >/dev/null 2>&1
test -e "$folder/counted/models/pairs.py"
echo 'closed with items: false: no client; with minItems and maxItems: a client'
