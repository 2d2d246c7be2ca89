"""The panel about the selected cell of a grid."""

from optvis.viz.pages.document import STEP_BUTTONS

PANEL = (
    """<aside class="panel" aria-label="The selected cell" hidden>
<div class="head"><i class="icon large"></i><div class="frame small"><i class="place"></i></div>
<div class="words"><h3></h3><p class="where"></p><p class="norm"></p><p class="pin" role="status"></p></div></div>
<div class="lists"><section><h4>Strongest channels</h4><ol></ol></section>
<section class="to"><h4>Attribution to</h4><ul></ul></section></div>
"""
    + STEP_BUTTONS
    + """
</aside>"""
)
