"""Random expressions of Graphite's functions, for comparisons.

In a template, `{S}` is any expression, `{F}` one with the step of the data, `{O}` one with a single series. Functions
that combine series get only `{F}`: graphite-web combines series of different steps by their place, not by time.
"""

import random
import re

# Functions whose series have the step of their argument.
KEEPING = """
    absolute({S}) add({S},{n}) alias({S},'{word}') aliasByMetric({S}) aliasByNode({S},{node},{node})
    aliasByTags({S},{node}) aliasSub({S},'{search}','{word}') alpha({S},0.5) averageAbove({S},{n})
    averageBelow({S},{n}) averageOutsidePercentile({S},{rank}) changed({S}) color({S},'red') consolidateBy({S},'max')
    cumulative({S}) currentAbove({S},{n}) currentBelow({S},{n}) dashed({S}) dashed({S},3) delay({S},{steps})
    derivative({S}) drawAsInfinite({S}) exclude({S},'{search}') exp(scale({S},0.01)) fallbackSeries({S},{S})
    filterSeries({S},'{func}','{operator}',{n}) grep({S},'{search}') group({S},{S}) highest({S},{count},'{func}')
    highestAverage({S},{count}) highestCurrent({S},{count}) highestMax({S},{count}) integral({S})
    integralByInterval({S},'{span}') interpolate({S}) interpolate({S},{count}) invert({S}) isNonNull({S})
    keepLastValue({S}) keepLastValue({S},{count}) limit({S},{count}) lineWidth({S},2) log({S}) log({S},2) logit({S})
    lower({S}) lower({S},0,2) lowest({S},{count},'{func}') lowestAverage({S},{count}) lowestCurrent({S},{count})
    map({S},{node}) mapSeries({S},{node}) maximumAbove({S},{n}) maximumBelow({S},{n}) minMax({S})
    minimumAbove({S},{n}) minimumBelow({S},{n}) mostDeviant({S},{count}) nonNegativeDerivative({S}) offset({S},{n})
    offsetToZero({S}) perSecond({S}) pow({S},2) pow({S},-0.5) removeAbovePercentile({S},{rank})
    removeAboveValue({S},{n}) removeBelowPercentile({S},{rank}) removeBelowValue({S},{n}) removeEmptySeries({S})
    removeEmptySeries({S},0.5) scale({S},{n}) scaleToSeconds({S},60) secondYAxis({S}) sigmoid(scale({S},0.01))
    sortBy({S}) sortBy({S},'{func}',true) sortByMaxima({S}) sortByMinima({S}) sortByName({S})
    sortByName({S},true,true) sortByTotal({S}) squareRoot({S}) substr({S},1,3) substr({S},-2) transformNull({S})
    transformNull({S},{n}) unique({S},{S}) upper({S}) upper({S},1)
    aggregateLine({S},'{func}',true)
"""
FINE = """
    nPercentile({F},{rank}) aggregate({F},'{func}') aggregate({F},'{func}',0.5) aggregateSeriesLists({F},{F},'{func}')
    aggregateWithWildcards({F},'{func}',{place}) applyByNode({P},2,'sumSeries(%.*.avg)')
    applyByNode({P},2,'scale(%.*.avg,2)','% twice') areaBetween(limit({P},2)) asPercent({F}) asPercent({F},{n})
    asPercent({F},{O}) asPercent({P},None,{node}) averageSeries({F}) averageSeries({F},{F})
    averageSeriesWithWildcards({F},{place}) avg({F}) countSeries({F}) countSeries({F},{F}) diffSeries({F})
    diffSeries({O},{F}) diffSeriesLists({P},{P}) divideSeries({F},{O}) divideSeriesLists({P},{P})
    groupByNode({F},{node},'{callback}') groupByNodes({F},'{callback}',{node},{node})
    holtWintersAberration({P},3,'30min','5min') holtWintersConfidenceArea({O},3,'30min','5min')
    holtWintersConfidenceBands({P},2,'30min','5min') holtWintersForecast({P},'30min','5min') maxSeries({F})
    minSeries({F}) movingAverage({F},{size}) movingAverage({F},'{span}',0.5) movingMax({F},{size})
    movingMedian({F},{size}) movingMin({F},{size}) movingSum({F},{size}) movingWindow({F},{size},'{func}')
    movingWindow({F},'{span}','{func}',0.3) multiplySeries({F}) multiplySeriesLists({P},{P})
    multiplySeriesWithWildcards({P},{place}) pct({F}) percentileOfSeries({F},{rank})
    percentileOfSeries({F},{rank},true) powSeries({P}) rangeOfSeries({F})
    reduceSeries(mapSeries({P},2),'divideSeries',3,'cpu','mem') reduce(map({P},2),'asPercent',3,'mem','cpu')
    removeBetweenPercentile(transformNull({F},0),{rank}) stddevSeries({F}) sum({F}) sumSeries({F}) sumSeries({F},{F})
    sumSeriesLists({F},{F}) sumSeriesWithWildcards({P},{place}) timeShift({P},'1min') timeStack({P},'1min',0,3)
    useSeriesAbove(transformNull({P}),{n},'cpu','mem') weightedAverage({P},{P},2,3)
    aliasQuery(limit({P},1),'mem','cpu','now-%g') transformNull({F},0,{F})
    template(scale(daily.web.$host.cpu.avg,2),host='a') template(sumSeries(daily.web.*.$1.avg),'mem')
"""
COARSE = """
    compressPeriodicGaps({F}) hitcount({F},'{span}') hitcount({F},'{span}',true) smartSummarize({F},'{span}')
    smartSummarize({F},'{span}','{func}') smartSummarize({F},'{span}','{func}','minutes') summarize({F},'{span}')
    summarize({F},'{span}','{func}') summarize({F},'{span}','{func}',true) aggregateLine({F})
    aggregateLine({F},'{func}') constantLine({n}) threshold({n}) threshold({n},'{word}') identity('{word}')
    time('{word}') timeFunction('{word}',30) sin('{word}') sinFunction('{word}',3,20)
"""
# Only as the outermost function: what differs a little in these, such as the last digit before rounding, would differ
# much in functions of them. A factor of `setXFilesFactor` stays for a request in Graphite.
# `stacked` adds up again whenever a function reads it again, which differs. Graphite cannot read the name of a
# `weightedAverage` without nodes.
LAST = """
    sumSeries(setXFilesFactor({P},0.5)) weightedAverage({P},{P})
    xFilesFactor({P},0.8) stacked({S}) round({P}) round({P},2) timeShift({P},'+1min',false) legendValue({P},'{func}')
    legendValue({P},'last','si') cactiStyle({P}) cactiStyle({P},'si') cactiStyle({P},'binary','B')
    exponentialMovingAverage({F},{size}) exponentialMovingAverage({F},'{span}') linearRegression({F}) stdev({P},5)
    stdev({P},12,0.5) {S}|scale({n}) {F}|sumSeries()|alias('{word}')
"""
# Random, without a fixed answer, or in need of a database: these are tested otherwise.
APART = {"randomWalk", "randomWalkFunction", "events", "seriesByTag", "groupByTags", "timeSlice", "verticalLine"}
NAMES = ("web.a.cpu", "web.a.mem", "web.b.cpu", "web.b.mem", "web.c.cpu", "web.c.mem", "rare.one.x", "zero.one.x")
PATHS = (
    "daily.web.*.*.avg",
    "daily.web.a.*.avg",
    "daily.web.*.cpu.avg",
    "daily.web.{a,b}.mem.avg",
    "daily.web.[bc].cpu.avg",
)
WORDS: dict[str, tuple[object, ...]] = {
    "callback": ("sum", "average", "max", "count", "countSeries", "diffSeries", "stddev", "median", "range", "last"),
    "count": (1, 2, 3, 7),
    "func": ("average", "avg", "avg_zero", "count", "current", "diff", "last", "max", "median", "min", "multiply",
             "range", "rangeOf", "stddev", "sum", "total"),
    "n": (0, 1, -2, 0.5, 10, 55.25, 100, 1000),
    "node": (0, 1, 2, 3, -1),
    "operator": ("=", "!=", ">", ">=", "<", "<="),
    "place": ("1", "2", "3", "1,2", "2,3"),
    "rank": (5, 25, 50, 66.6, 95, 99),
    "search": ("cpu", "mem", r"web\\.[ab]", "^daily", "x$", "avg"),
    "size": (1, 2, 5, 12),
    "span": ("20s", "30s", "1min", "2min", "5min"),
    "steps": (1, 3, -2),
    "word": ("some", "other-name", "x.y"),
}  # fmt: skip


def templates(text: str) -> list[str]:
    """Return the templates in a text: each ends where its parentheses close."""
    found, depth, begin = [], 0, 0
    for index, character in enumerate(text + " "):
        depth += (character == "(") - (character == ")")
        if character.isspace() and not depth:
            found += [text[begin:index].strip()] if text[begin:index].strip() else []
            begin = index
    return found


def make(rng: random.Random, depth: int, kind: str = "S") -> str:
    """Return an expression of at most `depth` nested functions."""
    if kind == "top":
        return fill(rng, rng.choice(templates(LAST)), depth, "S") if rng.random() < 0.1 else make(rng, depth)
    if depth == 0 or kind == "P" or (kind == "F" and rng.random() < 0.1):
        return rng.choice(PATHS) if rng.random() < 0.9 or kind == "P" else "daily.{rare,zero}.one.x.avg"
    if kind == "O":
        return f"{rng.choice(('sumSeries', 'averageSeries', 'maxSeries'))}({make(rng, depth - 1, 'F')})"
    groups = [KEEPING, FINE] if kind == "F" else [KEEPING, FINE, COARSE]
    return fill(rng, rng.choice(templates(rng.choice(groups))), depth, kind)


def fill(rng: random.Random, template: str, depth: int, kind: str) -> str:
    """Return a template with random arguments."""

    def argument(found: re.Match[str]) -> str:
        word = found[1]
        if word in WORDS:
            return str(rng.choice(WORDS[word]))
        return make(rng, depth - 1, kind if word == "S" else word)

    return re.sub(r"\{([a-zA-Z]+)\}", argument, template)


def functions() -> set[str]:
    """Return the names of all functions in the templates."""
    return {name for text in (KEEPING, FINE, COARSE, LAST) for name in re.findall(r"(\w+)\(", text)} - {"template"}
