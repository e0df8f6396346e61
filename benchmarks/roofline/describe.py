"""An estimate for people: every title and every line says that it is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from briges.benchmarks.roofline.advice import milliseconds
from briges.benchmarks.roofline.devices import DeviceLimits
from briges.benchmarks.roofline.estimate import EFFICIENCIES, RUNTIME_BYTES, SYSTEM_BYTES, Case, estimate
from briges.benchmarks.roofline.rows import EstimateRow
from briges.runtime.tables import Section

_MARK = "ESTIMATE"


def one_device(case: Case, device: DeviceLimits) -> Iterator[Section]:
    """The work of every part and its time on ``device``."""
    found = estimate(case, device)
    rows = [
        (*work, milliseconds(part.floor_ms), _range(part.expected_ms), part.limit, _MARK)
        for work, part in zip(_work(case), found.parts, strict=True)
    ]
    refresh = milliseconds(sum(part.floor_ms for part in found.parts)), _range(found.refresh_ms)
    rows.append((*_total(case), *refresh, "", _MARK))
    if case.semantic_interval > 1:
        rows.append(("mean", "", "", "", milliseconds(found.floor_ms), _range(found.expected_ms), "", _MARK))
    columns = ("part", "GFLOP", "M weights", "MB moved", "floor ms", "expected ms", "limit", "")
    yield Section(f"{_title(case)}, on {device.name}", tuple(rows), columns)
    memory = f"{_gigabytes(found.needed_bytes)} of {_gigabytes(device.memory_bytes)} GB"
    others = f"{_gigabytes(RUNTIME_BYTES)} GB for Python, CUDA and TensorRT"
    others += f", {_gigabytes(SYSTEM_BYTES)} GB for the system" if device.shared else ""
    limits = (
        ("peak", f"{device.peak_tflops(case.precision):.1f} TFLOP/s"),
        ("bandwidth", f"{device.bandwidth_gb_s:g} GB/s"),
        ("memory", f"{memory}, {'fits' if found.fits else 'DOES NOT FIT'}: {_memory(case)}, {others}"),
        ("expected", _efficiencies()),
    )
    yield Section(device.name, limits)


def several_devices(case: Case, devices: Iterable[DeviceLimits]) -> Iterator[Section]:
    """The work of every part, and a line per device."""
    parts = tuple((*row, _MARK) for row in (*_work(case), _total(case)))
    yield Section(f"{_title(case)}: {_memory(case)}", parts, ("part", "GFLOP", "M weights", "MB moved", ""))
    rows = []
    for device in devices:
        found = estimate(case, device)
        peak, bandwidth = f"{device.peak_tflops(case.precision):.1f}", f"{device.bandwidth_gb_s:g}"
        memory = f"{_gigabytes(found.needed_bytes)} of {_gigabytes(device.memory_bytes)}"
        times = milliseconds(found.floor_ms), _range(found.expected_ms)
        rows.append((device.name, peak, bandwidth, *times, memory, "yes" if found.fits else "NO", _MARK))
    columns = ("device", "TFLOP/s", "GB/s", "floor ms", "expected ms", "GB", "fits", "")
    yield Section(f"{_MARK}, not measured; expected {_efficiencies()}", tuple(rows), columns)


def notes(rows: Sequence[EstimateRow]) -> Iterator[str]:
    """Verdicts, what would do instead, and where all figures are from."""
    yield ""
    for row in rows:
        yield from (f"{_MARK}: {line}" for line in row.advice)
    yield "\nSources"
    yield from (f"- {source}" for source in dict.fromkeys(row.sources[0] for row in rows))
    yield from (f"- {source}" for source in rows[0].sources[1:])


def _title(case: Case) -> str:
    parts = [f"{_MARK}: {case.preset.name}, {case.size}, {case.precision}"]
    parts += [f"batch {case.batch}"] if case.batch > 1 else []
    parts += [f"semantics 1/{case.semantic_interval}"] if case.semantic_interval > 1 else []
    return ", ".join(parts)


def _work(case: Case) -> list[tuple[str, ...]]:
    return [
        (part.name, *_figures(part.flop * case.batch, part.parameters, case.moved_bytes(part))) for part in case.work
    ]


def _total(case: Case) -> tuple[str, ...]:
    flop, parameters = (sum(getattr(part, name) for part in case.work) for name in ("flop", "parameters"))
    return ("together", *_figures(flop * case.batch, parameters, sum(map(case.moved_bytes, case.work))))


def _figures(flop: int, parameters: int, moved: int) -> tuple[str, ...]:
    return f"{flop / 1e9:.1f}", f"{parameters / 1e6:.1f}", f"{moved / 1e6:.0f}"


def _range(times_ms: Sequence[float]) -> str:
    return " to ".join(map(milliseconds, times_ms))


def _memory(case: Case) -> str:
    return f"weights {case.weight_bytes / 1e6:.0f} MB, activations {case.activation_bytes / 1e6:.0f} MB"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g}"


def _efficiencies() -> str:
    best, worst = EFFICIENCIES
    return f"at {best:.0%} to {worst:.0%} of the peak"
