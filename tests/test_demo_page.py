"""The HTML of the tour's page: complete in one file, and safe with any text."""

from __future__ import annotations

from base64 import b64decode

import torch

from optvis.demo.page import Content, Figure, FigureTile, Page, to_html
from optvis.viz.sheet import encode_png, to_pil_image

from .page_reader import PageReader

HOSTILE = "<script>alert(1)</script>\"'&<img src=http://x.org/y>"


def small_png(shade):
    return encode_png(to_pil_image(torch.full((3, 4, 4), shade)))


def example_page(text="x"):
    tiles = (
        FigureTile(small_png(0.1), f"alt {text}", f"title {text}", f"note {text}"),
        FigureTile(small_png(0.9), f"alt 2 {text}"),
    )
    figure = Figure("one.png", b"", tiles, (8, 4), f"caption {text}", f"code('{text}')", f"heading {text}")
    content = Content(f"section {text}", f"words {text}", (figure,))
    return Page(f"page {text}", f"lead {text}", (content,), f"setup {text}", f"command {text}")


def test_page_loads_nothing():
    page = PageReader(to_html(example_page()))
    sources = [image["src"] for image in page.attributes_of("img")]
    pngs = [b64decode(source.removeprefix("data:image/png;base64,")) for source in sources]
    assert pngs == [small_png(0.1), small_png(0.9)]
    assert not {"script", "link", "iframe", "object", "embed", "base", "a"} & {tag for tag, _ in page.elements}
    loading = {"src", "srcset", "href", "poster", "data", "action", "background"}
    assert all(tag == "img" for tag, attributes in page.elements if loading & attributes.keys())
    (style,) = page.texts_in("style")
    assert not any(word in style for word in ("url(", "@import", "http", "//"))


def test_page_has_language_viewport_alt_texts_and_dark_mode():
    page = PageReader(to_html(example_page()))
    assert to_html(example_page()).startswith("<!doctype html>")
    assert page.attributes_of("html") == [{"lang": "en"}]
    meta = {each["name"]: each["content"] for each in page.attributes_of("meta") if "name" in each}
    assert meta["viewport"] == "width=device-width, initial-scale=1"
    assert meta["generator"].startswith("optvis demo ")
    assert [each["alt"] for each in page.attributes_of("img")] == ["alt x", "alt 2 x"]
    assert len(page.texts_in("h1")) == 1
    assert "prefers-color-scheme: dark" in page.texts_in("style")[0]


def test_html_in_texts_is_escaped():
    plain, hostile = PageReader(to_html(example_page())), PageReader(to_html(example_page(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert [(tag, text.replace("x", HOSTILE, 1)) for tag, text in plain.texts if text.endswith(" x")] == [
        (tag, text) for tag, text in hostile.texts if text.endswith(f" {HOSTILE}")
    ]
    assert [each["alt"] for each in hostile.attributes_of("img")] == [f"alt {HOSTILE}", f"alt 2 {HOSTILE}"]
    assert f"code('{HOSTILE}')" in hostile.texts_in("code")
