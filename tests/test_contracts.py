"""The layers of DESIGN §2 hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from demo.processes import PROJECT


def test_every_import_contract_is_kept(tmp_path: Path) -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")

    checked = subprocess.run(
        [lint_imports, "--cache-dir", tmp_path], cwd=PROJECT, capture_output=True, text=True
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
