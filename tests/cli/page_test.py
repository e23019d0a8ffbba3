"""The page to look at, in headless Chromium: functions, invoking, why it was cold, access keys, other origins.

With HEARTH_PICTURES=DIR it leaves pictures of the page there."""

import base64
import contextlib
import http.server
import json
import os
import sys
import threading
from pathlib import Path

from browser import CHROMIUM, browser
from harness import SKIPPED, FUNCTIONS, hearth, main, server, test_case

CREDENTIALS = """\
[all]
aws_access_key_id = AKIAALL
aws_secret_access_key = the+secret/of=all
allow = *

[caller]
aws_access_key_id = AKIACALLER
aws_secret_access_key = the-secret-of-the-caller
allow = InvokeFunction on hello
"""
# What a page may try. It tells when it has: each entry is what came of an attempt.
EVIL = """<!doctype html><title>evil</title><iframe name=frame></iframe><iframe id=framed src="SERVER/"></iframe><script>
const invoke = 'SERVER/2015-03-31/functions/hello/invocations';
const attempt = (url, options) => fetch(url, options).then(r => r.text().then(t => r.type + ' ' + r.status + ' ' + t), () => 'refused');
const form = () => new Promise(done => {
  const f = document.createElement('form');
  Object.assign(f, {action: invoke, method: 'POST', enctype: 'text/plain', target: 'frame'});
  const i = document.createElement('input');
  Object.assign(i, {name: '{"a":"', value: '"}'});
  f.append(i); document.body.append(f);
  document.querySelector('iframe').onload = () => done('sent');
  f.submit();
});
const image = () => new Promise(done => { const i = new Image(); i.onload = () => done('loaded'); i.onerror = () => done('refused');
  i.src = 'SERVER/_hearth/status'; });
window.came = [];
(async () => {
  came.push(await attempt(invoke, {method: 'POST', body: '{}', mode: 'no-cors'}));
  came.push(await attempt(invoke, {method: 'POST', body: '{}'}));
  came.push(await attempt(invoke, {method: 'POST', body: '{}', headers: {'Content-Type': 'application/json'}}));
  came.push(await attempt('SERVER/_hearth/status'));
  came.push(await attempt('SERVER/_hearth/status', {mode: 'no-cors'}));
  came.push(await attempt('SERVER/2015-03-31/functions'));
  came.push(await form());
  came.push(await image());
  document.title = 'tried';
})();
</script>"""


@contextlib.contextmanager
def site(text):
    """A web server on another port; its address."""
    class handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as them:
        threading.Thread(target=them.serve_forever, daemon=True).start()
        yield "http://127.0.0.1:%d" % them.server_address[1]
        them.shutdown()


CELLS = "[...document.querySelectorAll('#functions tbody tr')].map(r => [...r.cells].map(c => c.textContent))"


class page(test_case):
    def invocations(self, one):
        text = one.request("GET", "/metrics")[2].decode()
        return sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("hearth_invocations_total"))

    def open_browser(self, *arguments):
        b = browser(self.scratch(), *arguments)
        self.addCleanup(b.__exit__)
        return b

    def invoke(self, tab, event):
        tab.type("#invoke-event", event)
        tab.press("#invoke-button")
        tab.wait("!document.getElementById('outcome').hidden && !document.getElementById('invoke-button').disabled")

    def keep_picture(self, tab, name):
        picture = base64.b64decode(tab.picture())
        self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
        if directory := os.environ.get("HEARTH_PICTURES"):
            (Path(directory) / f"{name}.png").write_bytes(picture)

    def test_functions_are_shown_invoked_and_explained(self):
        with server("--data", self.scratch()) as one:
            self.assertIn(b"in a browser", one.process.stdout.readline())
            b = self.open_browser()
            tab = b.open(one.endpoint + "/")
            tab.wait("document.getElementById('condition').className === 'live'")
            self.assertIn("No functions yet", tab.text())
            one.create("hello")
            one.create("thumbnails")
            tab.wait(CELLS + ".length === 2")
            tab.wait(CELLS + ".every(r => r[1] === 'Active')")
            self.assertEqual(tab.value(CELLS + "[0].slice(0, 4)"), ["hello", "Active", "provided.al2023", "128 MB"])

            self.assertEqual(tab.value("document.getElementById('invoke-function').value"), "hello")
            self.invoke(tab, '{"from": "<b>the page</b>"}')
            self.assertIn("200 OK, version $LATEST", tab.text("#outcome-status"))
            self.assertEqual(json.loads(tab.text("#outcome-body"))["event"], {"from": "<b>the page</b>"})
            log = tab.text("#outcome-log")
            self.assertRegex(log, r"(?s)START RequestId: .*END RequestId: .*REPORT RequestId: ")
            report = dict(zip(*[tab.value(f"[...document.querySelectorAll('#outcome-report {e}')].map(e => e.textContent)")
                                for e in ("dt", "dd")]))
            self.assertRegex(report["Duration"], r"^[\d.]+ ms$")
            self.assertRegex(report["Start"], "^(cold|restored) ")
            request = report["RequestId"]

            # The same in the list of the last, with its reason; by keyboard.
            row = f"document.querySelector('#recent tr[data-request=\"{request}\"]')"
            tab.wait(f"Boolean({row})")
            self.assertIn(tab.value(row + ".cells[2].textContent"), ("cold", "restored"))
            self.assertRegex(tab.value(row + ".cells[3].textContent"), r"^[\d.]+ (µs|ms|s)$")
            tab.press(f'#recent tr[data-request="{request}"] button', "Space")
            detail = tab.wait(row + ".nextSibling?.innerText")
            self.assertIn("No environment was idle: it was the first start of this version", detail)
            self.assertRegex(detail, r"(?s)microVM \(vm\)\n[\d.]+ (µs|ms)")
            self.assertIn("REPORT RequestId: " + request, detail)
            self.assertIn("START RequestId: " + request, tab.text("#logs"))
            tab.wait(CELLS + "[0][5] === '1'")
            tab.wait("document.querySelectorAll('#latency rect').length > 0 && document.querySelectorAll('#rate rect').length > 0")
            self.assertIn("p50 ", tab.text("#latency"))

            # A warm one, and what hides it.
            self.invoke(tab, "7")
            tab.wait("document.querySelectorAll('#recent tr[data-request]').length === 2")
            warm = tab.value("document.querySelector('#recent tr[data-request]').className")
            self.assertEqual(warm, "kept" if "Start: warm\n" in tab.text("#outcome-log") + "\n" else "")
            tab.press("#starts-only", "Space")
            self.assertEqual(tab.value("[...document.querySelectorAll('#recent tr.kept')].filter(r => r.offsetHeight).length"), 0)
            tab.press("#starts-only", "Space")

            # What the server refuses is said, and so is an event.
            self.invoke(tab, "{")
            self.assertIn("400 InvalidRequestContentException", tab.text("#outcome-status"))
            tab.faults[:] = [f for f in tab.faults if "400" not in f]
            tab.value("document.getElementById('invoke-type').value = 'Event'")
            self.invoke(tab, "{}")
            self.assertEqual(tab.text("#outcome-status"), "Accepted as an event")
            tab.wait("document.querySelectorAll('#recent tr[data-request]').length === 3")

            for scheme in ("light", "dark"):
                tab.colours(scheme)
                self.keep_picture(tab, scheme)
            tab.size(360, 740)
            tab.wait("innerWidth === 360 && document.documentElement.scrollWidth <= 360")
            self.keep_picture(tab, "phone")
            self.assertEqual(tab.faults, [])

            # Hidden, it asks nothing; seen again, it does.
            tab.value("Object.defineProperty(document, 'hidden', {get: () => window.hides ?? true, configurable: true}); "
                      "document.dispatchEvent(new Event('visibilitychange'))")
            asked = "performance.getEntriesByType('resource').filter(e => e.name.includes('/_hearth/status')).length"
            before = tab.value("new Promise(done => setTimeout(done, 300))") or tab.value(asked)
            tab.value("new Promise(done => setTimeout(done, 1500))")
            self.assertEqual(tab.value(asked), before)
            tab.value("window.hides = false; document.dispatchEvent(new Event('visibilitychange'))")
            tab.wait(f"{asked} > {before}")

            # A server that goes away is said, and one that comes back is taken up.
            one.stop()
            tab.wait("document.getElementById('condition').className === 'lost'")

    def test_access_keys_are_asked_for_and_sign(self):
        file = self.scratch() / "credentials"
        file.touch(0o600)
        file.write_text(CREDENTIALS)
        with server("--data", self.scratch(), "--credentials", file) as one:
            env = {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, "AWS_ENDPOINT_URL": one.endpoint,
                   "AWS_ACCESS_KEY_ID": "AKIAALL", "AWS_SECRET_ACCESS_KEY": "the+secret/of=all"}
            done = hearth("deploy", FUNCTIONS / "socket_bootstrap.zip", "--name", "hello", env=env)
            self.assertEqual(done.returncode, 0, done.stderr)
            tab = self.open_browser().open(one.endpoint + "/")

            def sign_in(key, secret):
                tab.value("document.getElementById('sign-in-why').textContent = ''")
                tab.type("#key-id", key)
                tab.type("#key-secret", secret)
                tab.press("#sign-in-button")

            why = "document.getElementById('sign-in-why').textContent"
            tab.wait("!document.getElementById('sign-in').hidden")
            self.assertIn("signed with one of its access keys", tab.value(why))
            self.keep_picture(tab, "sign-in")
            sign_in("AKIAALL", "wrong")
            tab.wait(why + ".includes('signature')")
            sign_in("AKIANOBODY", "wrong")
            tab.wait(why + ".includes('security token')")
            # A key that may only invoke is told so, and invokes.
            sign_in("AKIACALLER", "the-secret-of-the-caller")
            tab.wait(why + ".includes('lambda:GetStatus')")
            tab.type("#invoke-function", "hello")
            self.invoke(tab, "1")
            self.assertIn("200 OK", tab.text("#outcome-status"))
            sign_in("AKIAALL", "the+secret/of=all")
            tab.wait("document.getElementById('sign-in').hidden")
            tab.wait(CELLS + ".length === 1")
            self.assertEqual(tab.value("document.getElementById('key-secret').value"), "")
            tab.type("#invoke-function", "arn:aws:lambda:us-east-1:000000000000:function:hello")
            self.invoke(tab, '{"grüße": "★"}')
            self.assertEqual(json.loads(tab.text("#outcome-body"))["event"], {"grüße": "★"})
            tab.wait("document.querySelectorAll('#recent tr[data-request]').length === 2")
            self.assertEqual(tab.value("localStorage.length + sessionStorage.length + document.cookie.length"), 0)
            self.assertEqual([f for f in tab.faults if "403" not in f], [])

    def test_a_page_of_another_origin_can_neither_act_nor_read(self):
        with server("--data", self.scratch()) as one:
            one.create("hello")
            port = one.endpoint.rsplit(":", 1)[1]
            b = self.open_browser(f"--host-resolver-rules=MAP rebound.example 127.0.0.1:{port}")
            for address in (one.endpoint, f"http://localhost:{port}"):
                with site(EVIL.replace("SERVER", address)) as evil:
                    tab = b.open(evil)
                    tab.wait("document.title === 'tried'")
                    self.assertEqual(tab.value("came"), ["opaque 0 ", "refused", "refused", "refused", "opaque 0 ", "refused",
                                                         "sent", "refused"])
                    tab.wait("[...document.querySelectorAll('iframe')].length === 2")
                    self.assertTrue(any("frame-ancestors" in f or "X-Frame-Options" in f or "Refused to frame" in f
                                        for f in tab.faults), tab.faults)
                    tab.close()
            # A name of another's that leads here (DNS rebinding) is a page of that origin's, and gets nothing.
            tab = b.open("http://rebound.example/")
            tab.wait("document.readyState === 'complete' && document.body.innerText.includes('rebound.example')")
            self.assertIn("not 'rebound.example'", tab.text())
            self.assertEqual(tab.value(
                "fetch('/2015-03-31/functions/hello/invocations', {method: 'POST', body: '{}'}).then(r => r.status)"), 403)
            self.assertEqual(tab.value("fetch('/2015-03-31/functions').then(r => r.status)"), 403)
            self.assertEqual(self.invocations(one), 0)
            # So nothing was wrong with what they tried.
            tab = b.open(one.endpoint + "/")
            tab.wait("document.getElementById('condition').className === 'live'")
            self.assertEqual(tab.value(
                "fetch('/2015-03-31/functions/hello/invocations', {method: 'POST', body: '{}'}).then(r => r.status)"), 200)
            self.assertEqual(self.invocations(one), 1)


if __name__ == "__main__":
    if not CHROMIUM:
        print("skipped: no chromium")
        sys.exit(SKIPPED)
    main()
