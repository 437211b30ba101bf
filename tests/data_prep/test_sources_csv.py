"""Tables of path and label."""

import pytest

from data_prep.sources.csv_file import read_csv
from data_prep.sources.label_map import parse_label_map
from rewards.errors import UserError
from tests.data_prep.source_trees import items, labels, reasons

ZERO_ONE = parse_label_map(["0=real", "1=fake"])


@pytest.fixture
def write_table(tmp_path):
    def write(content, name="table.csv"):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    "content",
    [
        "path,label\na.jpg,real\nsub/b.png,fake\n",
        "a.jpg,real\nsub/b.png,fake\n",
        "label,path\nreal,a.jpg\nfake,sub/b.png\n",
        "Path,Label\r\n\r\na.jpg, Real\r\n./sub//b.png,FAKE",
        b"\xef\xbb\xbfpath,label\na.jpg,real\nsub/b.png,fake\n",
    ],
    ids=["header", "no-header", "other-order", "case-blanks-crlf", "bom"],
)
def test_a_table_is_read_with_or_without_header(write_table, content):
    table = write_table(content)
    found = items(read_csv(table, "test"))
    assert {name: item.label for name, item in found.items()} == {
        "csv/table/a.jpg": "real",
        "csv/table/sub/b.png": "fake",
    }
    assert found["csv/table/sub/b.png"].path == table.parent / "sub" / "b.png"
    assert {item.source for item in found.values()} == {"table"}
    assert found["csv/table/a.jpg"].generator == "camera"


def test_paths_may_be_absolute_and_hold_commas_and_quotes(write_table, tmp_path):
    table = write_table(f'path,label\n"{tmp_path}/x,y.jpg",real\n"a ""b"".png",fake\n')
    found = items(read_csv(table, "test"))
    assert [item.path for item in found.values()] == [tmp_path / "x,y.jpg", tmp_path / 'a "b".png']


def test_more_columns_tell_source_generator_and_category(write_table):
    table = write_table(
        "path,label,generator,source,category\na.jpg,fake,sdxl,web,cats\nb,real,,,\n"
    )
    first, second = items(read_csv(table, "test")).values()
    assert (first.generator, first.source, first.category) == ("sdxl", "web", "cats")
    assert (second.generator, second.source, second.category) == ("camera", "table", "unknown")


def test_other_spellings_mean_what_the_user_says(write_table):
    table = write_table("a.jpg,0\nb.jpg,1\n")
    assert list(labels(read_csv(table, "test", label_map=ZERO_ONE)).values()) == ["real", "fake"]


def test_a_path_listed_twice_is_given_once(write_table):
    table = write_table("a.jpg,real\n./a.jpg,real\nb.jpg,fake\n")
    entries = list(read_csv(table, "test"))
    assert labels(entries) == {"csv/table/a.jpg": "real", "csv/table/b.jpg": "fake"}
    assert reasons(entries) == {"./a.jpg": "listed before in the same table"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lists no images"),
        ("path,label\n", "lists no images"),
        ("a.jpg,0\nb.jpg,1\n", "line 1: .*--label_map 0=real 1=fake"),
        ("a.jpg,real\nb.jpg,1\n", "line 2: unknown label '1'.*--label_map"),
        ("filename,class\na.jpg,real\n", "neither a header"),
        ("path;label\na.jpg;real\n", "Separate columns by commas"),
        ("path,label,generater\na.jpg,real,x\n", "generater"),
        ("path,label,label\na.jpg,real,real\n", "at most once"),
        ("path,label\na.jpg\n", "line 2: found 1 cells, expected 2"),
        ("path,label\nx,y.jpg,real\n", "line 2: found 3 cells"),
        ("path,label\n,real\n", "line 2: the path is empty"),
        ("path,label\na.jpg,\n", "line 2: unknown label ''"),
        ("a.jpg,real\nb.jpg,fake\n./a.jpg,fake\n", "line 3: './a.jpg' is fake here and real"),
        ('path,label\n"a.jpg,real\n', "unexpected end of data"),
        (b"path,label\n\xff.jpg,real\n", "not UTF-8"),
        ("path,label\na.jpg,real\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_wrong_table_stops_before_the_first_image(write_table, content, message):
    with pytest.raises(UserError, match=message):
        next(read_csv(write_table(content), "test"))


def test_a_missing_table_is_an_error(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        next(read_csv(tmp_path / "none.csv", "test"))
