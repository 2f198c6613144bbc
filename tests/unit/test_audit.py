"""`.ci/audit`: what it makes of the answers of pip-audit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit"
SOUND = {"name": "sound", "version": "1.0", "vulns": []}
VULNERABLE = {"name": "weak", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ({"dependencies": [SOUND]}, 0, "1 libraries audited, 0 vulnerable; not audited: 0"),
        ({"dependencies": [SOUND, VULNERABLE]}, 1, "weak 2.0: CVE-1, mended in 2.1"),
        ({"dependencies": [UNKNOWN]}, 0, "0 libraries audited, 0 vulnerable; not audited: 1"),
        (None, 0, "not audited: no network"),
    ],
)
def test_vulnerabilities_fail_and_silence_of_the_database_is_said(
    answer: object, code: int, says: str, tmp_path: Path
) -> None:
    stand_in = tmp_path / "pip-audit"
    told = f"print({json.dumps(answer)!r})" if answer else "sys.exit('no network')"
    stand_in.write_text(f"#!{sys.executable}\nimport sys\n{told}\n")
    stand_in.chmod(0o755)
    run = subprocess.run([sys.executable, AUDIT, stand_in, "any"], capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    assert says in run.stdout
