"""What is measured, and what it is held against."""
from dataclasses import dataclass, field

EXAMPLES = "examples"


@dataclass(frozen=True)
class Goal:
    """s2c's throughput (or time, for what) divided by the best of some peers' must reach factor."""
    against: tuple  # peers; the fastest that was measured counts, and all must have been
    factor: float
    time: bool = False  # ratio of times: how often s2c fits into the peer's time

    def text(self):
        return f"{self.factor:g} × {' / '.join(self.against)}{' in time' if self.time else ''}"


@dataclass(frozen=True)
class Case:
    name: str
    file: str
    seq: int
    heads: int
    kv_heads: int
    head_dim: int
    local: int = 0
    vertical: int = 0  # 0: dense
    peers: tuple = ()
    goals: tuple = ()
    row: tuple = ()  # (case, factor): at least that share of another case's throughput
    aim: str = ""
    block: int = 64
    batch: int = 1
    params: tuple = field(default=())  # -D of s2c
    arch: str = ""  # s2c's --arch, where it is not what suits the GPU

    def spec(self, peer, backward, flex_kv):
        """What peers.py reads."""
        return {"peer": peer, "heads": self.heads, "kv_heads": self.kv_heads, "head_dim": self.head_dim, "block": self.block,
                "local": self.local, "vertical": self.vertical, "seq": self.seq, "batch": self.batch,
                "backward": backward, "flex_kv": list(flex_kv)}


SPARSE = ("flex", "dkernel")
GQA = dict(file="s2-gqa.s2", heads=32, kv_heads=8, head_dim=128, local=16, vertical=8)
PHI = dict(file="phi3-small.s2", heads=32, kv_heads=8, head_dim=128, local=16, vertical=8)

# In order of weight: where the budget ends early, the last ones go without their peers.
CASES = (
    Case("s2-gqa 32K", seq=32768, **GQA, peers=("cudnn", "dkernel", "flex"),
         goals=(Goal(SPARSE, 1.4), Goal(("cudnn",), 0.95)), aim="650 TFLOP/s"),
    Case("phi3-small 32K", seq=32768, **PHI, row=("s2-gqa 32K", 0.95), aim="650 TFLOP/s"),
    Case("dense 32K", file="dense.s2", seq=32768, heads=32, kv_heads=8, head_dim=128, peers=("cudnn", "fa2"),
         goals=(Goal(("cudnn",), 1.0),), aim="680 TFLOP/s"),
    Case("s2-gqa 128K", seq=131072, **GQA, peers=("cudnn", "dkernel", "flex"),
         goals=(Goal(SPARSE, 1.35), Goal(("cudnn",), 1.0)), aim="650 TFLOP/s"),
    Case("phi3-small 128K", seq=131072, **PHI, row=("s2-gqa 128K", 0.95), aim="650 TFLOP/s"),
    Case("s2-l1v15 128K", file="s2-l1v15.s2", seq=131072, heads=32, kv_heads=32, head_dim=128, local=1, vertical=15,
         peers=("dkernel", "fa2"), goals=(Goal(("fa2",), 25.3, time=True), Goal(("dkernel",), 1.4)), aim="29 × fa2 in time"),
    Case("s2-hd64 32K", file="s2-hd64.s2", seq=32768, heads=16, kv_heads=16, head_dim=64, local=8, vertical=16,
         peers=("dkernel", "flex"), goals=(Goal(SPARSE, 1.2),), aim="500 TFLOP/s"),
    Case("s2-gqa 8K", seq=8192, **GQA, peers=("cudnn", "dkernel", "flex"), goals=(Goal(SPARSE, 1.3),), aim="600 TFLOP/s"),
    Case("s2-gqa for sm_80, 8K", seq=8192, **GQA, arch="sm_80"),
    Case("s2-gqa for sm_80, 32K", seq=32768, **GQA, arch="sm_80"),
)
