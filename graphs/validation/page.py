"""A report as one self-contained HTML page: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from graphs.spec import ColumnStatistics, Counts, Expectation, Report, Verdict

_BARS = 20
"""Most frequent values drawn per column."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #dde2e8;
  --paper: #fff; --card: #f6f8fa; --good: #1a7f37; --bad: #c0262d; --bar: #4a7fd6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #9aa5b1; --line: #2f363e;
  --paper: #14171a; --card: #1d2126; --good: #4ac26b; --bad: #ff7b72; --bar: #6ea0f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 52rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; } p { margin: .25rem 0; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
header { border-left: .4rem solid; border-radius: .2rem; padding: .25rem 0 .25rem 1rem; }
header p { color: var(--ink); } header .soft { color: var(--soft); overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } th { color: var(--soft); font-weight: 600; font-size: .85rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.counts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .75rem; }
.counts div { background: var(--card); border-radius: .5rem; padding: .6rem .9rem; }
.counts b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.bars { display: grid; grid-template-columns: minmax(6rem, 14rem) 1fr auto; gap: .3rem .75rem;
  align-items: center; font-size: .92rem; } .bars span { overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; } .bars i { display: block; height: .8rem; border-radius: .2rem;
  background: var(--bar); min-width: 2px; }
"""


def page(report: Report) -> str:
    """The page: no script, no external asset, everything from the data escaped."""
    parts = [
        _head(report),
        "<h2>Expectations</h2>",
        _verdicts(report.verdicts),
        "<h2>Rows</h2>",
        _counts(report.counts),
        "<h2>Columns</h2>",
        _columns(report.statistics),
        *_bars(report.statistics),
    ]
    title = f"{report.graph} {report.partition_key}: {_word(report.passed)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _word(passed: bool) -> str:
    return "passed" if passed else "failed"


def _head(report: Report) -> str:
    tone = "good" if report.passed else "bad"
    total, failed = len(report.verdicts), len(report.failures)
    held = f"{total - failed} of {total} expectations held" if total else "nothing was expected"
    counts = report.counts
    return (
        f'<header class="{tone}"><h1>{_word(report.passed).capitalize()}</h1>'
        f"<p>Graph <b>{escape(report.graph)}</b>, partition <b>{escape(report.partition_key)}</b>: "
        f"{held}, {counts.rows_out:,} of {counts.rows_in:,} rows came out.</p>"
        f'<p class="soft">version {escape(report.version)} · run {escape(report.run_key)} · '
        f"{report.made_at:%Y-%m-%d %H:%M:%S %Z}</p></header>"
    )


def _verdicts(verdicts: Iterable[Verdict]) -> str:
    rows = [
        f'<tr><td class="{"good" if verdict.passed else "bad"}">'
        f"{'✓ held' if verdict.passed else '✗ failed'}</td>"
        f"<td>{escape(describe(verdict.expectation))}</td><td>{escape(verdict.observed)}</td></tr>"
        for verdict in sorted(verdicts, key=lambda verdict: verdict.passed)
    ]
    if not rows:
        return '<p class="soft">None were declared.</p>'
    return _table("<th></th><th>Expected</th><th>Seen</th>", rows)


def describe(expectation: Expectation) -> str:
    """An expectation in words."""
    match expectation.kind:
        case "rows_conserved":
            return "every row is accounted for"
        case "no_nulls":
            return f"{expectation.column} has no nulls"
        case "between":
            return f"{expectation.column} in [{expectation.minimum:g}, {expectation.maximum:g}]"
        case "largest_share":
            return f"no {expectation.column} has more than {expectation.maximum:.4g} of the rows"
        case "rejected_share":
            return f"at most {expectation.maximum:.4g} of the rows rejected"


def _counts(counts: Counts) -> str:
    cards = {
        "in": counts.rows_in,
        "out": counts.rows_out,
        "rejected": counts.rows_rejected,
        "filtered": counts.rows_filtered,
    }
    by_node = [
        f"{node}: {rows:,} {fate}"
        for fate, nodes in (("rejected", counts.rejected), ("filtered", counts.filtered))
        for node, rows in nodes.items()
    ]
    detail = f'<p class="soft">{escape("; ".join(by_node))}</p>' if by_node else ""
    boxes = "".join(f"<div><b>{rows:,}</b>{name}</div>" for name, rows in cards.items())
    return f'<div class="counts">{boxes}</div>{detail}'


def _columns(statistics: Mapping[str, ColumnStatistics]) -> str:
    rows = [
        f"<tr><td>{escape(name)}</td><td>{escape(column.type)}</td>"
        + "".join(f'<td class="number">{text}</td>' for text in _figures(column))
        + "</tr>"
        for name, column in statistics.items()
    ]
    heads = "".join(f'<th class="number">{name}</th>' for name in _FIGURES)
    return _table(f"<th>Column</th><th>Type</th>{heads}", rows)


_FIGURES = ("Values", "Nulls", "NaN", "Minimum", "Mean", "Maximum")


def _figures(column: ColumnStatistics) -> tuple[str, ...]:
    numbers = column.count - column.nulls - column.nans
    mean = column.total / numbers if column.total is not None and numbers else None
    extremes = [
        "–" if value is None else f"{value:.6g}" for value in (column.minimum, mean, column.maximum)
    ]
    return (f"{column.count:,}", f"{column.nulls:,}", f"{column.nans:,}", *extremes)


def _bars(statistics: Mapping[str, ColumnStatistics]) -> Iterable[str]:
    for name, column in statistics.items():
        # A column where every value is another one (a key) has nothing to show.
        if not column.top or max(column.top.values()) == 1:
            continue
        ranked = sorted(column.top.items(), key=lambda item: (-item[1], item[0]))
        largest = ranked[0][1]
        bars = "".join(
            f'<span title="{escape(value)}">{escape(value) or "(empty)"}</span>'
            f'<i style="width:{100 * count / largest:.1f}%"></i>'
            f'<span class="number">{count:,} · {100 * count / column.count:.1f} %</span>'
            for value, count in ranked[:_BARS]
        )
        rest = len(ranked) - _BARS
        more = f'<p class="soft">and {rest:,} more values</p>' if rest > 0 else ""
        yield f'<h3>{escape(name)}</h3><div class="bars">{bars}</div>{more}'


def _table(head: str, rows: Iterable[str]) -> str:
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table>{body}</table></div>'
