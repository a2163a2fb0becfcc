#!/usr/bin/env bash
# Checks lines of records against docs/records.schema.json, with a JSON Schema validator that is not ours.
#
#   tests/wire/records.sh FILE...
#
# Needs jsonschema and rfc3339-validator from PyPI, in ${LIGHTSOUT_VENV:-target/venv} or in python3. Exits with 77 where they are not.
set -euo pipefail

: "${1:?usage: $0 FILE... (with a record a line)}"
files=()
for file; do files+=("$(realpath "$file")"); done
cd "$(dirname "$0")/../.."
# shellcheck source=tests/common.sh
source tests/common.sh
find_python jsonschema rfc3339_validator

exec "$python" - docs/records.schema.json "${files[@]}" <<'PYTHON'
import collections
import json
import sys

from jsonschema import Draft202012Validator, FormatChecker

schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
# By the kind of each record, since "none of these" would be all that could be said otherwise.
kinds = {
    kind: Draft202012Validator(
        {**schema["$defs"][kind], "$defs": schema["$defs"]}, format_checker=FormatChecker()
    )
    for kind in ("decision", "departure", "incident")
}
whole = Draft202012Validator(schema, format_checker=FormatChecker())
wrong = 0
counts = collections.Counter()
for name in sys.argv[2:]:
    for line in open(name):
        record = json.loads(line)
        kind = record.get("kind")
        counts[kind] += 1
        if whole.is_valid(record):
            continue
        wrong += 1
        print(f"invalid: {line.rstrip()}")
        for error in kinds[kind].iter_errors(record) if kind in kinds else []:
            print(f"    {error.json_path}: {error.message}")
print(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=str)))
sys.exit(1 if wrong or not counts else 0)
PYTHON
