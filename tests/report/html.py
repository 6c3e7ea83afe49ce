"""Reading a page as a strict parser does: what is opened is closed, and what it would load."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "img", "input", "br", "hr"}
_LOADS = ("src", "href", "srcset", "poster", "data", "action", "formaction", "background")


@dataclass
class Page(HTMLParser):
    """A page that was read.

    Attributes:
        tags: every element's tag and attributes, in order.
        loads: values of attributes that name something outside, by attribute.
        text: all text outside scripts and style sheets.
    """

    source: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    loads: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        """Read it; AssertionError where an element is not closed in its place."""
        super().__init__()
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        names = [name.rpartition(":")[2] for name in found]
        self.loads += [(n, v) for n, v in zip(names, found.values(), strict=True) if n in _LOADS]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-3:]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of all elements of a tag."""
        return [attributes for name, attributes in self.tags if name == tag]
