#!/usr/bin/env python3
"""CPython's own regression tests (Debian: libpython3.11-testsuite), natively and under hearth run."""
import pathlib
import re
import shutil
import sys
import tempfile

import judge

TESTS = pathlib.Path("/usr/lib/python3.11/test")
# All but those that are about other systems, screens, the world's servers, building Python, or large files and memories.
LEFT_OUT = set("""
test__osx_support test_asdl_parser test_bigmem test_check_c_globals test_clinic test_codecmaps_cn test_codecmaps_hk
test_codecmaps_jp test_codecmaps_kr test_codecmaps_tw test_cppext test_crashers test_curses test_devpoll test_distutils
test_dtrace test_embed test_ensurepip test_frozen test_gdb test_idle test_kqueue test_launcher test_lib2to3 test_msilib
test_nis test_ossaudiodev test_osx_env test_peg_generator test_regrtest test_smtpnet test_startfile test_tcl test_tix test_tk
test_tools test_ttk_guionly test_ttk_textonly test_turtle test_urllib2net test_urllibnet test_winconsoleio test_winreg
test_winsound test_xmlrpc_net test_xxtestfuzz test_zipfile64
""".split())


def all_modules():
    return sorted({path.stem for path in TESTS.glob("test_*")
                   if path.suffix == ".py" or (path / "__init__.py").exists()} - LEFT_OUT)


QUICK = """test_stat test_posixpath test_fcntl test_fileio test_resource test_select test_shutil
test_dbm_dumb test_fileinput""".split()


def result(status, output, seconds):
    if status == 0 and re.search(r"^1 test skipped", output, re.M):
        return judge.Outcome("skipped", (re.findall(r"skipped -- (.*)", output) or ["skipped"])[0], seconds)
    if status == 0:
        ran = sum(int(n) for n in re.findall(r"^Ran (\d+) tests?", output, re.M))
        return judge.Outcome("passed", f"{ran} tests", seconds)
    if status is None:
        unfinished = re.findall(r"^(test\w*) \(.*\) \.\.\. *$", output, re.M)
        return judge.Outcome("failed", f"over the time {unfinished[-1:]}", seconds)
    names = sorted(set(re.findall(r"^(?:FAIL|ERROR): (\S+)", output, re.M)))
    return judge.Outcome("failed", f"exit status {status}: {' '.join(names)}", seconds)


def main():
    options = judge.arguments(__doc__, 900)
    python = "/usr/bin/python3"
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}

    def natively(module):
        work = tempfile.mkdtemp()
        try:
            ran = judge.run([*judge.LIMITS, python, "-m", "test", "-v", "--tempdir", work, module], options.timeout, work,
                            environment | {"TMPDIR": work})
        finally:
            shutil.rmtree(work, ignore_errors=True)
        judge.keep(options, module, "native", ran[1])
        return result(*ran)

    def guest(module):
        ran = judge.run([options.hearth, "run", "--memory", "2G", "--", python, "-m", "test", "-v", "--tempdir", "/tmp",
                         module], options.timeout, "/", environment)
        judge.keep(options, module, "guest", ran[1])
        return result(*ran)

    if not (TESTS / "test_os.py").exists():
        sys.exit("Missing: apt-get install libpython3.11-testsuite")
    subjects = options.subjects or (QUICK if options.quick else all_modules())
    sys.exit(0 if judge.compare("cpython", "CPython 3.11 regression tests", subjects, options, natively, guest) else 1)


main()
