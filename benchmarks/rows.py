"""What a measurement is: one typed row per result. docs/formats.md describes every field.

Raw samples are kept: every figure of a row can be computed again from them. Host and device clocks are never mixed in
one figure, so each list of samples names its clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from briges.runtime.agreement import Agreement, Limits, Precision

RESULT_SCHEMA = 1

# How the stages of engines end that were timed in a run of their own, since nothing inside a CUDA graph can be.
WITHOUT_GRAPH = " (without CUDA graph)"

Clock = Literal["host", "device"]
Mode = Literal["single-stream", "multi-stream", "fixed-rate", "soak"]
Engine = Literal["onnxruntime", "tensorrt", "tensorrt-rtx", "torch-eager", "torch-compile"]


@dataclass(frozen=True)
class Subject:
    """What was measured. ``engine``: what ran it, in ``backend`` with its version and device, for people.

    ``attention``: "eager" where PyTorch computed it from the formula. ``temperature``: None where the model has none.
    ``cuda_graph``: None where there is no such thing. ``bundle``: the name of the folder, ``manifest_sha256`` its
    identity; both None for what has no bundle. ``notices``: what must be known, such as random weights.
    """

    preset: str
    precision: Precision
    size: str  # height x width of the depth input, such as "518x518"
    batch: int
    engine: Engine
    backend: str
    attention: Literal["plugin", "native", "plain", "eager"]
    temperature: float | None
    semantic_interval: int
    cuda_graph: bool | None
    bundle: str | None
    manifest_sha256: str | None
    plugin_sha256: str | None
    notices: tuple[str, ...]

    @property
    def label(self) -> str:
        """A short name that tells subjects of one report apart."""
        parts = [self.preset, self.precision, self.size]
        parts += [f"batch {self.batch}"] if self.batch > 1 else []
        parts += [f"semantics 1/{self.semantic_interval}"] if self.semantic_interval > 1 else []
        parts += [f"tau {self.temperature:g}"] if self.temperature not in (None, 1.0) else []
        parts += [f"{self.attention} attention"] if self.engine.startswith("tensorrt") else []
        return f"{' '.join(parts)}, {self.backend}"


@dataclass(frozen=True)
class Environment:
    """Where and with what. None: not known, or there is none.

    ``device``: the GPU that ran it, None for a CPU. ``clocks``: of the GPU and CPU when timing had ended, and whether
    they were locked, for people. ``temperature_c``: before and after. ``versions``: of packages that took part.
    ``commit``: of this tool's checkout, with "-dirty" where files were changed.
    """

    device: str | None
    compute_capability: str | None
    driver: str | None
    cuda: str | None
    tensorrt: str | None
    cpu: str
    cores: int
    governor: str | None
    memory_bytes: int | None
    system: str  # operating system, release, machine
    jetson: str | None  # model and Jetson Linux release
    power_mode: str | None
    clocks: str | None
    temperature_c: tuple[float, ...]
    versions: dict[str, str]
    tool_version: str
    commit: str | None


@dataclass(frozen=True)
class Method:
    """How it was measured. ``timed_region``: from what to what, in words. ``frames``: which, of what ``frame_size``.

    ``images``: photographs per request, by default the engine's batch. ``streams``: estimators at work at once.
    ``threads``: CPU threads of one inference, None for one per core. ``rate_fps``: requests per second of a camera, for
    mode "fixed-rate".
    """

    mode: Mode
    timed_region: str
    frames: str
    frame_size: str
    copies: bool | None  # whether copies between host and device are inside; None where there are none
    warm_up_s: float
    duration_s: float
    min_iterations: int
    images: int
    streams: int
    threads: int | None
    rate_fps: float | None
    percentiles: str
    command: str


@dataclass(frozen=True)
class Distribution:
    """Milliseconds. Percentiles by nearest rank. ``jitter_ms``: mean difference of two consecutive samples."""

    n: int
    mean_ms: float
    std_ms: float
    min_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    jitter_ms: float


@dataclass(frozen=True)
class Stage:
    """One part of a request, such as "preprocess", "host to device", "geometry", "device to host"."""

    name: str
    clock: Clock
    samples_ms: tuple[float, ...]


@dataclass(frozen=True)
class Stability:
    """Whether the median settled: the last ``windows`` windows' medians lie within ``limit`` of each other.

    ``spread``: how far apart they were, as a share of their median; None with fewer windows.
    """

    stable: bool
    windows: int
    spread: float | None
    limit: float


@dataclass(frozen=True)
class EarlyStopping:
    """MLPerf's estimate of a percentile from a limited number of queries; ``estimate_ms`` None: too few of them."""

    percentile: float
    discarded: int | None
    estimate_ms: float | None


@dataclass(frozen=True)
class FixedRate:
    """A camera: ``offered`` frames; ``missed``: answered later than one period after they came; ``queue_max``: how many
    waited at most.
    """

    offered: int
    missed: int
    queue_max: int


@dataclass(frozen=True)
class Reading:
    """What the device told of itself at ``at_s`` from the start of timing. None: it does not tell."""

    at_s: float
    clock_mhz: float | None
    memory_clock_mhz: float | None
    temperature_c: float | None
    power_w: float | None
    utilisation: float | None  # 0..1
    memory_used_bytes: int | None


@dataclass(frozen=True)
class Usage:
    """Memory and CPU. Bytes that the process holds on the host, and that are taken on the device by everybody.

    ``host_before_bytes``: held before the contender was loaded, by libraries and contenders before it.
    ``allocated_bytes_per_request``: of Python and NumPy, at most, in a request of its own. ``cpu``: seconds of CPU per
    second, 1.0 is one core; ``other_cpu``: of all other processes, which disturb. ``energy_mj_per_frame``: millijoule
    of what ``power`` names, None where nothing tells it.
    """

    host_before_bytes: int | None
    host_steady_bytes: int | None
    host_peak_bytes: int | None
    device_steady_bytes: int | None
    device_peak_bytes: int | None
    allocated_bytes_per_request: int
    cpu: float
    other_cpu: float | None
    energy_mj_per_frame: float | None
    power: str | None


@dataclass(frozen=True)
class Check:
    """The output against fp32 PyTorch's, before anything was timed. ``skipped``: why it could not be compared."""

    agreement: Agreement | None
    limits: Limits | None
    skipped: str | None


@dataclass(frozen=True)
class LatencyRow:
    """Latency of requests from call to answer, on the host's clock.

    ``started_s``: when each request was due, from the start of timing. ``stages``: their sum is not the latency where
    parts run beside each other. ``overhead_ms``: host time per request in which no engine was waited for.
    """

    schema_version: int
    kind: Literal["latency"]
    measured_at: str  # UTC, ISO 8601
    subject: Subject
    method: Method
    check: Check
    latency: Distribution
    samples_ms: tuple[float, ...]
    started_s: tuple[float, ...]
    stages: tuple[Stage, ...]
    overhead_ms: tuple[float, ...]
    throughput_fps: float
    stability: Stability
    early_stopping: EarlyStopping
    fixed_rate: FixedRate | None
    usage: Usage
    readings: tuple[Reading, ...]
    interrupted: bool
    environment: Environment


@dataclass(frozen=True)
class UnmeasuredRow:
    """A measurement that was asked for and not taken, and why. ``case``: what identifies it in its matrix."""

    schema_version: int
    kind: Literal["unmeasured"]
    measured_at: str
    case: dict[str, str]
    reason: str
    environment: Environment


def is_disturbed(row: LatencyRow) -> bool:
    """Whether other processes took more than 5 % of the machine while it was timed."""
    other = row.usage.other_cpu
    return other is not None and other > 0.05 * row.environment.cores
