"""The one reader of files: tables and arrays in, checked data sets out.

Whatever is wrong with a file is said in one sentence by a `TableError`: what was
found, what was wanted, what to do.
"""

from crossentropy._tables._dataset import (
    SAMPLES,
    Dataset,
    load_dataset,
    load_features,
    load_sample,
)
from crossentropy._tables._errors import TableError, closest
from crossentropy._tables._files import read_arrays, read_table

__all__ = [
    "SAMPLES",
    "Dataset",
    "TableError",
    "closest",
    "load_dataset",
    "load_features",
    "load_sample",
    "read_arrays",
    "read_table",
]
