"""hearth run: any Linux program, as it would run natively."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from harness import HEARTH, changed, elf_machine, hearth, main, test_case

BUSYBOX = "/bin/busybox"


def native(*command, **options):
    return subprocess.run(command, capture_output=True, **options)


class run(test_case):
    def assert_as_native(self, *command, **options):
        inside, outside = hearth("run", "--", *command, **options), native(*command, **options)
        self.assertEqual(inside.stdout.decode(), outside.stdout.decode(), inside.stderr.decode())
        self.assertEqual(inside.stderr.decode(), outside.stderr.decode())
        self.assertEqual(inside.returncode, outside.returncode)

    def test_a_static_program_lists_the_hosts_files(self):
        self.assert_as_native(BUSYBOX, "ls", "-l", "/usr")

    def test_a_dynamic_program_sees_the_callers_environment(self):
        self.assert_as_native("/usr/bin/env", env={"PATH": "/usr/bin:/bin", "COLOUR": "green", "EMPTY": ""})

    def test_env_adds_to_it_and_overrides(self):
        done = hearth("run", "--env", "A=1", "--env", "B=two words", "--", "/usr/bin/env", env={"A": "0", "C": "3"})
        self.assertEqual(sorted(done.stdout.decode().splitlines()), ["A=1", "B=two words", "C=3"])

    def test_it_starts_in_the_current_directory(self):
        self.assert_as_native(BUSYBOX, "pwd", cwd="/usr/lib")

    def test_path_is_searched_as_a_shell_does(self):
        self.assert_as_native("busybox", "echo", "found", env={"PATH": "/nowhere:/bin"})

    def test_a_relative_program_knows_its_own_absolute_path(self):
        # glibc's start-up aborts if /proc/self/exe is not absolute.
        self.assert_as_native("./env", cwd="/usr/bin", env={"A": "1"})
        self.assert_as_native("./busybox", "readlink", "/proc/self/exe", cwd="/bin")

    def test_options_after_the_program_are_its_own(self):
        for dashes in ([], ["--"]):
            done = hearth("run", *dashes, BUSYBOX, "echo", "--trace", "--", "-e", "[a,b]", "", "{}")
            self.assertEqual(done.stdout, b"--trace -- -e [a,b]  {}\n", done.stderr)

    def test_the_exit_status_is_passed_through(self):
        self.assert_as_native(BUSYBOX, "sh", "-c", "exit 7")
        self.assert_as_native(BUSYBOX, "false")

    def test_a_signal_is_128_and_its_number(self):
        done = hearth("run", "--", BUSYBOX, "sh", "-c", "kill -SEGV $$")
        self.assertEqual(done.returncode, 128 + 11)

    def test_stdout_and_stderr_are_apart(self):
        self.assert_as_native(BUSYBOX, "sh", "-c", "echo out; echo err >&2")

    def test_stdin_is_passed_through_a_pipe(self):
        data = os.urandom(3 << 20)
        done = hearth("run", "--", BUSYBOX, "cat", input=data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout == data)

    def test_a_slow_stdin_is_waited_for(self):
        process = subprocess.Popen([HEARTH, "run", "--", BUSYBOX, "head", "-n", "2"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for line in (b"one\n", b"two\n"):
            time.sleep(0.3)
            process.stdin.write(line)
            process.stdin.flush()
        self.assertEqual(process.communicate(timeout=30)[0], b"one\ntwo\n")
        self.assertEqual(process.returncode, 0)

    def test_a_reader_that_leaves_ends_an_endless_writer(self):
        process = subprocess.Popen([HEARTH, "run", "--", BUSYBOX, "yes"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.assertEqual(process.stdout.readline(), b"y\n")
        process.stdout.close()
        self.assertNotEqual(process.wait(timeout=30), 0)

    def test_the_hosts_files_are_read_only(self):
        file = self.scratch() / "file"
        file.write_text("kept")
        done = hearth("run", "--", BUSYBOX, "sh", "-c", f"echo lost >{file}")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(file.read_text(), "kept")
        done = hearth("run", "--", BUSYBOX, "touch", "/usr/hearth-was-here")
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(os.path.exists("/usr/hearth-was-here"))

    def test_tmp_is_the_guests_own(self):
        name = f"hearth-test-{os.getpid()}"
        done = hearth("run", "--", BUSYBOX, "sh", "-c", f"echo mine >/tmp/{name} && read x </tmp/{name} && echo $x")
        self.assertEqual(done.stdout, b"mine\n", done.stderr)
        self.assertFalse(os.path.exists(f"/tmp/{name}"))

    def test_a_current_directory_and_a_program_below_tmp_are_shown(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as here, tempfile.TemporaryDirectory(dir="/tmp") as there:
            Path(here, "note").write_text("read me\n")
            Path(there, "hidden").write_text("")
            program = Path(there, "busybox")
            shutil.copy(BUSYBOX, program)
            done = hearth("run", "--", BUSYBOX, "cat", "note", cwd=here)
            self.assertEqual((done.returncode, done.stdout), (0, b"read me\n"), done.stderr)
            done = hearth("run", "--", program, "echo", "hi")
            self.assertEqual((done.returncode, done.stdout), (0, b"hi\n"), done.stderr)
            done = hearth("run", "--", BUSYBOX, "sh", "-c", "read x <note && echo $x >note", cwd=here)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(Path(here, "note").read_text(), "read me\n")
            self.assertNotEqual(hearth("run", "--", BUSYBOX, "cat", Path(there, "hidden"), cwd=here).returncode, 0)

    def test_a_program_in_tmp_itself_is_told_where_to_go(self):
        with tempfile.NamedTemporaryFile(dir="/tmp") as program:
            self.assert_complaint(hearth("run", "--", program.name), 127, program.name, "/tmp of its own")

    def test_root_names_another_tree(self):
        root = self.scratch()
        (root / "bin").mkdir()
        (root / "bin" / "busybox").write_bytes(Path(BUSYBOX).read_bytes())
        (root / "bin" / "busybox").chmod(0o755)
        (root / "only-here").write_text("")
        done = hearth("run", "--root", root, "--", "/bin/busybox", "ls", "/only-here")
        self.assertEqual((done.returncode, done.stdout), (0, b"/only-here\n"), done.stderr)

    def test_memory_is_limited(self):
        # dd takes its block from malloc and fills it.
        eat = ["--", BUSYBOX, "dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1", "iflag=fullblock"]
        self.assertEqual(hearth("run", "--memory", "512M", *eat).returncode, 0)
        self.assertNotEqual(hearth("run", "--memory", "128M", *eat).returncode, 0)

    def test_trace_shows_calls_and_results_on_stderr(self):
        done = hearth("run", "--trace", "--", BUSYBOX, "cat", "/nowhere")
        self.assertRegex(done.stderr.decode(), r'open(at)?\(.*"/nowhere".*\) += -1 ENOENT')
        self.assertRegex(done.stderr.decode(), r"exit_group\(1\)")

    def test_a_program_that_is_not_there(self):
        self.assert_complaint(hearth("run", "--", "no-such-program"), 127, "no-such-program", "not found")
        self.assert_complaint(hearth("run", "--", "/nowhere/program"), 127, "/nowhere/program")

    def test_a_program_that_is_not_executable(self):
        self.assert_complaint(hearth("run", "--", "/etc/passwd"), 126, "/etc/passwd", "execut")
        self.assert_complaint(hearth("run", "--", "/usr"), 126, "/usr")

    def test_a_program_of_another_architecture(self):
        with changed(Path(BUSYBOX).read_bytes(), *elf_machine(183)) as program:
            self.assert_complaint(hearth("run", "--", program), 126, str(program), "x86-64")

    def test_a_file_that_is_no_program(self):
        file = self.scratch() / "text"
        file.write_text("just text\n")
        file.chmod(0o755)
        self.assert_complaint(hearth("run", "--", file), 126, str(file), "ELF")

    def test_a_missing_interpreter_is_named(self):
        data = Path("/usr/bin/env").read_bytes()
        at = data.index(b"/lib64/ld-linux")
        with changed(data, at, b"/lib64/ld-nowhr") as program:
            done = hearth("run", "--", program)
            self.assert_complaint(done, 127, "/lib64/ld-nowhr")

    def test_a_missing_library_is_named(self):
        data = Path("/usr/bin/env").read_bytes()
        with changed(data, data.index(b"libc.so.6"), b"libq.so.6") as program:
            done = hearth("run", "--", program)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"libq.so.6", done.stderr)

    def test_a_shell_forks_and_executes(self):
        done = hearth("run", "--", BUSYBOX, "sh", "-c",
                      "/bin/busybox false || echo failed; seq 3 | while read i; do echo $((i * i)); done; exit 9")
        self.assertEqual(done.stdout.split(), [b"failed", b"1", b"4", b"9"], done.stderr)
        self.assertEqual(done.returncode, 9)

    def test_a_compiler_runs_its_passes(self):
        done = hearth("run", "--memory", "512", "--", "/bin/sh", "-c",
                      "cd /tmp && echo 'int puts(const char*); int main() { puts(\"compiled\"); }' > x.c && gcc x.c && ./a.out")
        self.assertEqual((done.returncode, done.stdout), (0, b"compiled\n"), done.stderr)

    def test_node_and_its_threads(self):
        done = hearth("run", "--", "node", "-e", "setTimeout(() => console.log(6 * 7), 1)")
        self.assertEqual((done.returncode, done.stdout), (0, b"42\n"), done.stderr)

    def test_python_and_its_children(self):
        done = hearth("run", "--", "/usr/bin/python3", "-c",
                      "import subprocess, threading; t = threading.Thread(target=lambda: print('thread', flush=True)); t.start();"
                      " t.join(); print(subprocess.run(['echo', 'child'], capture_output=True).stdout)")
        self.assertEqual((done.returncode, done.stdout), (0, b"thread\nb'child\\n'\n"), done.stderr)


if __name__ == "__main__":
    main()
