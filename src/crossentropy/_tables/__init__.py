"""The one reader of files: tables and arrays in, checked data sets out.

Whatever is wrong with a file is said in one sentence by an `InputError`: what was
found, what was wanted, what to do.
"""

from crossentropy._errors import InputError
from crossentropy._tables._batches import Batches, ahead, open_batches
from crossentropy._tables._blocks import ArrayFile
from crossentropy._tables._dataset import (
    SAMPLES,
    Dataset,
    load_dataset,
    load_features,
    load_sample,
)
from crossentropy._tables._files import read_arrays, read_table
from crossentropy._tables._kind import PREFIX, predictions_kind

__all__ = [
    "PREFIX",
    "SAMPLES",
    "ArrayFile",
    "Batches",
    "Dataset",
    "InputError",
    "ahead",
    "load_dataset",
    "load_features",
    "load_sample",
    "open_batches",
    "predictions_kind",
    "read_arrays",
    "read_table",
]
