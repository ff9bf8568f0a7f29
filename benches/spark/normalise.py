"""What Spark's and Wholestage's explanations of one query may differ in, taken out: ids, paths, where the scan's batches become rows."""

import re

RULES = [
    # Ids of attributes keep the L of a bigint; plans, subqueries and views have none that compare.
    (re.compile(r"#\d+"), "#"),
    (re.compile(r"plan_id=\d+"), "plan_id="),
    (re.compile(r"\[id=#\]"), "[id=]"),
    (re.compile(r"Location: InMemoryFileIndex ?(\(\d+ paths\))?\[[^,\n]*"), "Location: InMemoryFileIndex[]"),
    (re.compile(r"Location: InMemoryFileIndex \[[^\n]*"), "Location: InMemoryFileIndex[]"),
    # Columns that the optimizer names after others; tables.
    (re.compile(r"spark_catalog\.default\.\w+\.(?=\w)"), ""),
    (re.compile(r"spark_catalog\.default\."), ""),
    # Cut at a length that ids count in.
    (re.compile(r"((?:Data|Pushed|Partition)Filters: \[[^\n]{60})[^\n]*?\.\.\.(?=, [A-Z])"), r"\1..."),
    (re.compile(r"[ \t]+$", re.M), ""),
]


def normalise(text):
    for pattern, by in RULES:
        text = pattern.sub(by, text)
    return text.strip()


COLUMNAR_TO_ROW = re.compile(r"(\*\(\d+\) |\* )?ColumnarToRow(?: \(\d+\))?$")


def without_columnar_to_row(tree):
    """A tree of operators without the lines of ColumnarToRow; what was below moves up, into the stage."""
    out = []
    removed = []  # of each removed node whose subtree goes on: its prefix, its star
    for line in tree.split("\n"):
        prefix = re.findall(r"   |:  |\+- |:- ", re.match(r"^(?:   |:  )*(?:\+- |:- )?", line).group(0))
        content = line[3 * len(prefix) :]
        while removed and len(prefix) <= len(removed[-1][0]):
            removed.pop()
        if COLUMNAR_TO_ROW.match(content):
            removed.append((prefix, COLUMNAR_TO_ROW.match(content).group(1) or ""))
            continue
        for above, star in reversed(removed):
            if len(prefix) == len(above) + 1:
                prefix, content = above, star + content
            else:
                prefix = prefix[: len(above)] + prefix[len(above) + 1 :]
        out.append("".join(prefix) + content)
    return "\n".join(out)


def numbered_without_columnar_to_row(text):
    """The formatted form without ColumnarToRow, its operators numbered anew."""
    removed = {int(n) for n in re.findall(r"^\((\d+)\) ColumnarToRow", text, re.M)}
    # The block: a header, its lines, a blank line.
    text = re.sub(r"^\(\d+\) ColumnarToRow[^\n]*\n(?:[^\n]+(?:\n|$))*\n*", "", text, flags=re.M).strip()
    stage = {}
    text = re.sub(r"^[^\n]*$", lambda m: m.group(0), text, flags=re.M)
    text = without_columnar_to_row(text)

    def renumber(number):
        n = int(number)
        return str(n - sum(1 for r in removed if r < n))

    text = re.sub(r"\((\d+)\)$", lambda m: f"({renumber(m.group(1))})", text, flags=re.M)
    text = re.sub(r"^\((\d+)\) ", lambda m: f"({renumber(m.group(1))}) ", text, flags=re.M)
    text = re.sub(r"operator id(:| =) (\d+)", lambda m: f"operator id{m.group(1)} {renumber(m.group(2))}", text)
    # Here a scan is part of the stage above it.
    return re.sub(r"^(\(\d+\) Scan [^\[\n]*?) \[codegen id : \d+\]$", r"\1", text, flags=re.M)
