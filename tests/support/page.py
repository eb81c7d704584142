"""What is in an HTML page that the server made, and that nothing in it can run or be fetched."""

import base64
import hashlib
import html.parser
import re

from kluis import check, equal


class Page(html.parser.HTMLParser):
    """What is in a page: tags, attributes, texts, the cells of its tables."""

    VOID = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.text, self.cells = [], [], [], "", []
        self.feed(text)
        self.close()
        equal(self.open, [], "every element that is opened is closed")

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        equal(self.open.pop(), tag, "elements pair")

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if "td" in self.open:
            self.cells[-1] += data


def safe_page(answer, name):
    """The page of an answer, saved under that name by whoever gets it; its policy lets nothing in but its own style."""
    text = answer.body.decode()
    page = Page(text)
    check("script" not in page.tags, "no script in the page")
    equal([key for tag, key, value in page.attributes if key in ("src", "href", "srcset", "action") or key.startswith("on")], [], "nothing to fetch or run")
    check("url(" not in text and "@import" not in text, "nor in its style")
    style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    check(f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "unsafe" not in policy, "a strict policy, which its style fits")
    equal((answer.headers["content-type"], answer.headers["content-disposition"]), ("text/html; charset=utf-8", f'attachment; filename="{name}"'), "a page to keep")
    return page
