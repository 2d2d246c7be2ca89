"""A page inside a notebook."""

from __future__ import annotations

from html import escape


def frame_page(page: str, title: str, height: int, *, scripts: bool = False) -> str:
    """Put a page into a frame of its own, in which nothing reaches the notebook around it.

    Args:
        page: an HTML text.
        title: of the frame, for those who cannot see it.
        height: in pixels.
        scripts: whether the page's own script runs.

    Example:
        >>> frame_page("<p>&</p>", "a page", 100)[:40]
        '<iframe srcdoc="&lt;p&gt;&amp;&lt;/p&gt;'
    """
    style = f"width: 100%; max-width: 1100px; height: {height}px; border: 0"
    sandbox = "allow-scripts" if scripts else ""
    return f'<iframe srcdoc="{escape(page)}" sandbox="{sandbox}" title="{escape(title)}" style="{style}"></iframe>'
