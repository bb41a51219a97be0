"""The text tables of `evaluate_scenarios`: an attack a line, a network a column."""

from tfrobust.evaluation.render import text


def lines(report: dict) -> list[str]:
    """The tables of a report of `evaluate_scenarios`, its lowest accuracies and its warnings."""
    clean = report["clean_accuracy"]
    defenses = {defense: [defense] for by_defense in clean.values() for defense in by_defense}
    found = _table("clean accuracy", clean, defenses, lambda network, defense: f"{clean[network][defense]:.1%}")
    for (scenario, defense), rows in _grouped(report["rows"], "scenario", "defense").items():
        found += _attacks_by_network(f"{scenario}, {defense}: success rate (accuracy)", rows, clean, _success)
    for (scenario,), rows in _grouped(report["rows"], "scenario").items():
        if scenario != "transfer" and rows[0]["attack_survival_rate"] is not None:
            found += _attacks_by_network(f"{scenario}, no defense: survival rate", rows, clean, _survival)
    remarks = [
        f"lowest of {row['network']} with {row['defense']}: accuracy {row['accuracy']:.1%}, in {row['scenario']} "
        f"under {row['attack']}"
        for row in report["headline"]
    ]
    remarks += [text.warning_line((f"{row['network']}, {row['defense']}", row)) for row in report["warnings"]]
    return [*found, *(line for remark in remarks for line in text.wrapped(remark))]


def _grouped(rows, *keys):
    """Rows by the values of some of their fields, in the order in which these first occur."""
    found: dict[tuple, list[dict]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def _attacks_by_network(title, rows, networks, cell):
    """One table; attacks on other networks than that of the column are told apart by what they were made on."""
    cells = {(_attack(row), row["network"]): cell(row) for row in rows}
    shown = {row["network"] for row in rows}
    made = {_attack(row): _attack(row) for row in rows}
    columns = [network for network in networks if network in shown]
    return _table(title, columns, made, lambda network, attack: cells.get((attack, network), ""))


def _attack(row):
    return (row["attack"], f"on {row['source']}") if row["scenario"] == "transfer" else (row["attack"],)


def _table(title, columns, lines, cell):
    """A table with a title over its first columns, and an empty line after it."""
    left = max(map(len, lines.values()))
    heading = [title, *[""] * (left - 1), *columns]
    rows = [[*words, *(cell(column, line) for column in columns)] for line, words in lines.items()]
    return [*text.fitted([heading, *rows], words=left), ""]


def _success(row):
    rate = row["defense_success_rate"]
    return "" if rate is None else f"{rate:.1%} ({row['accuracy']:.1%})"


def _survival(row):
    return f"{row['attack_survival_rate']:.1%}"
