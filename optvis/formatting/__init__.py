"""Numbers and tables as text for people."""

from optvis.formatting.estimate import Estimate
from optvis.formatting.numbers import (
    format_change,
    format_count,
    format_number,
    format_percent,
    round_values,
)
from optvis.formatting.tables import format_html_table, format_table

__all__ = [
    "Estimate",
    "format_change",
    "format_count",
    "format_html_table",
    "format_number",
    "format_percent",
    "format_table",
    "round_values",
]
