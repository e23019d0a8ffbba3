#!/usr/bin/env python3
"""CPython's own regression tests (Debian: libpython3.11-testsuite), natively and under hearth run."""
import os
import re
import shutil
import sys
import tempfile

import judge

MODULES = """
test___all__ test___future__ test__locale test__opcode test__xxsubinterpreters test_abc test_abstract_numbers
test_aifc test_argparse test_array test_ast test_asyncgen test_asynchat test_asyncio test_asyncore test_atexit
test_audioop test_audit test_augassign test_base64 test_baseexception test_bdb test_bigaddrspace test_binascii
test_binop test_bisect test_bool test_buffer test_bufio test_builtin test_bytes test_bz2 test_calendar test_call
test_cgi test_cgitb test_charmapcodec test_class test_cmath test_cmd test_cmd_line test_cmd_line_script test_code
test_code_module test_codeccallbacks test_codecencodings_cn test_codecencodings_hk test_codecencodings_iso2022
test_codecencodings_jp test_codecencodings_kr test_codecencodings_tw test_codecs test_codeop test_collections
test_colorsys test_compare test_compile test_complex test_concurrent_futures test_configparser test_contains
test_context test_contextlib test_contextlib_async test_copy test_copyreg test_coroutines test_cprofile test_crypt
test_csv test_ctypes test_dataclasses test_datetime test_dbm test_dbm_dumb test_dbm_ndbm test_decimal test_decorators
test_defaultdict test_deque test_descr test_descrtut test_dict test_dict_version test_dictcomps test_dictviews
test_difflib test_dis test_doctest test_doctest2 test_docxmlrpc test_dynamic test_dynamicclassattribute test_eintr
test_email test_enum test_enumerate test_eof test_epoll test_errno test_except_star test_exception_group
test_exception_hierarchy test_exceptions test_fcntl test_file test_file_eintr test_filecmp test_fileinput test_fileio
test_float test_fnmatch test_fork1 test_format test_fractions test_frame test_fstring test_ftplib test_functools
test_future test_gc test_generators test_genericpath test_getopt test_getpass test_gettext test_glob test_grammar
test_grp test_gzip test_hash test_hashlib test_heapq test_hmac test_html test_http_cookies test_httplib
test_httpservers test_imaplib test_imp test_import test_importlib test_inspect test_int test_ioctl test_largefile
test_mmap test_multiprocessing_fork test_multiprocessing_forkserver test_multiprocessing_main_handling
test_multiprocessing_spawn test_openpty test_os test_pathlib test_poll test_posix test_posixpath test_pty
test_resource test_select test_shutil test_signal test_socket test_stat test_subprocess test_tempfile test_thread
test_threading test_threading_local test_threadsignals test_time test_wait4
""".split()
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
            ran = judge.run([python, "-m", "test", "-v", "--tempdir", work, module], options.timeout, work,
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

    if not os.path.exists("/usr/lib/python3.11/test/test_os.py"):
        sys.exit("Missing: apt-get install libpython3.11-testsuite")
    subjects = options.subjects or (QUICK if options.quick else MODULES)
    sys.exit(0 if judge.compare("cpython", "CPython 3.11 regression tests", subjects, options, natively, guest) else 1)


main()
