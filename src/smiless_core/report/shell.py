"""What all pages have in common: one file that holds all it needs, and a list of versions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from smiless_core.errors import MissingExtraError
from smiless_core.report.markup import Html, Table, table, words
from smiless_core.versions import version_report

__all__ = ["command_block", "versions_table", "whole_page"]


def whole_page(title: str, links: Sequence[tuple[str, str]], body: str) -> str:
    """Return a page.

    Parameters
    ----------
    title : str
    links : sequence of (anchor, text)
        To its sections.
    body : str
        Markup of the sections.

    Raises
    ------
    MissingExtraError
        If plotly is not installed.
    """
    library, behavior, style = _plotly(), _part("behavior.js"), _part("style.css")
    items = "".join(f'<li><a href="#{anchor}">{words(text)}</a></li>' for anchor, text in links)
    # Nothing may be fetched, and no other script may run: names on this page come from files of strangers.
    scripts = " ".join(f"'sha256-{_digest(script)}'" for script in (library, behavior))
    policy = f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {scripts}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{words(title)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
<div class="inner"><h1>{words(title)}</h1>
<button type="button" id="theme" hidden>Dark colors</button></div>
<nav aria-label="Sections"><ul>{items}</ul></nav>
</header>
<main id="main" tabindex="-1">
<noscript><p class="notice">Charts are drawn by a script in this file, which is turned off. All their figures are in the
tables.</p></noscript>
{body}
</main>
<script>{library}</script>
<script>{behavior}</script>
</body>
</html>
"""


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs  # late: it is an extra
    except ImportError:
        raise MissingExtraError("report", "writing a report") from None
    library: str = get_plotlyjs()
    # No script element may end early; within a string or a regular expression this is the same.
    return library.replace("</script", "<\\/script")


def _part(name: str) -> str:
    from importlib import resources  # late: it is slow to import

    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def command_block(command: str) -> Html:
    """Return a command to be repeated."""
    return Html(
        '<div class="scroll" role="region" tabindex="0" aria-label="The command">'
        f"<pre><code>{words(command)}</code></pre></div>"
    )


def versions_table() -> Html:
    """Return what was installed where the page was made."""
    versions = version_report()
    facts = {"smiless-core": versions["smiless_core"], **{name: versions[name] for name in ("python", "platform")}}
    facts |= versions["packages"]
    installed = [[name, str(version)] for name, version in facts.items() if version is not None]
    return table(Table(["Versions", ""], installed, (0, 1)), "Versions")
