"""The example in Go or Rust (the first argument), in microVMs, deployed and invoked over HTTP as users do."""

import sys

import harness
from managed_server import managed_test


class managed_compiled(managed_test):
    runtime, handler, language = "provided.al2023", "bootstrap", None

    def test_it_answers_restored_and_warm_and_each_clone_draws_numbers_of_its_own(self):
        zip_file = harness.FUNCTIONS / f"{self.language.lower()}_hello.zip"
        configuration = self.server.create("hello", zip_file.read_bytes(), self.runtime, self.handler,
                                           Environment={"Variables": {"HEARTH_ISOLATION": "invocation"}})
        self.assertEqual(configuration["State"], "Active")
        drawn = set()
        for n in range(3):
            reply = self.responds("hello", {"n": [n, "ü"]})
            drawn.add(reply.pop("drawn"))
            self.assertEqual(reply, {"message": f"hello from {self.language}", "event": {"n": [n, "ü"]}})
            self.assertRegex(self.log, r"asked by [0-9a-f-]{36}\n")
            if n == 0:
                self.assertIn("Start: restored", self.log)
                print(self.log, file=sys.stderr)
        self.assertEqual(len(drawn), 3)

        self.server.create("warm", zip_file.read_bytes(), self.runtime, self.handler)
        self.assertEqual([self.responds("warm", n)["event"] for n in range(20)], [*range(20)])
        self.assertIn("Start: warm", self.log)


if __name__ == "__main__":
    managed_compiled.language = sys.argv.pop(1)
    if not (harness.FUNCTIONS / f"{managed_compiled.language.lower()}_hello.zip").exists():
        print(f"skipped: no compiler for {managed_compiled.language}")
        sys.exit(harness.SKIPPED)
    harness.main()
