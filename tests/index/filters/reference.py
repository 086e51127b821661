"""Filters read the slow and plain way, over one document's metadata at a time; and random ones."""

from datetime import UTC, datetime

from hypothesis import strategies as st


def values_of(metadata, field):
    """Every value of a field: its kind and itself, each once."""
    return [value for name, value in flat(metadata) if name == field]


def flat(metadata, before=""):
    """(field, (kind, value)) of every value in a JSON object, each once."""
    found = []
    for key, value in metadata.items():
        for element in spread(value):
            if isinstance(element, dict):
                found += flat(element, f"{before}{key}.")
            elif element is not None:
                found.append((before + key, (type(element).__name__, element)))
    return list(dict.fromkeys(found))


def spread(value):
    if isinstance(value, list):
        return [element for inner in value for element in spread(inner)]
    return [value]


def lets_through(given, metadata):
    """Whether a filter, as JSON, lets a document with this metadata through."""
    return all(holds(name, value, metadata) for name, value in given.items())


def holds(name, value, metadata):
    if name == "and":
        return all(lets_through(one, metadata) for one in value)
    if name == "or":
        return any(lets_through(one, metadata) for one in value)
    if name == "not":
        return not lets_through(value, metadata)
    field = name[1:] if name.startswith("\\") else name
    operators = value if isinstance(value, dict) else {"eq": value}
    present = any(other == field or other.startswith(f"{field}.") for other, _ in flat(metadata))
    found = [one for _, one in values_of(metadata, field)]
    compared = {op: it for op, it in operators.items() if op not in ("ne", "exists")}
    return (
        operators.get("exists", present) == present
        and not ("ne" in operators and any(test("eq", one, operators["ne"]) for one in found))
        and (
            not compared
            or any(all(test(op, one, it) for op, it in compared.items()) for one in found)
        )
    )


def test(operator, value, operand):
    """Whether one value satisfies one operator."""
    if operator == "in":
        return any(test("eq", value, one) for one in operand)
    if isinstance(value, bool) or isinstance(operand, bool):
        return operator == "eq" and type(value) is type(operand) and value == operand
    if isinstance(value, str) != isinstance(operand, str):
        return False
    if operator == "prefix":
        return isinstance(value, str) and value.startswith(operand)
    if isinstance(operand, str) and moment(operand):
        value, operand = moment(value), moment(operand)
        if value is None:
            return False
    return {
        "eq": lambda: value == operand,
        "lt": lambda: value < operand,
        "lte": lambda: value <= operand,
        "gt": lambda: value > operand,
        "gte": lambda: value >= operand,
    }[operator]()


test.__test__ = False


def moment(text):
    if len(text) < 10 or text[4] != "-" or text[7] != "-":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


zones = st.sampled_from(["", "Z", "+02:00", "-11:30"])
dates = st.builds(
    lambda when, zone: f"{when.isoformat(timespec='seconds')}{zone}",
    st.datetimes(datetime(2023, 12, 31), datetime(2024, 1, 2)),
    zones,
) | st.sampled_from(["2024-01-01", "2024-01-01T00:00Z", "2024-01-01T02:00+02:00", "2024-13-01"])
texts = st.text(alphabet="aab\u00e9\U0001f419\uffff", max_size=3) | dates
integers = st.integers(-3, 3) | st.sampled_from(
    [2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
)
floats = st.sampled_from([-1.5, -0.0, 0.0, 0.5, 1.0, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63)])
scalars = st.booleans() | integers | floats | texts
names = st.sampled_from(["a", "b", "and", "not", "a.b", "a!", ""])
metadata = st.dictionaries(
    names,
    st.recursive(
        st.none() | scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)

orderable = integers | floats | texts
operators = st.fixed_dictionaries(
    {},
    optional={
        "eq": scalars,
        "ne": scalars,
        "in": st.lists(scalars, max_size=7),
        "lt": orderable,
        "lte": orderable,
        "gt": orderable,
        "gte": orderable,
        "exists": st.booleans(),
        "prefix": texts,
    },
).filter(len)
fields = st.sampled_from(
    ["a", "b", "\\and", "\\not", "a.b", "a.a", "b.and", "a!", "", "a.b.a", "none"]
)
conditions = st.dictionaries(fields, scalars | operators, max_size=2)
filters = st.recursive(
    conditions,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "and": st.lists(inner, max_size=2),
            "or": st.lists(inner, max_size=3),
            "not": inner,
            "a": operators,
        },
    ),
    max_leaves=5,
)
