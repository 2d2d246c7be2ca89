"""Reads a page as a browser would, for tests."""

from __future__ import annotations

from html.parser import HTMLParser

VOID_TAGS = {"meta", "img", "br", "hr", "link"}


class PageReader(HTMLParser):
    """Elements with their attributes, and texts with the element that contains them; checks that tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def texts_in(self, tag):
        return [text for parent, text in self.texts if parent == tag]

    def attributes_of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]
