"""What the binary says of itself, and to wrong usage. Needs no KVM."""

from harness import hearth, main, test_case


class usage(test_case):
    def test_every_command_has_help_with_an_example(self):
        for command in ([], ["serve"], ["invoke"], ["run"], ["top"], ["doctor"],
                        ["deploy"], ["ls"], ["logs"], ["completion"]):
            with self.subTest(command):
                done = hearth(*command, "--help")
                self.assertEqual(done.returncode, 0)
                self.assertIn(b"Example", done.stdout)
                self.assertEqual(done.stderr, b"")

    def test_version(self):
        done = hearth("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, rb"^hearth \d+\.\d+\.\d+\n$")

    def test_wrong_usage_is_status_2_and_names_the_fault(self):
        for arguments, word in (
            ([], b"subcommand"),
            (["fly"], b"fly"),
            (["serve", "--fly"], b"--fly"),
            (["invoke"], b"PACKAGE"),
            (["invoke", "x.zip", "--timeout", "0"], b"--timeout"),
            (["run"], b"PROGRAM"),
            (["deploy"], b"PACKAGE"),
            (["invoke", "--remote", "f", "--memory", "128"], b"--memory"),
            (["invoke", "f", "--endpoint", "http://127.0.0.1:1"], b"--remote"),
            (["completion", "fish"], b"fish"),
            (["top", "--interval", "0"], b"--interval"),
            (["doctor", "extra"], b"extra"),
        ):
            with self.subTest(arguments):
                done = hearth(*arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(word, done.stderr)
                self.assertEqual(done.stdout, b"")

    def test_bad_values_are_one_sentence(self):
        self.assert_complaint(hearth("invoke", "/bin/true", "--memory", "much"), 1, "'much'", "memory")
        self.assert_complaint(hearth("invoke", "/bin/true", "--env", "novalue"), 1, "'novalue'", "NAME=VALUE")
        self.assert_complaint(hearth("invoke", "/nowhere/function.zip"), 1, "/nowhere/function.zip", "no such file")
        self.assert_complaint(hearth("invoke", __file__), 1, "neither a zip")
        self.assert_complaint(hearth("invoke", "/bin/true", "--event", "/nowhere/event"), 1, "/nowhere/event")
        self.assert_complaint(hearth("serve", "--listen", "nonsense"), 1, "'nonsense'")
        self.assert_complaint(hearth("serve", "--listen", "127.0.0.1:99999"), 1, "99999")


if __name__ == "__main__":
    main(needs_kvm=False)
