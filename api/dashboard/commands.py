"""What a form does, as commands that people copy: curl, Python, JavaScript."""

from __future__ import annotations

import json
import pprint
import shlex
from dataclasses import dataclass
from typing import Any

from api.dashboard import shown

KEY = "TIMEBALL_KEY"


@dataclass(frozen=True, slots=True)
class Commands:
    """One request in three languages; each reads the key from the environment."""

    curl: str
    python: str
    javascript: str

    @property
    def named(self) -> list[tuple[str, str]]:
        """Each with its name, for pages."""
        return [("curl", self.curl), ("Python", self.python), ("JavaScript", self.javascript)]


def commands(base: str, path: str, value: Any, method: str = "POST") -> Commands:
    """A request to our API that sends a value."""
    return Commands(
        curl(base, path, value, method),
        python(base, path, value, method),
        javascript(base, path, value, method),
    )


def curl(base: str, path: str, value: Any, method: str = "POST") -> str:
    """A command of the shell."""
    text = shown.escaped(json.dumps(value, ensure_ascii=False))
    return (
        f'curl -X {method} {base}/v2/{path} \\\n  -H "Authorization: Bearer ${KEY}" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(text)}"
    )


def bare(base: str, path: str, method: str = "POST") -> str:
    """A command of the shell that sends no value."""
    return f'curl -X {method} {base}/v2/{path} \\\n  -H "Authorization: Bearer ${KEY}"'


def python(base: str, path: str, value: Any, method: str = "POST") -> str:
    """A script that needs `requests`."""
    literal = pprint.pformat(value, width=80, sort_dicts=False).replace("\n", "\n    ")
    return (
        "import os\n\nimport requests\n\n"
        f"answer = requests.{method.lower()}(\n"
        f'    "{base}/v2/{path}",\n'
        f'    headers={{"Authorization": f"Bearer {{os.environ[\'{KEY}\']}}"}},\n'
        f"    json={shown.escaped(literal)},\n"
        "    timeout=10,\n)\nanswer.raise_for_status()\nprint(answer.json())"
    )


def javascript(base: str, path: str, value: Any, method: str = "POST") -> str:
    """A module for Node.js or Deno, without a package."""
    literal = shown.escaped(json.dumps(value, ensure_ascii=False, indent=2)).replace("\n", "\n  ")
    return (
        f'const answer = await fetch("{base}/v2/{path}", {{\n'
        f'  method: "{method}",\n'
        f'  headers: {{ Authorization: `Bearer ${{process.env.{KEY}}}`, "Content-Type": "application/json" }},\n'
        f"  body: JSON.stringify({literal}),\n"
        "});\nif (!answer.ok) throw new Error(await answer.text());\nconsole.log(await answer.json());"
    )
