"""Judges documents by JSON Schema, with a validator that knows nothing of the engine: reads [schema, [document, ...]] and writes what is
wrong with each document, as a list of lists."""

import json
import sys

from jsonschema import Draft202012Validator

schema, documents = json.load(sys.stdin)
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
json.dump([[f"{e.json_path}: {e.message}"[:400] for e in validator.iter_errors(d)] for d in documents], sys.stdout)
