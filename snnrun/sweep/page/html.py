"""``report.html``: one self-contained file, written from values that may be a stranger's.

Three safeguards: Jinja2 escapes every value in the page; the data for the plots is JSON in which no tag can be closed;
and the page's policy lets a browser run only our scripts, by their hashes, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from snnrun import __version__

SCRIPTS = ("echarts.min.js", "dataTables.min.js", "page.js")


def page(template: str, context: dict[str, Any], data: dict[str, Any]) -> str:
    """Fill ``template`` (``sweep.html`` or ``run.html``); ``data``: for the plots."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [asset(name) for name in SCRIPTS]
    return environment.get_template(template).render(
        **context,
        version=__version__,
        policy=policy(scripts),
        style=Markup(asset("page.css")),
        scripts=[Markup(script) for script in scripts],
        data=Markup(harmless_json(data)),
    )


def policy(scripts: list[str]) -> str:
    """The Content-Security-Policy: only these scripts, and no requests."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    # Plots set style attributes.
    others = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {others}"


def harmless_json(value: Any) -> str:
    """Strict JSON that cannot end the element around it."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def asset(name: str) -> str:
    """A file of ``assets/``."""
    return resources.files("snnrun.sweep.page").joinpath("assets").joinpath(name).read_text(encoding="utf-8")
