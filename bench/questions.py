"""The questions that are put to tally and to its peers, in the words of each.

Graphite keeps one value a cell (the sum), the others four. `{first}` and `{last}` stand for the first and the last
bucket, in unix seconds; `{before}` for the one before the first, which Graphite leaves out; `{seconds}` for all of it.
"""

from typing import NamedTuple

MANY = "sum of all names by time"
# The cells of some names, sealed or not.
BY_NAME = """(
    SELECT id, bucket, count, sum, min, max FROM data INDEXED BY data_by_name WHERE sealed AND {0}
    UNION ALL SELECT id, bucket, count, sum, min, max FROM data
    WHERE bucket >= (SELECT value FROM meta WHERE key = 'sealed_before') AND {0})"""
RANGE = "start={first}&end={last}&step=60&nocache=1"
RENDER = "/render?format=json&noCache=1&from={before}&until={last}&target="


class Asked(NamedTuple):
    """One question: a path of tally's, of graphite-web's and of VictoriaMetrics's, and SQL on tally's own tables."""

    title: str
    tally: str
    graphite: str
    victoriametrics: str
    sql: str


QUESTIONS = (
    Asked(
        "one name, all aggregates",
        "/values/big/?q=requests.get.page7",
        RENDER + "requests.get.page7",
        "/api/v1/export?match[]={{name=%22requests.get.page7%22}}",
        "SELECT bucket, count, sum, sum / count, min, max FROM "
        + BY_NAME.format("id = (SELECT id FROM names WHERE name = 'requests.get.page7')"),
    ),
    Asked(
        MANY,
        "/aggregate/big/sum/",
        RENDER + "sumSeries(requests.get.*)",
        f"/api/v1/query_range?{RANGE}&query=sum(tally_sum)",
        "SELECT bucket, sum(sum) FROM data GROUP BY bucket",
    ),
    Asked(
        "leaderboard over the day",
        "/aggregate/big/sum/byname/",
        RENDER + "sortByTotal(summarize(requests.get.*,'{seconds}s','sum',true))",
        "/api/v1/query?time={last}&nocache=1&query=sort_desc(sum_over_time(tally_sum[{seconds}s]))",
        "SELECT name, sum(total) FROM ("
        "SELECT id, sum(sum) AS total FROM data INDEXED BY data_by_name WHERE sealed GROUP BY id UNION ALL "
        "SELECT id, sum(sum) FROM data WHERE bucket >= (SELECT value FROM meta WHERE key = 'sealed_before') GROUP BY id"
        ") JOIN names USING (id) GROUP BY id ORDER BY 2 DESC",
    ),
    Asked(
        "1 name in 50 by time",
        "/aggregate/big/sum/?q=requests.get.page[12]?",
        RENDER + "sumSeries(requests.get.page[12]?)",
        f"/api/v1/query_range?{RANGE}&query=sum(tally_sum{{{{name=~%22requests.get.page[12].%22}}}})",
        "SELECT bucket, sum(sum) FROM "
        + BY_NAME.format("id IN (SELECT id FROM names WHERE name GLOB 'requests.get.page[12]?')")
        + " GROUP BY bucket",
    ),
    Asked(
        "the names",
        "/names/big/",
        "/metrics/find?query=requests.get.*",
        "/api/v1/label/name/values?start={first}&end={last}",
        "SELECT name FROM names ORDER BY name",
    ),
    Asked(
        "the full dump, all cells",
        "/values/big/",
        RENDER + "requests.get.*",
        "/api/v1/export?match[]={{name!=%22%22}}",
        "SELECT bucket, json_group_object(name, json_array(count, sum, sum / count, min, max)) "
        "FROM data CROSS JOIN names USING (id) GROUP BY bucket",
    ),
)
