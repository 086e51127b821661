"""Files -> documents: every format, every way to be malformed, nothing dropped without a word."""

import csv
import datetime
import gc
import gzip
import io
import json
import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.documents import Document
from lexidex.errors import DuplicateId, InputError
from lexidex.sources import Place, Reader, find_files

FOX = Document("1", "a red fox")
DOG = Document("2", "a blue dog", "Dogs", {"year": 1999, "tags": ["x", "é"]})
CAT = Document("3", "the cat")

JSON_LINES = [
    '{"_id": "1", "text": "a red fox"}',
    '{"id": 2, "title": "Dogs", "text": "a blue dog", "year": 1999, "tags": ["x", "é"]}',
    '{"id": "3", "contents": "the cat"}',
]


def write(path, content):
    """Write text or bytes, gzipped where the name ends so."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix.lower() == ".gz" else data)
    return path


def read(*sources, on_duplicate="error"):
    reader = Reader(sources, on_duplicate)
    return list(reader), [(bad.place.line, bad.reason) for bad in reader.bad]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A folder for files that Hypothesis writes over and over."""
    return tmp_path_factory.mktemp("scratch")


# JSON lines


@pytest.mark.parametrize(
    "name",
    ["a.jsonl", "a.jsonl.gz", "a.ndjson", "a.ndjson.gz", "A.JSONL", "A.NDJSON.GZ"],
)
def test_json_lines(tmp_path, name):
    path = write(tmp_path / name, "\n".join(JSON_LINES) + "\n")
    assert read(path) == ([FOX, DOG, CAT], [])


@pytest.mark.smoke
@pytest.mark.parametrize("bom", ["", "\N{ZERO WIDTH NO-BREAK SPACE}"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r\n  \r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_ends_of_lines_empty_lines_and_a_byte_order_mark(tmp_path, bom, end, last):
    path = write(tmp_path / "a.jsonl", bom + end.join(JSON_LINES) + (end if last else ""))
    assert read(path) == ([FOX, DOG, CAT], [])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"id": "1", "body": "b"}', Document("1", "b")),
        ('{"id": "1", "passage": "b"}', Document("1", "b")),
        ('{"_id": 7, "text": "b", "title": null, "metadata": null}', Document("7", "b")),
        ('{"_id": "old", "id": "1", "text": "b"}', Document("1", "b", None, {"_id": "old"})),
        ('{"id": "1", "text": "b", "body": "c"}', Document("1", "b", None, {"body": "c"})),
        (
            '{"id": "1", "contents": "c", "body": "b"}',
            Document("1", "b", None, {"contents": "c"}),
        ),
        (
            '{"id": "1", "text": "b", "metadata": {"year": 1, "a": {"b": null}}, "url": "u"}',
            Document("1", "b", None, {"url": "u", "year": 1, "a": {"b": None}}),
        ),
        (
            '{"id": "1", "vector": {"fox": 1, "dog": 0.5}}',
            Document("1", vector={"fox": 1, "dog": 0.5}),
        ),
        (
            '{"id": "1", "title": "T", "vector": {"components": [7, 3], "values": [1, 2.5]}}',
            Document("1", title="T", vector={"components": [7, 3], "values": [1, 2.5]}),
        ),
        ('{"id": "\\ud83d\\ude00", "text": ""}', Document("\N{GRINNING FACE}", "")),
        ('{"id": "-5", "text": "a\\u0000b"}', Document("-5", "a\0b")),
    ],
)
def test_fields_of_a_record(tmp_path, line, expected):
    assert read(write(tmp_path / "a.jsonl", line)) == ([expected], [])


BAD_LINES = [
    (b'{"id": "1", ', "not JSON: "),
    (b"id,text", "not JSON: Expecting value: line 1 column 1 (char 0)"),
    (b'{"id": "1", "text": "x"} {}', "not JSON: Extra data: line 1 column 26 (char 25)"),
    (b"[" * 100_000, "not JSON: maximum recursion depth exceeded"),
    (b'{"id": ' + b"1" * 5000 + b', "text": "x"}', "not JSON: Exceeds the limit"),
    (b'{"id": "1", "text": "\xff"}', "not UTF-8: invalid start byte at byte 21"),
    (b"\xef\xbb\xbf{}", "not JSON: Unexpected UTF-8 BOM"),
    (b'["1", "x"]', "expected a JSON object, got list"),
    (b'"text"', "expected a JSON object, got str"),
    (b"null", "expected a JSON object, got NoneType"),
    (b"{}", "field 'text' is missing"),
    (b'{"text": "x"}', "field 'id' is missing"),
    (b'{"id": null, "text": "x"}', "field 'id' is missing"),
    (b'{"id": "9"}', "field 'text' is missing"),
    (b'{"id": "9", "text": null, "vector": null}', "field 'text' is missing"),
    (
        b'{"id": 1.5, "text": "x"}',
        "field 'id': 1.5; expected a string of 1 to 1024 characters",
    ),
    (
        b'{"id": true, "text": "x"}',
        "field 'id': True; expected a string of 1 to 1024 characters",
    ),
    (b'{"id": "", "text": "x"}', "field 'id': ''; expected a string of 1 to 1024 characters"),
    (
        b'{"id": "' + b"i" * 1025 + b'", "text": "x"}',
        f"field 'id': '{'i' * 56}...; expected a string of 1 to 1024 characters",
    ),
    (
        b'{"id": 1' + b"0" * 1024 + b', "text": "x"}',
        f"field 'id': 1{'0' * 56}...; expected a string of 1 to 1024 characters",
    ),
    (b'{"id": "a\\nb", "text": "x"}', "field 'id': 'a\\nb'; it has unprintable characters"),
    (b'{"id": "\\ud800", "text": "x"}', "field 'id': '\\ud800'; it has unprintable characters"),
    (b'{"id": "9", "text": 5}', "field 'text': 5; expected a string"),
    (b'{"id": "9", "text": ["a"]}', "field 'text': ['a']; expected a string"),
    (b'{"id": "9", "title": 5, "text": "x"}', "field 'title': 5; expected a string"),
    (
        b'{"id": "9", "text": "a\\ud800b"}',
        "field 'text': '\\ud800b' at character 1; expected Unicode text, this is one half of a "
        "surrogate pair",
    ),
    (
        b'{"id": "9", "title": "\\udc00", "text": "x"}',
        "field 'title': '\\udc00' at character 0; expected Unicode text, ",
    ),
    (
        b'{"id": "9", "text": "x", "metadata": [1]}',
        "field 'metadata': [1]; expected an object",
    ),
    (
        b'{"id": "9", "text": "x", "price": NaN}',
        "metadata field 'price': nan; expected what JSON can hold (Out of range float values",
    ),
    (
        b'{"id": "9", "text": "x", "metadata": {"a": 1, "b": [1e999]}}',
        "metadata field 'b': [inf]; expected what JSON can hold (",
    ),
    (
        b'{"id": "9", "text": "x", "note": {"a": "\\ud800"}}',
        "metadata field 'note': {'a': '\\ud800'}; expected what JSON can hold (",
    ),
    (
        b'{"id": "9", "vector": [1, 2]}',
        'vector: [1, 2]; expected {term: weight} or {"components": [...], "values": [...]}',
    ),
    (
        b'{"id": "9", "vector": {"fox": -1}}',
        "vector: weight -1 of term 'fox'; weights must be finite numbers and not negative",
    ),
    (b'{"id": "9", "vector": {"fox": NaN}}', "vector: weight nan of term 'fox'; weights "),
    (b'{"id": "9", "vector": {"fox": true}}', "vector: weight True of term 'fox'; weights "),
    (b'{"id": "9", "vector": {"fox": "1"}}', "vector: weight '1' of term 'fox'; weights "),
    (b'{"id": "9", "vector": {"fox": 1e39}}', "vector: weight 1e+39 of term 'fox'; weights "),
    (
        b'{"id": "9", "vector": {"fox": 1' + b"0" * 400 + b"}}",
        f"vector: weight 1{'0' * 56}... of term 'fox'; weights ",
    ),
    (b'{"id": "9", "vector": {"\\ud800": 1}}', "vector: term '\\ud800' at character 0; expected"),
    (
        b'{"id": "9", "vector": {"components": [1, 2], "values": [1]}}',
        "vector: 2 components and 1 values; give two flat lists of equal length",
    ),
    (
        b'{"id": "9", "vector": {"components": [1, 1], "values": [1, 2]}}',
        "vector: component 1 is given twice",
    ),
    (
        b'{"id": "9", "vector": {"components": [-1], "values": [1]}}',
        "vector: component -1 is not in [0, 2**31)",
    ),
    (
        b'{"id": "9", "vector": {"components": [2147483648], "values": [1]}}',
        "vector: component 2147483648 is not in [0, 2**31)",
    ),
    (
        b'{"id": "9", "vector": {"components": [1.5], "values": [1]}}',
        "vector: components must be integers, got float64",
    ),
    (
        b'{"id": "9", "vector": {"components": [5], "values": [-0.5]}}',
        "vector: value -0.5 of component 5; weights must be finite and not negative",
    ),
    (
        b'{"id": "9", "vector": {"components": [5], "values": [1e39]}}',
        "vector: value inf of component 5; weights must be finite and not negative",
    ),
    (
        b'{"id": "9", "vector": {"components": [5], "values": ["1"]}}',
        "vector: values ['1']; expected numbers",
    ),
    (
        b'{"id": "9", "vector": {"components": [true], "values": [1]}}',
        "vector: components [True]; expected numbers",
    ),
    (
        b'{"id": "9", "vector": {"components": [[1], [2, 3]], "values": [1]}}',
        "vector: components [[1], [2, 3]], values [1]; expected two flat lists of numbers",
    ),
    (
        b'{"id": "9", "vector": {"components": "ab", "values": "ab"}}',
        "vector: components 'ab', values 'ab'; expected two flat lists of numbers",
    ),
]


@pytest.mark.parametrize(
    ("line", "reason"), BAD_LINES, ids=[f"{n}-{r[:30]}" for n, (_, r) in enumerate(BAD_LINES)]
)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path, line, reason):
    good = [text.encode() for text in JSON_LINES]
    path = write(tmp_path / "a.jsonl", b"\n".join([good[0], b"", line, good[1]]))
    reader = Reader([path])
    assert list(reader) == [FOX, DOG]
    assert [bad.place for bad in reader.bad] == [Place(path, 3)]
    assert str(reader.bad[0].place) == f"{path}:3"
    assert reader.bad[0].reason.startswith(reason)


@given(
    st.lists(
        st.one_of(
            st.just(b'{"id": "1", "text": "x"}'),
            st.just(b'{"id": 2, "text": "x", "more": 1}\r'),
            st.sampled_from([b"", b"  ", b"\r", b"\t\r", b"\xef\xbb\xbf"]),
            st.sampled_from([line for line, _ in BAD_LINES if len(line) < 2000]),
            st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"")),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_every_line_is_a_document_a_bad_record_or_empty(scratch, lines, ended):
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    path = write(scratch / "a.jsonl", data)
    reader = Reader([path], "last")
    documents = list(reader)
    records = [line for place, line in enumerate(lines) if _is_record(line, place == 0)]
    assert len(documents) + len(reader.bad) == len(records)
    numbers = [bad.place.line for bad in reader.bad]
    assert numbers == sorted(set(numbers))
    known = (b'{"id": "1", "text": "x"}', b'{"id": 2, "text": "x", "more": 1}\r')
    assert not {number for number in numbers if lines[number - 1] in known}
    assert len(documents) == sum(lines.count(line) for line in known)


def _is_record(line, first):
    try:
        return bool(line.decode("utf-8-sig" if first else "utf-8").strip())
    except UnicodeDecodeError:
        return True


# TSV


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz", "A.TSV"])
def test_tsv_of_two_three_and_four_columns(tmp_path, name):
    path = write(
        tmp_path / name, "1\ta red fox\n2\tDogs\ta \"blue' dog\n\n3\thttp://c\tCats\tcat\n"
    )
    expected = [
        FOX,
        Document("2", "a \"blue' dog", "Dogs"),
        Document("3", "cat", "Cats", {"url": "http://c"}),
    ]
    assert read(path) == (expected, [])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tsv_with_a_header(tmp_path, end):
    lines = ["\N{ZERO WIDTH NO-BREAK SPACE}year\tbody\t_id", "1999\ta red fox\t1", "", "x\t\t2"]
    path = write(tmp_path / "a.tsv", end.join(lines))
    expected = [
        Document("1", "a red fox", None, {"year": "1999"}),
        Document("2", "", None, {"year": "x"}),
    ]
    assert read(path) == (expected, [])


def test_tsv_rows_of_another_width_are_named(tmp_path):
    free = write(tmp_path / "free.tsv", "1\ta red fox\n2\n3\ta\tb\tc\td\n3\tthe cat\n")
    assert read(free) == (
        [FOX, CAT],
        [
            (2, "1 tab-separated columns; expected 2, 3 or 4"),
            (3, "5 tab-separated columns; expected 2, 3 or 4"),
        ],
    )
    headed = write(tmp_path / "headed.tsv", "id\ttext\n1\ta red fox\n2\ttitle\ttext\n")
    assert read(headed) == ([FOX], [(3, "3 tab-separated columns; expected 2")])


def test_tsv_that_is_not_utf8_in_one_line(tmp_path):
    path = write(tmp_path / "a.tsv", b"1\ta red fox\n2\t\xe9\n3\tthe cat\n")
    assert read(path) == ([FOX, CAT], [(2, "not UTF-8: invalid continuation byte at byte 2")])


def test_a_first_document_with_the_word_id_is_no_header(tmp_path):
    path = write(tmp_path / "a.tsv", "1\tid\n2\ttext\n")
    assert read(path) == ([Document("1", "id"), Document("2", "text")], [])


@given(
    st.lists(
        st.lists(
            st.text(
                st.characters(blacklist_categories=["Cs"], blacklist_characters="\t\n"),
                max_size=3,
            ),
            min_size=1,
            max_size=5,
        ),
        max_size=8,
    )
)
def test_every_tsv_line_is_a_document_or_a_bad_record(scratch, rows):
    lines = ["\t".join(row) for row in rows]
    path = write(scratch / "a.tsv", "\n".join(lines))
    documents, bad = read(path, on_duplicate="last")
    empty = sum(not line.strip("\r") for line in lines)
    if lines and lines[0].strip("\r") == "\N{ZERO WIDTH NO-BREAK SPACE}":
        empty += 1
    assert len(documents) + len(bad) + empty == len(lines)


# CSV


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv(tmp_path, name, end):
    lines = [
        "\N{ZERO WIDTH NO-BREAK SPACE}id,title,text,year",
        "1,,a red fox,",
        "",
        '2,"Dogs, ""big""","a',
        "",
        'blue dog",1999',
        "3,Cats,the cat,2000",
    ]
    path = write(tmp_path / name, end.join(lines) + end)
    expected = [
        Document("1", "a red fox", "", {"year": ""}),
        Document("2", f"a{end}{end}blue dog", 'Dogs, "big"', {"year": "1999"}),
        Document("3", "the cat", "Cats", {"year": "2000"}),
    ]
    assert read(path) == (expected, [])


def test_csv_rows_that_are_no_documents_are_named_by_their_first_line(tmp_path):
    rows = ["id,text", '1,"a', 'b"', '2,"c', 'd",e', "3", ",x", "\xff", '4,"\xff"', "5,fine"]
    path = write(tmp_path / "a.csv", "\n".join(rows).encode("latin-1"))
    assert read(path) == (
        [Document("1", "a\nb"), Document("5", "fine")],
        [
            (4, "3 columns; the header has 2"),
            (6, "1 columns; the header has 2"),
            (7, "field 'id': ''; expected a string of 1 to 1024 characters"),
            (8, "not UTF-8"),
            (9, "not UTF-8"),
        ],
    )


@given(
    st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
def test_csv_gives_back_what_was_written(scratch, cells, end, quoting):
    target, starts = io.StringIO(newline=""), []
    writer = csv.writer(target, lineterminator=end, quoting=quoting)
    writer.writerow(["text", "note", "id"])
    for number, (text, note) in enumerate(cells):
        starts.append(1 + len(re.findall("\r\n|\r|\n", target.getvalue())))
        writer.writerow([text, note, number])
    path = write(scratch / "a.csv", target.getvalue())
    documents, bad = read(path)
    assert bad == []
    assert documents == [
        Document(str(number), text, None, {"note": note})
        for number, (text, note) in enumerate(cells)
    ]
    # The same rows without an id: every one is bad, at the line where it begins.
    path = write(scratch / "b.csv", target.getvalue().replace("text", "some", 1))
    assert read(path) == ([], [(line, "field 'text' is missing") for line in starts])


# Parquet


def write_table(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_with_text_and_metadata(tmp_path):
    path = write_table(
        tmp_path / "a.parquet",
        _id=pa.array([1, 2, 3], pa.int32()),
        contents=["a red fox", "a blue dog", None],
        title=pa.array([None, "Dogs", None], pa.string()),
        tags=pa.array([["a"], None, []]),
        day=[datetime.date(2024, 2, 29), None, None],
        at=[datetime.datetime(2024, 2, 29, 12, 30), None, None],
        price=[Decimal("1.25"), None, None],
        place=pa.array([{"x": 1.5, "on": datetime.date(2020, 1, 1)}, None, None]),
        counts=pa.array([[("k", 1)], None, None], pa.map_(pa.string(), pa.int64())),
    )
    fox = {
        "tags": ["a"],
        "day": "2024-02-29",
        "at": "2024-02-29T12:30:00",
        "price": 1.25,
        "place": {"x": 1.5, "on": "2020-01-01"},
        "counts": {"k": 1},
    }
    expected = [Document("1", "a red fox", None, fox), Document("2", "a blue dog", "Dogs")]
    assert read(path) == (expected, [(3, "field 'text' is missing")])


@pytest.mark.parametrize(
    ("indices", "values"), [(pa.uint32(), pa.float32()), (pa.int64(), pa.float64())]
)
def test_parquet_with_vectors(tmp_path, indices, values):
    path = write_table(
        tmp_path / "a.parquet",
        id=["1", "2", "3", "4", "5"],
        indices=pa.array([[3, 1], [], None, [1], [1, 1]], pa.list_(indices)),
        values=pa.array([[0.5, 2], [], None, None, [1, 2]], pa.list_(values)),
        lang=["en", None, "de", "de", "de"],
    )
    expected = [
        Document("1", metadata={"lang": "en"}, vector={"components": [3, 1], "values": [0.5, 2.0]}),
        Document("2", vector={"components": [], "values": []}),
    ]
    assert read(path) == (
        expected,
        [
            (3, "field 'text' is missing"),
            (4, "field 'text' is missing"),
            (5, "vector: component 1 is given twice"),
        ],
    )


def test_parquet_with_vectors_of_words(tmp_path):
    weights = pa.map_(pa.string(), pa.float32())
    rows = [[("fox", 0.5), ("dog", 2)], [("fox", 1), ("fox", 2)], None]
    path = write_table(tmp_path / "a.parquet", id=["1", "2", "3"], vector=pa.array(rows, weights))
    documents, bad = read(path)
    assert documents == [Document("1", vector={"fox": 0.5, "dog": 2.0})]
    assert [line for line, _ in bad] == [2, 3]
    assert bad[0][1].startswith("vector: [('fox', 1.0), ('fox', 2.0)]; expected {term: weight}")


def test_parquet_rows_are_numbered_across_batches(tmp_path):
    numbers = range(1, 3001)
    texts = [None if n in (7, 2999) else "x" for n in numbers]
    path = write_table(tmp_path / "a.parquet", id=list(numbers), text=texts)
    documents, bad = read(path)
    assert bad == [(7, "field 'text' is missing"), (2999, "field 'text' is missing")]
    assert [d.id for d in documents] == [str(n) for n in numbers if n not in (7, 2999)]


def test_parquet_values_that_json_cannot_hold_are_named(tmp_path):
    path = write_table(tmp_path / "a.parquet", id=["1", "2"], text=["x", "y"], raw=[b"ab", None])
    documents, bad = read(path)
    assert documents == [Document("2", "y")]
    assert bad[0][1].startswith("metadata field 'raw': b'ab'; expected what JSON can hold (")


def test_parquet_without_an_id_has_no_document(tmp_path):
    path = write_table(tmp_path / "a.parquet", text=["x", "y"])
    assert read(path) == ([], [(1, "field 'id' is missing"), (2, "field 'id' is missing")])


# Texts and folders


@pytest.mark.smoke
def test_text_and_markdown_files(tmp_path):
    write(tmp_path / "a.txt", "# no heading\r\nplain")
    write(tmp_path / "b.md", "\N{ZERO WIDTH NO-BREAK SPACE}intro\n## The *title* ##\n# Later\n")
    write(tmp_path / "deep" / "er" / "c.MARKDOWN", "no heading")
    write(tmp_path / "deep" / "d.txt", "")
    documents, bad = read(tmp_path)
    assert bad == []
    assert documents == [
        Document("a.txt", "# no heading\nplain", "a"),
        Document("b.md", "intro\n## The *title* ##\n# Later\n", "The *title* ##"),
        Document("deep/d.txt", "", "d"),
        Document("deep/er/c.MARKDOWN", "no heading", "c"),
    ]
    assert read(tmp_path / "deep" / "er" / "c.MARKDOWN")[0][0].id == "c.MARKDOWN"


def test_a_text_file_that_is_not_utf8_is_named(tmp_path):
    path = write(tmp_path / "a.txt", b"caf\xe9!")
    assert read(path) == ([], [(1, "not UTF-8: invalid continuation byte at byte 3")])


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_beir_folder_stands_for_its_corpus(tmp_path, ending):
    write(tmp_path / f"corpus.jsonl{ending}", JSON_LINES[0])
    write(tmp_path / "queries.jsonl", '{"_id": "q", "text": "fox"}')
    write(tmp_path / "qrels" / "test.tsv", "q\t1\t1\n")
    assert read(tmp_path) == ([FOX], [])


def test_a_folder_is_read_in_order_of_names_without_hidden_and_unknown_files(tmp_path):
    write(tmp_path / "b.jsonl", JSON_LINES[1])
    write(tmp_path / "a" / "z.tsv", "1\ta red fox\n")
    write(tmp_path / "c.csv", "id,text\n3,the cat\n")
    for name in (".hidden.jsonl", ".git/x.jsonl", "a/.b/x.txt", "x.pdf", "README", "y.txt.gz"):
        write(tmp_path / name, "{")
    assert read(tmp_path) == ([FOX, DOG, CAT], [])
    assert find_files([tmp_path]) == [
        (tmp_path / name, tmp_path) for name in ("a/z.tsv", "b.jsonl", "c.csv")
    ]


def test_sources_are_read_in_the_order_given(tmp_path):
    one = write(tmp_path / "z.jsonl", JSON_LINES[0])
    folder = write(tmp_path / "folder" / "a.tsv", "3\tthe cat\n").parent
    assert read(folder, one) == ([CAT, FOX], [])
    assert read(one, folder) == ([FOX, CAT], [])


# Sources that cannot be read at all

GZIPPED = gzip.compress(("\n".join(JSON_LINES) + "\n").encode(), mtime=0)
GZIPPED_CSV = gzip.compress(b"id,text\n", mtime=0)
TYPES = ".jsonl, .ndjson, .tsv, .csv, .parquet, .txt, .md, .markdown"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl.gz", GZIPPED[:-9], "{path}: cannot be read: Compressed file ended before "),
        ("a.jsonl.gz", b"{}", "{path}: cannot be read: Not a gzipped file (b'{{}}')"),
        ("a.jsonl.gz", GZIPPED[:10] + b"\xff" * 20, "{path}: cannot be read: Error -3 while "),
        ("a.jsonl.gz", GZIPPED[:-8] + b"\0" * 8, "{path}: cannot be read: CRC check failed "),
        ("a.tsv.gz", GZIPPED[:-9], "{path}: cannot be read: Compressed file ended before "),
        ("a.csv.gz", GZIPPED_CSV[:-9], "{path}: cannot be read: Compressed "),
        ("a.csv", b"", "{path}:1: the header [] names no column 'id'; expected at least id and "),
        ("a.csv", b"a,b\n", "{path}:1: the header ['a', 'b'] names no column 'id'; expected at "),
        ("a.csv", b'id,text\n1,a\n2,"b\n3,c\n', "{path}:3: not CSV: unexpected end of data"),
        ("a.csv", b'id,text\n1,a\n2,"b"c\n', "{path}:3: not CSV: ',' expected after '\"'"),
        ("a.csv", b'"id,text\n', "{path}:1: not CSV: unexpected end of data"),
        (
            "a.csv",
            b"id,text,text\n1,a,b\n",
            "{path}:1: two columns are named 'text'; name each differently",
        ),
        (
            "a.tsv",
            b"id\ttext\tid\n1\ta\t2\n",
            "{path}:1: two columns are named 'id'; name each differently",
        ),
        ("a.parquet", b"", "{path}: not a readable Parquet file: "),
        ("a.parquet", b"PAR1 and more", "{path}: not a readable Parquet file: "),
        ("a.pdf", b"%PDF", f"{{path}}: files of type .pdf are not read; known are {TYPES}"),
        ("a", b"x", f"{{path}}: files of type (none) are not read; known are {TYPES}"),
        ("a.txt.gz", b"x", f"{{path}}: files of type .gz are not read; known are {TYPES}"),
        ("a.parquet.gz", b"x", "{path}: files of type .gz are not read; "),
    ],
)
def test_a_source_that_is_damaged_as_a_whole(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(message.format(path=path))


@pytest.mark.parametrize("kept", [4, 200, -1, -8, -40])
def test_a_truncated_parquet_file(tmp_path, kept):
    path = write_table(tmp_path / "a.parquet", id=[str(n) for n in range(99)], text=["x"] * 99)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}: "):
        read(path)


def test_a_parquet_file_with_altered_pages(tmp_path):
    path = write_table(tmp_path / "a.parquet", id=[str(n) for n in range(999)], text=["x"] * 999)
    data = bytearray(path.read_bytes())
    data[40:80] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}: "):
        read(path)


def test_a_parquet_file_whose_strings_are_not_utf8(tmp_path):
    offsets = pa.array([0, 1], pa.int32()).buffers()[1]
    text = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff")])
    path = write_table(tmp_path / "a.parquet", id=["1"], text=text)
    with pytest.raises(InputError, match="not a readable Parquet file: 'utf-8' codec can't dec"):
        read(path)


def test_a_parquet_file_with_two_columns_of_one_name(tmp_path):
    columns = [pa.array(["1"]), pa.array(["x"]), pa.array(["y"])]
    pq.write_table(pa.Table.from_arrays(columns, ["id", "text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="two columns are named 'text'; name each differently"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["gone.jsonl", "gone", "gone/"])
def test_a_source_that_is_not_there(tmp_path, name):
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: no such file or folder"


def test_a_folder_without_a_known_file(tmp_path):
    write(tmp_path / "x.pdf", "x")
    write(tmp_path / ".a.txt", "x")
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no file of a known type in it ({TYPES})"


@pytest.mark.parametrize("name", ["a.jsonl", "a.tsv", "a.ndjson.gz"])
def test_an_empty_file_has_no_records(tmp_path, name):
    assert read(write(tmp_path / name, "")) == ([], [])


# Ids that come twice


@pytest.mark.smoke
def test_an_id_that_comes_twice_names_both_places(tmp_path):
    one = write(tmp_path / "a.jsonl", '{"id": 1, "text": "x"}\n\n{"id": "2", "text": "x"}\n')
    two = write(tmp_path / "b.tsv", "3\tx\n1\ty\n")
    with pytest.raises(DuplicateId) as caught:
        read(one, two)
    assert str(caught.value) == (
        f"{two}:2: id '1' stands already at {one}:1; make ids unique, or let the later one win "
        "with --on-duplicate last"
    )
    assert caught.value.code == "duplicate_id"
    documents, bad = read(one, two, on_duplicate="last")
    assert [document.id for document in documents] == ["1", "2", "3", "1"]
    assert bad == []


def test_a_bad_record_does_not_take_its_id(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"id": "1", "text": 5}\n' + JSON_LINES[0])
    assert read(path) == ([FOX], [(1, "field 'text': 5; expected a string")])


@given(st.lists(st.sampled_from("abc"), max_size=6))
def test_on_duplicate_last_gives_every_document_in_order(scratch, ids):
    lines = [json.dumps({"id": name, "text": str(place)}) for place, name in enumerate(ids)]
    path = write(scratch / "a.jsonl", "\n".join(lines))
    documents, bad = read(path, on_duplicate="last")
    assert (documents, bad) == ([Document(n, str(p)) for p, n in enumerate(ids)], [])
    if len(set(ids)) < len(ids):
        with pytest.raises(DuplicateId):
            read(path)
    else:
        assert read(path)[0] == documents


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.tsv", "a.parquet"])
def test_a_file_is_closed_when_reading_stops_early(tmp_path, name):
    """A file left open is a ResourceWarning, and warnings are errors here."""
    path = tmp_path / name
    if name == "a.parquet":
        write_table(path, id=["1", "2"], text=["x", "y"])
    else:
        separator = "\t" if name == "a.tsv" else ","
        rows = separator.join(["id", "text"]) + "\n" + f"1{separator}x\n2{separator}y\n"
        write(path, "\n".join(JSON_LINES) if "jsonl" in name else rows)
    documents = iter(Reader([path]))
    assert next(documents).id == "1"
    documents.close()
    gc.collect()
