"""hearth deploy, ls, invoke --remote and completion, against a server with and without access keys and TLS."""

import json
import os
import re
import signal
import stat
import subprocess
import zipfile

from harness import FUNCTIONS, HEARTH, hearth, main, server, test_case

HANDLER = "import json\ndef lambda_handler(event, context):\n    print('seen', event)\n    return {'MARK': event}\n"
CREDENTIALS = """\
[deployer]
aws_access_key_id = AKIADEPLOYER
aws_secret_access_key = the-secret-of-the-deployer
allow = *

[caller]
aws_access_key_id = AKIACALLER
aws_secret_access_key = the-secret-of-the-caller
allow = InvokeFunction on hello
"""
DEPLOYER = {"AWS_ACCESS_KEY_ID": "AKIADEPLOYER", "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-deployer"}
CALLER = {"AWS_ACCESS_KEY_ID": "AKIACALLER", "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-caller"}


def environment(**variables):
    """Without what the machine's own user may have set."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, **variables}


class remote(test_case):
    def project(self, mark, name="hello"):
        directory = self.scratch() / name
        directory.mkdir()
        (directory / "lambda_function.py").write_text(HANDLER.replace("MARK", mark))
        return directory

    def credentials(self):
        file = self.scratch() / "credentials"
        file.touch(0o600)
        file.write_text(CREDENTIALS)
        return file

    def certificate(self):
        directory = self.scratch()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", directory / "key.pem", "-out", directory / "certificate.pem", "-days", "2", "-subj",
                        "/CN=hearth", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        return directory / "certificate.pem", directory / "key.pem"

    def test_a_directory_is_created_listed_invoked_and_updated(self):
        with server("--data", self.scratch()) as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint)
            directory = self.project("first")
            done = hearth("deploy", directory, "--memory", "256", "--timeout", "20", env=env)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout.decode(), r"^hello created: python3\.11, 0\.0 MB zipped, Active\n$")
            done = hearth("invoke", "--remote", "hello", input=b'{"a":1}', env=env)
            self.assertEqual((done.returncode, json.loads(done.stdout)), (0, {"first": {"a": 1}}), done.stderr)
            self.assertIn(b"seen {'a': 1}", done.stderr)
            self.assertIn(b"REPORT RequestId: ", done.stderr)

            (directory / "lambda_function.py").write_text(HANDLER.replace("MARK", "second"))
            done = hearth("deploy", directory, "--env", "STAGE=dev", env=env)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(b"hello updated: ", done.stdout)
            done = hearth("invoke", "--remote", "hello:$LATEST", input=b"7", env=env)
            self.assertEqual(json.loads(done.stdout), {"second": 7})
            kept = json.loads(one.request("GET", "/2015-03-31/functions/hello/configuration")[2])
            self.assertEqual((kept["MemorySize"], kept["Timeout"], kept["Environment"]["Variables"]),
                             (256, 20, {"STAGE": "dev"}))

            done = hearth("deploy", FUNCTIONS / "socket_bootstrap.zip", "--name", "from-zip", env=env)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = hearth("ls", "--endpoint", one.endpoint, env=environment())
            lines = done.stdout.decode().splitlines()
            self.assertEqual(lines[0].split()[:3], ["FUNCTION", "RUNTIME", "MEMORY_MB"])
            self.assertEqual(lines[1].split()[:2], ["from-zip", "provided.al2023"])
            self.assertEqual([lines[2].split()[0], lines[2].split()[-1]], ["hello", "Active"])
            self.assertEqual(hearth("ls", "--names", env=env).stdout, b"from-zip\nhello\n")

    def test_a_function_that_fails_is_status_1_and_one_that_cannot_start_says_why(self):
        with server("--data", self.scratch()) as one:
            env = environment(AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_ENDPOINT_URL_LAMBDA=one.endpoint)
            directory = self.project("x")
            (directory / "lambda_function.py").write_text("def lambda_handler(event, context):\n    raise KeyError(event)\n")
            self.assertEqual(hearth("deploy", directory, "--timeout", "20", env=env).returncode, 0)
            done = hearth("invoke", "--remote", "hello", input=b"1", env=env)
            self.assertEqual((done.returncode, json.loads(done.stdout)["errorType"]), (1, "KeyError"))
            (directory / "lambda_function.py").write_text("import nothing_like_it\n")
            self.assert_complaint(hearth("deploy", directory, env=env), 1, "hello is deployed but cannot start",
                                  "nothing_like_it")
            self.assert_complaint(hearth("invoke", "--remote", "absent", env=env), 1, "ResourceNotFoundException")

    def test_keys_and_tls_are_asked_for_and_given(self):
        certificate, key = self.certificate()
        with server("--data", self.scratch(), "--credentials", self.credentials(), "--tls-certificate", certificate,
                    "--tls-key", key) as one:
            self.assertTrue(one.endpoint.startswith("https://"))
            env = environment(AWS_ENDPOINT_URL=one.endpoint, AWS_CA_BUNDLE=str(certificate))
            self.assert_complaint(hearth("ls", env=environment(AWS_ENDPOINT_URL=one.endpoint)), 1, "is not trusted",
                                  "AWS_CA_BUNDLE")
            self.assert_complaint(hearth("ls", env=env), 1, "MissingAuthenticationTokenException", "AWS_ACCESS_KEY_ID")
            self.assertEqual(hearth("ls", "--no-verify-ssl", env=environment(AWS_ENDPOINT_URL=one.endpoint, **DEPLOYER))
                             .returncode, 0)
            done = hearth("deploy", self.project("kept"), "--timeout", "20", env={**env, **DEPLOYER})
            self.assertEqual(done.returncode, 0, done.stderr)
            done = hearth("invoke", "--remote", "hello", input=b"1", env={**env, **CALLER})
            self.assertEqual(json.loads(done.stdout), {"kept": 1}, done.stderr)
            refused = hearth("deploy", self.project("kept"), env={**env, **CALLER})
            self.assert_complaint(refused, 1, "AccessDeniedException", "user/caller is not authorized to perform: "
                                  "lambda:GetFunctionConfiguration")
            wrong = {**DEPLOYER, "AWS_SECRET_ACCESS_KEY": "another"}
            self.assert_complaint(hearth("ls", env={**env, **wrong}), 1, "InvalidSignatureException")
            self.assert_complaint(hearth("ls", "--endpoint", one.endpoint.replace("https", "http"), env=env), 1,
                                  "does not answer")
            self.assert_complaint(hearth("top", "--once", env=env), 1, "MissingAuthenticationTokenException")
            top = hearth("top", "--once", env={**env, **DEPLOYER})
            self.assertEqual(top.returncode, 0, top.stderr)
            self.assertIn(b"hello", top.stdout)
            self.assertEqual(one.stop(), 0)

    def test_a_credentials_file_is_read_again_when_the_server_is_told(self):
        file = self.credentials()
        with server("--data", self.scratch(), "--credentials", file) as one:
            def status(keys):
                return hearth("ls", "--endpoint", one.endpoint, env=environment(**keys)).returncode

            def hang_up():
                one.process.send_signal(signal.SIGHUP)
                return one.process.stderr.readline().decode()

            self.assertEqual(status(DEPLOYER), 0)
            file.write_text(CREDENTIALS.replace("allow = *", "allow = Everything"))
            said = hang_up()
            self.assertIn("stay as they were", said)
            self.assertIn(f"{file}, line 4: ", said)
            self.assertEqual(status(DEPLOYER), 0)
            file.write_text("")
            self.assertIn("stay as they were", hang_up())
            self.assertEqual(status(DEPLOYER), 0)
            file.write_text(CREDENTIALS.replace("AKIADEPLOYER", "AKIANEWCOMER"))
            self.assertEqual(hang_up(), f"hearth: 2 access keys from {file} hold now\n")
            self.assertEqual(status(DEPLOYER), 1)
            self.assertEqual(status({**DEPLOYER, "AWS_ACCESS_KEY_ID": "AKIANEWCOMER"}), 0)
            self.assertEqual(one.stop(), 0)

    def test_top_signs_as_well(self):
        with server("--data", self.scratch(), "--credentials", self.credentials()) as one:
            done = hearth("top", "--once", "--endpoint", one.endpoint, env=environment(**DEPLOYER))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(hearth("top", "--once", "--endpoint", one.endpoint, env=environment()).returncode, 1)

    def test_no_secret_is_ever_said(self):
        with server("--data", self.scratch(), "--credentials", self.credentials(), "--log-level", "debug") as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint)
            for keys in ({}, DEPLOYER, CALLER, {**DEPLOYER, "AWS_SECRET_ACCESS_KEY": "a-wrong-secret-it-is"}):
                hearth("deploy", self.project("x"), env={**env, **keys})
                hearth("ls", env={**env, **keys})
            page = hearth("top", "--once", env={**env, **DEPLOYER}).stdout
            one.process.terminate()
            said = b"".join(one.process.communicate(timeout=30)) + page
            for secret in (b"the-secret-of-", b"a-wrong-secret"):
                self.assertNotIn(secret, said)

    def test_what_is_in_the_way_is_one_sentence(self):
        env = environment()
        self.assert_complaint(hearth("ls", "--endpoint", "http://127.0.0.1:1", env=env), 1, "does not answer",
                              "hearth serve")
        self.assert_complaint(hearth("ls", "--endpoint", "ftp://x", env=env), 1, "'ftp://x'", "https://HOST:PORT")
        self.assert_complaint(hearth("deploy", "/nowhere", env=env), 1, "/nowhere", "no such file")
        self.assert_complaint(hearth("deploy", __file__, env=env), 1, "neither a zip")
        empty = self.scratch()
        self.assert_complaint(hearth("deploy", empty, env=env), 1, str(empty), "is empty")
        os.mkfifo(empty / "pipe")
        self.assert_complaint(hearth("deploy", empty, env=env), 1, "pipe", "cannot hold it")

    def test_serve_says_what_is_wrong_with_its_files(self):
        data = self.scratch()
        serve = ["serve", "--data", data, "--listen"]
        self.assert_complaint(hearth(*serve, "0.0.0.0:0"), 1, "without access keys", "--credentials")
        file = self.credentials()
        file.chmod(0o644)
        self.assert_complaint(hearth(*serve, "127.0.0.1:0", "--credentials", file), 1, f"chmod 600 {file}")
        file.chmod(0o600)
        file.write_text(CREDENTIALS.replace("allow = *", "allow = Everything"))
        self.assert_complaint(hearth(*serve, "127.0.0.1:0", "--credentials", file), 1, f"{file}, line 4: ", "'Everything'")
        self.assert_complaint(hearth(*serve, "127.0.0.1:0", "--tls-key", file), 1, "TLS certificate is not given")

    def test_a_zipped_directory_keeps_modes_and_links_and_is_the_same_twice(self):
        """Seen through what the server keeps."""
        directory = self.scratch() / "tree"
        (directory / "lib").mkdir(parents=True)
        (directory / "lambda_function.py").write_text(HANDLER)
        (directory / "lib" / "tool").write_text("#!/bin/sh\n")
        (directory / "lib" / "tool").chmod(0o755)
        (directory / "link").symlink_to("lib/tool")
        with server("--data", self.scratch()) as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint)
            seen = set()
            for _ in range(2):
                done = hearth("deploy", directory, "--timeout", "20", env=env)
                self.assertEqual(done.returncode, 0, done.stderr)
                kept = json.loads(one.request("GET", "/2015-03-31/functions/tree")[2])
                seen.add(kept["Configuration"]["CodeSha256"])
                (directory / "lib" / "tool").touch()
            self.assertEqual(len(seen), 1)
            path = re.sub("^http://[^/]*", "", kept["Code"]["Location"])
            file = self.scratch() / "kept.zip"
            file.write_bytes(one.request("GET", path)[2])
        with zipfile.ZipFile(file) as package:
            modes = {e.filename: e.external_attr >> 16 for e in package.infolist()}
            self.assertEqual(sorted(modes), ["lambda_function.py", "lib/tool", "link"])
            self.assertEqual(stat.S_IMODE(modes["lib/tool"]), 0o755)
            self.assertTrue(stat.S_ISLNK(modes["link"]))
            self.assertEqual(package.read("link"), b"lib/tool")

    def complete(self, *words, **variables):
        """What bash offers for the last of these words."""
        script = hearth("completion", "bash").stdout.decode()
        script += "COMP_WORDS=(%s)\nCOMP_CWORD=%d\n_hearth\nprintf '%%s\\n' \"${COMPREPLY[@]}\"\n" % (
            " ".join(f"'{w}'" for w in (HEARTH, *words)), len(words))
        done = subprocess.run(["bash", "-c", script], capture_output=True, env=environment(**variables), timeout=30)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode().split()

    def test_bash_completes_commands_options_and_functions(self):
        self.assertEqual(self.complete("d"), ["deploy", "doctor"])
        self.assertIn("--version", self.complete("--"))
        self.assertEqual(self.complete("serve", "--tls"), ["--tls-certificate", "--tls-key"])
        self.assertIn("--cap-cpu", self.complete("serve", "--"))
        self.assertEqual(self.complete("completion", ""), ["bash"])
        self.assertIn("/etc/hosts", self.complete("deploy", "/etc/host"))
        with server("--data", self.scratch()) as one:
            one.create("hello")
            one.create("help")
            self.assertEqual(self.complete("invoke", "--remote", "hel", AWS_ENDPOINT_URL=one.endpoint), ["hello", "help"])
            self.assertEqual(self.complete("logs", "hel", AWS_ENDPOINT_URL=one.endpoint), ["hello", "help"])


if __name__ == "__main__":
    main()
