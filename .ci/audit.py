"""Known vulnerabilities in the packages that are installed here, by pip-audit.

    python .ci/audit.py

Exit status 1 if there are any. Where the advisories cannot be reached, the check is skipped, and
says so: a build without a network is no worse than it was.
"""

import json
import re
import subprocess
import sys
from typing import Any

LIMIT = 120
"""Seconds; the services answer one package at a time."""


def installed() -> str:
    """Every package from an index that is installed beside this Python, as ``name==version``."""
    freeze = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    frozen = subprocess.run(
        [*freeze, "--disable-pip-version-check"], capture_output=True, text=True
    )
    return "".join(
        f"{line}\n" for line in frozen.stdout.split("\n") if re.match(r"[\w.-]+==", line)
    )


def ask(requirements: str) -> list[dict[str, Any]] | str:
    """What pip-audit found for each package, or why it found nothing."""
    audit = [sys.executable, "-m", "pip_audit", "--requirement", "/dev/stdin", "--format", "json"]
    audit += ["--disable-pip", "--no-deps", "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run(
            audit, input=requirements, capture_output=True, text=True, timeout=LIMIT
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return f"no answer within {LIMIT} s"
    except ValueError:
        return (done.stderr.strip().splitlines() or ["no answer"])[-1]
    return found


def skip(reason: str) -> int:
    print(f"pip-audit skipped, the advisories could not be reached: {reason:.160}")
    return 0


def main() -> int:
    found = ask(installed())
    if isinstance(found, str):
        return skip(found)
    audited = [package for package in found if "skip_reason" not in package]
    if not audited:
        return skip(found[0]["skip_reason"] if found else "no package is installed")
    vulnerable = [package for package in audited if package["vulns"]]
    for package in vulnerable:
        for problem in package["vulns"]:
            fixed = ", ".join(problem["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {problem['id']}, fixed in {fixed}")
    left_out = f", {len(found) - len(audited)} unknown to it" if len(found) > len(audited) else ""
    print(f"pip-audit: {len(audited)} packages, {len(vulnerable)} with known problems{left_out}")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
