"""Formulas as MathML, which browsers draw themselves: no script and no network."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

#: TeX that the converter of Docutils does not know, in what it does.
_TRANSLATED = {r"\tfrac": r"\frac", r"\Big/": "/", r"\qquad": r"\quad\quad "}


def _converted(node, as_block):
    code = node.astext()
    for there, here in _TRANSLATED.items():
        code = code.replace(there, here)
    if as_block and r"\\" in code and r"\begin" not in code:
        code = rf"\begin{{aligned}}{code}\end{{aligned}}"
    return tex2mathml(code, as_block=as_block)


def _inline(self, node):
    self.body.append(_converted(node, as_block=False))
    raise nodes.SkipNode


def _block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(_converted(node, as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
