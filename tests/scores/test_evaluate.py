"""Files and tables of every kind give one result; what is wrong is said with its row."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import softmax

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")


from pyarrow import dataset, feather, parquet  # noqa: E402

from crossentropy.scores import Evaluation, _stream, evaluate  # noqa: E402

NAMES = ("ant", "bee", "cat")
ROWS = 50


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """So that a file is several blocks."""
    monkeypatch.setattr(_stream, "BLOCK", 3 * 16)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(ROWS, 3))
    return rng.integers(0, 3, ROWS), logits, rng.uniform(0.5, 2, ROWS)


def frame_of(data, names=NAMES):
    y, logits, weight = data
    proba = softmax(logits, axis=1)
    columns = {f"p_{name}": proba[:, k] for k, name in enumerate(names)}
    return pd.DataFrame({"y_true": np.asarray(names)[y], **columns, "w": weight})


def expected_of(data, kind="proba"):
    y, logits, weight = data
    evaluation = Evaluation(3, input=kind)
    evaluation.update(y, softmax(logits, axis=1) if kind == "proba" else logits, weight)
    return evaluation.state_dict()


def assert_same(evaluation, expected):
    for name, array in evaluation.state_dict().items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def write(frame, path):
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if path.suffix in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    elif path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=20)
    else:
        feather.write_feather(table, path, chunksize=20)
    return path


@pytest.mark.parametrize("names", [NAMES, ("0", "1", "2"), ("2", "10", "1")])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "arrow", "feather"])
def test_tables_of_every_kind(data, tmp_path, suffix, names):
    path = write(frame_of(data, names), tmp_path / f"predictions.{suffix}")
    evaluation = evaluate(path, input="proba", sample_weight="w")
    assert_same(evaluation, expected_of(data))
    assert evaluation.class_names == names


@pytest.mark.parametrize("kind", ["category", "int8", "float64", "bool"])
def test_labels_of_many_types(data, tmp_path, kind):
    y, logits, _ = data
    names = {"category": NAMES, "bool": ("false", "true")}.get(kind, ("0", "1", "2"))
    y = y % len(names)
    proba = softmax(logits[:, : len(names)], axis=1)
    frame = pd.DataFrame({f"p_{name}": proba[:, k] for k, name in enumerate(names)})
    values = np.asarray(names)[y] if kind == "category" else y
    frame["label"] = pd.Series(values).astype(kind)
    path = write(frame, tmp_path / "x.parquet")
    evaluation = evaluate(path, input="proba", target="label")
    expected = Evaluation(len(names), input="proba")
    expected.update(y, proba)
    assert_same(evaluation, expected.state_dict())


def test_objects_in_memory(data, tmp_path):
    frame = frame_of(data)
    table = pa.Table.from_pandas(frame)
    write(frame.iloc[:30], tmp_path / "a.parquet")
    write(frame.iloc[30:], tmp_path / "b.parquet")
    for source in (frame, table, table.to_reader(), dataset.dataset(tmp_path)):
        assert_same(evaluate(source, input="proba", sample_weight="w"), expected_of(data))
    with pytest.raises(ValueError, match="the list cannot be read in batches"):
        evaluate([1, 2], input="proba")


@pytest.mark.parametrize("compressed", [False, True])
def test_npz(data, tmp_path, compressed):
    y, logits, weight = data
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "p.npz", logits=logits, y_true=y, w=weight)
    evaluation = evaluate(tmp_path / "p.npz", input="logits", sample_weight="w")
    assert_same(evaluation, expected_of(data, "logits"))
    save(tmp_path / "q.npz", z=logits, y=np.asarray(NAMES)[y], w=weight)
    evaluation = evaluate(
        tmp_path / "q.npz",
        input="logits",
        predictions="z",
        target="y",
        sample_weight="w",
        labels=NAMES,
    )
    assert_same(evaluation, expected_of(data, "logits"))
    with pytest.raises(ValueError, match="no array 'proba'"):
        evaluate(tmp_path / "p.npz", input="proba")


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(data, tmp_path, order):
    y, logits, weight = data
    np.save(tmp_path / "z.npy", np.asarray(logits, order=order))
    np.save(tmp_path / "y.npy", y)
    for target in (y, tmp_path / "y.npy", str(tmp_path / "y.npy")):
        evaluation = evaluate(
            tmp_path / "z.npy", input="logits", target=target, sample_weight=weight
        )
        assert_same(evaluation, expected_of(data, "logits"))
    with pytest.raises(ValueError, match="need target= an NPY file"):
        evaluate(tmp_path / "z.npy", input="logits")
    with pytest.raises(ValueError, match="target has shape"):
        evaluate(tmp_path / "z.npy", input="logits", target=y[:-1])


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow"])
def test_what_is_wrong_is_said_with_its_row(data, tmp_path, suffix):
    good = frame_of(data)
    path = tmp_path / f"x.{suffix}"

    def refused(change, match, **options):
        frame = change(good)
        with pytest.raises(ValueError, match=match) as caught:
            evaluate(write(frame, path), **({"input": "proba"} | options))
        assert path.name in str(caught.value)

    def put(column, row, value):
        return lambda frame: frame.assign(
            **{column: frame[column].where(frame.index != row, value)}
        )

    refused(put("p_bee", 39, np.nan), "'p_bee' is empty in row 40")
    refused(put("p_bee", 39, 0.5), "row 40 is .*sum to one")
    refused(put("p_bee", 39, np.inf), "row 40 is")
    refused(put("y_true", 39, "dog"), "'y_true' holds 'dog' in row 40.*ant, bee, cat")
    refused(put("y_true", 39, None), "'y_true' holds None in row 40")
    refused(put("w", 39, -1.0), "row 40 is -1.0: sample_weight", sample_weight="w")
    refused(lambda frame: frame, "did you mean 'y_true'", target="y_treu")
    refused(lambda frame: frame, "0 columns named logit_<class>", input="logits")
    refused(lambda frame: frame, "given two uses", sample_weight="p_ant")
    refused(lambda frame: frame[:0], "empty")


def test_text_that_is_no_table_of_numbers(data, tmp_path):
    path = write(frame_of(data), tmp_path / "x.csv")
    lines = path.read_text().splitlines()

    def refused(changed, match):
        path.write_text("\n".join(changed) + "\n")
        with pytest.raises(ValueError, match=match):
            evaluate(path, input="proba")

    refused([*lines[:40], lines[40] + ",1", *lines[41:]], "line 41 has 6 values, the header 5")
    name, _, rest = lines[40].split(",", 2)
    refused([*lines[:40], f"{name},many,{rest}", *lines[41:]], "'p_ant' holds 'many' in row 40")
    doubled = [lines[0] + ",p_ant", *(line + ",1" for line in lines[1:])]
    refused(doubled, r"x\.csv.* two columns named 'p_ant'")
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"x\.csv.* empty"):
        evaluate(path, input="proba")


def test_files_that_are_not_whole(data, tmp_path):
    frame, (y, logits, _) = frame_of(data), data
    np.savez(tmp_path / "x.npz", logits=logits, y_true=y)
    np.save(tmp_path / "x.npy", logits)
    for suffix in ("parquet", "arrow"):
        write(frame, tmp_path / f"x.{suffix}")
    for suffix, target in (
        ("parquet", "y_true"),
        ("arrow", "y_true"),
        ("npz", "y_true"),
        ("npy", y),
    ):
        path = tmp_path / f"x.{suffix}"
        whole = path.read_bytes()
        for size in (len(whole) - 40, len(whole) // 2, 3):
            path.write_bytes(whole[:size])
            with pytest.raises(ValueError, match=r"x\.\w+.*(whole|cut short)"):
                evaluate(path, input="logits", target=target)
    (tmp_path / "x.txt").write_text("")
    for path, match in (("x.txt", "not a table"), ("gone.csv", "no file"), ("", "directory")):
        with pytest.raises(ValueError, match=match):
            evaluate(tmp_path / path, input="proba")


def test_damage_inside_a_parquet_file_is_an_input_error(data, tmp_path):
    path = tmp_path / "x.parquet"
    write(frame_of(data), path)
    damaged = bytearray(path.read_bytes())
    damaged[4:400] = bytes(396)
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"x\.parquet"):
        evaluate(path, input="proba")


def test_progress_is_shown_when_asked_for(data, capsys):
    evaluate(frame_of(data), input="proba", progress=False)
    assert capsys.readouterr().err == ""
    pytest.importorskip("rich")
    evaluate(frame_of(data), input="proba", progress=True)
    assert "evaluating the DataFrame" in capsys.readouterr().err


def test_scores_import_nothing_optional():
    code = (
        "import sys, crossentropy.scores as scores;"
        "scores.Evaluation(2, input='proba').update([0], [[1.0, 0.0]]);"
        "print({'torch', 'pyarrow', 'pandas', 'rich', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
