"""hearth serve, killed at random moments: what was Active serves again, and no half-written file is believed."""

import base64
import http.client
import json
import os
import random
import signal
import threading
import time

from harness import FUNCTIONS, main, server, test_case

KILLS = 30
NAMES = ["one", "two", "three"]


class editor(threading.Thread):
    """Creates and changes functions until the server is gone."""

    def __init__(self, front, known, choose):
        super().__init__()
        self.front, self.known, self.choose, self.wrong = front, known, choose, []

    def run(self):
        try:
            while True:
                self.edit(self.choose.choice(NAMES))
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            pass  # killed

    def edit(self, name):
        root = "/2015-03-31/functions"
        if name not in self.known:
            code = self.front.request("POST", root, json.dumps({
                "FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 10,
                "Role": "arn:aws:iam::000000000000:role/any",
                "Code": {"ZipFile": base64.b64encode((FUNCTIONS / "socket_bootstrap.zip").read_bytes()).decode()},
            }).encode())[0]
            # 409: the answer of an earlier one was lost with the server.
            if code not in (201, 409):
                self.wrong.append(f"creating {name}: {code}")
            self.known.setdefault(name, "Pending")
        else:
            code = self.front.request("PUT", f"{root}/{name}/configuration", json.dumps({
                "Environment": {"Variables": {"ROUND": str(self.choose.random())}}}).encode())[0]
            if code not in (200, 409):  # 409: the last change is still under way
                self.wrong.append(f"changing {name}: {code}")
        state = json.loads(self.front.request("GET", f"{root}/{name}/configuration")[2])
        self.known[name] = state["State"]


class crash(test_case):
    def check(self, front, known):
        for name, state in known.items():
            if state != "Active":  # what was serves at once
                self.wait_active(front, name)
            event = {"n": random.random()}
            code, headers, body = front.request("POST", f"/2015-03-31/functions/{name}/invocations",
                                                json.dumps(event).encode())
            self.assertEqual(code, 200, body)
            self.assertNotIn("X-Amz-Function-Error", headers, body)
            self.assertEqual(json.loads(body)["event"], event)

    def wait_active(self, front, name):
        for _ in range(200):
            state = json.loads(front.request("GET", f"/2015-03-31/functions/{name}/configuration")[2])
            if state["State"] != "Pending":
                break
            time.sleep(0.05)
        self.assertEqual(state["State"], "Active", state)

    def test_sigkill_at_random_moments(self):
        seed = int(os.environ.get("HEARTH_SEED", "1"))
        choose = random.Random(seed)
        data = self.scratch() / "data"
        snapshots = data / "snapshots"
        known, damaged, unfinished, stored = {}, False, 0, 0
        for kill in range(KILLS + 1):
            with self.subTest(seed=seed, kill=kill):
                left = set(snapshots.glob("*.tmp"))
                unfinished += len(left)
                front = server("--data", data)
                try:
                    self.assertEqual([f for f in left if f.exists()], [])
                    self.check(front, known)
                    if kill == KILLS:
                        self.assertEqual(front.stop(), 0)
                        break
                    busy = editor(front, known, choose)
                    busy.start()
                    # Longer until all are there: a sanitized server takes its time to create one.
                    time.sleep(choose.uniform(0.0, 0.35 if len(known) == len(NAMES) else 1.5))
                finally:
                    front.process.send_signal(signal.SIGKILL)
                    _, told = front.process.communicate()
                busy.join()
                self.assertEqual(busy.wrong, [])
                # A kill tears nothing; only we do.
                if not damaged:
                    for word in (b"damaged", b"cut short"):
                        self.assertNotIn(word, told)
                files = sorted(snapshots.glob("*.snapshot"))
                stored = max(stored, len(files))
                damaged = kill % 5 == 4 and files != []
                if damaged:
                    self.damage(choose.choice(files), choose)
        self.assertEqual(set(known), set(NAMES))
        self.assertGreater(stored, 0)
        self.assertEqual(list(snapshots.glob("*.tmp")), [])
        print(f"{KILLS} kills, {unfinished} of them left an unfinished file, {stored} snapshots at most")

    @staticmethod
    def damage(file, choose):
        content = bytearray(file.read_bytes())
        if choose.random() < 0.5:
            content = content[:choose.randrange(len(content))]
        else:
            content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
        file.write_bytes(content)


if __name__ == "__main__":
    main()
