"""hearth run: Debian's interpreters and tools at a real task each, with the output they have natively.

A row is a program that must be installed, and a shell script with that task; scripts begin in an empty
/tmp of their own. Programs that are not there are skipped and counted.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import hearth, main, test_case

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass
class program:
    name: str
    script: str
    needs: tuple = ()  # commands; all of them or the row is skipped
    memory: str = "512M"
    status: int = 0
    build: str = ""  # run natively, in a directory that the guest sees as $BUILT
    differs: str = "(?!)"  # what of the output may differ


def python(name, text, **options):
    return program(name, f"/usr/bin/python3 - <<'END'\n{text}\nEND\n", ("/usr/bin/python3",), **options)


def node(name, text, **options):
    return program(name, f"cat >x.mjs <<'END'\n{text}\nEND\nnode x.mjs\n", ("node",), **options)


PROGRAMS = [
    python("python_json_and_files", """
import json, os, shutil, hashlib
rows = [{"n": n, "square": n * n, "text": "\\u00e9" * (n % 5)} for n in range(2000)]
with open("rows.json", "w") as f: json.dump(rows, f)
assert json.load(open("rows.json")) == rows
print(hashlib.sha256(open("rows.json", "rb").read()).hexdigest(), os.stat("rows.json").st_size)
os.makedirs("a/b/c"); shutil.copy("rows.json", "a/b/c"); shutil.move("a/b", "d"); print(sorted(os.walk(".")))
shutil.rmtree("d"); print(os.path.exists("d"))"""),
    python("python_subprocess", """
import subprocess, signal
print(subprocess.run(["sort", "-r"], input=b"b\\na\\nc\\n", capture_output=True))
print(subprocess.run("exit 7", shell=True).returncode, subprocess.getoutput("echo $((6 * 7)); echo err >&2"))
p = subprocess.Popen(["sleep", "60"]); p.send_signal(signal.SIGTERM); print(p.wait())
try: subprocess.run(["sleep", "60"], timeout=0.05)
except subprocess.TimeoutExpired as e: print("timeout")
a = subprocess.Popen(["seq", "20000"], stdout=subprocess.PIPE)
print(subprocess.run(["tail", "-n", "1"], stdin=a.stdout, capture_output=True).stdout, a.wait())"""),
    python("python_threads", """
import threading, queue, concurrent.futures
work, done = queue.Queue(), queue.Queue()
def worker():
    while (n := work.get()) is not None: done.put(n * n)
threads = [threading.Thread(target=worker) for _ in range(16)]
for t in threads: t.start()
for n in range(500): work.put(n)
for t in threads: work.put(None)
for t in threads: t.join()
print(sum(done.get() for _ in range(500)))
with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(lambda n: n ** 2, range(300))))
e = threading.Event(); threading.Timer(0.01, e.set).start(); print(e.wait(10))"""),
    python("python_sqlite3", """
import sqlite3
d = sqlite3.connect("x.db"); print(d.execute("pragma journal_mode=truncate").fetchone())
with d: d.execute("create table t(a integer primary key, b text)"); d.executemany("insert into t values (?, ?)", ((n, str(n)) for n in range(1000)))
other = sqlite3.connect("x.db"); print(other.execute("select count(*), sum(a), max(b) from t").fetchone())"""),
    python("python_asyncio", """
import asyncio
async def ping(n, q): await asyncio.sleep(0.001 * n); await q.put(n)
async def main():
    q = asyncio.Queue(); tasks = [asyncio.create_task(ping(n, q)) for n in range(20)]
    print(sorted([await q.get() for _ in tasks]))
    p = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    print(await p.communicate(b"through a child"), p.returncode)
    print(await asyncio.to_thread(sum, range(100)))
    try: await asyncio.wait_for(asyncio.sleep(10), 0.01)
    except asyncio.TimeoutError: print("timeout")
asyncio.run(main())"""),
    node("node_files_and_streams", """
import fs from 'node:fs'; import { pipeline } from 'node:stream/promises'; import zlib from 'node:zlib'; import crypto from 'node:crypto';
fs.writeFileSync('in', 'line of text\\n'.repeat(20000));
await pipeline(fs.createReadStream('in'), zlib.createGzip(), zlib.createGunzip(), fs.createWriteStream('out'));
const sum = f => crypto.createHash('sha256').update(fs.readFileSync(f)).digest('hex');
console.log(sum('in') === sum('out'), fs.statSync('out').size);
await fs.promises.mkdir('d/e', { recursive: true }); await fs.promises.rename('in', 'd/e/f');
console.log(fs.readdirSync('d', { recursive: true }), (await fs.promises.stat('d/e/f')).isFile());
await fs.promises.rm('d', { recursive: true }); console.log(fs.existsSync('d'));"""),
    node("node_workers", """
import { Worker } from 'node:worker_threads';
const code = "const { parentPort } = require('worker_threads'); parentPort.once('message', n => { const f = n => n < 2 ? n : f(n - 1) + f(n - 2); parentPort.postMessage(f(n)); });";
const run = n => new Promise((good, bad) => { const w = new Worker(code, { eval: true }); w.on('message', good); w.on('error', bad); w.postMessage(n); });
console.log(await Promise.all([10, 15, 20].map(run)));"""),
    node("node_children", """
import { execFileSync, spawn, exec } from 'node:child_process'; import { promisify } from 'node:util';
console.log(execFileSync('sort', { input: 'b\\na\\n' }).toString());
const p = spawn('cat'); let text = ''; p.stdout.on('data', d => text += d); p.stdin.end('via a pipe');
console.log(await new Promise(done => p.on('close', code => done([code, text]))));
console.log(await promisify(exec)('echo out; exit 0'));
try { await promisify(exec)('exit 3'); } catch (e) { console.log(e.code); }"""),
    node("node_async_and_crypto", """
import crypto from 'node:crypto'; import { setTimeout as sleep } from 'node:timers/promises'; import { promisify } from 'node:util';
const order = []; setImmediate(() => order.push('immediate')); process.nextTick(() => order.push('tick'));
Promise.resolve().then(() => order.push('promise')); await sleep(5); console.log(order.sort());
console.log((await promisify(crypto.scrypt)('pw', 'salt', 32)).toString('hex'), crypto.randomBytes(16).length);
const { publicKey, privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
console.log(crypto.verify('sha256', Buffer.from('m'), publicKey, crypto.sign('sha256', Buffer.from('m'), privateKey)));
const c = crypto.createCipheriv('aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12)); console.log(c.update('x', 'utf8', 'hex') + c.final('hex'));"""),
    program("perl", r"""cat >x.pl <<'END'
use strict; use File::Temp; use POSIX; use Digest::SHA qw(sha1_hex); use Time::HiRes qw(sleep);
my %n; $n{length $_}++ for map { "x" x ($_ % 7) } 1 .. 1000; print join(",", map { "$_=$n{$_}" } sort keys %n), "\n";
print sha1_hex("hearth"), " ", scalar(`echo child`); pipe(my $r, my $w); if (!fork) { print $w "from the child\n"; exit 5 } close $w;
print <$r>; wait; print $? >> 8, "\n"; open my $f, ">", "f" or die; print $f "$_\n" for reverse 1 .. 9; close $f; print `sort -n f | head -3`;
local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; sleep 5 while 1 }; print $@; print POSIX::floor(3.7), "\n";
END
perl x.pl
""", ("perl",)),
    program("lua", r"""cat >x.lua <<'END'
local t = {} for i = 1, 1000 do t[#t + 1] = (i * 7919) % 1000 end table.sort(t) print(t[1], t[500], #t)
local f = assert(io.open("f", "w")) f:write(string.rep("abc\n", 100)) f:close() local n = 0 for l in io.lines("f") do n = n + #l end print(n)
local p = io.popen("echo child; exit 3") print(p:read("a"), p:close()) print(os.execute("exit 4")) print(pcall(error, "caught"))
local c = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) print(c(), c(), c()) print(os.rename("f", "g"), os.remove("g"), os.remove("g"))
END
lua5.4 x.lua
""", ("lua5.4",)),
    program("ruby", r"""cat >x.rb <<'END'
require "json"; require "digest"; require "tempfile"; require "open3"
puts JSON.generate((1..20).map { |n| { n: n, s: n.to_s * 2 } }), Digest::SHA256.hexdigest("hearth")
q = Queue.new; t = 4.times.map { |n| Thread.new { 100.times { |i| q << n * i } } }; t.each(&:join); puts q.size
out, err, s = Open3.capture3("cat; echo err >&2; exit 3", stdin_data: "given"); p out, err, s.exitstatus
r, w = IO.pipe; pid = fork { r.close; w.puts "child"; exit!(2) }; w.close; puts r.read; Process.wait(pid); puts $?.exitstatus
Tempfile.create { |f| f.write("x" * 1000); f.flush; puts File.size(f.path) }
puts [1, 2].lazy.map { _1 * 2 }.to_a.inspect, (sleep(0.01) >= 0)
END
ruby x.rb
""", ("ruby",)),
    program("php", r"""cat >x.php <<'END'
<?php echo json_encode(array_map(fn($n) => $n ** 2, range(1, 20))), "\n", hash("sha256", "hearth"), "\n";
file_put_contents("f", str_repeat("line\n", 100)); echo count(file("f")), " ", filesize("f"), "\n"; echo shell_exec("echo child");
$p = proc_open(["cat"], [["pipe", "r"], ["pipe", "w"]], $pipes); fwrite($pipes[0], "given"); fclose($pipes[0]); echo stream_get_contents($pipes[1]), proc_close($p), "\n";
function g() { for ($i = 0; $i < 3; $i++) yield $i; } echo implode(",", iterator_to_array(g())), "\n"; try { intdiv(1, 0); } catch (DivisionByZeroError $e) { echo $e->getMessage(), "\n"; }
$f = fopen("l", "w"); var_dump(flock($f, LOCK_EX)); echo preg_replace('/(\w+) (\w+)/', '$2 $1', "hello world"), "\n";
END
php x.php
""", ("php",)),
    program("sqlite3", """sqlite3 x.db <<'END'
pragma journal_mode=persist;
create table t(a integer primary key, b text); create index i on t(b);
with recursive n(x) as (select 1 union all select x + 1 from n where x < 5000) insert into t select x, printf('%05d', x * 7919 % 5000) from n;
select count(*), sum(a), min(b), max(b) from t; begin; delete from t where a % 2; rollback; select count(*) from t;
vacuum; pragma integrity_check;
END
sqlite3 x.db 'select b from t where a < 5' && sqlite3 x.db 'pragma journal_mode=delete; select count(*) from t' && ls
""", ("sqlite3",)),
    program("bash_pipelines", r"""exec bash <<'END'
set -o pipefail; seq 1000 | grep 7 | sort -rn | awk '{ s += $1 } END { print s, NR }'; false | true; echo $? ${PIPESTATUS[@]}
diff <(seq 3) <(seq 4); cat <<< "here"; mapfile -t a < <(printf '%s\n' x y z); echo ${#a[@]} ${a[2]}; coproc cat; echo co >&${COPROC[1]}; read -u ${COPROC[0]} l; echo $l
x=$(echo $(echo nested)); echo $x; declare -A m=([k]=v); echo ${m[k]} ${x^^}; trap 'echo trapped' USR1; kill -USR1 $$; (exit 9) || echo $?
yes | head -n 100000 | wc -l; for i in 1 2 3; do echo $i; done | while read i; do echo -n $((i * i))' '; done; echo
END
""", ("bash",)),
    program("bash_jobs", r"""exec bash <<'END'
sleep 100 & a=$!; (exit 3) & b=$!; wait $b; echo $?; jobs -r | sed 's/ *&$//'; kill $a; wait $a; echo $?; wait
for i in 1 2 3 4; do (sleep 0.0$i; echo $i >$i) & done; wait; cat 1 2 3 4; echo early; ({ sleep 0.1; echo late; } & wait -n; echo $?)
timeout 0.1 sleep 5; echo $?; time -p true 2>/dev/null; exit 6
END
""", ("bash",), status=6),
    program("gcc_and_gxx", r"""cat >a.c <<'END'
#include <stdio.h>
#include <math.h>
int twice(int); int main(int n, char **v) { printf("%d %.3f %s\n", twice(21), sqrt(2), n > 1 ? v[1] : ""); return 3; }
END
echo 'int twice(int n) { return 2 * n; }' >b.c
cat >c.cpp <<'END'
#include <iostream>
#include <map>
#include <string>
#include <thread>
int main() { std::map<std::string, int> m{{"b", 2}, {"a", 1}}; std::thread t([&] { m["c"] = 3; }); t.join();
    try { throw std::runtime_error("thrown"); } catch (std::exception& e) { std::cout << e.what(); } for (auto& [k, v] : m) std::cout << ' ' << k << v; std::cout << '\n'; }
END
gcc -O2 -g -c a.c b.c && ar rcs libb.a b.o && gcc a.o -L. -lb -lm -o a && ./a argument; echo $?
gcc -shared -fPIC b.c -o libtwice.so && gcc a.c -L. -ltwice -lm -Wl,-rpath,. -o s && ./s; g++ -O1 -pthread c.cpp -o c && ./c; echo 'int f(' | gcc -x c - 2>&1 | tail -n 1; objdump -d b.o | tail -n 2
""", ("gcc", "g++")),
    program("make", r"""cat >Makefile <<'END'
OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))
all: program
program: $(OBJECTS)
	@cat $^ >$@ && echo linked $^
%.o: %.c
	@tr a-z A-Z <$< >$@; sleep 0.02
fail:
	@exit 4
.PHONY: all fail
END
for i in 1 2 3 4 5 6; do echo "text $i" >$i.c; done; make -j4 && make && cat program; sleep 0.01; touch 3.c && make; make fail; echo $?; make -n fail; make nothing; echo $?
""", ("make",)),
    program("java", r"""cat >Hello.java <<'END'
import java.util.*; import java.util.concurrent.*; import java.util.stream.*; import java.nio.file.*;
public class Hello { public static void main(String[] a) throws Exception {
  ExecutorService e = Executors.newFixedThreadPool(4); List<Future<Integer>> f = new ArrayList<>(); for (int i = 0; i < 20; i++) { int n = i; f.add(e.submit(() -> n * n)); }
  int s = 0; for (Future<Integer> x : f) s += x.get(); e.shutdown(); System.out.println(s + " " + IntStream.range(0, 1000).boxed().collect(Collectors.summingInt(x -> x)));
  Files.writeString(Path.of("f"), "text"); System.out.println(Files.readString(Path.of("f")) + new ProcessBuilder("echo", "child").start().inputReader().readLine());
  for (int i = 0; i < 200; i++) { byte[] b = new byte[1 << 20]; b[i] = 1; } System.gc(); try { Object o = null; o.hashCode(); } catch (NullPointerException x) { System.out.println("null"); } } }
END
javac -J-XX:+UseSerialGC -J-XX:TieredStopAtLevel=1 Hello.java && java -Xmx128m -XX:+UseSerialGC -Xshare:auto Hello && java -Xmx128m -XX:+UseG1GC Hello
""", ("java", "javac"), memory="2G"),
    program("java_version", "java -XX:+UseSerialGC -version 2>&1\n", ("java",), memory="1G"),
    program("git", r"""export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
git config --global user.name N; git config --global user.email n@example.com; git config --global init.defaultBranch main; git init -q r && cd r
seq 100 >f && git add . && git commit -qm first && seq 50 150 >f && git commit -qam second && git checkout -qb side HEAD~1 && echo x >g && git add g && git commit -qm third
git merge -q --no-edit main && git log --oneline --graph && git diff --stat HEAD~1 && git status --short && git gc -q && git fsck 2>&1 && git clone -q . ../c && git -C ../c log --format=%H
""", ("git",)),
    program("archives", r"""mkdir -p d/e && seq 20000 >d/f && seq 100 >d/e/g && ln -s f d/l && ln d/f d/h && chmod 640 d/f
for how in '' z J; do tar --mtime=@0 --sort=name -c${how}f x.tar$how d && mkdir x && tar -xf x.tar$how -C x && diff -r d x/d && stat -c '%n %a %h %F' x/d/*; rm -r x; done
tar -tf x.tar | sort; gzip -9kn d/f && gunzip -c d/f.gz | cmp - d/f && sha256sum d/f.gz; xz -kT2 d/f && xz -dc d/f.xz | sha256sum; bzip2 -k d/e/g && bunzip2 -c d/e/g.bz2 | tail -n 1; xz -t d/f.gz; echo $?
""", ("tar", "gzip", "xz", "bzip2")),
    program("text_tools", r"""seq 300 | awk '{ a[$1 % 7] += $1 } END { for (i = 0; i < 7; i++) printf "%d:%d ", i, a[i]; print "" }'; seq 20 | sed -n '/1/{s/1/one/gp}' | tr '\n' ' '
mkdir -p a/b && touch a/x.c a/b/y.c a/b/z.h && find a -name '*.c' -type f | sort && find a -type f -print0 | sort -z | xargs -0 -n 1 -P 2 basename | sort; echo 'foo bar' | sed -E 's/(\w+) (\w+)/\2 \1/'
printf 'b 2\na 1\nc 3\n' >t; sed -i 's/b/B/' t; sort t; grep -rn 'c' t; grep -c . t; cut -d' ' -f2 t | paste -sd+; sort -k2n t | join - t 2>/dev/null | uniq -c; split -l 1 t p; ls; wc -l t; head -c 3 /dev/zero | od -c; tac t; date -u -d @0; stat -c %s t; dd if=t bs=2 count=2 status=none; echo; env -i A=1 env; expr 6 '*' 7; nl t; comm <(sort t) <(sort t) 2>/dev/null; mktemp -d X.XXXX | wc -c; df /tmp | wc -l; seq 5 | shuf | sort
""", ("awk", "sed", "grep", "find")),
    program("openssl", r"""openssl genrsa -out k.pem 2048 2>/dev/null && openssl rsa -in k.pem -check -noout && echo text >f && openssl dgst -sha256 -sign k.pem -out s f && openssl rsa -in k.pem -pubout -out p.pem 2>/dev/null && openssl dgst -sha256 -verify p.pem -signature s f
openssl enc -aes-256-cbc -pbkdf2 -k pw -in f -out e && openssl enc -d -aes-256-cbc -pbkdf2 -k pw -in e; openssl rand -hex 16 | wc -c; openssl speed -seconds 1 -bytes 1024 sha256 2>/dev/null | grep -c '^sha256'; openssl req -x509 -new -key k.pem -subj /CN=h -days 1 -out c.pem && openssl x509 -in c.pem -noout -subject
""", ("openssl",)),
    # No network is named here: the answer must come at once and say what is wrong.
    program("curl_to_nowhere", "curl -sS --max-time 5 http://127.0.0.1:9/ 2>&1; echo $?\n", ("curl",), differs=r"after \d+ ms"),
    program("go", "$BUILT/x\n", ("go",), build=r"""export HOME=$PWD GOCACHE=${GOCACHE:-$PWD/cache} GO111MODULE=off CGO_ENABLED=0
cat >x.go <<'END'
package main

import ("fmt"; "os"; "os/exec"; "sync"; "time"; "runtime")

func main() {
	var w sync.WaitGroup; c := make(chan int, 100)
	for i := 0; i < 100; i++ { w.Add(1); go func(n int) { defer w.Done(); time.Sleep(time.Millisecond); c <- n * n }(i) }
	w.Wait(); close(c); s := 0; for n := range c { s += n }; fmt.Println(s)
	os.WriteFile("f", []byte("text"), 0o600); b, err := os.ReadFile("f"); fmt.Println(string(b), err); o, err := exec.Command("echo", "child").Output(); fmt.Printf("%s %v\n", o, err)
	runtime.GC(); defer func() { fmt.Println(recover()) }(); var p *int; fmt.Println(*p)
}
END
go build -o x x.go
"""),
    program("rust", "$BUILT/x 2>&1 | grep -v thread\n", ("rustc",), build=r"""cat >x.rs <<'END'
use std::{collections::BTreeMap, fs, process::Command, sync::mpsc, thread};
fn main() { let (tx, rx) = mpsc::channel(); for n in 0..8 { let tx = tx.clone(); thread::spawn(move || tx.send(n * n).unwrap()); } drop(tx); println!("{}", rx.iter().sum::<i32>());
  fs::write("f", "text").unwrap(); println!("{} {:?}", fs::read_to_string("f").unwrap(), fs::read("nothing").unwrap_err().kind()); println!("{:?}", Command::new("echo").arg("child").output().unwrap());
  let m: BTreeMap<_, _> = (0..5).map(|n| (n, n * n)).collect(); println!("{m:?} {:?}", thread::spawn(|| panic!("p")).join().is_err()); }
END
rustc -O x.rs
"""),
]


class programs(test_case):
    def as_natively(self, row):
        missing = [command for command in row.needs if not shutil.which(command)]
        if missing:
            self.skipTest(f"not installed: {' '.join(missing)}")
        built = self.scratch()
        if row.build:
            subprocess.run(["bash", "-c", row.build], cwd=built, check=True, capture_output=True)
        with tempfile.TemporaryDirectory() as directory:
            native = subprocess.run(["bash", "-c", row.script], cwd=directory, env=ENVIRONMENT | {"BUILT": built},
                                    stdin=subprocess.DEVNULL, capture_output=True)
        script = "mkdir /tmp/work && cd /tmp/work\n" + row.script
        inside = hearth("run", "--memory", row.memory, "--", "bash", "-c", script, env=ENVIRONMENT | {"BUILT": built},
                        timeout=120)
        text = [re.sub(row.differs, "", done.stdout.decode()) for done in (native, inside)]
        self.assertEqual(native.returncode, row.status, native.stdout.decode() + native.stderr.decode())
        self.assertEqual(text[0], text[1], inside.stderr.decode())
        self.assertEqual(inside.returncode, row.status, inside.stderr.decode())

    def test_redis_and_its_benchmark_in_one_guest(self):
        """How fast it is differs; what was asked and what the server counted does not."""
        missing = [command for command in ("redis-server", "redis-benchmark", "redis-cli") if not shutil.which(command)]
        if missing:
            self.skipTest(f"not installed: {' '.join(missing)}")
        done = hearth("run", "--memory", "512M", "--", "bash", "-c", r"""cd /tmp
redis-server --save '' --bind 127.0.0.1 ::1 --unixsocket /tmp/redis.sock >log & server=$!
until redis-cli ping >/dev/null 2>&1; do :; done
redis-benchmark -t set,get,incr,lpush,mset -n 300 -c 20 --csv
redis-benchmark -h ::1 -P 10 -t sadd -n 300 -c 5 --csv
redis-benchmark -s /tmp/redis.sock -d 100000 -t getset,hset -n 20 -c 5 --csv
redis-cli info commandstats | grep -oE '^cmdstat_(set|get|incr|lpush|mset|sadd|hset):calls=[0-9]+'; redis-cli llen mylist
redis-cli strlen key:__rand_int__; redis-cli shutdown; wait $server; echo $?; tail -n 1 log | grep -o 'bye bye'
""", env=ENVIRONMENT, timeout=120)
        lines = done.stdout.decode().split("\n")
        rates = [line.split(",")[:2] for line in lines if line.startswith('"')]
        self.assertEqual([name for name, _ in rates if name != '"test"'],
                         ['"SET"', '"GET"', '"INCR"', '"LPUSH"', '"MSET (10 keys)"', '"SADD"', '"HSET"'], done.stderr.decode())
        self.assertTrue(all(float(rate.strip('"')) > 0 for name, rate in rates if name != '"test"'), rates)
        rest = [line.strip() for line in lines if line and not line.startswith('"')]
        calls = dict(line.removeprefix("cmdstat_").split(":calls=") for line in rest if line.startswith("cmdstat_"))
        self.assertEqual(calls, {"set": "300", "get": "300", "incr": "300", "lpush": "300", "mset": "300", "sadd": "300", "hset": "20"})
        self.assertEqual(rest[len(calls):], ["300", "3", "0", "bye bye"], done.stderr.decode())


for row in PROGRAMS:
    setattr(programs, f"test_{row.name}", lambda self, row=row: self.as_natively(row))


if __name__ == "__main__":
    main()
