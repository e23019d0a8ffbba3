"""Programs and functions that reach what their network names: servers on the host's loopback, and on a world
outside that is made up for them, in a network and with an /etc/hosts of their own."""

import base64
import http.server
import io
import json
import os
import select
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

from harness import SKIPPED, hearth, main, server, test_case

PYTHON = "/usr/bin/python3"
OUTSIDE = "192.0.2.7"  # TEST-NET-1 (RFC 5737): this machine answers there without its being an address of it
NAMES = f"127.0.0.1 localhost\n{OUTSIDE} listed.example deep.listed.example\n192.0.2.8 other.example\n127.0.0.1 sly.example\n"


def enter_world():
    """Runs this script again with that world around it."""
    if "HEARTH_WORLD" in os.environ:
        return
    unshare = ["unshare", "--net", "--mount", *(["--map-root-user"] if os.getuid() else [])]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        print("skipped: unshare makes no network of its own here")
        sys.exit(SKIPPED)
    with tempfile.NamedTemporaryFile("w", delete=False) as hosts:
        hosts.write(NAMES)
    prepare = f"""
ip link set lo up && ip route add local 192.0.2.0/24 dev lo && mount --bind {hosts.name} /etc/hosts || exit 1
rm {hosts.name}; exec "$@\""""
    os.environ["HEARTH_WORLD"] = "1"
    os.execvp(unshare[0], [*unshare, "sh", "-c", prepare, "sh", sys.executable, "-B", *sys.argv])


class answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"x" * 300_000 if self.path == "/large" else b"hello from outside"
        if self.path == "/slow":
            time.sleep(1)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class threaded(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 512


class network(test_case):
    def setUp(self):
        self.server = threaded(("0.0.0.0", 0), answering)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_address[1]
        self.named = f"127.0.0.1:{self.port}"

    def python(self, program, network=None):
        extra = ["--network", network] if network else []
        return hearth("run", *extra, "--", PYTHON, "-I", "-S", "-c", program)

    def assert_prints(self, program, network, expected):
        done = self.python(program, network)
        self.assertEqual((done.stdout.decode(), done.stderr.decode()), (expected, ""))

    def test_an_http_client_reads_what_the_server_sends(self):
        self.assert_prints(f"""
import http.client
c = http.client.HTTPConnection("127.0.0.1", {self.port}, timeout=20)
for path in "/", "/large":
    c.request("GET", path); r = c.getresponse(); print(r.status, len(r.read()))
print(c.sock.getpeername()[1] == {self.port}, c.sock.getsockname()[0])
""", self.named, "200 18\n200 300000\nTrue 127.0.0.1\n")

    def test_many_connections_wait_together_in_one_guest(self):
        self.assert_prints(f"""
import select, socket
ep, got, begun = select.epoll(), {{}}, []
for i in range(40):
    s = socket.socket(); s.setblocking(False)
    assert s.connect_ex(("127.0.0.1", {self.port})) in (0, 115)
    ep.register(s, select.EPOLLOUT | select.EPOLLIN | select.EPOLLET); got[s.fileno()] = [s, b"", False]
ended = 0
while ended < 40:
    for fd, events in ep.poll(20):
        e = got[fd]
        if events & select.EPOLLOUT and not e[2]:
            assert e[0].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            e[2] = True; e[0].send(b"GET / HTTP/1.0\\r\\n\\r\\n")
        while True:
            try: b = e[0].recv(4096)
            except BlockingIOError: break
            if not b:
                ended += 1; ep.unregister(fd); break
            e[1] += b
print(sum(e[1].endswith(b"hello from outside") for e in got.values()))
""", self.named, "40\n")

    def test_what_is_not_named_is_refused_at_once(self):
        program = f"""
import socket, errno
for to in ("127.0.0.1", {self.port}), ("169.254.169.254", 80), ("192.0.2.1", 80):
    s = socket.socket()
    print(errno.errorcode[s.connect_ex(to)])
try: socket.getaddrinfo("nowhere.example", 80); print("?")
except socket.gaierror as e: print(e.errno == socket.EAI_NONAME or e.errno == socket.EAI_AGAIN)
"""
        self.assert_prints(program, None, "ECONNREFUSED\nENETUNREACH\nENETUNREACH\nTrue\n")
        self.assert_prints(program, "10.0.0.0/8", "ECONNREFUSED\nEACCES\nEACCES\nTrue\n")
        begun = time.monotonic()
        self.python(program, "listed.example:80")
        self.assertLess(time.monotonic() - begun, 20)

    def test_names_are_asked_of_the_host_and_open_their_addresses_alone(self):
        # A machine's own files are not asked: only what the host answers counts.
        program = f"""
import errno, socket, urllib.request
def ask(name):
    q = b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + b"".join(bytes([len(l)]) + l.encode() for l in name.split("."))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(20)
    s.connect(("169.254.78.1", 53))
    s.send(q + b"\\0\\0\\1\\0\\1")
    a = s.recv(512)
    return socket.inet_ntoa(a[-4:]) if a[7] else a[3] & 15
def reach(address, port):
    s = socket.socket()
    r = s.connect_ex((address, port))
    return errno.errorcode.get(r, r)
print(reach("{OUTSIDE}", {self.port}))
print([ask(n) for n in ("listed.example", "LISTED.example", "deep.listed.example", "other.example", "sly.example")])
print([reach(a, p) for a, p in (("{OUTSIDE}", {self.port}), ("{OUTSIDE}", 1), ("192.0.2.8", {self.port}), ("127.0.0.1", {self.port}))])
print(open("/etc/resolv.conf").read().split()[1])
"""
        named = f"listed.example:{self.port},sly.example:{self.port}"
        self.assert_prints(program, named, f"""\
EACCES
['{OUTSIDE}', '{OUTSIDE}', 3, 3, '127.0.0.1']
[0, 'EACCES', 'EACCES', 'ECONNREFUSED']
169.254.78.1
""")
        # Everything, but this machine.
        self.assert_prints(program, "all", f"""\
0
['{OUTSIDE}', '{OUTSIDE}', '{OUTSIDE}', '192.0.2.8', '127.0.0.1']
[0, 'ECONNREFUSED', 0, 'ECONNREFUSED']
169.254.78.1
""")

    def test_urllib_and_curl_and_node_by_name(self):
        url = f"http://listed.example:{self.port}/"
        named = f"listed.example:{self.port}"
        self.assert_prints(f"import urllib.request as u; print(u.urlopen('{url}', timeout=20).read().decode())",
                           named, "hello from outside\n")
        for program in (["curl", "-sS", "--max-time", "20", url],
                        ["node", "-e", f"fetch('{url}').then(r => r.text()).then(t => process.stdout.write(t))"]):
            done = hearth("run", "--network", named, "--", *program)
            self.assertEqual((done.stdout, done.stderr, done.returncode), (b"hello from outside", b"", 0), program)

    def test_functions_of_the_lambda_api_say_their_network_in_a_variable(self):
        major = subprocess.run(["node", "--version"], capture_output=True, check=True).stdout[1:3].decode()
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as z:
            z.writestr("index.mjs", f"""
export const handler = async path => {{
    try {{ return await (await fetch('http://listed.example:{self.port}' + path)).text() }}
    catch (e) {{ return e.cause.code }}
}}""")
        with server("--data", str(self.scratch())) as s:
            def create(name, variables):
                return s.request("POST", "/2015-03-31/functions", json.dumps({
                    "FunctionName": name, "Runtime": f"nodejs{major}.x", "Handler": "index.handler", "Timeout": 20,
                    "Role": "arn:aws:iam::000000000000:role/any", "Environment": {"Variables": variables},
                    "Code": {"ZipFile": base64.b64encode(code.getvalue()).decode()}}).encode())

            def invoke(name, event):
                for _ in range(400):
                    state = json.loads(s.request("GET", f"/2015-03-31/functions/{name}/configuration")[2])["State"]
                    if state != "Pending":
                        break
                    time.sleep(0.05)
                return json.loads(s.invoke(name, json.dumps(event).encode())[2])

            self.assertEqual(create("closed", {})[0], 201)
            self.assertEqual(create("open", {"HEARTH_NETWORK": f"*.example:{self.port}"})[0], 201)
            self.assertEqual([invoke("open", "/"), len(invoke("open", "/large"))], ["hello from outside", 300_000])
            self.assertIn(invoke("closed", "/"), ("ENOTFOUND", "EAI_AGAIN"))
            status, _, body = create("wrong", {"HEARTH_NETWORK": "everything"})
            self.assertEqual(status, 400)
            self.assertIn(b"HEARTH_NETWORK", body)

    def test_redis(self):
        directory = self.scratch()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                   "--daemonize", "no", "--dir", str(directory)], stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            self.assertIsNone(server.poll())
            time.sleep(0.01)
        done = hearth("run", "--network", f"127.0.0.1:{port}", "--", "redis-cli", "-p", port,
                      input=b"set a 1\nincrby a 41\nget a\nlpush l x y z\nlrange l 0 -1\nblpop none 0.1\n")
        self.assertEqual((done.stdout.split(), done.stderr), (b"OK 42 42 3 z y x".split(), b""))
        done = hearth("run", "--network", f"127.0.0.1:{port}", "--", "redis-benchmark", "-p", port, "-n", "2000",
                      "-c", "20", "-P", "10", "-t", "set,get,lrange_100", "-q")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"GET:", done.stdout)

    def test_a_guest_that_wants_thousands_of_sockets_gets_a_few_and_those_slowly(self):
        self.assert_prints(f"""
import collections, errno, resource, socket
kept, seen = [], collections.Counter()
for i in range(1000):
    s = socket.socket(); s.setblocking(False)
    r = s.connect_ex(("127.0.0.1", {self.port}))
    seen[errno.errorcode.get(r, "0").replace("EINPROGRESS", "0")] += 1
    if r in (0, 115): kept.append(s)
print(200 <= seen.pop("0") <= 256, sorted(seen) in (["EADDRNOTAVAIL"], ["EADDRNOTAVAIL", "ENOBUFS"]), len(kept) <= 256)
""", self.named, "True True True\n")

    def test_connections_end_as_they_do_natively(self):
        """The peer does what the first byte says; what it sees itself comes out of `seen`."""
        reset = struct.pack("ii", 1, 0)
        seen = []

        def serve(listener):
            while True:
                s, _ = listener.accept()
                how = s.recv(1)
                if how == b"c":  # closes
                    s.close()
                elif how == b"r":  # resets
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                    s.close()
                elif how == b"u":  # closes with something unread
                    select.select([s], [], [])
                    s.close()
                elif how == b"h":  # says its last, and reads to the end
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(100):
                        pass
                    seen.append("end")
                    s.close()
                elif how == b"w":  # waits for the other's end
                    try:
                        s.recv(1)
                        seen.append("end")
                    except ConnectionResetError:
                        seen.append("reset")
                    s.close()
                elif how == b"q":
                    return
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            program = f"""
import errno, select, socket, struct
def said(what, call, *a):
    try: r = call(*a)
    except OSError as e: r = errno.errorcode[e.errno]
    print(" ", what, r)
def connect(how):
    print(how)
    s = socket.create_connection(("127.0.0.1", {port})); s.sendall(how[:1].encode()); return s
def wait(s, events):
    p = select.poll(); p.register(s, events)
    assert p.poll(20000)
def rest(s):
    said("read", s.recv, 10); said("read", s.recv, 10); said("write", s.send, b"x"); said("write", s.send, b"x")
    said("peer", lambda: s.getpeername()[1] == {port}); s.close()
s = connect("closes"); wait(s, select.POLLRDHUP); said("read", s.recv, 10); said("first", s.send, b"x")
wait(s, select.POLLERR); said("second", s.send, b"x"); said("third", s.send, b"x"); rest(s)
s = connect("resets"); wait(s, select.POLLERR); rest(s)
s = connect("unread"); s.send(b"more"); wait(s, select.POLLERR); rest(s)
s = connect("half"); wait(s, select.POLLRDHUP); said("read", s.recv, 10); said("write", s.send, b"more"); s.shutdown(socket.SHUT_WR)
said("write", s.send, b"x"); wait(s, select.POLLHUP); said("read", s.recv, 10); s.close()
for linger in ((1, 0), (0, 0), (1, 1)):
    s = connect("waits"); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *linger)); s.close()
connect("quits").close()
"""
            both = []
            for run in (lambda: subprocess.run([PYTHON, "-I", "-S", "-c", program], capture_output=True, timeout=60),
                        lambda: self.python(program, f"127.0.0.1:{port}")):
                seen.clear()
                server = threading.Thread(target=serve, args=(listener,), daemon=True)
                server.start()
                done = run()
                server.join(30)
                both.append((done.stdout.decode(), done.stderr.decode(), [*seen]))
        self.assertEqual(both[0][1:], ("", ["end", "reset", "end", "end"]))
        self.assertEqual(both[0], both[1])

    def test_datagrams_and_time_limits(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.bind(("127.0.0.1", 0))
            there.settimeout(30)

            def echo():
                data, sender = there.recvfrom(100)
                there.sendto(data.upper(), sender)
            threading.Thread(target=echo, daemon=True).start()
            self.assert_prints(f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"abc", ("127.0.0.1", {there.getsockname()[1]}))
print(*s.recvfrom(100))
s.settimeout(0.2)
try: s.recv(1)
except TimeoutError: print("late")
""", f"127.0.0.1:{there.getsockname()[1]}", f"b'ABC' ('127.0.0.1', {there.getsockname()[1]})\nlate\n")

    def test_a_wrong_list_is_said_so(self):
        done = hearth("run", "--network", "10.0.0.1/8", "--", "/bin/true")
        self.assert_complaint(done, 125, "network", "10.0.0.1/8", "prefix length")

    def test_a_function_reaches_what_it_may_and_clones_find_old_connections_reset(self):
        directory = self.scratch()
        (directory / "lambda_function.py").write_text(f"""
import http.client, socket
old = socket.create_connection(("127.0.0.1", {self.port}))
def lambda_handler(event, context):
    try: old.send(b"x"); was = "alive"
    except OSError as e: was = type(e).__name__
    c = http.client.HTTPConnection("127.0.0.1", {self.port}); c.request("GET", "/slow")
    return [was, c.getresponse().read().decode()]
""")
        done = hearth("invoke", directory, "--runtime", "python3.11", "--timeout", "20",
                      "--network", self.named, input=b"{}")
        self.assertEqual(done.returncode, 0, done.stderr)
        was, body = json.loads(done.stdout)
        self.assertEqual(body, "hello from outside")
        self.assertIn(was, ("ConnectionResetError", "BrokenPipeError"))
        done = hearth("invoke", directory, "--runtime", "python3.11", "--network", "example.com", input=b"{}")
        self.assert_complaint(done, 1, "needs a port")


if __name__ == "__main__":
    enter_world()
    main()
