"""The panel about the selected cell of an atlas."""

from optvis.viz.pages.document import STEP_BUTTONS

PANEL = (
    """<aside class="panel" aria-label="The selected cell" hidden>
<div class="head"><canvas class="large"></canvas>
<div class="words"><h3></h3><p class="where"></p><p class="count"></p><p class="pin" role="status"></p></div></div>
<div class="lists"><section class="for"><h4>Positive attribution to</h4><ul></ul></section>
<section class="against"><h4>Negative attribution to</h4><ul></ul></section></div>
<section class="near"><h4>Nearest images</h4><ul></ul></section>
"""
    + STEP_BUTTONS
    + """
</aside>"""
)
