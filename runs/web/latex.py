"""LaTeX of a result as HTML with MathML; what cannot be turned stays readable as it is."""

import re
from html import escape

# A formula of this length takes under half a second; longer ones stay text.
MOST = 10_000

# What notebooks put around formulas; the groups are the formula and whether it stands alone.
_FORMULA = re.compile(
    r"\$\$(?P<block>.+?)\$\$"
    r"|\\\[(?P<bracket>.+?)\\\]"
    r"|(?P<environment>\\begin\{(?P<name>[a-z]+\*?)\}.+?\\end\{(?P=name)\})"
    r"|\$(?P<inline>(?:\\.|[^$\\])+)\$"
    r"|\\\((?P<parenthesis>.+?)\\\)",
    re.DOTALL,
)


def latex_html(text: str) -> str:
    """The text with its formulas as MathML; a text without marks is one formula."""
    if len(text) > MOST:
        return _source(text)
    found = list(_FORMULA.finditer(text))
    if not found:
        return _formula(text.strip(), alone=True)
    shown, end = [], 0
    for match in found:
        inline = match["inline"] or match["parenthesis"]
        formula = inline or match["block"] or match["bracket"] or match["environment"]
        # IPython.display.Math asks so for a formula that stands alone.
        alone = not inline or formula.lstrip().startswith(r"\displaystyle")
        shown += [escape(text[end : match.start()]), _formula(formula, alone)]
        end = match.end()
    return f"<p>{''.join(shown)}{escape(text[end:])}</p>"


def _formula(formula: str, alone: bool) -> str:
    # It brings a table of symbols, and few runs need it.
    from latex2mathml.converter import convert

    formula = formula.strip().removeprefix(r"\displaystyle")
    try:
        return convert(formula, display="block" if alone else "inline")
    except Exception:
        # Its errors have no common type, RecursionError and IndexError among them.
        return _source(formula) if alone else f"<code>{escape(formula)}</code>"


def _source(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"
