"""Give README.md to the package, with links that work on PyPI as well.

Its links are relative, as the repository needs them. When GitHub builds the package, it says in the
environment which repository and tag it builds; elsewhere the links stay as they are.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ReadmeHook(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository, ref = (os.environ.get(f"GITHUB_{name}") for name in ("REPOSITORY", "REF_NAME"))
        if repository and ref:
            text = absolute(text, f"https://github.com/{repository}/raw/{ref}/", pictures=True)
            text = absolute(text, f"https://github.com/{repository}/blob/{ref}/", pictures=False)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(text: str, base: str, *, pictures: bool) -> str:
    """Return Markdown with absolute addresses for the relative ones of its pictures or links."""
    opening = r"!\[[^]]*\]\(" if pictures else r"(?<!!)\[[^]]*\]\("
    return re.sub(rf"({opening})(?!https?:|#)", rf"\g<1>{base}", text)
