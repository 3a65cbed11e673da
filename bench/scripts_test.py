"""Tests of the scripts with programs that stand in for s2c, the peers and compute-sanitizer.

    python3 bench/scripts_test.py
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import cases  # noqa: E402
import common  # noqa: E402
import peers  # noqa: E402

S2C = """#!{python}
import json, os, sys
a = sys.argv[1:]
if a == ["version"]:
    print("s2c fake"); sys.exit()
assert a[0] == "bench" and "--json" in a, a
seq, file = int(a[a.index("--seq") + 1]), a[1]
mode = os.environ.get("FAKE_S2C", "")
if mode == "crash" and "hd64" in file:
    print("s2c: error: it broke", file=sys.stderr); sys.exit(1)
if mode == "slow":
    import time; time.sleep(60)
pairs = {{"8192": 1e9, "32768": 4e9, "131072": 2e10}}[str(seq)]
tflops = 600.0 if "--launches" not in a else 590.0
if "phi3" in file: tflops -= 20
if "dense" in file: tflops = 700.0
r = dict(ms=pairs * 512 / tflops / 1e9, tflops=tflops, pairs=pairs, device="cuda", kernel="k", device_name="Fake GPU 9 (sm_90)",
         target="sm_90a", family="sm90a", config=dict(pack=2, ping_pong=True, merge=0), ms_p10=1.0, ms_p90=2.0, ok=True, checked="--no-check" not in a)
if "--launches" not in a: r.update(launch_us=3.5)
if mode == "wrong": r.update(ok=False, reason="far off")
print(json.dumps(r)); sys.exit(0 if r["ok"] else 1)
"""

PEER = """
import json, os, sys, time
assert sys.argv[1:] == ["--wait"]
line = sys.stdin.readline()
if not line.strip(): sys.exit()
spec = json.loads(line)
mode = os.environ.get("FAKE_PEER", "")
if mode == "hang" and spec["peer"] == "flex":
    import subprocess
    subprocess.run(["sleep", "60"])
if mode == "crash" and spec["peer"] == "dkernel":
    print("Fatal: illegal memory access", file=sys.stderr); os._exit(7)
print("a warning that is no JSON")
pairs = {8192: 1e9, 32768: 4e9, 131072: 2e10}[spec["seq"]]
if mode == "other": pairs += 1
tflops = dict(fa2=24.0, cudnn=620.0, flex=400.0, dkernel=410.0)[spec["peer"]]
base = dict(peer=spec["peer"], pairs=pairs, torch="9", triton="8", variant="")
if spec["backward"]:
    print(json.dumps(dict(base, ms=99999, tflops=1.0, partial=True)), flush=True)
print(json.dumps(dict(base, ms=pairs * 512 / tflops / 1e9, tflops=tflops)), flush=True)
"""


class Fakes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.dir = pathlib.Path(self.folder.name)
        self.s2c = self.write("s2c", S2C.format(python=sys.executable))
        self.peer = self.write("fake_peers.py", PEER)
        (self.dir / "dk" / "dkernel").mkdir(parents=True)
        self.write("dk/dkernel/__init__.py", "")

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def start(self, script, *arguments, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FAKE_")}
        return subprocess.run([sys.executable, HERE / script, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              env={**clean, "PATH": "/usr/bin:/bin", **env})


class TestRun(Fakes):
    def bench(self, *arguments, **env):
        done = self.start("run", "--s2c", self.s2c, "--peers-script", self.peer, "--out", self.dir / "out",
                          "--dkernel", self.dir / "dk", *arguments, **env)
        files = sorted((self.dir / "out").glob("*")) if (self.dir / "out").exists() else []
        data = json.loads(files[0].read_text()) if files else None
        return done, data, files[1].read_text() if len(files) > 1 else ""

    def test_everything(self):
        done, data, text = self.bench()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        whats = [(r["case"], r["what"], r["phase"]) for r in data["records"]]
        self.assertEqual(whats[:5], [("s2-gqa 32K", "s2c", "before"), ("s2-gqa 32K", "cudnn", "peer"), ("s2-gqa 32K", "dkernel", "peer"),
                                     ("s2-gqa 32K", "flex", "peer"), ("s2-gqa 32K", "s2c", "after")])
        self.assertEqual(len({c for c, _, _ in whats}), len(cases.CASES))
        self.assertEqual(len(whats), 2 * len(cases.CASES) + sum(len(c.peers) for c in cases.CASES))
        row = next(line for line in text.splitlines() if line.startswith("| s2-gqa 32K"))
        for want in ("590", "600, 590", "3.50", "| ok", "620 (", "1.44 of 1.4 × flex / dkernel ✓", "0.952 of 0.95 × cudnn ✓"):
            self.assertIn(want, row)
        self.assertIn("0.966 of 0.95 × s2-gqa 32K ✓", text)
        self.assertIn("24.6 of 25.3 × fa2 in time ✗", text)
        self.assertIn("PyTorch 9, Triton 8", text)
        self.assertIn("family sm90a, pack 2, ping_pong", text)
        self.assertNotIn(str(self.dir), text)
        self.assertNotIn(str(self.dir), json.dumps(data))
        self.assertEqual(list((self.dir / "out").glob("*.part")), [])
        self.assertRegex(sorted(os.listdir(self.dir / "out"))[0], r"^20\d\d-\d\d-\d\dT\d{4}Z-fake-gpu-9\.json$")
        self.assertIn("| s2-gqa 128K", done.stdout)

    def test_strict(self):
        done, _, _ = self.bench("--cases", "l1v15", "--strict")
        self.assertEqual(done.returncode, 1, done.stdout)

    def test_backward(self):
        done, data, text = self.bench("--cases", "gqa 8K", "--backward", "--peers", "cudnn")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual([r["what"] for r in data["records"]], ["s2c", "cudnn", "cudnn", "s2c"])
        self.assertIn("620 (", text)

    def test_peer_that_hangs_is_killed(self):
        start = time.monotonic()
        done, data, text = self.bench("--cases", "gqa 8K", "--timeout", "2", FAKE_PEER="hang")
        self.assertLess(time.monotonic() - start, 30)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("s2-gqa 8K, flex: killed after 2 s", text)
        self.assertIn("1.44 of 1.3 × flex / dkernel ✓ (flex not measured)", text)
        self.assertEqual([r["what"] for r in data["records"]], ["s2c", "cudnn", "dkernel", "flex", "s2c"])

    def test_peer_that_crashes(self):
        _, data, text = self.bench("--cases", "gqa 8K", FAKE_PEER="crash")
        self.assertIn("s2-gqa 8K, dkernel: Fatal: illegal memory access", text)
        self.assertIn("| failed", text)

    def test_another_pattern_is_noticed(self):
        done, _, text = self.bench("--cases", "gqa 8K", FAKE_PEER="other")
        self.assertIn("NOT THE SAME PATTERN", text)
        self.assertIn("NOT THE SAME PATTERN", done.stdout)

    def test_s2c_fails(self):
        done, data, text = self.bench("--cases", "hd64,gqa 8K", "--peers", "none", FAKE_S2C="crash")
        self.assertEqual(done.returncode, 1)
        self.assertIn("s2-hd64 32K, s2c: s2c: error: it broke", text)
        self.assertIn("| NOT OK", text)

    def test_s2c_is_wrong(self):
        done, _, text = self.bench("--cases", "gqa 8K", "--peers", "none", FAKE_S2C="wrong")
        self.assertEqual(done.returncode, 1)
        self.assertIn("far off", text)

    def test_s2c_hangs(self):
        done, data, _ = self.bench("--cases", "gqa 8K", "--peers", "none", "--timeout", "1", FAKE_S2C="slow")
        self.assertEqual(done.returncode, 1)
        self.assertIn("killed after 1 s", data["records"][0]["error"])

    def test_budget(self):
        done, data, text = self.bench("--budget", "101")  # room for s2c alone, and at first a peer
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        before = [r for r in data["records"] if r["what"] == "s2c" and r["phase"] == "before"]
        self.assertEqual(len(before), len(cases.CASES))
        self.assertIn("s of the budget are left", text)
        self.assertIn("SKIPPED", done.stdout)
        self.assertFalse([r for r in data["records"] if r["case"] == "s2-gqa 32K" and r["what"] == "flex"])

    def test_absent(self):
        done = self.start("run", "--s2c", self.s2c, "--out", self.dir / "out", "--peers-script", self.peer, "--cases", "gqa 8K", "--peers", "dkernel")
        self.assertIn("SKIPPED dkernel: no --dkernel PATH", done.stdout)
        done = self.start("run", "--s2c", self.dir / "nothing")
        self.assertEqual(done.returncode, 1)
        self.assertIn("go build", done.stderr)
        for arguments in (["--peers", "fa9"], ["--cases", "zzz"], ["--flex-kv", "x"]):
            self.assertEqual(self.start("run", "--s2c", self.s2c, *arguments).returncode, 2)


class TestCases(unittest.TestCase):
    def test_files_and_names(self):
        names = [c.name for c in cases.CASES]
        self.assertEqual(len(names), len(set(names)))
        for c in cases.CASES:
            self.assertTrue((common.ROOT / cases.EXAMPLES / c.file).is_file(), c.file)
            if c.row:
                self.assertLess(names.index(c.row[0]), names.index(c.name))
            for goal in c.goals:
                self.assertLessEqual(set(goal.against), set(c.peers))
            json.dumps(c.spec("flex", False, [64]))


SANITIZER = """#!{python}
import os, subprocess, sys
mode = os.environ.get("FAKE_TOOL", "")
tool = sys.argv[sys.argv.index("--tool") + 1]
print("========= COMPUTE-SANITIZER")
print("{{")
print("========= something in between")
print('"ok": ' + ("false" if mode == "wrong" else "true"))
print("}}")
errors = 3 if mode == "errors" and tool == "racecheck" else 0
if mode != "silent":
    print(f"========= RACECHECK SUMMARY: {{errors}} hazards displayed" if tool == "racecheck" else f"========= ERROR SUMMARY: {{errors}} errors")
sys.exit(9 if errors else 1 if mode == "wrong" else 0)
"""


class TestCompare(Fakes):
    def program(self, name, tflops):
        path = pathlib.Path(self.folder.name) / name
        path.write_text(f"#!{sys.executable}\nimport json, sys\nassert '--no-check' in sys.argv\nprint(json.dumps(dict(tflops={tflops})))\n")
        path.chmod(0o755)
        return str(path)

    def compare(self, a, b, *arguments):
        return subprocess.run([sys.executable, str(HERE / "compare"), a, b, "--cases", "s2-gqa 32K", *arguments],
                              capture_output=True, text=True, timeout=60)

    def test_ratio(self):
        r = self.compare(self.program("a", 600), self.program("b", 597), "--pairs", "2")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("0.9950", r.stdout)

    def test_slower(self):
        r = self.compare(self.program("a", 600), self.program("b", 590), "--pairs", "1")
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn("slower by more than 0.01: s2-gqa 32K", r.stdout)

    def test_budget(self):
        r = self.compare(self.program("a", 600), self.program("b", 600), "--budget", "-1")
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn("not measured: s2-gqa 32K", r.stdout)

    def test_absent(self):
        self.assertIn("no executable file", self.compare(self.program("a", 600), "/absent").stderr)


class TestSanitize(Fakes):
    def check(self, *arguments, **env):
        tool = self.write("compute-sanitizer", SANITIZER.format(python=sys.executable))
        return self.start("sanitize", "--s2c", self.s2c, "--compute-sanitizer", tool, "--cases", "head_dim 64", *arguments, **env)

    def test_verdicts(self):
        for mode, status, want in (("", 0, "all clean"), ("errors", 1, "3 ERRORS"), ("wrong", 1, "WRONG RESULT"), ("silent", 1, "NO SUMMARY")):
            done = self.check(FAKE_TOOL=mode)
            self.assertEqual(done.returncode, status, mode + done.stdout + done.stderr)
            self.assertIn(want, done.stdout)
        self.assertIn("SKIPPED", self.check("--budget", "-1").stdout)

    def test_not_installed(self):
        done = self.start("sanitize", "--s2c", self.s2c)
        self.assertEqual(done.returncode, 3)

    def test_patterns_hold(self):
        text = (HERE / "sanitize").read_text()
        self.assertIn("bench/sanitize.s2", text)


CONFORMANCE = """#!{python}
import os, sys, time
mode = os.environ.get("FAKE_TEST", "")
print(os.getcwd(), *sys.argv[1:])
for name in ("S2C_REQUIRE_GPU", "S2C_CASES", "S2C_DEVICE_BUDGET"):
    print(name, os.environ.get(name))
with open(os.environ["S2C_TABLE"], "w") as f:
    f.write("| result | target | case | out rel | note |\\n")
    if mode != "empty":
        f.write("| ok      | sm_80  | a/b 1 | 1e-3 |  |\\n| ok      | sm_80  | a/b 2 | 1e-3 |  |\\n| skipped | sm_90a | a/b 1 | - | wrong architecture |\\n")
    if mode in ("wrong", "hang"):
        f.write("| FAILED  | sm_90a | a/b 2 | 1e+0 | off by one |\\n| NOT RUN | sm_90a | a/b 3 | - | time is over |\\n")
if mode == "hang":
    sys.stdout.flush()
    time.sleep(60)
print("--- FAIL: TestDevice (0.1s)" if mode == "wrong" else "--- PASS: TestDevice (0.1s)")
print("    --- PASS: TestDevice/a (0.1s)")
print("--- SKIP: TestOther (0s)")
sys.exit(1 if mode == "wrong" else 0)
"""


class TestCheck(Fakes):
    def check(self, *arguments, **env):
        test = self.write("t.test", CONFORMANCE.format(python=sys.executable))
        done = self.start("check", "--test", test, "--dir", self.dir, *arguments, **env)
        return done, done.stdout.splitlines()

    def counts(self, lines):
        """The figures of the last line, a table's row."""
        return [cell.strip() for cell in lines[-1].strip("|").split("|")][:-1]

    def test_passes(self):
        path = self.dir / "table.md"
        done, lines = self.check("--table", path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.counts(lines), ["2", "1", "0", "0", "0"])
        self.assertIn("-test.run=^TestDevice(Repeats)?$", lines[0])
        self.assertIn("-test.timeout=530s", lines[0])
        self.assertIn("skipped sm_90a a/b 1: wrong architecture", lines)
        self.assertIn("SKIP TestOther", lines)
        self.assertNotIn("PASS TestDevice/a", lines)
        self.assertIn("| ok      | sm_80  | a/b 1 | 1e-3 |  |", lines)
        self.assertIn("| ok      | sm_80  | a/b 1 | 1e-3 |  |", path.read_text())

    def test_fails(self):
        done, lines = self.check("--cases", "x,y", "--budget", "12", FAKE_TEST="wrong")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(self.counts(lines), ["2", "1", "1", "1", "1"])
        for line in ("FAILED sm_90a a/b 2: off by one", "NOT RUN sm_90a a/b 3: time is over", "FAIL TestDevice",
                     "S2C_REQUIRE_GPU 1", "S2C_CASES x,y", "S2C_DEVICE_BUDGET 12"):
            self.assertIn(line, lines)

    def test_killed(self):
        """The rows that were written stay, and the status says that the rest is missing."""
        done, lines = self.check("--timeout", "2", FAKE_TEST="hang")
        self.assertEqual(done.returncode, 124, done.stdout)
        self.assertEqual(self.counts(lines), ["2", "1", "1", "1", "124"])
        self.assertIn("killed after 2 s", lines)

    def test_nothing_ran(self):
        done, lines = self.check(FAKE_TEST="empty")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(self.counts(lines), ["0", "0", "0", "0", "1"])
        self.assertEqual(self.check("--no-gpu", FAKE_TEST="empty")[0].returncode, 0)

    def test_arguments(self):
        done, lines = self.check("--", "-test.run=A")
        self.assertIn("-test.run=A", lines[0])
        self.assertNotIn("TestDevice(", lines[0])
        self.assertEqual(self.start("check", "--test", self.dir / "none").returncode, 1)
        test = self.write("t.test", "")
        self.assertEqual(self.start("check", "--test", test, "--dir", self.dir / "none").returncode, 1)
        self.assertEqual(self.start("check", "--test", test, "--table", self.dir / "none" / "t.md").returncode, 1)


class TestPeers(unittest.TestCase):
    def test_pairs(self):
        """Against a count block by block, and against the densities of the design."""
        def count(c):
            n, phase, total = c["seq"] // c["block"], max(1, c["vertical"] // c["heads"]), 0
            for h in range(c["heads"]):
                g = h // (c["heads"] // c["kv_heads"])
                for q in range(n):
                    for k in range(q + 1):
                        if q - k < c["local"] or (k + g * phase) % c["vertical"] == 0:
                            total += c["block"] * (c["block"] + 1) // 2 if k == q else c["block"] ** 2
            return total * c["batch"]
        for heads, kv_heads, local, vertical, batch in ((8, 2, 1, 3, 1), (4, 4, 3, 8, 2), (2, 1, 2, 1, 1), (3, 3, 30, 5, 1)):
            spec = dict(seq=20 * 16, block=16, heads=heads, kv_heads=kv_heads, local=local, vertical=vertical, batch=batch)
            self.assertEqual(peers.attended(spec)[0], count(spec), spec)
        for case, want in (("s2-gqa 8K", 0.3242), ("s2-gqa 32K", 0.1772), ("s2-gqa 128K", 0.1382), ("s2-l1v15 128K", 0.0671), ("dense 32K", 1)):
            spec = next(c for c in cases.CASES if c.name == case).spec("flex", False, [64])
            pairs, dense = peers.attended(spec)
            self.assertAlmostEqual(pairs / dense, want, delta=6e-5, msg=case)

    def test_error_is_a_record(self):
        """Where there is no PyTorch the error says so; where there is, a length of no whole blocks is refused."""
        spec = cases.CASES[0].spec("flex", False, [64])
        done = subprocess.run([sys.executable, HERE / "peers.py", json.dumps(dict(spec, seq=100))], capture_output=True, text=True, timeout=60)
        self.assertIn("torch" if done.returncode else "whole blocks", done.stderr + done.stdout)

    def test_compiles(self):
        for name in ("peers.py", "run", "check", "sanitize"):
            compile((HERE / name).read_text(), name, "exec")


if __name__ == "__main__":
    unittest.main()
