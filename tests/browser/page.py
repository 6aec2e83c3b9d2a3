#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""page.py PAGE [PICTURE] - use a chain's page as a person does, in Chromium

The page has three legs or more. Ends with a message if anything is not as it
should be; writes what is seen in the end to PICTURE, a PNG file.

Chromium is told what to do, and tells what happens, through two pipes: its
descriptors 3 and 4, a JSON object and a NUL a message.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile


class Browser:
    def __init__(self, profile):
        ours, self.to = os.pipe()
        self.back, theirs = os.pipe()
        os.set_inheritable(ours, True)
        os.set_inheritable(theirs, True)
        # The shell gives the pipes the numbers that Chromium knows.
        self.process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 3<&%d 4>&%d' % (ours, theirs), "sh",
             "chromium", "--headless", "--no-sandbox", "--disable-gpu",
             "--window-size=1300,900", "--user-data-dir=" + profile,
             "--remote-debugging-pipe"],
            pass_fds=(ours, theirs), stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(ours)
        os.close(theirs)
        self.number, self.read, self.events = 0, b"", []
        self.session = None

    def message(self):
        while b"\0" not in self.read:
            more = os.read(self.back, 1 << 16)
            assert more, "chromium has ended"
            self.read += more
        text, self.read = self.read.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method):
        while not any(e.get("method") == method for e in self.events):
            self.events.append(self.message())

    def ask(self, expression):
        """The value of an expression of the page's language."""
        got = self.call("Runtime.evaluate", expression=expression,
                        returnByValue=True)
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    def open(self, address):
        target = self.call("Target.createTarget", url="about:blank")
        self.session = self.call("Target.attachToTarget", flatten=True,
                                 targetId=target["targetId"])["sessionId"]
        for domain in "Page", "Runtime", "Log", "Network":
            self.call(domain + ".enable")
        self.call("Page.navigate", url=address)
        self.wait_for("Page.loadEventFired")

    def click(self, selector):
        box = self.ask("(() => { const e = document.querySelector('%s');"
                       " e.scrollIntoView({block: 'center'});"
                       " const b = e.getBoundingClientRect();"
                       " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
                       % selector)
        for what in "mousePressed", "mouseReleased":
            self.call("Input.dispatchMouseEvent", type=what, button="left",
                      x=box[0], y=box[1], clickCount=1)

    def press(self, key):
        for what in "keyDown", "keyUp":
            self.call("Input.dispatchKeyEvent", type=what, key=key, code=key)

    def end(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait(30)


def opened(browser):
    """The details that can be seen, and the rows that are marked."""
    return browser.ask(
        "[[...document.querySelectorAll('.leg')]"
        ".filter(e => e.getClientRects().length).map(e => e.id).join(),"
        " [...document.querySelectorAll('[aria-current]')]"
        ".map(e => e.hash).join()].join(' ')")


def want(browser, what, expected):
    have = opened(browser)
    assert have == expected, "%s: '%s', not '%s'" % (what, have, expected)


def use(browser, page):
    address = "file://" + os.path.abspath(page)
    browser.open(address + "#leg-2")
    want(browser, "an address with a leg", "leg-2 #leg-2")
    browser.click('a[href="#leg-3"]')
    want(browser, "a click", "leg-3 #leg-3")
    browser.press("ArrowUp")
    browser.press("ArrowUp")
    want(browser, "the arrow keys", "leg-1 #leg-1")
    browser.press("ArrowUp")
    want(browser, "an arrow at the end", "leg-1 #leg-1")
    browser.press("Escape")
    want(browser, "escape", " ")
    browser.click('a[href="#leg-2"] path')
    want(browser, "a click on a bar", "leg-2 #leg-2")
    assert browser.ask("document.querySelectorAll('a.row[tabindex=\"0\"]')"
                       ".length") == 1
    asked = [e["params"]["request"]["url"] for e in browser.events
             if e["method"] == "Network.requestWillBeSent"]
    assert all(a.startswith(address) for a in asked), asked
    wrong = [e for e in browser.events
             if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
    assert not wrong, wrong
    # Without a script all is there to be read.
    legs = browser.ask("document.querySelectorAll('.leg').length")
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.events.clear()
    browser.call("Page.reload")
    browser.wait_for("Page.loadEventFired")
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    seen = opened(browser).split(" ")[0].split(",")
    assert len(seen) == legs, seen


def main():
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            use(browser, sys.argv[1])
            if len(sys.argv) > 2:
                picture = browser.call("Page.captureScreenshot")["data"]
                with open(sys.argv[2], "wb") as out:
                    out.write(base64.b64decode(picture))
            browser.end()
        finally:
            browser.process.kill()
            browser.process.wait()


main()
