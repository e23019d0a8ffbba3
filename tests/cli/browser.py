"""A headless Chromium driven over its DevTools protocol, by a pair of pipes: no port, no library.

https://chromedevtools.github.io/devtools-protocol/
"""

import fcntl
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 60  # seconds, where a machine is slow; everything else waits for a state


class browser:
    """A context manager. `profile` is an empty directory."""

    def __init__(self, profile, *arguments):
        to_read, commands = os.pipe()
        events, to_write = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; out of their way first.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (to_read, to_write)]
        os.close(to_read)
        os.close(to_write)

        def place():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", *arguments, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(3, 4),
            preexec_fn=place, start_new_session=True)
        for fd in high:
            os.close(fd)
        self.commands = os.fdopen(commands, "wb", buffering=0)
        self.events = os.fdopen(events, "rb")
        self.numbers = itertools.count(1)
        self.answers = {}
        self.listeners = {}
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)  # its own session: the helper processes too
        self.process.wait()
        self.commands.close()

    def _read(self):
        pending = b""
        while chunk := self.events.read1(1 << 16):
            *messages, pending = (pending + chunk).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self.answers[message["id"]].put(message)
                elif listener := self.listeners.get(message.get("sessionId")):
                    listener(message)
        for waiting in list(self.answers.values()):
            waiting.put({"error": "the browser has ended"})

    def call(self, method, session=None, **parameters):
        number = next(self.numbers)
        answer = self.answers[number] = queue.Queue()
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self.commands.write(json.dumps(message).encode() + b"\0")
        reply = answer.get(timeout=PATIENCE)
        del self.answers[number]
        if "error" in reply:
            raise AssertionError(f"{method}: {reply['error']}")
        return reply["result"]

    def open(self, url, width=1280, height=900):
        return tab(self, url, width, height)


class tab:
    def __init__(self, owner, url, width, height):
        self.browser = owner
        target = owner.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = owner.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.target = target
        self.faults = []  # what a console would show in red: exceptions, refused loads, violated policies
        owner.listeners[self.session] = self._heard
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")
        self.size(width, height)
        self.call("Page.navigate", url=url)

    def _heard(self, message):
        said = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.faults.append(str(said["exceptionDetails"].get("exception", {}).get("description", said)))
        if message["method"] == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.faults.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
        if message["method"] == "Runtime.consoleAPICalled" and said["type"] in ("error", "assert"):
            self.faults.append(str(said["args"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def colours(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def value(self, expression):
        """Of JavaScript; a promise's when it is there."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise AssertionError(f"{expression}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def wait(self, expression):
        """Until it is true; its value."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                value = self.value(expression)
            except AssertionError as e:  # a page that is being replaced
                value, failure = None, e
            else:
                failure = None
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"never true: {expression} {failure or ''}; the page: {self.text()}; {self.faults}")
            time.sleep(0.05)

    def text(self, selector="body"):
        return self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def type(self, selector, text):
        """As a person: in place of what is there."""
        self.value(f"(e => {{ e.focus(); e.select(); }})(document.querySelector({json.dumps(selector)}))")
        self.call("Input.insertText", text=text)

    def press(self, selector, key="Enter"):
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        code, text = {"Enter": (13, "\r"), "Space": (32, " ")}[key]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=text if key == "Space" else key, code=key,
                      windowsVirtualKeyCode=code, **({"text": text} if kind == "keyDown" else {}))

    def picture(self):
        """The whole page as base64 of a PNG."""
        return self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
