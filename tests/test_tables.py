"""The reader: what it takes, and the one sentence it says about everything else."""

import datetime
import decimal

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

import pyarrow.feather  # noqa: E402
import pyarrow.parquet  # noqa: E402

from crossentropy._tables import (  # noqa: E402
    SAMPLES,
    InputError,
    load_dataset,
    load_features,
    load_sample,
    read_table,
)

TABLE = "age,city,member,label\n31,Ghent,true,yes\n,Bruges,false,no\n45,,,yes\n"


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def write_parquet(path, **columns):
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


# What it takes


def test_csv_columns_are_numbers_or_text_and_may_be_missing(write):
    data = load_dataset(write(TABLE), target="label")
    assert list(data.X.columns) == ["age", "city", "member"]
    assert data.X["age"].dtype == np.float64
    assert data.X["city"].isna().tolist() == [False, False, True]
    np.testing.assert_equal(data.X["member"].to_numpy(), [1.0, 0.0, np.nan])
    assert data.y.tolist() == ["yes", "no", "yes"]
    assert data.name == "data.csv"
    assert data.sample_weight is None
    assert data.groups is None


@pytest.mark.parametrize("name", ["d.parquet", "d.arrow", "d.feather", "d.tsv"])
def test_every_format_reads_the_same_table(write, name):
    expected = read_table(write(TABLE))
    path = write(TABLE.replace(",", "\t"), name)
    if not name.endswith("tsv"):
        save = pyarrow.parquet.write_table if "parquet" in name else pyarrow.feather.write_feather
        save(pa.Table.from_pandas(expected), path)
    pd.testing.assert_frame_equal(read_table(path), expected)


def test_a_csv_value_may_hold_a_line_break_and_a_byte_order_mark_is_left_out(write):
    frame = read_table(write(b'\xef\xbb\xbfa,b\n"x\ny",1\n'))
    assert frame.to_dict("list") == {"a": ["x\ny"], "b": [1]}


def test_pandas_index_and_categories(tmp_path):
    frame = pd.DataFrame({"x": pd.Categorical(["1", "2", "1"]), "y": [0, 1, 0]}, index=[7, 8, 9])
    frame.to_parquet(tmp_path / "d.parquet")
    data = load_dataset(tmp_path / "d.parquet", target="y")
    assert list(data.X.columns) == ["x"]
    assert data.X["x"].dtype == "category"


def test_decimals_are_numbers(tmp_path):
    path = write_parquet(tmp_path / "d.parquet", x=[decimal.Decimal("1.5"), None], y=["a", "b"])
    assert load_dataset(path, target="y").X["x"].dtype == np.float64


def test_drop_weights_and_groups_are_no_features(write):
    data = load_dataset(
        write("id,x,w,g,y\n1,2,0.5,a,0\n2,3,1,b,1\n"),
        target="y",
        drop=["id"],
        weights="w",
        groups="g",
    )
    assert list(data.X.columns) == ["x"]
    assert data.sample_weight.tolist() == [0.5, 1]
    assert data.groups.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [([True, False], "b"), ([3, 4], "i"), ([3.0, 4.0], "i"), (["a", "b"], "U")],
)
def test_labels_keep_their_type(tmp_path, values, kind):
    path = write_parquet(tmp_path / "d.parquet", x=[1, 2], y=values)
    y = load_dataset(path, target="y").y
    assert y.tolist() == values
    assert y.dtype.kind == kind


def test_categorical_labels(tmp_path):
    frame = pd.DataFrame({"x": [1, 2], "y": pd.Categorical([True, False])})
    frame.to_parquet(tmp_path / "d.parquet")
    assert load_dataset(tmp_path / "d.parquet", target="y").y.tolist() == [True, False]


def test_npz_names_are_arrays(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, X=np.ones((2, 3), np.float16), y=["a", "b"], z=[0, 1], w=[1, 2])
    data = load_dataset(path, weights="w")
    assert data.X.dtype == np.float64
    assert data.y.tolist() == ["a", "b"]
    assert data.sample_weight.tolist() == [1, 2]
    assert load_dataset(path, target="z").y.tolist() == [0, 1]


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name):
    pytest.importorskip("sklearn")
    data = load_sample(name)
    assert len(data.X) == len(data.y) > 100
    assert len(np.unique(data.y)) > 1


def test_a_second_file_is_read_like_the_first(write):
    """Columns in training's order; what was text there is text here, the labels too."""
    first = load_dataset(write("n,code,y\n1,a,x\n2,7,1\n"), target="y")
    path = write("y,extra,code,n\n1,0,7,3\n", "second.csv")
    second = load_dataset(path, target="y", like=first)
    assert second.X.to_dict("list") == {"n": [3], "code": ["7"]}
    assert second.y.tolist() == ["1"]
    assert load_features(path, names=["n", "code"], text={"code"}).equals(second.X)


def test_a_column_may_be_missing_throughout_after_training(write):
    X = load_features(write("n,code,b\n,,true\n"), names=["n", "code", "b"], text={"code"})
    assert X.isna().to_numpy().tolist() == [[True, True, False]]
    assert X["b"].tolist() == [1]


# What it refuses

BAD_CSV = {
    "ragged line": ("a,y\n1,0\n\n2,1,9\n", "line 4 has 3 values, the header 2"),
    "no rows": ("a,y\n", "is empty"),
    "empty file": ("", "holds no table"),
    "binary": (b"a,y\n\xff\xfe\xe9,0\n", "column 'a' is not UTF-8 text"),
    "binary header": (b"\xff\xfe,y\n1,0\n", "is not UTF-8 text"),
    "absent target": ("a,ys\n1,0\n", "no column 'y': did you mean 'ys'? There are 'a', 'ys'"),
    "missing label": ("a,y\n1,0\n2,\n", "column 'y' is empty in row 2"),
    "fractional label": ("a,y\n1,0\n2,0.5\n", "holds 0.5 in row 2"),
    "date label": ("a,y\n1,2020-01-01\n", "class labels are strings"),
    "infinite": ("a,y\n1,0\n-inf,1\n", "column 'a' holds -inf in row 2"),
    "dates": ("a,y\n2020-01-01,1\n", "column 'a' holds dates"),
    "times": ("a,y\n12:30,1\n", "column 'a' holds dates or times"),
    "no value": ("a,b,y\n1,,0\n2,,1\n", "column 'b' holds no value"),
    "spoilt numbers": ("a,y\n" + "1,0\n" * 10 + "?,1\n", "column 'a' holds '?' in row 11"),
    "twice": ("a,a,y\n1,2,0\n", "two columns named 'a'"),
    "only labels": ("y\n1\n", "no column is left"),
}


@pytest.mark.parametrize(("content", "message"), BAD_CSV.values(), ids=BAD_CSV)
def test_bad_csv(write, content, message):
    with pytest.raises(InputError) as caught:
        load_dataset(write(content), target="y")
    assert message in str(caught.value)
    assert "'data.csv'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1, -1], "holds -1.0 in row 2"),
        ([1, None], "holds nan in row 2"),
        ([float("inf"), 1], "holds inf in row 1"),
        (["a", "b"], "holds text"),
        ([1, 0], "holds 0.0 in row 2"),
    ],
)
def test_bad_weights(tmp_path, column, message):
    path = write_parquet(tmp_path / "d.parquet", x=[1, 2], y=[0, 1], w=column)
    with pytest.raises(InputError, match=message):
        load_dataset(path, target="y", weights="w")


def test_missing_group(tmp_path):
    path = write_parquet(tmp_path / "d.parquet", x=[1, 2], y=[0, 1], g=["a", None])
    with pytest.raises(InputError, match="'g' is empty in row 2"):
        load_dataset(path, target="y", groups="g")


@pytest.mark.parametrize("column", [[[1], [2]], [b"a", b"b"], [{"a": 1}, {"a": 2}]])
def test_columns_that_are_neither_numbers_nor_text(tmp_path, column):
    path = write_parquet(tmp_path / "d.parquet", x=column, y=[0, 1])
    with pytest.raises(InputError, match="column 'x'"):
        load_dataset(path, target="y")


def test_timestamps(tmp_path):
    path = write_parquet(tmp_path / "d.parquet", x=[datetime.datetime(2020, 1, 1)], y=[0])
    with pytest.raises(InputError, match="dates"):
        load_dataset(path, target="y")


@pytest.mark.parametrize("name", ["d.parquet", "d.arrow", "d.feather", "d.npz", "d.csv"])
@pytest.mark.parametrize("keep", [0, 4, 0.6])
def test_truncated_files(tmp_path, name, keep):
    path = tmp_path / name
    if name == "d.npz":
        np.savez(path, X=np.ones((50, 3)), y=np.ones(50))
    elif name == "d.csv":
        path.write_text("age,y\n" + "1,2\n" * 50)
    else:
        save = pyarrow.parquet.write_table if "parquet" in name else pyarrow.feather.write_feather
        save(pa.table({"age": [1.5] * 500, "y": [0, 1] * 250}), path)
    content = path.read_bytes()
    end = keep if isinstance(keep, int) else int(len(content) * keep) // 4 * 4
    path.write_bytes(content[:end])
    with pytest.raises(InputError):
        load_dataset(path, target="y")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.ones(3), "y": [0, 1, 0]}, "shape"),
        ({"X": np.ones((3, 0)), "y": [0, 1, 0]}, "shape"),
        ({"X": np.ones((3, 2)), "y": [0, 1]}, "one value for each of 3 rows"),
        ({"X": np.ones((3, 2)), "y": np.eye(3)}, "one value for each of 3 rows"),
        ({"X": np.full((3, 2), np.inf), "y": [0, 1, 0]}, "inf in row 1, column 1"),
        ({"X": np.full((3, 2), "a"), "y": [0, 1, 0]}, "wanted numbers"),
        ({"X": np.ones((3, 2)), "y": [0, np.nan, 1]}, "'y' is empty in row 2"),
        ({"X": np.ones((2, 2), object), "y": [0, 1]}, "no Python objects"),
        ({"y": [0, 1]}, "no array 'X'"),
        ({"X": np.ones((2, 2))}, "no column 'y'"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_dataset(tmp_path / "d.npz")


def test_paths_that_are_no_table(write, tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="is a directory"):
        read_table(tmp_path)
    with pytest.raises(InputError, match="wanted a file ending in"):
        read_table(write("", "data.xlsx"))


def test_roles(write):
    path = write("a,b,y\n1,2,0\n")
    with pytest.raises(InputError, match="--target"):
        load_dataset(path)
    with pytest.raises(InputError, match="two uses"):
        load_dataset(path, target="y", weights="y")
    with pytest.raises(InputError, match="two uses"):
        load_dataset(path, target="y", drop=["y"])
    with pytest.raises(InputError, match="no column 'c'"):
        load_dataset(path, target="y", drop=["c"])
    with pytest.raises(InputError, match="no sample 'diggits': did you mean 'digits'"):
        load_sample("diggits")


def test_files_unlike_the_training_data(write, tmp_path):
    np.savez(tmp_path / "d.npz", X=np.ones((1, 2)), y=[0])
    first = load_dataset(write("a,b,y\n1,2,0\n"), target="y")
    for content, message in {
        "a,y\n1,0\n": "no feature 'b'",
        "a,b,y\n1,x,0\n": "'b' holds text such as 'x'",
        "a,b,y\n1,inf,0\n": "holds inf",
    }.items():
        with pytest.raises(InputError, match=message):
            load_dataset(write(content, "second.csv"), target="y", like=first)
    with pytest.raises(InputError, match="the training data was a table"):
        load_dataset(tmp_path / "d.npz", target="y", like=first)
    with pytest.raises(InputError, match="the training data was an array"):
        load_features(write(TABLE), names=None)
