"""The specifications' own code over the line protocol: `python specs_adapter.py`."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

build = importlib.import_module("specs.build")  # makes `spec.<page>` importable
refused = importlib.import_module("spec.notation").Refused


def answer(page: str, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
    operations = getattr(build.load(page), "OPERATIONS", {}) if page in build.pages() else {}
    if operation not in operations:
        return {"unsupported": True}
    try:
        return {"output": operations[operation](fields)}
    except refused as error:
        return {"error": {"kind": error.kind, "rule": error.rule}}


for line in sys.stdin:
    asked = json.loads(line)
    reply = answer(asked["page"], asked["operation"], asked["input"])
    sys.stdout.write(json.dumps({"id": asked["id"], **reply}) + "\n")
    sys.stdout.flush()
